"""Averages, times and history.  Sheet: limits.md 5.1, chapters 6 and 7."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import evaluate, history
from gateway.limits.flow import Window, average, flowed, time_to_go, times_to
from gateway.limits.history import History
from gateway.model import Extreme
from tests.limits.play import Play, cells, settings
from tests.make import bank


def averaged(parts: list[tuple[float | None, float]], dt: float) -> tuple[float | None, Window]:
    """The average after currents [A] flowed for so many seconds each."""
    window, now, current = Window(), 0.0, None
    for current, seconds in parts:
        for _ in range(round(seconds / dt)):
            now += dt
            window = flowed(window, current, now, dt)
    return average(window, current, now), window


@pytest.mark.parametrize("dt", [0.1, 1.0, 2.0, 7.0])
def test_q11_the_average_is_weighted_by_time_whatever_the_pace(dt: float) -> None:
    found, window = averaged([(10.0, 1000), (-20.0, 150)], dt)
    assert found == pytest.approx(-5.0, abs=0.8)
    found, window = averaged([(10.0, 1000), (-20.0, 330)], dt)
    assert found == pytest.approx(-20.0)
    assert len(window.slices) <= 31


def test_no_current_no_average() -> None:
    assert averaged([(10.0, 100), (None, 5)], 1.0)[0] is None
    assert averaged([], 1.0)[0] is None


@given(st.lists(st.tuples(st.floats(-300, 300), st.floats(0.05, 30)), min_size=1, max_size=80))
def test_the_average_lies_between_the_least_and_the_most(parts: list[tuple[float, float]]) -> None:
    window, now = Window(), 0.0
    for current, seconds in parts:
        now += seconds
        window = flowed(window, current, now, seconds)
        found = average(window, current, now)
        assert found is not None
        assert min(c for c, _ in parts) - 1e-6 <= found <= max(c for c, _ in parts) + 1e-6


def test_chapter_6_worked_example() -> None:
    assert time_to_go(70.0, 280.0, -14.0, 20.0) == 36000
    assert time_to_go(70.0, 280.0, 14.0, 20.0) == 21600
    assert times_to((10.0, 60.0, 90.0), 70.0, 280.0, -14.0) == {10.0: 43200, 60.0: 7200, 90.0: None}
    assert times_to((10.0, 60.0, 90.0), 70.0, 280.0, 14.0) == {10.0: None, 60.0: None, 90.0: 14400}


@pytest.mark.parametrize(
    ("soc", "capacity", "current"),
    [(70.0, 280.0, -0.1), (70.0, 280.0, 0.0), (15.0, 280.0, -5.0), (100.0, 280.0, 5.0), (None, 280.0, -5.0),
     (70.0, None, -5.0), (70.0, 280.0, None), (70.0, 0.0, -5.0)],
)  # fmt: skip
def test_chapter_6_no_time_where_there_is_none(
    soc: float | None, capacity: float | None, current: float | None
) -> None:
    assert time_to_go(soc, capacity, current, 20.0) is None


def test_times_are_worked_out_every_60_s() -> None:
    play = Play(settings(time_to_go={"points": [50]})).set(current=-14.0, soc=70.0)
    play.look()
    assert play.memory.time_to_go == 36000
    assert play.memory.time_to_soc == {50.0: 14400}
    play.set(soc=60.0).run(30)
    assert play.memory.time_to_go == 36000
    play.run(31)
    assert play.memory.time_to_go == 28800
    assert play.memory.current_average == -14.0


def test_time_to_go_can_be_off() -> None:
    play = Play(settings(time_to_go={"enabled": False})).set(current=-14.0)
    play.run(100)
    assert play.memory.time_to_go is None


# ---- 7


def test_history_counts_what_flows() -> None:
    play = Play().set(current=28.0, voltage=53.0)
    play.run(3600, dt=5)
    play.set(current=-14.0).run(7200, dt=5)
    lived = play.memory.history
    start = 42 * 280.0  # cycles the BMS told
    assert lived.total_ah_drawn - start == pytest.approx(28.0, abs=0.1)
    assert lived.charged_energy - start * 54.0 / 1000 == pytest.approx(28 * 0.053, abs=0.01)
    assert lived.discharged_energy - start * 54.0 / 1000 == pytest.approx(28 * 0.053, abs=0.01)
    assert lived.last_discharge == pytest.approx(28.0, abs=1.0), "since the average turned negative"
    assert (lived.deep_discharges, lived.average_discharge) == (1, pytest.approx(start + 28, abs=0.1))
    assert lived.deepest_discharge == 112.0


def test_history_of_each_step_is_what_flowed_in_it() -> None:
    drawn = History()
    for n in (1, 2):
        drawn = history.lived(drawn, bank(voltage=50.0), -36.0, -36.0, 50.0, 10.0, None)
        assert (drawn.total_ah_drawn, drawn.last_discharge) == pytest.approx((n * 0.1, n * 0.1))
        assert (drawn.charged_energy, drawn.discharged_energy) == pytest.approx((0.0, n * 0.005))
    charged = history.lived(drawn, bank(voltage=50.0), 72.0, 72.0, 50.0, 10.0, None)
    assert (charged.total_ah_drawn, charged.last_discharge) == (drawn.total_ah_drawn, drawn.last_discharge)
    assert (charged.charged_energy, charged.discharged_energy) == pytest.approx((0.01, 0.01))
    again = history.lived(charged, bank(voltage=50.0), -36.0, -36.0, 50.0, 10.0, None)
    assert again.last_discharge == pytest.approx(0.1), "a new discharge"


@pytest.mark.parametrize(("seconds", "ah"), [(-1.0, 0.0), (0.0, 0.0), (0.5, 0.005), (10.0, 0.1), (10.1, 0.0)])
def test_history_counts_short_steps_and_no_gaps(seconds: float, ah: float) -> None:
    assert history.lived(History(), bank(), -36.0, -36.0, 50.0, seconds, None).total_ah_drawn == pytest.approx(ah)


def test_what_is_not_known_moves_no_counter() -> None:
    kept = History(discharging=True, last_discharge=3.0)
    still = history.lived(kept, bank(current=None), None, None, None, 10.0, None)
    assert (still.last_discharge, still.charged_energy, still.discharged_energy) == (3.0, 0.0, 0.0)
    dark = history.lived(kept, bank(voltage=None), -36.0, -36.0, 50.0, 10.0, None)
    assert (dark.total_ah_drawn, dark.discharged_energy) == (pytest.approx(0.1), 0.0)


@pytest.mark.parametrize(("full_at", "last", "syncs"), [(None, 5.0, 2), (1000.0, 1000.0, 3)])
def test_a_full_charge_has_its_date(full_at: float | None, last: float, syncs: int) -> None:
    lived = history.lived(History(last_full_charge=5.0, automatic_syncs=2), bank(), 1.0, 1.0, 99.0, 1.0, full_at)
    assert (lived.last_full_charge, lived.automatic_syncs) == (last, syncs)


def test_a_new_battery_has_no_history() -> None:
    assert {name: value for name, value in History().persisted().items() if value} == {"empty_armed": True}


def test_a_discharge_beyond_a_twentieth_of_the_capacity_counts_once() -> None:
    lived, seen = History(discharging=True, last_discharge=4.75), []
    for _ in range(4):
        lived = history.lived(lived, bank(capacity=100.0), -36.0, -36.0, 50.0, 10.0, None)
        seen.append((round(lived.last_discharge, 2), lived.deep_discharges))
    assert seen == [(4.85, 0), (4.95, 0), (5.05, 1), (5.15, 1)]
    assert History(total_ah_drawn=560.0, deep_discharges=2).average_discharge == 280.0
    assert History().average_discharge is None


def test_last_discharge_is_frozen_while_charging_and_begins_anew() -> None:
    play = Play().set(current=-28.0)
    play.run(1800, dt=5)
    first = play.memory.history.last_discharge
    play.set(current=28.0).run(1800, dt=5)
    assert play.memory.history.last_discharge == pytest.approx(first, abs=2.0)
    frozen = play.memory.history.last_discharge
    play.run(600, dt=5)
    assert play.memory.history.last_discharge == frozen
    play.set(current=-280.0).run(60, dt=5)
    assert play.memory.history.last_discharge < 5.0


def test_a_gap_counts_nothing() -> None:
    play = Play().set(current=-100.0)
    play.look()
    before = play.memory.history.total_ah_drawn
    play.now += 7200
    play.look()
    assert play.memory.history.total_ah_drawn == before


def test_full_discharges_count_once_until_above_15_percent() -> None:
    play, seen = Play(), []
    for soc in (0.5, 0.0, 0.0, 3.0, 0.0, 15.0, 0.0, 15.1, 0.0):
        play.set(soc=soc).run(2)
        seen.append(play.memory.history.full_discharges)
    assert seen == [0, 1, 1, 1, 1, 1, 1, 1, 2]


def test_q15_alarm_edges_are_counted() -> None:
    play = Play()
    for level in (0, 1, 2, 0, 1, 0):
        play.set(alarms={"high_cell_voltage": level, "low_voltage": 0}).run(2)
    assert (play.memory.history.high_voltage_alarms, play.memory.history.low_voltage_alarms) == (2, 0)


def test_extremes_are_kept() -> None:
    play = Play()
    play.set(cell_voltages=cells(3.3, 3.1), temperatures=(5.0, 30.0)).run(1)
    play.set(cell_voltages=cells(3.3, 3.4), temperatures=(15.0, 40.0)).run(1)
    lived = play.memory.history
    assert (lived.minimum_cell_voltage, lived.maximum_cell_voltage) == (3.1, 3.4)
    assert (lived.minimum_temperature, lived.maximum_temperature) == (5.0, 40.0)
    assert lived.minimum_voltage == pytest.approx(52.6)


def test_charge_cycles_are_the_bms_own_or_what_was_drawn() -> None:
    assert history.charge_cycles(History(total_ah_drawn=560.0), bank()) == 42
    assert history.charge_cycles(History(total_ah_drawn=560.0), bank(charge_cycles=None)) == 2.0
    assert history.charge_cycles(History(), bank(charge_cycles=None, capacity=None)) is None


def test_the_last_full_charge_is_told_by_the_clock_on_the_wall() -> None:
    assert history.figures(History(last_full_charge=1000.0), bank(), ahead=50.0).last_full_charge == 1050.0
    assert history.figures(History(), bank(), ahead=50.0).last_full_charge is None, "never"


def test_history_can_be_cleared_by_groups() -> None:
    full = History(True, 10, 11, 12, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert history.cleared(full, 1) == History(begun=True)
    assert history.cleared(full, 5) == replace(full, low_voltage_alarms=0, high_voltage_alarms=0)
    assert history.cleared(full, 3).minimum_voltage is None
    assert history.cleared(full, 2).total_ah_drawn == 0 == history.cleared(full, 7).charged_energy


def test_a_group_clears_what_its_name_says_and_all_are_the_whole() -> None:
    full = History(True, 10, 11, 12, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    of = {"capacity": "total_ah_drawn", "voltages": "minimum_cell_voltage", "time": "last_full_charge",
          "alarms": "low_voltage_alarms", "temperature": "maximum_temperature", "energy": "charged_energy"}  # fmt: skip
    groups = {name: number for number, name in history.GROUPS.items()}
    assert groups.keys() == {"all", *of}
    for name, field in of.items():
        left = history.cleared(full, groups[name])
        assert not getattr(left, field) and all(getattr(left, f) for n, f in of.items() if n != name)
    assert history.cleared(full, groups["all"]) == History(begun=True)


def test_history_survives_a_restart_and_does_not_begin_twice() -> None:
    play = Play().set(current=-28.0)
    play.run(100)
    lived = play.memory.history
    play.restart().set(current=0.0).run(5)
    assert play.memory.history.total_ah_drawn == pytest.approx(lived.total_ah_drawn)


def test_history_can_be_off() -> None:
    play = Play(settings(history=False)).set(current=-28.0)
    play.run(100)
    assert play.memory.history == History()


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(History.__dataclass_fields__)), JUNK) | JUNK)
def test_junk_never_becomes_history(data: object) -> None:
    found = History.restore(data)
    lived = history.lived(found, bank(), -10.0, -10.0, 50.0, 1.0, False)
    assert math.isfinite(lived.total_ah_drawn) and lived.total_ah_drawn >= 0
    assert History.restore(lived.persisted()) == lived


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1e9, "1", True, None, []])
def test_what_is_absurd_of_a_history_is_left_at_its_start(value: object) -> None:
    assert History.restore({"total_ah_drawn": value, "full_discharges": value}) == History()


def test_what_can_be_of_a_history_is_kept() -> None:
    said = {"total_ah_drawn": 12.5, "full_discharges": 3, "minimum_temperature": -39.5, "was_low": True}
    assert History.restore(said) == History(
        total_ah_drawn=12.5, full_discharges=3, minimum_temperature=-39.5, was_low=True
    )
    assert History.restore({"full_discharges": 1.5, "minimum_temperature": -1.1e9}) == History()


def test_a_history_begins_once_and_only_when_the_capacity_is_known() -> None:
    begun = history.begun(History(), bank(), 54.0)
    assert (begun.begun, begun.total_ah_drawn, begun.charged_energy) == (True, 42 * 280.0, 42 * 280.0 * 0.054)
    assert history.begun(begun, bank(charge_cycles=99), 54.0) is begun
    assert history.begun(History(), bank(capacity=None), 54.0) == History()
    fresh = history.begun(History(), bank(charge_cycles=None), None)
    assert fresh == History(begun=True), "nothing is made up"
    assert history.begun(History(), bank(), None).charged_energy == 0.0
    lived = History(total_ah_drawn=50000.0, charged_energy=1.0, discharged_energy=2000.0)
    kept = history.begun(lived, bank(), 54.0)
    assert (kept.total_ah_drawn, kept.discharged_energy) == (50000.0, 2000.0), "never less than was counted"


def test_extreme_values_have_their_place() -> None:
    lived = history.lived(History(), bank(min_cell=Extreme(2.0, "a:1")), 0.0, 0.0, 50.0, 1.0, True)
    assert (lived.minimum_cell_voltage, lived.automatic_syncs) == (2.0, 1)


def test_chapter_6_the_floor_of_ess_replaces_the_low_soc_warning() -> None:
    play = Play().set(current=-14.0, soc=70.0, capacity=280.0)
    floored = replace(play.bank(), discharge_floor=45.0)
    _, memory = evaluate(floored, play.site, play.memory, play.now, play.wall)
    assert memory.time_to_go == 5 * 3600


def test_the_least_current_charges_and_the_least_draw_discharges() -> None:
    assert time_to_go(50.0, 100.0, 0.5, 20.0) == 360_000
    assert time_to_go(50.0, 100.0, -0.5, 20.0) == 216_000
