"""What cannot be is refused; what is broken becomes unknown, never 0."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers.kit import registry
from bms_drivers.kit.decode import decode
from gateway.model import Implausible, Reading
from gateway.plausible import OWN, plausible
from tests.make import reading
from tests.vectors import Case, cases, is_write

FIFTEEN = (3.3,) * 15


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("voltage", 101.0),
        ("voltage", -1.0),
        ("current", 1001.0),
        ("soc", 101.0),
        ("capacity", 6000.0),
        ("soc", math.nan),
    ],
)
def test_an_impossible_value_refuses_the_reading(field: str, value: float) -> None:
    with pytest.raises(Implausible, match=field):
        plausible(reading(**{field: value}))


def test_a_cell_of_53_volts_refuses_the_reading_and_names_the_cell() -> None:
    cells = (3.3,) * 6 + (53.1,) + (3.3,) * 9
    with pytest.raises(Implausible, match=r"cell_voltages\[7\] 53.1 outside"):
        plausible(reading(cell_voltages=cells))


def test_a_dead_cell_wire_becomes_unknown() -> None:
    assert plausible(reading(cell_voltages=(3.3, 0.0, 3.3))).cell_voltages == (3.3, None, 3.3)


def test_a_broken_sensor_becomes_unknown() -> None:
    checked = plausible(reading(temperatures=(25.0, -200.0), mosfet_temperature=150.0))
    assert checked.temperatures == (25.0, None)
    assert checked.mosfet_temperature is None


def test_a_sound_reading_is_passed_on_as_it_is() -> None:
    sound = reading()
    assert plausible(sound) is sound


# ---- values of one reading against each other


def rejected(**says: Any) -> tuple[Reading, dict[str, str]]:
    """What is left of a reading, and what was rejected with its reason."""
    left = plausible(reading(**says))
    return left, dict(left.rejected)


def test_a_pack_voltage_that_its_cells_contradict_is_rejected_and_their_sum_stands_in() -> None:
    left, why = rejected(voltage=0.0, cell_voltages=(3.312,) * 16)
    assert left.voltage == pytest.approx(52.992)
    assert why == {"voltage": "pack voltage 0.00 V, but its cells add up to 52.99 V, which stands in"}


@pytest.mark.parametrize("volts", [26.5, 49.5, 58.0, 65.535])
def test_half_of_it_a_cell_too_few_or_too_many_is_rejected(volts: float) -> None:
    assert rejected(voltage=volts, cell_voltages=(3.312,) * 16)[0].voltage == pytest.approx(52.992)


@pytest.mark.parametrize(
    ("volts", "listed"),
    [(66.23, (3.786,) * 17), (13.5, (3.3,) * 4), (51.5, (3.312,) * 16)],
    ids=["2.9 % more were recorded of 17 cells", "0.3 V of 4 cells", "a load step between two answers"],
)
def test_a_pack_voltage_measured_elsewhere_or_later_is_taken(volts: float, listed: tuple[float, ...]) -> None:
    assert rejected(voltage=volts, cell_voltages=listed) == (reading(voltage=volts, cell_voltages=listed), {})


def test_where_not_all_cells_are_known_nothing_stands_in() -> None:
    """A bare board: fifteen cells of 3.6 V, the sixteenth and the pack at 0 V."""
    left, why = rejected(voltage=0.0, cell_voltages=(*(3.6,) * 15, 0.0))
    assert left.voltage is None
    assert left.cell_voltages[15] is None
    assert why == {"voltage": "pack voltage 0.00 V, but its cells add up to 54.50 to 59.00 V"}
    assert rejected(voltage=53.0, cell_voltages=(*FIFTEEN, None))[0].voltage == 53.0


def test_without_single_cells_the_bms_own_extremes_bound_the_pack_voltage() -> None:
    says: dict[str, Any] = {
        "cell_voltages": (),
        "cell_count": 16,
        "lowest_cell_voltage": 3.31,
        "highest_cell_voltage": 3.33,
    }
    assert rejected(**says, voltage=53.1)[1] == {}
    left, why = rejected(**says, voltage=26.5)
    assert left.voltage is None
    assert why == {"voltage": "pack voltage 26.50 V, but its cells add up to 52.96 to 53.28 V"}
    why = rejected(**{**says, "lowest_cell_voltage": 3.33}, voltage=26.5)[1]
    assert why == {"voltage": "pack voltage 26.50 V, but its cells add up to 53.28 V"}


def test_no_battery_has_0_volts() -> None:
    assert rejected(cell_voltages=(), voltage=0.0)[1] == {"voltage": "pack voltage 0.00 V is no battery's"}


def test_a_list_shorter_than_the_count_lacks_cells() -> None:
    left, why = rejected(cell_voltages=FIFTEEN, cell_count=16, voltage=52.8)
    assert left.cell_voltages == (*FIFTEEN, None)
    assert (left.cells, left.voltage) == (16, 52.8)
    assert why == {"cell_voltages": "only 15 of 16 cells are listed"}


def test_a_count_smaller_than_the_list_is_rejected() -> None:
    left, why = rejected(cell_voltages=(3.3,) * 16, cell_count=15, voltage=52.8)
    assert left.cells == 16
    assert why == {"cell_count": "the BMS counts 15 cells, but lists 16"}
    assert rejected(cell_voltages=(3.3,) * 16, cell_count=8, voltage=52.8)[0].cells == 16


def test_a_list_may_hold_the_cells_of_parallel_strings() -> None:
    left, why = rejected(cell_voltages=(3.35,) * 32, cell_count=8, voltage=26.791)
    assert (left.cells, left.strings, why) == (8, 4, {})
    assert left.cells_sum == pytest.approx(26.8)
    left, why = rejected(cell_voltages=(3.35,) * 31, cell_count=8, voltage=26.791)
    assert (left.cells, left.cell_voltages[31]) == (8, None)
    assert why == {"cell_voltages": "31 cells listed are no multiple of the 8 in series"}


@pytest.mark.parametrize("volts", [0.0, 65.535, math.nan, -1.0])
@pytest.mark.parametrize("name", ["lowest_cell_voltage", "highest_cell_voltage"])
def test_extremes_of_the_bms_that_no_cell_has_are_rejected(name: str, volts: float) -> None:
    left, why = rejected(cell_voltages=(), voltage=None, **{name: volts})
    assert getattr(left, name) is None
    assert list(why) == [name]


def test_extremes_are_held_against_each_other_and_against_the_cells() -> None:
    left, why = rejected(cell_voltages=(), voltage=None, lowest_cell_voltage=3.4, highest_cell_voltage=3.3)
    assert (left.min_cell, left.max_cell) == (None, None)
    assert set(why) == {"lowest_cell_voltage", "highest_cell_voltage"}
    left, why = rejected(lowest_cell_voltage=2.5, highest_cell_voltage=3.33)
    assert why == {"lowest_cell_voltage": "the BMS calls 2.500 V its lowest cell, its cells say 3.320 V"}
    assert left.highest_cell_voltage == 3.33


def test_the_bms_own_extremes_count_where_a_cell_is_not_known() -> None:
    says = reading(cell_voltages=(None, *FIFTEEN), lowest_cell_voltage=2.95, highest_cell_voltage=3.5)
    assert (says.min_cell, says.max_cell) == (2.95, 3.5)


def test_a_capacity_that_is_not_set_is_not_known() -> None:
    left, why = rejected(capacity=0.0, remaining_capacity=0.0)
    assert left.capacity is None
    assert why == {"capacity": "capacity 0 Ah is outside 1..5000 Ah"}


def test_more_than_there_is_refuses_both_for_a_capacity_too_small_would_loosen_a_bank() -> None:
    left, why = rejected(capacity=28.0, remaining_capacity=168.0)
    assert (left.capacity, left.remaining_capacity) == (None, None)
    assert why["capacity"] == "168 Ah remain of a capacity of 28 Ah"
    assert rejected(capacity=100.0, remaining_capacity=105.79, soc=99.0)[1] == {}, "was recorded"


def test_of_soc_and_remaining_capacity_the_soc_stays() -> None:
    left, why = rejected(soc=100.0, capacity=280.0, remaining_capacity=28.0)
    assert (left.soc, left.remaining_capacity, left.capacity) == (100.0, None, 280.0)
    assert why == {"remaining_capacity": "SoC 100 %, but 28 of 280 Ah remain"}
    assert rejected(soc=37.0, capacity=100.0, remaining_capacity=100.0)[1] == {}, "was recorded"


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("value", [math.nan, -1e9, 1e9])
def test_every_number_that_cannot_be_is_not_known_and_said(name: str, value: float) -> None:
    if name == "capacity":
        with pytest.raises(Implausible):
            plausible(reading(capacity=value))
        return
    left, why = rejected(**{name: value})
    assert getattr(left, name) is None
    assert why[name].startswith(f"{name} ")


CELL, HEAT = (0.5, 5.0), (-40.0, 120.0)
POSSIBLE = {  # as the module says, and chapter 1 of limits.md
    "voltage": (0.5, 100.0), "current": (-1000.0, 1000.0), "soc": (0.0, 100.0), "soh": (0.0, 120.0),
    "capacity": (1.0, 5000.0), "remaining_capacity": (0.0, 5000.0), "charge_cycles": (0, 1_000_000),
    "cell_count": (1, 64), "lowest_cell_voltage": CELL, "highest_cell_voltage": CELL, "mosfet_temperature": HEAT,
    "ambient_temperature": HEAT, "max_charge_current": (0.0, 5000.0), "max_discharge_current": (0.0, 5000.0),
    "max_battery_voltage": (0.0, 100.0), "min_battery_voltage": (0.0, 100.0), "cell_overvoltage_protection": CELL,
    "cell_undervoltage_protection": CELL, "cell_voltages": CELL, "temperatures": HEAT,
}  # fmt: skip


def known(name: str, value: float) -> bool:
    """Is this still there when a BMS says nothing else?"""
    said: Any = (value,) if name in ("cell_voltages", "temperatures") else value
    try:
        return bool(getattr(plausible(Reading(**{name: said})), name) == said)
    except Implausible:
        return False


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_is_possible_is_known_to_both_ends_and_no_further(name: str) -> None:
    least, most = POSSIBLE[name]
    assert known(name, least) and known(name, most)
    assert not known(name, math.nextafter(least, -math.inf)) and not known(name, math.nextafter(most, math.inf))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", ["cell_voltages", "temperatures"])
def test_each_of_a_list_is_held_against_its_bounds_wherever_it_stands(name: str, place: int) -> None:
    least, most = POSSIBLE[name]
    others: list[float | None] = [most, None]
    beside = {"cell_voltages": (3.0, 3.0), "temperatures": (3.0, 3.0)}  # V, °C: either could be the other
    for value in (least, most, math.nextafter(least, -math.inf), math.nextafter(most, math.inf)):
        told = Reading(**{**beside, name: (*others[:place], value, *others[place:])})
        assert (plausible(told) is told) is (least <= value <= most)


RECORDED = [case for name in registry.names() for case in cases(name) if not is_write(case)]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case.data['driver']}-{case}")
def test_no_recording_of_a_real_device_is_rejected_in_part(case: Case) -> None:
    for found in decode(registry.load(case.data["driver"]), case.data).readings.values():
        assert plausible(found).rejected == {}


VALUE = st.none() | st.floats() | st.sampled_from([0.0, 0.5, 3.3, 16, 53.0, 65.535, 65535.0])


@given(st.dictionaries(st.sampled_from([*OWN, "voltage"]), VALUE), st.lists(st.none() | st.floats(0, 5), max_size=33))
def test_what_is_left_holds_together_whatever_was_said(says: dict[str, Any], listed: list[float | None]) -> None:
    for name in ("cell_count", "charge_cycles"):
        if name in says:
            says[name] = int(says[name]) if says[name] is not None and math.isfinite(says[name]) else None
    try:
        left = plausible(reading(**{**says, "cell_voltages": tuple(listed)}))
    except Implausible:
        return
    for name, (least, most, _) in OWN.items():
        value = getattr(left, name)
        assert value is None or least <= value <= most
    assert plausible(left) == left, "and looking again changes nothing"
    if left.cells_sum is not None and left.voltage is not None:
        assert abs(left.voltage - left.cells_sum) <= max(1.0, 0.05 * left.cells_sum)
