"""News that cannot wait for the other batteries of the bank, and news that can."""

from dataclasses import replace

import pytest

from gateway.model import Reading
from gateway.urgent import urgent
from tests.make import reading

BEFORE = reading(
    charge_allowed=True, discharge_allowed=True, max_charge_current=100.0, max_discharge_current=120.0,
    max_battery_voltage=56.0, temperatures=(20.0, 21.0), mosfet_temperature=25.0,
    alarms={"low_soc": 0, "high_voltage": 1},
)  # fmt: skip


def with_cell(volts: float | None) -> Reading:
    return replace(BEFORE, cell_voltages=(volts, *BEFORE.cell_voltages[1:]))


URGENT = {
    "an alarm rises": replace(BEFORE, alarms={"low_soc": 0, "high_voltage": 2}),
    "an alarm is told for the first time": replace(BEFORE, alarms={**BEFORE.alarms, "short_circuit": 2}),
    "the charge switch opens": replace(BEFORE, charge_allowed=False),
    "the discharge switch is not known any more": replace(BEFORE, discharge_allowed=None),
    "the BMS asks for less current": replace(BEFORE, max_charge_current=99.0),
    "the BMS asks for less voltage": replace(BEFORE, max_battery_voltage=55.9),
    "a limit is not known any more": replace(BEFORE, max_discharge_current=None),
    "a cell is not known any more": with_cell(None),
    "no cell is known any more": replace(BEFORE, cell_voltages=()),
    "a cell has left the list": replace(BEFORE, cell_voltages=BEFORE.cell_voltages[:-1]),
    "a sensor has left the list": replace(BEFORE, temperatures=(20.0,)),
    "a sensor is broken": replace(BEFORE, temperatures=(20.0, None)),
    "the MOSFET's sensor is broken": replace(BEFORE, mosfet_temperature=None),
    "the current is not known any more": replace(BEFORE, current=None),
    "a value was rejected": replace(BEFORE, rejected={"voltage": "cannot be"}),
    "a cell jumps up": with_cell(max(v for v in BEFORE.cell_voltages if v is not None) + 0.021),
    "a cell falls": with_cell(min(v for v in BEFORE.cell_voltages if v is not None) - 0.021),
    "a sensor jumps": replace(BEFORE, temperatures=(20.0, 45.0)),
    "the MOSFETs get hot": replace(BEFORE, mosfet_temperature=80.0),
    "the SoC is another": replace(BEFORE, soc=3.0),
    "its share is another": replace(BEFORE, capacity=(BEFORE.capacity or 0.0) - 6.0),
    "the pack falls": replace(BEFORE, voltage=(BEFORE.voltage or 0.0) - 1.0),
}
PATIENT = {
    "nothing changed": BEFORE,
    "an alarm ends": replace(BEFORE, alarms={"low_soc": 0, "high_voltage": 0}),
    "the BMS allows more": replace(BEFORE, max_charge_current=110.0, max_battery_voltage=57.0),
    "flow and SoC move": replace(BEFORE, current=80.0, voltage=53.0, soc=59.0),
    "a cell rises as cells do": with_cell(max(v for v in BEFORE.cell_voltages if v is not None) + 0.005),
    "it gets warmer": replace(BEFORE, temperatures=(20.5, 21.5), mosfet_temperature=26.0),
}


@pytest.mark.parametrize("after", URGENT.values(), ids=URGENT)
def test_what_forbids_something_does_not_wait(after: Reading) -> None:
    assert urgent(BEFORE, after)


@pytest.mark.parametrize("after", PATIENT.values(), ids=PATIENT)
def test_the_rest_waits_for_the_others(after: Reading) -> None:
    assert not urgent(BEFORE, after)


def test_another_cell_that_is_lost_does_not_wait_either() -> None:
    first = with_cell(None)
    assert urgent(first, replace(first, cell_voltages=(None, None, *first.cell_voltages[2:])))
    assert not urgent(first, first)


def test_a_cell_is_watched_where_the_bms_tells_only_the_highest() -> None:
    before = replace(BEFORE, cell_voltages=(), highest_cell_voltage=3.40)
    assert urgent(before, replace(before, highest_cell_voltage=3.45))


def test_the_first_reading_does_not_wait() -> None:
    assert urgent(None, BEFORE)
