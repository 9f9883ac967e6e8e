"""Felicity: faults, empty slots, texts that are none.  Expected values: felicity.md."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.felicity import DRIVER, content, live, present, proof, split_text, state
from bms_drivers.kit.declare import Ask, Frame, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.sims.felicity import FAULT_BITS, build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, FrameError, LinkTimeout, WrongDevice
from tests.sims.wire import poll, raised, session

FILE = Path(__file__).parent.parent / "vectors" / "felicity_ble" / "ble_lux_16s.json"
RECORDED = bytes.fromhex("".join(json.loads(FILE.read_text())["exchanges"][1]["rx"]))
TEXT: dict[str, Any] = json.loads(RECORDED)


def words(*values: int) -> list[Frame]:
    return [Frame(kind=0, payload=b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values))]


def led(poll: str, frames: list[Frame], known: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a step of the plan makes of an answer."""
    talk = DRIVER.poll(poll).talk(DRIVER.setup({}), known or {})
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send(frames)
    values: dict[str, Any] = end.value.value
    return values


# ---- RS485

FAULTS = {
    2: "high_cell_voltage", 3: "low_cell_voltage", 4: "high_charge_current", 5: "high_discharge_current",
    6: "high_internal_temperature", 8: "high_charge_temperature", 9: "low_charge_temperature",
}  # fmt: skip


@pytest.mark.parametrize("bit", range(16))
def test_each_fault_bit_raises_its_alarm_and_no_other(bit: int) -> None:
    levels = state(words(5, 0, 1 << bit), {}, {})["alarms"]
    assert {name: level for name, level in levels.items() if level} == ({FAULTS[bit]: 2} if bit in FAULTS else {})


@pytest.mark.parametrize(
    ("word", "charge", "discharge"), [(0, False, False), (1, True, False), (4, False, True), (0xFFFA, False, False)]
)
def test_two_bits_of_the_state_are_the_switches(word: int, charge: bool, discharge: bool) -> None:
    values = state(words(word, 0, 0), {}, {})
    assert (values["charge_allowed"], values["discharge_allowed"]) == (charge, discharge)


@pytest.mark.parametrize(
    ("raws", "before", "expected"),
    [
        ([1, 2, 9, 9], 0, [1, 2]), ([1, 9, 3, 9], 0, [1, None, 3]), ([1, 2, 9, 9], 3, [1, 2, None]),
        ([9, 9, 9, 9], 0, []), ([9, 9, 9, 9], 2, [None, None]),
    ],
)  # fmt: skip
def test_a_slot_that_falls_silent_keeps_its_place(raws: list[int], before: int, expected: list[int | None]) -> None:
    assert present(raws, 9, before) == expected


def test_a_cell_that_was_there_is_missed() -> None:
    eight = words(*[3300] * 7, 0x7FFF, *[0x7FFF] * 8)
    assert len(led("cells", eight)["cell_voltages"]) == 7
    values = led("cells", eight, {"_cell_slots": 8})
    assert values["cell_voltages"] == (*[3.3] * 7, None)


def test_probes_below_zero_and_the_last_cells_slot() -> None:
    assert led("sensors", words(3300, -5, 0x7FFF, 0x7FFF, 7))["temperatures"] == (-5.0,)
    assert led("sensors", words(0x7FFF, 21, 22, 23, 0))["temperatures"] == (21.0, 22.0, 23.0)


def test_each_block_is_one_that_is_known_to_be_answered() -> None:
    asked = set()
    for step in DRIVER.plan:
        talk = step.talk(DRIVER.setup({}), {})
        question = next(talk, None)
        if isinstance(question, Registers):
            asked.add((question.address, question.count))
    assert asked == {
        (0xF80B, 1), (0xF804, 5), (0x130B, 1), (0x1306, 2), (0x131C, 4), (0x1302, 3), (0x132A, 16), (0x130A, 1),
        (0x1339, 5),
    }  # fmt: skip


def test_the_sheets_example() -> None:
    question = next(DRIVER.poll("soc").talk(DRIVER.setup({}), {}))
    assert isinstance(question, Registers)
    assert rtu.question(question).request.hex() == "0103130b0001f14c"


@pytest.mark.parametrize("name", FAULT_BITS)
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1), {})
    device.pack.alarms = {name}
    assert raised(poll(session("felicity"), device)) == {name: 2}


@pytest.mark.parametrize("cells", [8, 15, 16])
def test_the_simulator_over_rs485(cells: int) -> None:
    device = build(Pack.of(1, cells=cells, current=-12.3), {"address": 3})
    device.pack.charge_switch = False
    got = poll(session("felicity", address=3), device)
    assert (len(got.cell_voltages), got.current, got.charge_allowed, got.discharge_allowed) == (
        cells,
        -12.3,
        False,
        True,
    )
    assert (got.max_charge_current, got.max_battery_voltage) == (150.0, pytest.approx(3.6 * cells))
    assert (got.serial_number, got.firmware_version, got.capacity) == ("100011002424470238", "418", None)
    with pytest.raises(LinkTimeout):
        poll(session("felicity", address=4), device)


# ---- Bluetooth


def test_the_simulator_over_bluetooth() -> None:
    device = build(Pack.of(1, current=-12.3, capacity=300.0), {"protocol": "json"})
    got = poll(session("felicity", protocol="json"), device)
    assert got.cell_voltages == pytest.approx(device.pack.cells, abs=0.001)
    assert (got.current, got.capacity, got.firmware_version) == (-12.3, 300.0, "519")
    assert got.remaining_capacity == pytest.approx(3.0 * device.pack.soc, abs=0.1)
    assert (got.charge_allowed, got.discharge_allowed) == (None, None)
    device.pack.alarms = {"short_circuit"}
    assert raised(poll(session("felicity", protocol="json"), device)) == {"internal_failure": 2}


@pytest.mark.parametrize(("fault", "warning", "level"), [(0, 0, 0), (0, 4, 1), (1, 0, 2), (1, 1, 2)])
def test_words_whose_bits_are_not_known_are_an_internal_failure(fault: int, warning: int, level: int) -> None:
    assert live({**TEXT, "Bfault": fault, "Bwarn": warning})["alarms"] == {"internal_failure": level}


@given(cuts=st.lists(st.integers(0, len(RECORDED)), max_size=10))
def test_a_text_in_any_pieces_is_one(cuts: list[int]) -> None:
    buffer, found = bytearray(), []
    for start, end in pairwise([0, *sorted(cuts), len(RECORDED)]):
        buffer += RECORDED[start:end]
        found += [item.payload for item in split_text(buffer) if isinstance(item, Frame)]
    assert found == [RECORDED]


@pytest.mark.parametrize("junk", [b"}", b"{}", b"{no}", b"{{}", b"[1]{", b"\xff{", b'{"a":' + b"[" * 3000 + b"}"])
def test_a_text_is_found_behind_what_is_none(junk: bytes) -> None:
    texts = [item.payload for item in split_text(bytearray(junk + RECORDED)) if isinstance(item, Frame)]
    assert RECORDED in texts or junk.count(b"{") > junk.count(b"}"), "an open brace waits for its end"


def test_the_answer_to_another_command_is_foreign() -> None:
    question = next(DRIVER.poll("about").talk(DRIVER.setup({"protocol": "json"}), {}))
    assert isinstance(question, Ask)
    assert question.request == b"wifilocalMonitor:get dev basice infor"
    answer = Answer(question)
    assert not answer.feed(RECORDED)
    assert answer.foreign == 1


@pytest.mark.parametrize("text", [b"{}", b"[]", b"1", b'{"CommVer":2}', b"\xff"])
def test_another_kind_of_text_is_another_device(text: bytes) -> None:
    with pytest.raises(WrongDevice):
        content([Frame(kind=0, payload=text)])


@pytest.mark.parametrize("lost", ["Batt", "BatcelList"])
def test_without_voltage_or_cells_there_is_no_reading(lost: str) -> None:
    with pytest.raises(BadLength):
        live({key: value for key, value in TEXT.items() if key != lost})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(TEXT)), value=anything)
def test_whatever_a_text_holds_only_frame_errors_come_of_it(name: str, value: Any) -> None:
    try:
        values = live({**TEXT, name: value})
    except FrameError:
        return
    assert isinstance(values["voltage"], float)


def test_null_entries_are_not_known() -> None:
    values = live({**TEXT, "Batt": [[52800], [None], [None]], "BLVolCu": None, "BtemList": [[130, None, 120, 32767]]})
    assert (values["current"], values["max_charge_current"]) == (None, None)
    assert values["temperatures"] == (13.0, None, 12.0)


# ---- detection


def test_cells_that_do_not_add_up_are_another_device() -> None:
    assert proof({"cell_voltages": (3.3,) * 8, "voltage": 26.4}) == "Felicity battery with 8 cells"
    for cells, volts in (((3.3,) * 8, 30.0), ((3.3, None), 3.3), ((), 0.0)):
        with pytest.raises(WrongDevice):
            proof({"cell_voltages": cells, "voltage": volts})
