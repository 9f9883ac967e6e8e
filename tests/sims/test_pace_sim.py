"""The simulated PACE boards: lengths as captured, a master with slaves, commands that our driver does not use."""

import pytest

from bms_drivers.sims.pace import Pace, build
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import Simulator
from tests.bms_drivers.hex_text import frame
from tests.sims.wire import poll, session


def said(device: Simulator, request: str) -> str:
    (reply,) = device.answer(bytearray(request.encode() + b"\r"))
    return reply.decode().removesuffix("\r")


@pytest.mark.parametrize(
    ("request_", "characters"),
    [
        ("~250146C10000FD9A", 58), ("~250146C20000FD99", 98), ("~250146900000FDA5", 20), ("~250146A60000FD97", 30),
        ("~250146D10000FD99", 34),
    ],
)  # fmt: skip
def test_answers_are_as_long_as_captured(request_: str, characters: int) -> None:
    assert len(said(build(Pack.of(1), {}), request_)) + 1 == characters


@pytest.mark.parametrize(("more", "analog", "state"), [(0, 140, 94), (1, 142, 96), (10, 160, 96), (14, 168, 96)])
def test_boards_differ_in_what_they_add(more: int, analog: int, state: int) -> None:
    device = build(Pack.of(1), {"more": more})
    assert len(said(device, "~25014642E00201FD30")) + 1 == analog
    assert len(said(device, "~25014644E00201FD2E")) + 1 == state


def test_a_master_answers_for_its_slaves() -> None:
    device = build(Pack.of(1), {"packs": 3})
    assert said(device, "~250146900000FDA5")[13:15] == "03"
    whole = said(device, "~25014642E002FFFD05")
    assert (whole[13:17], len(whole) - 17 - 4) == ("0003", 3 * 146)
    assert said(device, "~25014642E00203FD2E")[13:17] == "0003"
    assert said(device, "~25014642E00207FD2A")[7:9] == "09"


def test_our_driver_reads_every_pack_of_a_set() -> None:
    device, known = build(Pack.of(1, current=-12.5), {"packs": 3}), session("pace", address="all")
    with pytest.raises(KeyError):
        poll(known, device)  # none of them is the battery itself
    assert isinstance(device, Pace)
    packs = {str(number): pack for number, pack in enumerate((device.pack, *device.slaves), 1)}
    found = known.readings()
    assert found.keys() == packs.keys()
    for name, reading in found.items():
        assert reading.cell_voltages == pytest.approx(packs[name].cells, abs=0.001)
        assert (reading.current, reading.charge_allowed) == (-12.5, True)


def test_address_0_is_answered_with_the_boards_own() -> None:
    assert said(build(Pack.of(1), {"address": 5}), "~25004642E002FFFD06")[1:5] == "2505"
    assert build(Pack.of(1), {"address": 5}).answer(bytearray(b"~25014642E00201FD30\r")) == []
    assert said(build(Pack.of(1), {"address": 0}), "~25004644E00201FD2F")[1:9] == "25004600", "its own pack is number 1"


def test_switches_as_recorded() -> None:
    device = build(Pack.of(1, current=5.0), {})
    assert said(device, "~2501469BE00201FD1B")[7:15] == "09E00204"
    assert said(device, "~2501469AE00201FD1C")[7:15] == "00E00204"
    assert not device.pack.charge_switch
    assert said(device, "~2501469AE00200FD1D")[7:15] == "00E00206"
    assert device.pack.charge_switch


def test_an_unknown_command_is_refused() -> None:
    request = frame(0x25, 1, 0x46, 0xEE).decode().removesuffix("\r")
    assert said(build(Pack.of(1), {}), request)[7:9] == "04"
