"""Who a battery is: the same at every start."""

from pathlib import Path

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.session import Session
from bms_drivers.links import factory
from gateway.identity import Identities, serial
from gateway.model import Reading
from tests import make

NAMELESS = make.reading(serial_number=None)


def session(driver: str) -> Session:
    return Session(registry.load(driver))


def test_the_users_word_comes_first_then_the_serial_number_then_the_place() -> None:
    asked = session("jbd")
    assert Identities("left", lambda: "usb-1").of("", make.reading(), asked) == "left"
    assert Identities("", lambda: "usb-1").of("", make.reading(), asked) == "S-0001"
    assert Identities("", lambda: "usb-1").of("", NAMELESS, asked) == "usb-1"


def test_packs_behind_one_device_are_told_apart() -> None:
    asked = session("jbd")
    given, found = Identities("rack", lambda: "usb-1"), Identities("", lambda: "usb-1")
    assert [given.of(pack, make.reading(), asked) for pack in ("1", "2")] == ["rack 1", "rack 2"]
    assert [found.of(pack, NAMELESS, asked) for pack in ("1", "2")] == ["usb-1 1", "usb-1 2"]


def test_while_its_serial_number_may_come_it_is_nobody_and_then_the_same_for_good() -> None:
    asked = session("ks48100")
    step = next(poll for poll in asked.driver.plan if "serial_number" in poll.gives)
    who = Identities("", lambda: "usb-1")
    assert who.of("", NAMELESS, asked) == ""
    asked.missed(step, 0.0)
    assert who.of("", NAMELESS, asked) == ""
    asked.missed(step, 1.0)
    assert who.of("", NAMELESS, asked) == "usb-1", "it was asked often enough"
    assert who.of("", make.reading(), asked) == "usb-1"
    who.forget()
    assert who.of("", make.reading(), asked) == "S-0001"


@pytest.mark.parametrize("number", [None, "", "  ", "0000", "00-00", "\x00\x00", "--"])
def test_a_number_that_every_board_has_is_none(number: str | None) -> None:
    assert serial(Reading(serial_number=number)) == ""


def test_an_adapter_is_the_socket_it_is_in_unless_the_user_named_it_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets, tty = tmp_path / "serial" / "by-path", tmp_path / "ttyUSB0"
    sockets.mkdir(parents=True)
    tty.touch()
    (sockets / "pci-0000-usb-0:1:1.0-port0").symlink_to(tty)
    monkeypatch.setattr(factory, "SOCKETS", sockets)
    assert factory.lasting(str(tty)) == "pci-0000-usb-0:1:1.0-port0"
    assert factory.lasting(str(sockets / "pci-0000-usb-0:1:1.0-port0")) == str(sockets / "pci-0000-usb-0:1:1.0-port0")
    assert factory.lasting(str(tmp_path / "ttyUSB1")) == str(tmp_path / "ttyUSB1")
    assert factory.lasting("ble:AA:BB:CC:DD:EE:FF") == "ble:aa:bb:cc:dd:ee:ff"
    monkeypatch.setattr(factory, "SOCKETS", tmp_path / "missing" / "by-path")
    assert factory.lasting(str(tty)) == str(tty)
