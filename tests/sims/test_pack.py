"""A pack's own laws, whatever happens to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.sims.pack import Pack, rest_voltage


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 1000),
    soc=st.floats(0, 100),
    currents=st.lists(st.floats(-500, 500), min_size=1, max_size=5),
    minutes=st.floats(0, 120),
)
def test_nothing_leaves_its_range(seed: int, soc: float, currents: list[float], minutes: float) -> None:
    pack = Pack.of(seed, soc=soc)
    for current in currents:
        pack.current = current
        pack.advance(minutes * 60)
        assert 0 <= pack.soc <= 101
        assert all(2.0 <= volts <= 4.5 for volts in pack.cells)
        assert pack.voltage == pytest.approx(sum(pack.cells))
        assert all(0 < t < 50 for t in pack.temperatures)


def test_the_same_seed_lives_the_same_life() -> None:
    lives = []
    for _ in range(2):
        pack = Pack.of(5, current=30.0)
        pack.advance(1234.5)
        lives.append((pack.cells, pack.temperatures, pack.soc))
    assert lives[0] == lives[1]


def test_other_seeds_are_other_packs() -> None:
    assert Pack.of(5).cells != Pack.of(6).cells


def test_charging_lifts_the_voltage_at_once_and_discharging_lowers_it() -> None:
    shown = {}
    for current in (-100.0, 0.0, 100.0):
        shown[current] = Pack.of(1, current=current).voltage
    assert shown[-100.0] < shown[0.0] - 0.5
    assert shown[100.0] > shown[0.0] + 0.5


def test_the_ends_of_the_curve_are_steep_and_its_middle_is_flat() -> None:
    middle = rest_voltage(60) - rest_voltage(40)
    assert rest_voltage(100) - rest_voltage(95) > 4 * middle
    assert rest_voltage(8) - rest_voltage(0) > 4 * middle


def test_an_open_discharge_switch_lets_charge_through() -> None:
    pack = Pack.of(1, current=20.0)
    pack.discharge_switch = False
    assert pack.flow == 20.0
    pack.current = -20.0
    assert pack.flow == 0.0


def test_balancing_pulls_the_cells_together_near_the_top() -> None:
    pack = Pack.of(2, soc=99.0, current=0.0)
    pack.charges[3] = 100.0
    pack.advance(0)
    before = max(pack.charges) - min(pack.charges)
    pack.advance(600)
    assert pack.balancing
    assert max(pack.charges) - min(pack.charges) < before
    pack.balance_switch = False
    pack.advance(1)
    assert not pack.balancing


def test_a_slow_day_charges_in_its_first_half_and_discharges_in_its_second() -> None:
    pack = Pack.of(1, current=5.0, profile="sine", speed=3600.0)
    pack.advance(6)
    assert pack.flow == pytest.approx(5.0, abs=0.1)
    pack.advance(12)
    assert pack.flow == pytest.approx(-5.0, abs=0.1)


def test_speed_makes_time_run() -> None:
    slow, fast = Pack.of(1, current=36.0), Pack.of(1, current=36.0, speed=60.0)
    slow.advance(60)
    fast.advance(1)
    assert fast.soc == pytest.approx(slow.soc, abs=0.001)


def test_a_cell_that_is_held_shows_what_it_is_told() -> None:
    pack = Pack.of(1)
    pack.held_cells[2] = 3.61
    pack.advance(100)
    assert pack.cells[2] == 3.61
    del pack.held_cells[2]
    pack.advance(1)
    assert pack.cells[2] < 3.4


def test_setting_the_soc_moves_all_cells() -> None:
    pack = Pack.of(1, soc=80.0)
    pack.soc = 12.0
    assert pack.soc == pytest.approx(12.0)
    assert max(pack.cells) < 3.25
