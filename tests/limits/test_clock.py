"""Wall clocks that lie, and restarts: no jump of a clock starts anything, and no restart loosens.

A board without a clock battery starts in 1970 or where it stopped, and is set right later.  Sheet: limits.md 3.7, 12.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.limits import Memory
from gateway.limits.calendar import SETTLE
from gateway.limits.history import figures
from tests.limits.play import WALL, WIDE, Play, cells, settings
from tests.limits.test_laws import CELL, CELLS, banks, near

DAY = 86400.0
BOOT = 120.0  # s since the epoch, of a board without a clock battery
HIGHER = settings(
    soc_reset={"after_days": 15, "cell_voltage": 3.62},
    by_cell_voltage={"charge": {"points": [3.5, 3.6, 3.63, 3.65], "fractions": [1, 0.5, 0.05, 0]}},
)
FULL_EVERY_WEEK = settings(**WIDE, rebulk={"soc": None, "days": 7})


def reached(days_ago: float, limits: Any = HIGHER, **more: Any) -> Play:
    """A gateway that ran until WALL and reached the higher voltage some days before."""
    known = {"date": WALL, "soc_reset_last_reached": WALL - days_ago * DAY, "first_start": WALL - 100 * DAY}
    return Play(limits, memory=Memory.restore({**known, **more}, 100.0, WALL))


# ---- a clock that is behind


@pytest.mark.parametrize("wall", [BOOT, WALL - 30 * DAY, WALL - 1])
def test_a_stored_date_in_the_future_is_kept_and_starts_nothing(wall: float) -> None:
    play = reached(1)
    stored = play.look() and play.memory.persisted()
    play.wall = wall
    play.memory = Memory.restore(stored, 5.0, wall)
    assert not play.run(2 * SETTLE, dt=60).soc_reset
    assert play.memory.persisted()["soc_reset_last_reached"] == WALL - DAY


def test_a_file_that_knows_no_date_goes_on_at_its_latest() -> None:
    """As an earlier version wrote it, read with a clock that is behind."""
    memory = Memory.restore({"soc_reset_last_reached": WALL - DAY, "last_full": WALL}, 5.0, BOOT)
    play = Play(HIGHER, memory=memory, wall=BOOT)
    assert not play.run(2 * SETTLE, dt=60).soc_reset
    assert play.memory.reset_reached == WALL - DAY


def test_while_the_clock_is_behind_days_are_counted_by_running() -> None:
    play = reached(14).restart()
    play.wall = BOOT
    assert not play.run(0.99 * DAY, dt=600).soc_reset
    assert play.run(0.02 * DAY, dt=600).soc_reset


def test_a_clock_that_is_set_right_later_tells_how_long_the_gateway_was_off() -> None:
    play = reached(10)
    play.look()
    play.restart()
    play.wall = BOOT
    play.run(1800, dt=60)
    play.wall = WALL + 6 * DAY
    assert not play.run(SETTLE - 60, dt=60).soc_reset, "not before it has run steadily"
    assert play.run(120, dt=60).soc_reset


def test_what_happened_while_the_clock_was_wrong_moves_with_it() -> None:
    """Its first day is 1970; then it is set right: nothing is 56 years ago."""
    play = Play(settings(**WIDE, rebulk={"soc": None, "days": 7}, absorption={"time": 60}), wall=BOOT)
    play.set(cell_voltages=cells(3.452), soc=97.0).run(120)
    assert play.decision is not None and play.decision.charge_mode == "float_transition"
    play.run(3600, dt=20)
    play.wall = WALL
    assert play.run(2 * SETTLE, dt=30).charge_mode == "float"
    assert play.memory.last_full == pytest.approx(WALL - 3600, abs=90)
    assert play.memory.history.last_full_charge == play.memory.last_full
    play.restart(down=60)
    assert play.run(2 * SETTLE, dt=30).charge_mode == "float"


def test_a_run_that_never_had_a_right_clock_is_of_unknown_age() -> None:
    """Stored in 1970, read in the present: how long it was off nobody knows, so it counts as not at all."""
    play = Play(HIGHER, wall=BOOT, memory=Memory.restore({"date": 90.0, "soc_reset_last_reached": 50.0}, 5.0, BOOT))
    play.run(600, dt=60)
    play.restart()
    play.wall = WALL
    assert not play.run(14 * DAY, dt=3600).soc_reset
    assert play.run(2 * DAY, dt=3600).soc_reset


# ---- a clock that jumps ahead


@pytest.mark.parametrize("jump", [400 * DAY, 20 * 365 * DAY, -400 * DAY, 3600.0])
def test_a_jump_of_a_running_clock_starts_nothing_ever(jump: float) -> None:
    play = reached(1)
    play.run(2 * SETTLE, dt=600)
    play.wall += jump
    assert not play.run(5 * DAY, dt=3600).soc_reset
    assert play.run(10 * DAY, dt=3600).soc_reset, "and is in nobody's way"


def test_a_machine_that_was_off_for_long_is_due_but_not_at_the_first_second() -> None:
    play = reached(1)
    play.look()
    play.restart(down=400 * DAY)
    assert not play.look().soc_reset
    assert not play.run(SETTLE - 10, dt=10).soc_reset
    assert play.run(20, dt=10).soc_reset


def test_a_clock_that_never_stands_still_is_never_believed() -> None:
    play = reached(10)
    play.look()
    play.restart(down=10 * DAY)
    for _ in range(30):
        play.run(600, dt=60)
        play.wall += 5.0
    assert play.decision is not None and not play.decision.soc_reset


def test_the_weekly_full_charge_is_due_by_the_same_date() -> None:
    full = {"last_full": WALL - 6 * DAY, "allow_max_voltage": False}
    play = reached(1, FULL_EVERY_WEEK, **full)
    play.run(2 * SETTLE, dt=600)
    play.wall += 400 * DAY
    assert play.run(0.9 * DAY, dt=600).charge_mode == "float"
    assert play.run(0.2 * DAY, dt=600).charge_mode == "bulk"
    play = reached(1, FULL_EVERY_WEEK, **full)
    play.look()
    assert play.restart(down=30 * DAY).look().charge_mode == "float"


# ---- what people are told


@pytest.mark.parametrize("jump", [0.0, 400 * DAY, -30 * DAY, BOOT - WALL])
def test_the_last_full_charge_is_told_by_the_clock_on_the_wall(jump: float) -> None:
    play = Play(settings(**WIDE, absorption={"time": 60})).set(cell_voltages=cells(3.452), soc=97.0)
    play.run(62)
    play.wall += jump
    play.run(600, dt=10)
    told = figures(play.memory.history, play.bank(), play.memory.calendar.ahead).last_full_charge
    assert told == pytest.approx(play.wall - 600)


def test_the_last_full_charge_survives_a_restart() -> None:
    play = Play(settings(**WIDE, absorption={"time": 60})).set(cell_voltages=cells(3.452), soc=97.0)
    play.run(62)
    play.restart(down=60).run(10)
    assert play.memory.history.last_full_charge == play.memory.last_full == WALL + 62


# ---- what is not known


def test_a_memory_that_cannot_be_read_is_not_a_first_start() -> None:
    assert Play(HIGHER, memory=Memory.restore({}, 100.0, WALL)).look().soc_reset, "a first start"
    forgotten = Play(HIGHER, memory=Memory.restore({}, 100.0, WALL, forgotten=True))
    assert not forgotten.look().soc_reset
    assert not forgotten.run(14 * DAY, dt=3600).soc_reset
    assert forgotten.run(2 * DAY, dt=3600).soc_reset


@pytest.mark.parametrize("stamp", ["soon", -5, 1e300, float("nan"), True, [], 10**400])
def test_an_absurd_date_of_the_last_reset_is_not_never(stamp: object) -> None:
    play = Play(HIGHER, memory=Memory.restore({"soc_reset_last_reached": stamp, "date": WALL}, 100.0, WALL))
    assert not play.run(60).soc_reset


# ---- laws

JUMPS = st.lists(
    st.tuples(
        st.sampled_from([20.0, 300.0, 1200.0, 4000.0]),  # s until the clock jumps
        st.sampled_from([400 * DAY, -400 * DAY, 3600.0, -90.0, 20 * DAY, BOOT - WALL]),
    ),
    max_size=5,
)
STORY = st.lists(st.tuples(st.sampled_from([3.20, 3.38, 3.452, 3.47]), st.sampled_from([40.0, 85.0, 97.0])), max_size=6)


@given(st.sampled_from([HIGHER, FULL_EVERY_WEEK]), near(0, 14), JUMPS, STORY)
@examples(max_examples=15, deadline=None)
def test_no_jump_of_the_wall_clock_changes_any_decision(limits: Any, days: float, jumps: Any, story: Any) -> None:
    straight = reached(days, limits, last_full=WALL - days / 2 * DAY)
    straight.run(2 * SETTLE, dt=600)
    jumping = straight.twin()
    for number, (seconds, jump) in enumerate(jumps):
        volts, soc = story[number % len(story)] if story else (3.33, 60.0)
        jumping.wall += jump
        for play in (straight, jumping):
            play.set(cell_voltages=cells(volts), soc=soc)
        assert jumping.run(seconds, dt=50) == straight.run(seconds, dt=50)


@given(st.sampled_from([HIGHER, FULL_EVERY_WEEK]), near(0, 14), JUMPS, st.booleans())
@examples(max_examples=25, deadline=None)
def test_no_clock_raises_the_charge_voltage_before_it_has_run_steadily(
    limits: Any, days: float, jumps: Any, in_float: bool
) -> None:
    play = reached(days, limits, last_full=WALL - days / 3 * DAY, allow_max_voltage=not in_float)
    before = play.look().cvl
    assert before is not None
    running = days * DAY
    for seconds, jump in jumps:
        play.restart()
        play.wall = max(1.0, play.wall + jump)
        for _ in range(3):
            found = play.run(min(seconds, SETTLE - 60) / 3, dt=200)
            running += min(seconds, SETTLE - 60) / 3
            assert running > 7 * DAY or (found.cvl is not None and found.cvl <= before)


@given(
    banks(most=2), st.lists(st.tuples(CELL, near(0, 100)), min_size=1, max_size=4), st.sampled_from([0.0, 60.0, DAY])
)
@examples(max_examples=25, deadline=None)
def test_a_restart_never_loosens_what_going_on_would_have_decided(play: Play, story: Any, down: float) -> None:
    for volts, soc in story:
        play.set(cell_voltages=cells(volts, count=CELLS), soc=soc).run(45, dt=5)
    again = play.twin().restart(down)
    for volts, soc in ((None, None), *reversed(story)):
        for one in (play, again):
            if volts is not None:
                one.set(cell_voltages=cells(volts, count=CELLS), soc=soc)
        for _ in range(4):
            going, new = play.run(7), again.run(7)
            assert new.ccl <= going.ccl + 1e-9
            assert new.dcl <= going.dcl + 1e-9
            assert new.cvl is not None and going.cvl is not None
            assert new.cvl <= going.cvl + 0.01


def test_a_restart_while_one_cell_holds_the_voltage_down_does_not_let_it_up() -> None:
    play = Play(settings(**WIDE)).set(cell_voltages=cells(3.40, 3.55))
    assert play.look().cvl == 54.45
    play.set(cell_voltages=cells(3.40)).run(10)
    assert play.restart(down=20).look().cvl == 54.45
    assert play.run(50).cvl == 54.45
    assert play.run(1200).cvl == 55.20
