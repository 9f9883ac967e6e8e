"""JK over Bluetooth: which layout a record has, the stream, switches.  Expected values: jk_ble.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.jk_ble import DRIVER, SETTINGS, STATUS, decoded, layout, request, split
from bms_drivers.kit.declare import Ask, Dropped, Frame
from bms_drivers.kit.framing import sum8
from gateway.model import BadLength, DeviceRefused, LinkTimeout

VECTORS = Path(__file__).parent.parent / "vectors" / "jk_ble"


def records(name: str) -> dict[int, bytes]:
    """The newest record of each type in a recording."""
    exchanges = json.loads((VECTORS / f"{name}.json").read_text())["exchanges"]
    stream = bytearray(b"".join(bytes.fromhex("".join(exchange["rx"])) for exchange in exchanges))
    return {item.kind: item.payload for item in split(stream) if isinstance(item, Frame)}


WIDE, NARROW, OLD = (
    records(name) for name in ("b2a8s20p_fw11_48_8s_discharging", "jk02_24s_14s_nmc", "b2a16s_fw3_3_0_jk04")
)


def sealed(record: bytes, **at: int) -> bytes:
    """`record` with some bytes changed (x150=1), and a right sum."""
    changed = bytearray(record)
    for place, byte in at.items():
        changed[int(place[1:])] = byte
    changed[-1] = sum8(changed[:-1])
    return bytes(changed)


def test_requests_are_those_of_the_sheet() -> None:
    assert request(0x97).hex() == "aa5590eb97000000000000000000000000000011"
    assert request(0x1D, (1).to_bytes(4, "little")).hex() == "aa5590eb1d04010000000000000000000000009c"


@pytest.mark.parametrize(
    ("record", "known", "expected"),
    [
        (WIDE, {}, "32S"),
        (NARROW, {}, "24S"),
        (OLD, {}, "JK04"),
        (WIDE, {"firmware_version": "10.07"}, "24S"),
        (NARROW, {"firmware_version": "11.17"}, "32S"),
        (WIDE, {"firmware_version": "8.0.3M", "model": "JK-B5A24S"}, "JK04"),
        (WIDE, {"firmware_version": "3.3.0", "hardware_version": "3.0"}, "JK04"),
        (WIDE, {"firmware_version": "?"}, "32S"),
    ],
)
def test_the_identity_tells_the_layout_else_the_record(
    record: dict[int, bytes], known: dict[str, str], expected: str
) -> None:
    assert layout(record[STATUS], known) == expected


def test_settings_without_an_identity_have_the_layout_of_the_status() -> None:
    assert layout(OLD[SETTINGS], {"_layout": "JK04"}) == "JK04"


def test_a_jk04_cell_at_zero_keeps_its_place_among_those_that_are_present() -> None:
    known = decoded(OLD[STATUS], "JK04")["cell_voltages"]
    lost = decoded(sealed(OLD[STATUS], x10=0, x11=0, x12=0, x13=0), "JK04")["cell_voltages"]
    assert lost == (known[0], 0.0, *known[2:])


def test_each_alarm_bit_of_a_24_slot_record_is_16_bits_wide() -> None:
    record = NARROW[STATUS]
    assert decoded(sealed(record, x136=0x10, x137=0), "24S")["alarms"]["high_cell_voltage"] == 2
    assert not any(decoded(sealed(record, x136=0, x137=0, x138=0xFF), "24S")["alarms"].values())


@pytest.mark.parametrize(("kind", "mask"), [("24S", 54), ("32S", 70)])
def test_a_record_without_cells_is_none(kind: str, mask: int) -> None:
    record = (NARROW if kind == "24S" else WIDE)[STATUS]
    with pytest.raises(BadLength):
        decoded(sealed(record, **{f"x{mask + n}": 0 for n in range(4)}), kind)


def test_a_bad_record_hides_no_good_one_inside() -> None:
    torn = WIDE[STATUS][:100] + WIDE[STATUS]
    items = list(split(bytearray(b"AT\r\n" + torn + b"AT\r\n")))
    assert [item.payload for item in items if isinstance(item, Frame)] == [WIDE[STATUS]]
    assert {item.reason for item in items if isinstance(item, Dropped)} == {"noise", "checksum"}


def test_once_the_status_streams_nothing_is_asked_until_it_stops() -> None:
    talk = DRIVER.poll("status").talk({}, {"_streams": True})
    question = next(talk)
    assert isinstance(question, Ask) and question.request == b""
    again = talk.throw(LinkTimeout("silent"))
    assert isinstance(again, Ask) and again.request == request(0x96)


def led(action: str, value: float, known: dict[str, Any], *answers: bytes) -> tuple[list[bytes], Any]:
    """What a switch writes, and what it learns."""
    talk = DRIVER.controls[action].talk(value, {}, known)
    asked = [next(talk)]
    try:
        for answer in answers:
            asked.append(talk.send([Frame(kind=answer[4], payload=answer)]))
    except StopIteration as end:
        return [question.request for question in asked if isinstance(question, Ask)], end.value
    raise AssertionError("it wants to know more")


@pytest.mark.parametrize(("action", "place"), [("charge", 118), ("discharge", 122), ("balance", 126)])
def test_a_switch_is_done_when_the_settings_show_it(action: str, place: int) -> None:
    off = sealed(WIDE[STATUS], x4=SETTINGS, **{f"x{place}": 0})
    asked, _ = led(action, 0, {}, WIDE[STATUS], off)
    assert asked[1] == request(0x96)
    with pytest.raises(DeviceRefused, match="the board kept its setting"):
        led(action, 1, {}, WIDE[STATUS], off)


def test_an_old_board_has_one_switch() -> None:
    on = sealed(OLD[SETTINGS], x114=1)
    asked, learnt = led("balance", 1, {"_layout": "JK04"}, OLD[STATUS], on)
    assert asked[0].hex() == "aa5590eb6c0401000000000000000000000000eb"
    assert learnt == {"balance_allowed": True}
    with pytest.raises(DeviceRefused, match="no charge switch"):
        led("charge", 1, {"_layout": "JK04"})
