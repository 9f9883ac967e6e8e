"""BMSs that are reached over Bluetooth alone: bits, switches, dialects.  Expected values: the sheets of each."""

import json
from pathlib import Path
from typing import Any

import pytest

from bms_drivers import daly_ble, kilovault_ble, litime_ble, seplos_ble, xdzn_ble
from bms_drivers.kit.declare import Ask, Frame, Question, Registers, Splitter
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice
from gateway.wire import crc16

VECTORS = Path(__file__).parent.parent / "vectors"


def recorded(file: str, split: Splitter, exchange: int = 0) -> bytes:
    """The data of the last frame of one exchange."""
    said = json.loads((VECTORS / file).read_text())["exchanges"][exchange]["rx"]
    return [item.payload for item in split(bytearray.fromhex("".join(said))) if isinstance(item, Frame)][-1]


def changed(data: bytes, at: int, *values: int) -> list[Frame]:
    """A frame with some bytes replaced."""
    found = bytearray(data)
    found[at : at + len(values)] = bytes(values)
    return [Frame(kind=0, payload=bytes(found))]


def raised(values: dict[str, Any]) -> dict[str, int]:
    return {name: level for name, level in values["alarms"].items() if level}


def led(talk: Any, *answers: bytes | Exception) -> tuple[list[Question], Any]:
    """What a talk asks, and what it learns."""
    asked = [next(talk)]
    try:
        for answer in answers:
            asked.append(
                talk.throw(answer) if isinstance(answer, Exception) else talk.send([Frame(kind=0, payload=answer)])
            )
    except StopIteration as end:
        return asked, end.value
    return asked, None


# ---- LiTime

LITIME = recorded("litime_ble/redodo_8s_discharging.json", litime_ble.split)


@pytest.mark.parametrize(
    ("bit", "alarms", "discharges"),
    [
        (2, {"high_voltage": 2}, True),
        (5, {"low_voltage": 2}, False),
        (6, {"high_charge_current": 2}, True),
        (7, {"high_discharge_current": 2}, False),
        (0, {"internal_failure": 1}, True),
        (31, {"internal_failure": 1}, True),
    ],
)
def test_litime_protections(bit: int, alarms: dict[str, int], discharges: bool) -> None:
    values = litime_ble.status(changed(LITIME, 76, *(1 << bit).to_bytes(4, "little")), {}, {})
    assert raised(values) == alarms
    assert (values["charge_allowed"], values["discharge_allowed"]) == (True, discharges)


@pytest.mark.parametrize(
    ("at", "byte", "name", "expected"),
    [
        (80, 1, "alarms", 2),
        (68, 0x80, "discharge_allowed", False),
        (68, 0x02, "discharge_allowed", True),
        (88, 4, "charge_allowed", False),
        (88, 1, "charge_allowed", True),
        (92, 130, "soh", 100),
        (84, 0b101, "balancing", True),
    ],
)
def test_litime_states(at: int, byte: int, name: str, expected: object) -> None:
    values = litime_ble.status(changed(LITIME, at, byte), {}, {})
    assert (values["alarms"]["internal_failure"] if name == "alarms" else values[name]) == expected


# ---- KiloVault

KILOVAULT = recorded("kilovault_ble/hlx_plus_4s_discharging.json", kilovault_ble.split)


@pytest.mark.parametrize("bit", range(32))
def test_kilovault_status_bits(bit: int) -> None:
    values = kilovault_ble.status(changed(KILOVAULT, 18, *(1 << bit).to_bytes(4, "little")), {}, {})
    alarm = kilovault_ble.ALARMS.get(bit)
    assert raised(values) == ({alarm[0]: 2} if alarm else {})
    assert (values["charge_allowed"], values["discharge_allowed"]) == (bit > 7, bit > 7)


def test_kilovault_frames_of_zeros_at_the_beginning_are_passed_over() -> None:
    assert not kilovault_ble.HEAR.answers(changed(KILOVAULT, 18, 0, 0, 0, 0)[0])
    assert kilovault_ble.HEAR.answers(Frame(kind=0, payload=KILOVAULT))


# ---- XDZN

WARNINGS = recorded("xdzn_ble/wattcycle_4s_idle.json", xdzn_ble.split, 2)
S1, S2, S3, S5, W1, W2 = 14, 15, 16, 18, 21, 22  # places in a record of 4 cells and 4 probes


def warned(at: int, byte: int) -> dict[str, Any]:
    values: dict[str, Any] = led(xdzn_ble.warnings({}, {}), changed(WARNINGS, at, byte)[0].payload)[1]
    return values


@pytest.mark.parametrize("bit", range(7))
@pytest.mark.parametrize(
    ("at", "table", "level"),
    [(S1, xdzn_ble.FIRST, 2), (S2, xdzn_ble.SECOND, 2), (W1, xdzn_ble.FIRST, 1), (W2, xdzn_ble.SECOND, 1)],
)
def test_xdzn_bits(at: int, table: dict[int, str], level: int, bit: int) -> None:
    assert raised(warned(at, 1 << bit)) == {table[bit]: level}


@pytest.mark.parametrize(("s3", "charge", "discharge"), [(0, False, False), (2, False, True), (4, True, False)])
def test_xdzn_switches_are_those_of_the_third_status(s3: int, charge: bool, discharge: bool) -> None:
    values = warned(S3, s3)
    assert (values["charge_allowed"], values["discharge_allowed"]) == (charge, discharge)


@pytest.mark.parametrize(
    ("raw", "amps"), [(0xC0A2, -16.2), (0x40A2, 16.2), (0x8010, -16.0), (0x0010, 16.0), (0x4000, 0.0), (0xC000, 0.0)]
)
def test_xdzn_current(raw: int, amps: float) -> None:
    assert xdzn_ble.amps(raw) == amps
    assert str(xdzn_ble.amps(raw)) != "-0.0"


def test_xdzn_is_asked_with_the_other_head_where_the_first_is_not_answered() -> None:
    asked, _ = led(xdzn_ble.live({}, {}), LinkTimeout("silent"))
    assert [question.request[0] for question in asked if isinstance(question, Ask)] == [0x7E, 0x1E]
    asked, _ = led(xdzn_ble.live({}, {"_head": 0x1E}))
    assert isinstance(asked[0], Ask) and asked[0].request[0] == 0x1E


# ---- Seplos 2.x

PACK = recorded("seplos_ble/v2_16s_charging_full_session.json", seplos_ble.split, 2)
EVENTS = len(PACK) - 8 - 4  # of 16 cells: events, then two bytes of balancing and two of open wires
SEPLOS = {
    (0, 0): ("internal_failure", 2), (1, 0): ("high_cell_voltage", 1), (1, 7): ("low_voltage", 2),
    (2, 5): ("high_temperature", 2), (3, 4): ("high_internal_temperature", 2), (4, 5): ("short_circuit", 2),
    (5, 3): ("low_soc", 2), (7, 0): ("internal_failure", 1), (6, 4): None,
}  # fmt: skip


@pytest.mark.parametrize(("place", "alarm"), SEPLOS.items())
def test_seplos_events_follow_one_another(place: tuple[int, int], alarm: tuple[str, int] | None) -> None:
    event, bit = place
    values = seplos_ble.pack(changed(PACK, EVENTS + event, 1 << bit), {}, {})
    assert raised(values) == ({alarm[0]: alarm[1]} if alarm else {})


@pytest.mark.parametrize(("byte", "charge", "discharge"), [(0, False, False), (1, False, True), (2, True, False)])
def test_seplos_switches_stand_before_the_events(byte: int, charge: bool, discharge: bool) -> None:
    values = seplos_ble.pack(changed(PACK, EVENTS - 2, byte), {}, {})
    assert (values["charge_allowed"], values["discharge_allowed"]) == (charge, discharge)


@pytest.mark.parametrize("byte", [10, 11])
def test_seplos_open_wires_stand_behind_the_balancing(byte: int) -> None:
    values = seplos_ble.pack(changed(PACK, EVENTS + byte, 0x40), {}, {})
    assert (raised(values), values["balancing"]) == ({"internal_failure": 2}, False)


def test_seplos_refusal_and_short_replies() -> None:
    with pytest.raises(DeviceRefused, match="return code 0x04"):
        seplos_ble.pack([Frame(kind=0x61, payload=b"", status=4)], {}, {})
    with pytest.raises((WrongDevice, BadLength)):
        seplos_ble.pack([Frame(kind=0x61, payload=PACK[:-6])], {}, {})


# ---- Daly


def registers(count: int, **at: int) -> bytes:
    """A block of registers from 0 on with these (x28=530); a sound pack otherwise."""
    words = dict.fromkeys(range(16), 3312) | {0x28: 530, 0x29: 30000, 0x31: 16, 0x35: 1, 0x36: 1}
    words |= {int(name[1:], 16): value for name, value in at.items()}
    return b"".join(words.get(n, 0).to_bytes(2, "big") for n in range(count))


@pytest.mark.parametrize("bit", range(64))
def test_daly_alarm_bits(bit: int) -> None:
    values = daly_ble.d2(registers(62, **{f"x{0x3A + bit // 16:x}": 1 << bit % 16}))
    alarm = daly_ble.ALARMS.get(bit)
    assert raised(values) == ({alarm[0]: alarm[1]} if alarm else {})


def test_daly_an_iced_sensor_is_a_temperature_difference_and_nothing_else() -> None:
    assert raised(daly_ble.d2(registers(62, x3b=0x0C00))) == {"cell_imbalance": 2}


@pytest.mark.parametrize(("raw", "degrees"), [(0xFF, None), (0xFFFF, None), (40, 0.0), (0, -40.0), (66, 26.0)])
def test_daly_sensors(raw: int, degrees: float | None) -> None:
    assert daly_ble.d2(registers(62, x32=1, x20=raw))["temperatures"] == (degrees,)


@pytest.mark.parametrize(("cells", "sensors"), [(0, 1), (33, 1), (16, 9)])
def test_daly_counts_that_cannot_be(cells: int, sensors: int) -> None:
    with pytest.raises(BadLength):
        daly_ble.d2(registers(62, x31=cells, x32=sensors))


def test_daly_dialects_are_tried_in_turn_and_then_known() -> None:
    silent = LinkTimeout("silent")
    asked, learnt = led(daly_ble.values({}, {}), silent, registers(62))
    assert [question.count for question in asked if isinstance(question, Registers)] == [80, 62]
    assert learnt["_count"] == 62
    asked, _ = led(daly_ble.values({}, {}), silent, silent, bytes(128))
    assert [(question.unit, question.address) for question in asked if isinstance(question, Registers)][2:] == [
        (0x81, 0), (0x81, 0x41),
    ]  # fmt: skip
    asked, _ = led(daly_ble.values({}, {"_count": 0}))
    assert isinstance(asked[0], Registers) and asked[0].unit == 0x81


def test_daly_power_stage_is_not_asked_again_where_it_has_no_sensor() -> None:
    known: dict[str, Any] = {"_count": 62}
    _, learnt = led(daly_ble.mosfet({}, known), bytes(18))
    assert learnt == {"mosfet_temperature": None, "_no_mosfet": True}
    with pytest.raises(StopIteration):
        next(daly_ble.mosfet({}, {**known, **learnt}))


@pytest.mark.parametrize(
    ("action", "value", "expected"),
    [
        ("charge", 0, "d20600a500008a4a"),
        ("charge", 1, "d20600a500014b8a"),
        ("discharge", 1, "d20600a60001bb8a"),
        ("balance", 0, "d20600cf0000aa56"),
        ("soc", 100, "d20600a703e82b34"),
    ],
)
def test_daly_writes_are_those_of_the_sheet(action: str, value: float, expected: str) -> None:
    asked, _ = led(daly_ble.DRIVER.controls[action].talk(value, {}, {}))
    assert isinstance(asked[0], Ask) and asked[0].request.hex() == expected
    (echo,) = daly_ble.split_echo(bytearray.fromhex(expected))
    assert isinstance(echo, Frame) and asked[0].answers(echo)
    other = bytes.fromhex(expected)[:5] + b"\x07"
    (echo,) = daly_ble.split_echo(bytearray(other + crc16(other).to_bytes(2, "little")))
    assert isinstance(echo, Frame) and not asked[0].answers(echo)


def test_daly_p81_is_not_switched() -> None:
    with pytest.raises(DeviceRefused, match="p81"):
        next(daly_ble.DRIVER.controls["charge"].talk(1, {}, {"_count": 0}))


def test_daly_balancer_is_no_battery() -> None:
    values = daly_ble.d2(registers(62, x35=0, x36=0)) | {"_count": 62}
    with pytest.raises(WrongDevice, match="balancer"):
        daly_ble.proof(values)
    assert daly_ble.proof(daly_ble.d2(registers(62)) | {"_count": 62}) == "Daly with 16 cells (D2 protocol)"
