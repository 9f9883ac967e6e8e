"""Several batteries as one: the laws of the bank."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bank import aggregate, join
from gateway.model import BatteryState, Health
from tests.make import battery, reading


def two(**second: object) -> list[BatteryState]:
    return [battery("a"), battery("b", of=reading(**second))]


def test_voltage_is_the_mean_and_current_the_sum() -> None:
    bank = aggregate(two(voltage=53.4, current=-5.0), complete=True)
    assert bank.voltage == pytest.approx(53.3)
    assert bank.current == pytest.approx(15.0)
    assert bank.power == pytest.approx(53.2 * 20 - 53.4 * 5)


def test_soc_is_weighted_by_capacity() -> None:
    bank = aggregate(two(soc=90.0, capacity=140.0), complete=True)
    assert bank.soc == pytest.approx((60 * 280 + 90 * 140) / 420)
    assert bank.capacity == pytest.approx(420.0)


def test_an_unknown_capacity_makes_the_total_unknown_rather_than_too_small() -> None:
    assert aggregate(two(capacity=None), complete=True).capacity is None


def test_extremes_say_where_they_were_found() -> None:
    cells = [3.3] * 16
    cells[4] = 3.61
    bank = aggregate(two(cell_voltages=tuple(cells)), complete=True)
    assert bank.max_cell is not None
    assert (bank.max_cell.value, bank.max_cell.where) == (3.61, "b:5")


def test_alarms_are_the_worst_of_all() -> None:
    bank = aggregate(two(alarms={"low_soc": 1, "high_voltage": 2}), complete=True)
    assert bank.alarms == {"high_cell_voltage": 0, "low_soc": 1, "high_voltage": 2}


def test_a_lost_member_leaves_the_sums_and_is_counted() -> None:
    states = [battery("a"), battery("b", health=Health.LOST, age=100.0)]
    bank = aggregate(states, complete=True)
    assert (bank.online, bank.offline, bank.current) == (1, 1, 20.0)
    assert bank.health is Health.ONLINE


def test_when_all_are_lost_the_flow_is_unknown_but_the_soc_stays_known() -> None:
    bank = aggregate([battery("a", health=Health.LOST, age=100.0)], complete=True)
    assert (bank.voltage, bank.current, bank.power, bank.soc) == (None, None, None, 60.0)
    assert bank.health is Health.LOST


def test_a_watched_battery_is_shown_but_does_not_count() -> None:
    bank = aggregate([battery("a"), battery("b", control=False)], complete=True)
    assert bank.current == 20.0
    assert len(bank.batteries) == 2


def test_a_returning_battery_at_another_voltage_stays_out_and_says_so() -> None:
    states = join(two(voltage=50.0), frozenset({"a"}), 1.0)
    assert [state.joined for state in states] == [True, False]
    assert "50.00 V differs from the bank's 53.20 V" in states[1].remark


def test_the_allowed_difference_is_per_sixteen_cells() -> None:
    eight = {"voltage": 26.4, "cell_voltages": (3.3,) * 8}
    states = [battery("a", of=reading(**eight)), battery("b", of=reading(**{**eight, "voltage": 27.0}))]
    assert [s.joined for s in join(states, frozenset({"a"}), 1.0)] == [True, False]


def test_a_member_that_stayed_is_not_thrown_out_by_its_voltage() -> None:
    states = join(two(voltage=50.0), frozenset({"a", "b"}), 1.0)
    assert all(state.joined for state in states)


@given(st.lists(st.floats(40.0, 58.0), min_size=1, max_size=6), st.randoms())
def test_the_order_of_members_is_irrelevant(voltages: list[float], rng: random.Random) -> None:
    states = [battery(f"b{n}", of=reading(voltage=v, current=v - 48)) for n, v in enumerate(voltages)]
    shuffled = list(states)
    rng.shuffle(shuffled)
    one, other = (join(list(s), frozenset(), 1.0) for s in (states, shuffled))
    assert {s.name: s.joined for s in one} == {s.name: s.joined for s in other}
    first, second = aggregate(one, complete=True), aggregate(other, complete=True)
    assert first.current == pytest.approx(second.current, abs=1e-9)
    assert (first.voltage is None) == (second.voltage is None)


def test_a_battery_that_never_answered_does_not_hide_the_others() -> None:
    bank = aggregate(
        [battery("a"), replace(battery("b"), reading=None, age=None, health=Health.STARTING)], complete=True
    )
    assert bank.soc == 60.0
    assert bank.health is Health.ONLINE
