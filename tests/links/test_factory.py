"""Which link a port's name means, and what cannot share a port."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers.jbd import split
from bms_drivers.kit import registry
from bms_drivers.kit.declare import Dropped, SerialLine
from bms_drivers.kit.framing import Answer
from bms_drivers.links.ble import BleLink
from bms_drivers.links.can import CanLink
from bms_drivers.links.factory import common_line, open_link, open_port, place, port_kind
from bms_drivers.links.modbus import ModbusLink
from bms_drivers.links.replay import ReplayLink
from bms_drivers.links.serial import SerialLink
from gateway.model import ConfigError
from tests.links.device import BASIC, BASIC_REPLY, CELLS_REPLY, VECTORS

JBD = registry.load("jbd")
MODBUS = replace(JBD, name="a_modbus", transports=("modbus",), line=None)
CAN = replace(JBD, name="a_can", transports=("can",), line=None)
SLOW = replace(JBD, name="slow", line=SerialLine(baud=9600, quiet=0.2, turnaround=0.01))
FAST = replace(JBD, name="fast", line=SerialLine(baud=115200))


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("/dev/ttyUSB0", "serial"),
        ("/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0", "serial"),
        ("socket://192.168.1.5:8899", "serial"),
        ("rfc2217://gw:2217", "serial"),
        ("tcp:192.168.1.5", "tcp"),
        ("tcp://gw:1502", "tcp"),
        ("can0", "can"),
        ("vcan12", "can"),
        ("replay:case.json", "replay"),
    ],
)
def test_the_name_tells_the_kind(where: str, kind: str) -> None:
    assert port_kind(where) == kind


@pytest.mark.parametrize("where", ["ttyUSB0", "", "http://x", "tcp:", "COM3", "can"])
def test_what_is_no_port_is_refused_with_what_would_be(where: str) -> None:
    with pytest.raises(ConfigError, match="expected /dev/"):
        open_port(where, [JBD])


def test_the_link_suits_the_port_and_is_not_opened() -> None:
    assert isinstance(open_port("/dev/ttyUSB99", [JBD]).link, SerialLink)
    assert isinstance(open_port("/dev/ttyUSB99", [MODBUS]).link, SerialLink)
    assert isinstance(open_port("socket://h:1", [MODBUS]).link, SerialLink)
    assert isinstance(open_port("tcp:h", [MODBUS]).link, ModbusLink)
    assert isinstance(open_link("can0", CAN), CanLink)


@pytest.mark.parametrize(
    ("where", "driver"), [("can0", JBD), ("tcp:h", JBD), ("/dev/ttyUSB0", CAN), ("socket://h:1", CAN)]
)
def test_a_driver_on_a_port_it_cannot_use_is_an_error(where: str, driver: object) -> None:
    with pytest.raises(
        ConfigError, match=r"a \w+ cannot be reached over (CAN|Modbus TCP|a serial port), expected one for"
    ):
        open_port(where, [driver])  # type: ignore[list-item]


def test_a_bluetooth_address_is_a_port_with_or_without_its_adapter() -> None:
    with pytest.raises(ConfigError, match="a jbd cannot be reached over Bluetooth, expected one for serial"):
        open_port("ble:C8:47:8C:00:00:01", [JBD])
    link = open_port("ble:c8:47:8c:00:00:01@hci1", [registry.load("jbd_ble")]).link
    assert isinstance(link, BleLink)
    assert (link.address, link.adapter) == ("C8:47:8C:00:00:01", "hci1")
    assert place("ble:c8:47:8c:00:00:01@hci1") == place("ble:C8:47:8C:00:00:01")


def test_one_device_in_the_air_has_one_driver() -> None:
    with pytest.raises(ConfigError, match="one device is of one kind, expected one driver, not jbd_ble and jk_ble"):
        open_port("ble:C8:47:8C:00:00:01", [registry.load("jbd_ble"), registry.load("jk_ble")])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("tcp:gw", "tcp://GW:502", True),
        ("tcp:gw", "tcp:gw:503", False),
        ("socket://GW:1", "socket://gw:1", True),
        ("can0", "can1", False),
        ("ble:C8:47:8C:00:00:0A", "ble:c8:47:8c:00:00:0a", True),
        ("/dev/ttyUSB0", "/dev/../dev/ttyUSB0", True),
        ("/dev/ttyUSB0", "/dev/ttyUSB1", False),
    ],
)
def test_one_device_is_one_place_whatever_it_is_called(one: str, other: str, same: bool) -> None:
    assert (place(one) == place(other)) is same


def test_a_link_to_a_device_is_the_device(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("ttyUSB0")
    assert place(str(tmp_path / "by-id")) == place(str(tmp_path / "ttyUSB0"))


def test_a_shared_port_keeps_the_longest_gaps() -> None:
    line = common_line("/dev/ttyUSB0", [JBD, SLOW])
    assert (line.baud, line.quiet, line.turnaround) == (9600, 0.2, 0.03)


def test_drivers_of_different_baud_rates_cannot_share_a_port() -> None:
    with pytest.raises(ConfigError, match=r"/dev/ttyUSB0: .*one baud rate.*jbd 9600, fast 115200"):
        open_port("/dev/ttyUSB0", [JBD, FAST])


def test_drivers_of_different_parities_cannot_share_a_port() -> None:
    even = replace(JBD, name="even", line=SerialLine(baud=9600, parity="E"))
    assert common_line("/dev/ttyUSB0", [even, even]).parity == "E"
    with pytest.raises(ConfigError, match=r"one baud rate and parity.*jbd 9600, even 9600 even"):
        open_port("/dev/ttyUSB0", [JBD, even])


@pytest.mark.parametrize(
    ("name", "usual", "other"),
    [
        ("seplos", 19200, 9600), ("daren_485", 19200, 9600), ("pace", 9600, 115200), ("jbd_up16s", 9600, 19200),
        ("jk_pb", 115200, 9600), ("eg4_ll", 9600, 19200),
    ],
)  # fmt: skip
def test_a_bms_whose_ports_speak_at_several_rates_is_spoken_to_at_the_one_that_is_set(
    name: str, usual: int, other: int
) -> None:
    driver = registry.load(name)
    assert common_line("/dev/ttyUSB0", [driver.made_for({})]).baud == usual
    slow = driver.made_for({"baud": other})
    assert common_line("/dev/ttyUSB0", [slow, slow]) == replace(driver.line, baud=other)
    with pytest.raises(ConfigError, match=f"one baud rate.*{name} {usual}, {name} {other}"):
        common_line("/dev/ttyUSB0", [driver, slow])


def test_a_recording_is_a_port(tmp_path: Path) -> None:
    async def ask() -> bytes:
        async with open_port(f"replay:{VECTORS}/jbd/4s-sp04s034.json", [JBD]).turn("a") as link:
            return (await link.exchange(BASIC))[0].raw

    assert asyncio.run(ask()) == BASIC_REPLY
    assert isinstance(open_link(f"replay:{VECTORS}/jbd/4s-sp04s034.json", JBD), ReplayLink)
    with pytest.raises(ConfigError, match="No such file"):
        open_link(f"replay:{tmp_path}/none.json", JBD)
    (tmp_path / "bad.json").write_text(json.dumps({"exchanges": [{"tx": "zz"}]}))
    with pytest.raises(ConfigError, match=r"bad\.json: exchange 1: needs"):
        open_link(f"replay:{tmp_path}/bad.json", JBD)


# ---- what every link relies on: a splitter gives the same frames however the bytes come


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    ends = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
    return (stream[begin:end] for begin, end in pairwise(ends))


@given(
    st.lists(st.tuples(st.binary(max_size=9), st.sampled_from([BASIC_REPLY, CELLS_REPLY])), max_size=5),
    st.lists(st.integers(0, 1000), max_size=12),
)
def test_a_stream_with_noise_cut_anywhere_gives_the_same_frames(
    parts: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(noise + frame for noise, frame in parts) + bytes(300)  # so that no false start waits for more
    everything = replace(BASIC, answers=lambda frame: True)
    answer = Answer(everything)
    for piece in pieces(stream, cuts):
        answer.feed(piece)
    assert [frame.raw for frame in answer.frames] == [frame for _, frame in parts]


@given(st.binary(max_size=600))
def test_random_bytes_are_frames_or_dropped_and_raise_nothing(data: bytes) -> None:
    buffer = bytearray(data)
    assert all(isinstance(item, Dropped) or item.raw in data for item in split(buffer))
