"""PACE: what its recordings do not show, by its sheet (pace.md)."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.kit.declare import Ask, Dropped, Frame, Registers, Talk, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.pace import DRIVER, asked_with
from bms_drivers.sims.pace import build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, FrameError, Reading, WrongDevice
from tests.bms_drivers.hex_text import frame, led, sent, unanswered
from tests.sims.wire import command, poll, session

VECTORS = Path(__file__).parent.parent / "vectors" / "pace"
EVERY = {"address": "all"}


def talk(step: str, known: Values | None = None, **setup: Any) -> Talk:
    return DRIVER.poll(step).talk(DRIVER.setup(setup), known or {})


def reply(info: bytes, address: int = 1, code: int = 0, version: int = 0x25, cid1: int = 0x46) -> bytes:
    return frame(version, address, cid1, code, info)


def words(*values: int) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def record(cells: int = 16, sensors: int = 6, volts: int = 3300, full: int = 10000, more: bytes = b"") -> bytes:
    """One pack with 60 Ah left, discharging with 2.25 A."""
    return b"".join(
        (
            bytes((cells,)), words(*[volts] * cells),
            bytes((sensors,)), words(*(2930 + 10 * n for n in range(sensors))), words(-225, volts * cells, 6000),
            b"\x09", words(full, 140, 10000), more,
        )
    )  # fmt: skip


def state(cells: int = 16, more: bytes = b"", **changes: int) -> bytes:
    """`changes`: b2=6 sets byte 2 of the nine."""
    block = bytearray(9)
    block[2] = 6
    for name, value in changes.items():
        block[int(name[1:])] = value
    return bytes((cells,)) + bytes(cells) + b"\x06" + bytes(9) + bytes(block) + more


def analog(*records: bytes, number: int = 1) -> bytes:
    return bytes((0, number)) + b"".join(records)


def readings(values: Values, **setup: Any) -> dict[str, Reading]:
    return dict(DRIVER.assemble(values, DRIVER.setup(setup)))


def alone(info: bytes, **setup: Any) -> Reading:
    return readings(led(talk("analog", **setup), reply(info)), **setup)[""]


def state_of(info: bytes) -> Reading:
    return readings(led(talk("state"), reply(info)))[""]


# ---- requests


@pytest.mark.parametrize(
    ("step", "setup", "request_"),
    [
        ("count", {}, "~250146900000FDA5"), ("analog", {}, "~25014642E00201FD30"),
        ("analog", EVERY, "~25014642E002FFFD05"), ("state", {}, "~25014644E00201FD2E"),
        ("state", EVERY, "~25014644E002FFFD03"), ("version", {}, "~250146C10000FD9A"),
        ("product", {}, "~250146C20000FD99"), ("analog", {"address": 0}, "~25004642E002FFFD06"),
        ("state", {"address": 2}, "~25024644E00202FD2C"), ("analog", {"pack": 255}, "~25014642E002FFFD05"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(step: str, setup: Values, request_: str) -> None:
    assert sent(next(talk(step, **setup))) == request_


@pytest.mark.parametrize(
    ("action", "value", "request_"),
    [
        ("charge", 0, "~2501469AE00201FD1C"), ("charge", 1, "~2501469AE00200FD1D"),
        ("discharge", 0, "~2501469BE00201FD1B"), ("discharge", 1, "~2501469BE00200FD1C"),
    ],
)  # fmt: skip
def test_writes_are_those_of_the_sheet(action: str, value: float, request_: str) -> None:
    assert sent(next(DRIVER.controls[action].talk(value, DRIVER.setup({}), {}))) == request_


@pytest.mark.parametrize(
    ("request_", "setup"),
    [
        (b"~25024644E00202FD2C\r", {"address": 2, "cid1": 0x46, "pack": 2}),
        (b"~25004642E002FFFD06\r", {"address": 0, "cid1": 0x46, "pack": 255}),
        (b"~2500469AE00201FD1D\r", {"address": 0, "cid1": 0x46}),
        (b"~250146900000FDA5\r", {}),
        (bytes.fromhex("0103000F0016F407"), {"address": 1, "modbus": True}),
        (b"", {}),
    ],
)
def test_a_recorded_request_tells_who_was_asked(request_: bytes, setup: Values) -> None:
    assert asked_with(request_) == setup


# ---- whose answer it is


def test_traffic_of_others_is_skipped_and_counted() -> None:
    case = json.loads((VECTORS / "bus_traffic_to_skip.json").read_text())
    heard = b"".join(bytes.fromhex(rx) for exchange in case["exchanges"] for rx in exchange["rx"])
    own = led(talk("state", address=2), reply(analog(state(more=b"\x11"), number=2), 2))
    question = next(talk("state", address=2))
    assert isinstance(question, Ask)
    answer = Answer(question)
    assert answer.feed(heard)
    assert [item.payload[1] for item in answer.frames] == [2]
    assert own["_states"][1]["charge_allowed"] is True
    assert led(talk("count"), reply(b"\2"))["_behind"] == case["expected"]["pack_count"]
    requests = [item for item in question.split(bytearray(heard)) if isinstance(item, Frame) and item.status > 9]
    assert len(requests) == case["expected"]["skipped"]


def test_an_echo_is_no_answer() -> None:
    for step in ("analog", "state", "version", "count"):
        question = next(talk(step))
        assert isinstance(question, Ask)
        assert unanswered(talk(step), question.request).foreign == 1


@pytest.mark.parametrize(
    ("setup", "address", "number", "accepted"),
    [
        ({}, 1, 1, True), ({}, 2, 2, False), ({"address": 0}, 7, 1, True), (EVERY, 1, 1, True),
        ({"pack": 3}, 1, 3, True), ({"pack": 3}, 3, 3, True), ({"pack": 3}, 1, 1, False),
    ],
)  # fmt: skip
def test_only_what_was_asked_answers(setup: Values, address: int, number: int, accepted: bool) -> None:
    question = next(talk("analog", **setup))
    assert isinstance(question, Ask)
    assert Answer(question).feed(reply(analog(record(), number=number), address)) is accepted


def test_an_answer_to_another_question_is_none() -> None:
    assert unanswered(talk("analog"), reply(analog(state()))).foreign == 1
    assert unanswered(talk("state"), reply(analog(record()))).foreign == 1
    assert unanswered(talk("analog"), reply(analog(record()), version=0x20)).foreign == 1
    assert unanswered(talk("analog"), reply(analog(record()), cid1=0x4F)).foreign == 1


def test_some_boards_of_14_cells_have_another_cid1() -> None:
    assert led(talk("analog", cid1=0x4F), reply(analog(record(14)), cid1=0x4F))["_most"] == 1


def test_a_torn_or_spoilt_frame_is_no_answer() -> None:
    whole = reply(analog(record()))
    assert unanswered(talk("analog"), whole[:-10]).torn
    assert [item.reason for item in unanswered(talk("analog"), whole[:40] + whole[42:]).dropped] == ["length"]
    dropped = unanswered(talk("analog"), whole.replace(b"0CE4", b"0CE5", 1)).dropped
    assert [type(item) for item in dropped] == [Dropped]
    assert led(talk("analog"), whole[:40] + whole)["_most"] == 1


def test_a_refusal_says_why() -> None:
    with pytest.raises(DeviceRefused, match="return code 09, refused"):
        led(talk("analog", pack=2), reply(b"", code=9))


# ---- values


@pytest.mark.parametrize("cells", [8, 13, 14, 15, 16])
@pytest.mark.parametrize("more", [0, 1, 10, 14])
def test_any_number_of_cells_and_of_bytes_behind_is_walked(cells: int, more: int) -> None:
    got = alone(analog(record(cells, more=bytes((60, *[0] * 13))[:more])))
    assert got.cell_voltages == (3.3,) * cells
    assert (got.current, got.remaining_capacity, got.capacity, got.charge_cycles) == (-2.25, 60.0, 100.0, 140)
    assert (got.soc, got.cell_count) == (60.0, cells)


@pytest.mark.parametrize(
    ("sensors", "celsius", "mosfet", "ambient"),
    [
        (4, (20.0, 21.0, 22.0, 23.0), None, None), (6, (20.0, 21.0, 22.0, 23.0), 24.0, 25.0),
        (8, (20.0, 21.0, 22.0, 23.0), 24.0, 25.0),
    ],
)  # fmt: skip
def test_sensors_have_their_roles(sensors: int, celsius: Any, mosfet: float | None, ambient: float | None) -> None:
    got = alone(analog(record(sensors=sensors)))
    assert (got.temperatures, got.mosfet_temperature, got.ambient_temperature) == (celsius, mosfet, ambient)


@pytest.mark.parametrize(
    ("full", "more", "soc", "soh"),
    [
        (10000, b"", 60.0, 100.0),
        (10000, bytes((63,)), 63.0, 100.0),
        (10000, bytes((0,)), 60.0, 100.0),
        (10000, bytes((200,)), 60.0, 100.0),
        (8000, bytes((75, *[0] * 8, 97)), 75.0, 97.0),
        (8000, bytes((75, *[0] * 8, 0)), 75.0, 80.0),
        (5900, b"", 100.0, 59.0),
        (0, b"", None, None),
        (12000, b"", 50.0, 100.0),
    ],
)
def test_soc_and_soh(full: int, more: bytes, soc: float | None, soh: float | None) -> None:
    got = alone(analog(record(full=full, more=more)))
    assert (got.soc, got.soh) == (soc, soh)


@pytest.mark.parametrize("info", [analog(), analog(record()[:-1]), analog(record(more=bytes(21))), b"", b"\0"])
def test_records_that_do_not_fill_the_reply_are_no_answer(info: bytes) -> None:
    begun = talk("analog")
    assert unanswered(begun, reply(info)).foreign == 1
    with pytest.raises(BadLength):
        begun.send([Frame(kind=0x2546, payload=info)])


# ---- several packs


def set_of(*records: bytes) -> dict[str, Reading]:
    return readings(led(talk("analog", **EVERY), reply(analog(*records, number=len(records)))), **EVERY)


def test_each_pack_is_a_battery_of_its_own() -> None:
    found = set_of(record(15), record(15, full=12000), record(15))
    assert list(found) == ["1", "2", "3"]
    assert [reading.soc for reading in found.values()] == [60.0, 50.0, 60.0]


def test_packs_of_unequal_cells_are_told_apart() -> None:
    found = set_of(record(15, more=b"\x3c"), record(16, more=b"\x3c"), record(8, more=b"\x3c"))
    assert [len(reading.cell_voltages) for reading in found.values()] == [15, 16, 8]
    assert {reading.soc for reading in found.values()} == {60.0}


def test_a_pack_that_is_off_is_left_out_and_the_others_keep_their_numbers() -> None:
    assert list(set_of(record(), record(volts=0), record())) == ["1", "3"]
    with pytest.raises(WrongDevice, match="every pack"):
        set_of(record(volts=0))
    with pytest.raises(WrongDevice):
        alone(analog(record(volts=0)))


def test_a_set_that_shrinks_does_not_become_a_single_battery() -> None:
    before = led(talk("analog", **EVERY), reply(analog(record(), record(), number=2)))
    now = led(talk("analog", known=before, **EVERY), reply(analog(record(), number=1)))
    assert list(readings(now, **EVERY)) == ["1"]
    assert list(set_of(record())) == [""]


def test_states_belong_to_their_packs_and_identity_to_the_first() -> None:
    values = led(talk("analog", **EVERY), reply(analog(record(), record(), number=2)))
    values |= led(talk("state", **EVERY), reply(analog(state(), state(b2=2), number=2)))
    values |= {"serial_number": "S1"}
    found = readings(values, **EVERY)
    assert [reading.discharge_allowed for reading in found.values()] == [True, False]
    assert [reading.serial_number for reading in found.values()] == ["S1", None]


def test_without_the_state_it_is_unknown_at_once() -> None:
    known = Session(DRIVER)
    for step, info in (("analog", analog(record())), ("state", analog(state()))):
        known.learnt(DRIVER.poll(step), led(talk(step), reply(info)), 0.0)
    assert known.readings()[""].charge_allowed is True
    known.missed(DRIVER.poll("state"), 1.0)
    assert (known.readings()[""].soc, known.readings()[""].charge_allowed) == (60.0, None)


# ---- switches and alarms


@pytest.mark.parametrize(("bits", "charge", "discharge"), [(2, True, False), (4, False, True), (0xF9, False, False)])
def test_fets(bits: int, charge: bool, discharge: bool) -> None:
    got = state_of(analog(state(b2=bits)))
    assert (got.charge_allowed, got.discharge_allowed) == (charge, discharge)


@pytest.mark.parametrize(("byte", "bit", "cell"), [("b5", 0, 1), ("b5", 7, 8), ("b6", 0, 9), ("b6", 7, 16)])
def test_each_cell_has_its_balancing_bit(byte: str, bit: int, cell: int) -> None:
    got = state_of(analog(state(**{byte: 1 << bit})))
    assert [n for n, on in enumerate(got.cell_balancing, 1) if on] == [cell]
    assert len(state_of(analog(state(13))).cell_balancing) == 13


CELL_TO_CURRENT = [
    "high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage", "high_charge_current",
    "high_discharge_current",
]  # fmt: skip
TEMPERATURES = ["high_charge_temperature", "high_temperature", "low_charge_temperature", "low_temperature"]
ALARMS = {  # byte -> (level, a name a bit); sheet section 6
    0: (2, [*CELL_TO_CURRENT, "short_circuit", "high_voltage"]),
    1: (2, [*TEMPERATURES, "high_internal_temperature", "high_temperature", "low_temperature", ""]),
    4: (2, [*["internal_failure"] * 3, "", *["internal_failure"] * 2, "", ""]),
    7: (1, [*CELL_TO_CURRENT, "", ""]),
    8: (1, [*TEMPERATURES, "high_temperature", "low_temperature", "high_internal_temperature", "low_soc"]),
}


@pytest.mark.parametrize("byte", range(9))
@pytest.mark.parametrize("bit", range(8))
def test_each_bit_raises_its_alarm_and_no_other(byte: int, bit: int) -> None:
    level, names = ALARMS.get(byte, (0, [""] * 8))
    got = state_of(analog(state(**{f"b{byte}": 1 << bit})))
    assert {name: level for name, level in got.alarms.items() if level} == ({names[bit]: level} if names[bit] else {})


def test_the_bytes_of_cells_raise_nothing_and_protection_wins_over_warning() -> None:
    info = bytearray(analog(state(b0=1, b7=1)))
    info[3:19] = b"\x02" * 16
    assert {n: lv for n, lv in state_of(bytes(info)).alarms.items() if lv} == {"high_cell_voltage": 2}


def test_trip_points() -> None:
    got = poll(session("pace"), build(Pack.of(1), {}))
    assert (got.cell_overvoltage_protection, got.cell_undervoltage_protection) == (3.7, 2.5)
    assert (got.max_battery_voltage, got.min_battery_voltage) == (58.4, 41.6)
    assert (got.max_charge_current, got.max_discharge_current) == (110, 110)
    assert led(talk("max_charge_current"), reply(b"\1" + bytes(5)))["max_charge_current"] is None


# ---- switching


def test_a_board_may_refuse_to_open_a_switch() -> None:
    device, known = build(Pack.of(1, current=5.0), {}), session("pace")
    with pytest.raises(DeviceRefused, match="refused"):
        command(known, device, "discharge", 0)
    command(known, device, "charge", 0)
    assert poll(known, device).charge_allowed is False
    with pytest.raises(DeviceRefused):
        command(known, device, "discharge", 0)


def test_a_set_is_not_switched_as_one() -> None:
    write = DRIVER.controls["charge"].talk
    assert sent(next(write(0, DRIVER.setup(EVERY), {"_most": 1}))) == "~2501469AE00201FD1C"
    with pytest.raises(DeviceRefused, match="one of several"):
        next(write(0, DRIVER.setup(EVERY), {"_most": 2}))


# ---- PACE Modbus


def test_modbus_is_read_as_the_text_protocol_is() -> None:
    pack = Pack.of(1, current=-12.5, cells=15)
    pack.alarms = {"high_voltage", "low_soc", "internal_failure"}
    got = poll(session("pace", modbus=True), build(pack, {"modbus": True}))
    assert (got.current, len(got.cell_voltages), got.charge_allowed, got.discharge_allowed) == (-12.5, 15, True, True)
    assert {n: lv for n, lv in got.alarms.items() if lv} == {"high_voltage": 2, "low_soc": 1, "internal_failure": 2}
    assert (got.serial_number, got.firmware_version) == ("SIM0000001", "P16S100A-SIM-1.00")
    assert (got.max_battery_voltage, got.max_discharge_current) == (58.4, 110)
    assert got.soc == pytest.approx(50, abs=1)


def modbus(registers: Values | None = None) -> Values:
    """What is learnt when all registers are 0 but those given."""
    image = registers or {}
    leading = talk("analog", modbus=True)
    question = next(leading)
    try:
        while isinstance(question, Registers):
            data = words(*(image.get(question.address + n, 0) for n in range(question.count)))
            question = leading.send([Frame(kind=question.address, payload=data)])
    except StopIteration as end:
        learnt: Values = end.value
        return learnt
    raise AssertionError(question)


@pytest.mark.parametrize("registers", [{}, {1: 5280}, {15: 3300}])
def test_modbus_zeros_are_no_pack(registers: Values) -> None:
    with pytest.raises(FrameError):
        modbus(registers)


@pytest.mark.parametrize(
    ("bit", "shows"),
    [(10, {"charge_allowed": True}), (11, {"discharge_allowed": True}), (15, {"heating": True}), (12, {}), (8, {})],
)
def test_modbus_status_bits(bit: int, shows: Values) -> None:
    got = readings(modbus({1: 330, 15: 3300, 11: 1 << bit}), modbus=True)[""]
    wanted = {"charge_allowed": False, "discharge_allowed": False, "heating": False, **shows}
    assert {name: getattr(got, name) for name in wanted} == wanted
    assert not any(got.alarms.values())


def test_modbus_is_not_written_and_text_is_not_asked() -> None:
    device, known = build(Pack.of(1), {"modbus": True}), session("pace", modbus=True)
    with pytest.raises(DeviceRefused, match="hex text"):
        command(known, device, "charge", 0)
    questions = [list(itertools.islice(step.talk(known.setup, {}), 1)) for step in DRIVER.plan]
    assert {type(question) for first in questions for question in first} == {Registers}


# ---- detection


def test_detection_names_the_packs_behind_a_master() -> None:
    values = led(talk("analog"), reply(analog(record())))
    assert DRIVER.detection.proof(values) == "PACE BMS with 16 cells"
    assert DRIVER.detection.proof({**values, "_behind": 3}).endswith("3 packs (all of them with pack: 255)")
    for spoilt in ({"voltage": 26.4}, {"soc": 250.0}, {"soh": 101.0}, {"cell_voltages": ()}):
        with pytest.raises(WrongDevice):
            DRIVER.detection.proof({"_packs": {1: {**values["_packs"][1], **spoilt}}})
