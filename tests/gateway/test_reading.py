"""What follows from a reading."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Reading, worst
from gateway.model.fact import fact
from gateway.model.records import replace

VOLTS = st.none() | st.floats(0.0, 5.0)
LISTS = st.lists(VOLTS, max_size=4).map(tuple) | st.lists(st.floats(0.0, 5.0), max_size=4).map(tuple)


@given(cells=LISTS, low=VOLTS, high=VOLTS, sensors=LISTS)
def test_extremes_are_of_what_is_known(
    cells: tuple[float | None, ...], low: float | None, high: float | None, sensors: tuple[float | None, ...]
) -> None:
    told = Reading(cell_voltages=cells, lowest_cell_voltage=low, highest_cell_voltage=high, temperatures=sensors)
    known, warm = [v for v in cells if v is not None], [t for t in sensors if t is not None]
    whole = bool(known) and known == list(cells)
    assert told.cells_sum == (sum(known) if whole else None)
    assert told.min_cell == min([*known, *([] if whole or low is None else [low])], default=None)
    assert told.max_cell == max([*known, *([] if whole or high is None else [high])], default=None)
    assert (told.coldest, told.hottest) == (min(warm, default=None), max(warm, default=None))


def test_a_fact_is_worked_out_when_it_is_asked_for_and_once() -> None:
    class Record:
        asked = 0

        @fact
        def double(self) -> int:
            """What a reader sees."""
            self.asked += 1
            return 2 * self.asked

    record = Record()
    assert (record.asked, record.double, record.double, record.asked) == (0, 2, 2, 1)
    assert Record.double.__doc__ == "What a reader sees."


def test_a_changed_reading_works_its_facts_out_anew_and_one_that_was_asked_is_the_same() -> None:
    told = Reading(voltage=50.0, current=2.0)
    assert told.power == 100.0
    assert replace(told, current=3.0).power == 150.0
    assert told == Reading(voltage=50.0, current=2.0)


def test_of_several_sets_of_alarms_each_is_as_high_as_in_any() -> None:
    told = ({"low_soc": 2, "high_voltage": 0}, {"low_soc": 1, "short_circuit": 1}, {})
    assert worst(told) == worst(reversed(told)) == {"low_soc": 2, "high_voltage": 0, "short_circuit": 1}
