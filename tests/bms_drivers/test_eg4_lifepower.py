"""EG4 LiFePower: check bytes, groups, sensors and alarms that the recordings do not show.  From eg4_lifepower.md."""

import json
from pathlib import Path

import pytest

from bms_drivers.eg4_lifepower import DRIVER, alarms, allowed, general, groups, proof, request, sensors, splitter
from bms_drivers.kit.declare import Ask, Frame, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.sims.eg4_lifepower import STATUS_BITS, build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice
from tests.sims.wire import poll, raised, session

FILE = Path(__file__).parent.parent / "vectors" / "eg4_lifepower" / "lifepower4_48v_idle.json"
RECORDED = bytes.fromhex(json.loads(FILE.read_text())["exchanges"][0]["rx"][0])
SETUP = DRIVER.setup({})


# ---- frames


@pytest.mark.parametrize(
    "frame",
    [
        "7E010100FE0D", "7E020100FC0D", "7E000100000D", "7E013300FE0D", "7E023300FC0D", "7E003300FC0D",
        "7E014200FC0D", "7E024200FC0D", "7E004200FC0D", "7C010100020D",
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(frame: str) -> None:
    raw = bytes.fromhex(frame)
    assert request(raw[0], raw[1], raw[2]) == raw


@pytest.mark.parametrize(("address", "check"), [(3, 0xFA), (15, 0x82)])
def test_the_check_byte_holds_at_addresses_where_readers_fail(address: int, check: int) -> None:
    assert request(0x7E, address, 0x33)[-2] == check


def question(**setup: int) -> Ask:
    asked = next(DRIVER.poll("general").talk(DRIVER.setup(setup), {}))
    assert isinstance(asked, Ask)
    return asked


def test_an_echo_is_no_answer_and_the_reply_behind_it_is() -> None:
    answer = Answer(question())
    assert not answer.feed(question().request)
    assert answer.feed(RECORDED)


def test_a_reply_of_another_address_is_foreign() -> None:
    answer = Answer(question(address=2))
    assert not answer.feed(RECORDED)
    assert answer.foreign == 1


@pytest.mark.parametrize("at", [1, 2, 3, 20, -2, -1])
def test_a_changed_byte_is_no_frame(at: int) -> None:
    spoilt = bytearray(RECORDED)
    spoilt[at] ^= 2  # a changed lowest bit often goes unseen: it changes XOR and sum alike
    assert not [item for item in splitter(0x7E)(spoilt) if isinstance(item, Frame)]


def test_boards_with_the_other_start_byte_are_an_option() -> None:
    device = build(Pack.of(1), {"start_byte": 0x7C})
    assert poll(session("eg4_lifepower", start_byte=0x7C), device).voltage
    with pytest.raises(LinkTimeout):
        poll(session("eg4_lifepower"), device)


def test_an_error_code_is_a_refusal() -> None:
    with pytest.raises(DeviceRefused, match="error code 4"):
        general([Frame(kind=1, payload=b"\x04")], SETUP, {})


# ---- groups


def group(number: int, *elements: int) -> bytes:
    return bytes((number, len(elements))) + b"".join(e.to_bytes(4 if number > 10 else 2, "big") for e in elements)


LEAST = group(8, 1320) + group(1, 3300, 3300, 3300, 3300)


def read(*more: bytes) -> Values:
    return general([Frame(kind=1, payload=LEAST + b"".join(more))], SETUP, {})


def test_groups_may_come_in_any_order_and_be_absent() -> None:
    values = read(group(0x10, 0x12345678), group(3, 5000))
    assert (values["voltage"], values["cell_voltages"], values["soc"]) == (13.2, (3.3, 3.3, 3.3, 3.3), 50.0)
    assert {"current", "capacity", "remaining_capacity", "alarms", "charge_allowed"}.isdisjoint(values)


@pytest.mark.parametrize("payload", [group(8, 1320), group(1, 3300), LEAST + b"\x03\x02\x13", b"\x01\x00\x08\x00"])
def test_without_cells_or_voltage_or_when_torn_there_is_no_reading(payload: bytes) -> None:
    with pytest.raises(BadLength):
        general([Frame(kind=1, payload=payload)], SETUP, {})


def test_wide_groups_are_walked_over() -> None:
    assert groups(group(0x0B, 1) + group(0x0F, 2) + group(7, 28)) == {11: (1,), 15: (2,), 7: (28,)}


def test_flags_near_full_charge_are_no_volts() -> None:
    values = general([Frame(kind=1, payload=group(8, 700) + group(1, 0x8000 | 3600, 0x4000 | 3400))], SETUP, {})
    assert values["cell_voltages"] == (3.6, 3.4)


@pytest.mark.parametrize(("raw", "current"), [(30000, 0.0), (29000, 10.0), (31000, -10.0), (42345, -123.45)])
def test_the_current_counts_down_from_30000(raw: int, current: float) -> None:
    assert read(group(2, raw))["current"] == current


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ((68, 67, 66, 65), ((18.0, 17.0, 16.0, 15.0), None, None)),
        ((68, 67, 66, 65, 64), ((18.0, 17.0, 16.0, 15.0, 14.0), None, None)),
        ((68, 67, 66, 65, 71, 70), ((18.0, 17.0, 16.0, 15.0), 21.0, 20.0)),
        ((0x2046, 68, 0x4047), ((18.0,), 21.0, 20.0)),
        ((40, 0x8047), ((-10.0,), 21.0, None)),
        ((), ((), None, None)),
    ],
)
def test_sensors_by_their_flags(
    elements: tuple[int, ...], expected: tuple[tuple[float, ...], float | None, float | None]
) -> None:
    values = sensors(elements)
    assert (values["temperatures"], values.get("mosfet_temperature"), values.get("ambient_temperature")) == expected


# ---- section 6

BITS = {  # byte: {bit: (name, level)}
    0: dict.fromkeys(range(3, 8), ("internal_failure", 2)),
    1: dict.fromkeys(range(8), ("internal_failure", 2)),
    2: {0: ("high_temperature", 2), 1: ("low_temperature", 2)},
    3: {
        2: ("short_circuit", 2), 4: ("high_voltage", 2), 5: ("low_voltage", 2), 6: ("high_charge_temperature", 2),
        7: ("low_charge_temperature", 2),
    },
    4: {1: ("high_internal_temperature", 2), 4: ("low_soc", 2)},
    5: {5: ("high_internal_temperature", 2)},
    6: {},
    7: {0: ("low_soc", 1), 5: ("internal_failure", 2), 7: ("internal_failure", 2)},
    8: {
        0: ("high_internal_temperature", 1), 2: ("high_internal_temperature", 1), 3: ("low_soc", 1),
        4: ("cell_imbalance", 1), 5: ("high_temperature", 1), 6: ("low_temperature", 1),
    },
    9: {
        0: ("high_cell_voltage", 1), 1: ("low_cell_voltage", 1), 2: ("high_voltage", 1), 3: ("low_voltage", 1),
        4: ("high_charge_current", 1), 5: ("high_discharge_current", 1), 6: ("high_charge_temperature", 1),
        7: ("low_charge_temperature", 1),
    },
}  # fmt: skip


def words(*places: tuple[int, int]) -> tuple[int, ...]:
    raw = bytearray(10)
    for byte, bit in places:
        raw[byte] |= 1 << bit
    return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, 10, 2))


def shown(levels: dict[str, int]) -> dict[str, int]:
    return {name: level for name, level in levels.items() if level}


@pytest.mark.parametrize(("byte", "bit"), [(b, n) for b in range(10) for n in range(8) if (b, n) != (3, 3)])
def test_each_bit_raises_its_alarm_and_no_other(byte: int, bit: int) -> None:
    meant = BITS[byte].get(bit)
    assert shown(alarms(words((byte, bit)), 0.0)) == ({meant[0]: meant[1]} if meant else {})


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (5.0, {"high_charge_current": 2}), (-5.0, {"high_discharge_current": 2}),
        (0.0, {"high_charge_current": 2, "high_discharge_current": 2}),
        (None, {"high_charge_current": 2, "high_discharge_current": 2}),
    ],
)  # fmt: skip
def test_an_over_current_goes_the_way_of_the_current(current: float | None, expected: dict[str, int]) -> None:
    assert shown(alarms(words((3, 3)), current)) == expected


@pytest.mark.parametrize(("place", "on"), [((5, 4), True), ((5, 3), False), ((4, 4), False)])
def test_the_heater_is_a_state_and_no_alarm(place: tuple[int, int], on: bool) -> None:
    assert read(group(6, *words(place)))["heating"] is on
    assert read(group(6, *words(place)[:2]))["heating"] is None, "a reply without that word"


def test_words_that_are_missing_raise_nothing() -> None:
    assert shown(alarms(words((3, 4), (9, 0))[:2], 0.0)) == {"high_voltage": 2}


@pytest.mark.parametrize(
    ("place", "current", "expected"),
    [
        ((3, 4), 0.0, (False, True)), ((3, 6), 0.0, (False, True)), ((3, 7), 0.0, (False, True)),
        ((3, 5), 0.0, (True, False)), ((2, 0), 0.0, (True, False)), ((2, 1), 0.0, (True, False)),
        ((3, 3), 9.0, (False, True)), ((3, 3), -9.0, (True, False)), ((3, 3), 0.0, (False, False)),
        ((3, 2), -9.0, (True, False)), ((3, 2), 0.0, (False, False)), ((0, 5), 0.0, (True, True)),
        ((9, 2), 0.0, (True, True)),
    ],
)  # fmt: skip
def test_protections_say_what_may_flow(place: tuple[int, int], current: float, expected: tuple[bool, bool]) -> None:
    flags = allowed(alarms(words(place), current), current)
    assert (flags["charge_allowed"], flags["discharge_allowed"]) == expected


@pytest.mark.parametrize("name", STATUS_BITS)
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1, current=-5.0 if "discharge" in name else 5.0), {})
    device.pack.alarms = {name}
    level = 1 if name in ("cell_imbalance", "high_cell_voltage", "low_cell_voltage") else 2
    assert raised(poll(session("eg4_lifepower"), device)) == {name: level}


# ---- identity, detection


def test_hardware_is_shown_only_where_it_is_text() -> None:
    assert poll(session("eg4_lifepower"), build(Pack.of(1), {})).hardware_version is None
    talk = DRIVER.poll("hardware").talk(SETUP, {})
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send([Frame(kind=0x42, payload=b"TP16S100A\0\0\0\0\0\0")])
    assert end.value.value == {"hardware_version": "TP16S100A"}


@pytest.mark.parametrize(("cells", "volts"), [((3.3,) * 3, 9.9), ((3.3,) * 16, 50.0), ((), 50.0)])
def test_what_does_not_add_up_is_another_device(cells: tuple[float, ...], volts: float) -> None:
    with pytest.raises(WrongDevice):
        proof({"cell_voltages": cells, "voltage": volts})
