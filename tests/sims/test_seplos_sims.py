"""The simulated Seplos boards: lengths as captured, and the commands that our own drivers do not use."""

import pytest

from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import crc
from bms_drivers.sims.seplos import build as seplos
from bms_drivers.sims.seplos_v3 import SeplosV3
from bms_drivers.sims.seplos_v3 import build as seplos_v3
from bms_drivers.sims.sim import Simulator
from tests.bms_drivers.hex_text import frame


def said(device: Simulator, request: bytes) -> bytes:
    received = bytearray(request)
    (reply,) = device.answer(received)
    assert not received
    return reply


def text(device: Simulator, request: str) -> str:
    return said(device, request.encode() + b"\r").decode().removesuffix("\r")


@pytest.mark.parametrize(
    ("request_", "characters"),
    [
        ("~20004642E00200FD37", 168), ("~20004644E00200FD35", 116), ("~2000464F0000FD9A", 18),
        ("~200046510000FDAE", 82), ("~200046470000FDA9", 356),
    ],
)  # fmt: skip
def test_answers_of_16_cells_are_as_long_as_captured(request_: str, characters: int) -> None:
    assert len(text(seplos(Pack.of(1), {}), request_)) + 1 == characters


def test_14_cells_take_less_room() -> None:
    device = seplos(Pack.of(1, cells=14), {})
    assert text(device, "~20004642E00200FD37")[9:13] == "A08E"
    assert text(device, "~20004644E00200FD35")[9:13] == "D05E"


def test_switching_is_refused_as_on_the_board_that_was_tried() -> None:
    device = seplos(Pack.of(1), {})
    assert text(device, "~20004645A00600001FFC5D")[7:9] == "04"
    assert device.pack.discharge_switch


def test_a_board_that_wants_no_pack_number_says_so() -> None:
    device = seplos(Pack.of(1), {"bare": True})
    assert text(device, "~20004642E00200FD37")[7:9] == "03"
    assert text(device, "~200046420000FDAE")[7:9] == "00"


def test_requests_to_others_and_noise_are_not_answered_spoilt_ones_are_refused() -> None:
    device = seplos(Pack.of(1), {"address": 2})
    assert device.answer(bytearray(b"~20014642E00201FD35\r\xff~\r")) == []
    assert device.answer(bytearray(frame(0x20, 2, 0x46, 0x42, b"\2").replace(b"FD33", b"FD34")))[0][7:9] == b"02"
    assert device.answer(bytearray(frame(0x20, 2, 0x4A, 0x42, b"\2")))[0][7:9] == b"E1"


def v3(**settings: object) -> SeplosV3:
    return seplos_v3(Pack.of(1), dict(settings))


def bus(device: SeplosV3, request: str) -> str:
    return said(device, bytes.fromhex(request)).hex(" ").upper()


@pytest.mark.parametrize(
    ("request_", "switch", "state"),
    [
        ("00 10 15 10 00 01 02 55 AA 52 BE", "discharge_switch", False),
        ("00 10 15 11 00 01 02 55 AA 53 6F", "charge_switch", False),
        ("00 10 15 15 00 01 02 AA 55 53 5B", "charge_switch", True),
    ],
)
def test_the_sheets_writes_switch_the_fets(request_: str, switch: str, state: bool) -> None:
    device = v3()
    setattr(device.pack, switch, not state)
    assert bus(device, request_)[:17] == request_[:17]
    assert getattr(device.pack, switch) is state


def asked(device: SeplosV3, body: str) -> str:
    """The reply to a request that still lacks its CRC, both in hex, without the reply's CRC."""
    request = bytes.fromhex(body)
    return said(device, request + crc(request))[:-2].hex()


def test_what_is_not_there_is_refused() -> None:
    device = v3()
    assert asked(device, "0004100000FF") == "008402"
    assert asked(device, "000310000001") == "008301"
    assert asked(device, "00101510000102FFFF") == "009003"
    assert asked(device, "00101516000102AA55") == "009002", "reset"
    assert device.answer(bytearray.fromhex("01041000001134C6")) == [], "another unit"


def test_the_block_of_enabled_functions_is_not_that_of_alarms() -> None:
    assert asked(v3(), "000114000050") == "00010a" + "ff" * 10


def test_behind_the_ble_module_the_settings_come_in_halves() -> None:
    device = v3(address=1, ble=True)
    assert bus(device, "E0 04 13 00 00 35 23 28")[:8] == "E0 04 6A"
    assert bus(device, "E0 04 13 35 00 35 33 26")[:8] == "E0 04 6A"
    assert bus(device, "00 04 17 00 00 0A 74 68")[:8] == "00 04 14"
    assert asked(device, "010413000035") == "018402"
