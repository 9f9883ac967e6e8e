"""Loss of the BMS, by the table of limits.md 8.2, and the way back."""

import pytest

from gateway.model import Decision
from tests.limits.play import Play, cells, settings
from tests.make import reading

SAFE, UNSAFE = cells(3.30), cells(3.40)


def lost(block: bool, volts: tuple[float, ...], **more: object) -> Play:
    """A battery that has worked for a while and now falls silent."""
    play = Play(settings(on_loss={"block": block, **more}), {"a": reading(cell_voltages=volts, voltage=sum(volts))})
    play.run(60)
    return play.silence()


def shown(found: Decision) -> tuple[bool, bool, int]:
    """Blocked (0 A and no permission, both ways)? Charge voltage float? Cable alarm."""
    blocked = (found.ccl, found.dcl, found.allow_charge, found.allow_discharge) == (0.0, 0.0, False, False)
    return blocked, found.cvl == 54.00, found.alarms["bms_cable"]


TABLE = {  # age s -> blocked, float, cable: block / safe / not safe; line by line
    9: [(False, False, 0), (False, False, 0), (False, False, 0)],
    10: [(True, True, 0), (False, True, 0), (False, True, 0)],
    59: [(True, True, 0), (False, True, 0), (False, True, 0)],
    60: [(True, True, 2), (False, True, 1), (True, True, 2)],
    1799: [(True, True, 2), (False, True, 1), (True, True, 2)],
    1800: [(True, True, 2), (True, True, 2), (True, True, 2)],
}


@pytest.mark.parametrize("age", TABLE)
def test_chapter_8_2_table(age: int) -> None:
    for column, (block, volts) in enumerate(((True, SAFE), (False, SAFE), (False, UNSAFE))):
        found = lost(block, volts).run(age)
        assert shown(found) == TABLE[age][column], (block, volts[0])


def test_blocked_since_is_when_it_was_blocked() -> None:
    play = lost(True, SAFE)
    assert play.run(9).blocked_since is None
    since = play.run(1).blocked_since
    assert since == play.now
    assert play.run(100).blocked_since == since
    assert play.answer().run(5).blocked_since is None


@pytest.mark.parametrize("edge", [3.225, 3.375])
def test_the_safe_range_is_strict(edge: float) -> None:
    assert shown(lost(False, cells(edge)).run(60))[0]


def test_the_safe_range_is_never_wider_than_the_batterys_own() -> None:
    wide = {"cell_voltage_min": 2.0, "cell_voltage_max": 4.0}
    assert shown(lost(False, cells(3.46), **wide).run(60))[0]
    assert shown(lost(False, cells(2.85), **wide).run(60))[0]


def test_a_range_without_inside_blocks() -> None:
    assert shown(lost(False, SAFE, cell_voltage_min=3.35, cell_voltage_max=3.30).run(10))[0]


def test_an_unknown_cell_is_not_safe() -> None:
    play = Play(batteries={"a": reading(cell_voltages=(None, *SAFE[1:]))})
    play.run(5)
    assert shown(play.silence().run(60))[0]


def test_silent_limits_never_rise() -> None:
    play = Play()
    play.set(temperatures=(56.0, 25.0), cell_voltages=SAFE).run(5)
    play.set(temperatures=(30.0, 25.0)).run(31)  # about to rise
    ccl = play.decision.ccl  # type: ignore[union-attr]
    play.silence()
    play.run(10)
    highest = play.decision.ccl  # type: ignore[union-attr]
    assert play.run(300).ccl == highest
    assert highest <= ccl + 10 * 5


def test_recovery_wants_three_good_reads_then_hold_and_ramp() -> None:
    play = lost(True, SAFE)
    play.run(100)
    play.answer()
    found = play.run(2)
    assert shown(found) == (True, True, 1)
    assert found.waiting[0] == "a: answers again, 1 more good read wanted"
    found = play.run(1)
    assert (found.ccl, found.cvl, found.alarms["bms_cable"]) == (0.0, 55.2, 0)
    assert play.run(30).ccl == 0.0
    assert play.run(2).ccl == 10.0
    assert play.run(20).ccl == 50.0


def test_a_lone_good_read_between_failures_resets_the_age_but_ends_no_loss() -> None:
    play = lost(False, UNSAFE)
    for _ in range(20):
        play.run(9)
        found = play.answer().run(1)
        assert not shown(found)[0]
        play.silence()
    play.run(61)
    for _ in range(10):
        assert shown(play.answer().run(1))[0]
        assert shown(play.silence().run(1))[0]


def test_the_first_good_read_may_tighten_at_once() -> None:
    play = lost(False, SAFE)
    play.run(30)
    found = play.answer().set(temperatures=(52.5, 25.0)).run(1)
    assert found.ccl == 6.25
    assert play.set(charge_allowed=False).run(1).ccl == 0.0


def test_the_alarm_can_be_off() -> None:
    assert lost(True, SAFE, alarm=False).run(100).alarms["bms_cable"] == 0


@pytest.mark.parametrize("alarm", [True, False])
def test_a_flaky_link_is_an_information_that_blocks_nothing(alarm: bool) -> None:
    from dataclasses import replace

    from gateway.bank import aggregate
    from gateway.limits import evaluate

    play = Play(settings(on_loss={"alarm": alarm}))
    play.look()
    states = [replace(state, flaky=True) for state in play.bank().batteries]
    found, _ = evaluate(aggregate(states, complete=True), play.site, play.memory, play.now + 1, play.wall + 1)
    assert (found.alarms["bms_cable"], found.ccl) == (int(alarm), 50.0)


def test_a_bms_that_was_never_seen_gives_nothing_and_crashes_nothing() -> None:
    from gateway.bank import aggregate
    from gateway.limits import evaluate
    from gateway.model import BatteryState

    play = Play()
    bank = aggregate([BatteryState(name="a")], complete=False)
    found, memory = evaluate(bank, play.site, play.memory, play.now, play.wall)
    assert (found.cvl, found.ccl, found.dcl, found.allow_charge) == (None, 0.0, 0.0, False)
    assert found.blocked_since is None
    found, _ = evaluate(aggregate([], complete=False), play.site, memory, play.now + 1, play.wall + 1)
    assert found.ccl_reason == ("no_battery",)


def test_a_watched_battery_has_no_say() -> None:
    from dataclasses import replace

    from gateway.bank import aggregate
    from gateway.limits import evaluate

    play = Play(batteries={"a": reading(), "b": reading(temperatures=(60.0, 25.0))})
    states = [replace(state, control=state.name == "a") for state in play.bank().batteries]
    found, _ = evaluate(aggregate(states, complete=True), play.site, play.memory, play.now, play.wall)
    assert (found.ccl, found.alarms["bms_cable"]) == (50.0, 0)


@pytest.mark.parametrize("reads", [1, 2])
def test_cells_are_judged_anew_each_time_it_falls_silent(reads: int) -> None:
    """Silent with safe cells, then one or two good reads with unsafe ones: at 60 s it is stopped."""
    play = lost(False, SAFE)
    assert not shown(play.run(100))[0]
    play.answer().set(cell_voltages=UNSAFE).run(reads)
    play.silence().run(59)
    assert play.decision is not None and not shown(play.decision)[0]
    assert shown(play.run(1)) == (True, True, 2)
    assert play.decision.waiting[0] == "a: silent for 60 s, its cells were not between 3.225 and 3.375 V"


def test_and_the_other_way_round() -> None:
    play = lost(False, UNSAFE)
    play.run(30)
    play.answer().set(cell_voltages=SAFE).run(1)
    assert shown(play.silence().run(120)) == (False, True, 1)


def test_what_it_wanted_in_a_lone_good_read_stays_when_it_falls_silent_again() -> None:
    play = Play(batteries={"a": reading(), "b": reading()})
    play.run(5)
    play.silence("b").run(70)
    assert play.decision is not None and play.decision.ccl == 50.0
    assert play.answer("b").set("b", temperatures=(58.0, 25.0)).run(1).ccl == 0.0
    assert play.silence("b").run(300).ccl == 0.0, "it may still be connected, and hot"


def test_a_shorter_list_of_cells_is_not_safe() -> None:
    play = Play(batteries={"a": reading(cell_voltages=SAFE)})
    play.run(5)
    play.set(cell_voltages=SAFE[:15]).run(5)
    assert shown(play.silence().run(60)) == (True, True, 2)


def test_data_that_were_missing_when_it_fell_silent_stop_it_after_60_s_too() -> None:
    play = Play(batteries={"a": reading(cell_voltages=SAFE)})
    play.run(5)
    play.set(temperatures=(24.5,)).run(20)
    assert play.silence().run(40).ccl == 50.0
    assert play.run(2).ccl == 0.0


# ---- another device behind the same port


def test_what_comes_back_after_a_loss_is_taken_as_it_is_now() -> None:
    """Never blocked for ever: with its third good read 15 cells and one sensor are what this battery has."""
    play = Play(batteries={"a": reading(cell_voltages=SAFE, voltage=52.8)})
    play.run(5)
    play.silence().run(70)
    play.answer().set(cell_voltages=SAFE[:15], temperatures=(25.0,))
    found = play.run(2)
    assert found.cvl == 54.0
    found = play.run(1)
    said = "15 cells instead of 16, 1 cell sensors instead of 2"
    assert found.notes == (f"a: it was lost and is taken as it is now: {said}",)
    assert found.cvl == pytest.approx(15 * 3.45)
    assert play.run(45).ccl == 50.0
    assert play.decision is not None and play.decision.notes == ()


def test_what_it_has_shown_since_it_is_back_is_not_taken_for_missing_with_its_third_good_read() -> None:
    play = Play(batteries={"a": reading(cell_voltages=SAFE, temperatures=(25.0, 25.0))})
    play.run(5)
    play.silence().run(70)
    play.answer().set(cell_voltages=(2.66, *SAFE[1:]), temperatures=(25.0, 70.0)).run(2)
    found = play.set(cell_voltages=(), temperatures=(25.0,)).run(1)
    assert (found.ccl, found.dcl) == (0.0, 0.0)
    assert (play.run(10).dcl, play.run(300).dcl) == (0.0, 0.0), "nor when it has been missing for long"


def test_what_another_device_lacks_is_not_missing_although_it_was_silent_between_its_first_reads() -> None:
    play = Play(batteries={"a": reading(cell_voltages=SAFE, voltage=52.8)})
    play.run(5)
    play.silence().run(70)
    play.answer().set(cell_voltages=SAFE[:15]).run(1)
    play.silence().run(20)
    assert play.answer().run(60).ccl == 50.0


def test_what_comes_back_after_a_short_silence_lacks_what_it_had() -> None:
    play = Play(batteries={"a": reading(cell_voltages=SAFE, voltage=52.8)})
    play.run(5)
    play.silence().run(30)
    found = play.answer().set(cell_voltages=SAFE[:15]).run(300)
    assert found.ccl == 0.0
    assert "missing data: cell 16 is not known" in str(found.ccl_caps)
    assert play.restart().run(60).ccl == 50.0, "a restart knows nothing of the cells that were there"


def test_a_short_silence_raises_no_cable_alarm_on_its_way_back_either() -> None:
    """Told by "stale" and over with three good reads: an alarm that comes when the BMS is back says the reverse."""
    play = Play(batteries={"a": reading(), "b": reading()})
    play.run(5)
    play.silence("b")
    seen = {play.run(1).alarms["bms_cable"] for _ in range(20)}
    play.answer("b")
    seen |= {play.run(1).alarms["bms_cable"] for _ in range(10)}
    assert seen == {0}
    play.silence("b")
    assert play.run(61).alarms["bms_cable"] == 1
    play.answer("b")
    assert [play.run(1).alarms["bms_cable"] for _ in range(4)] == [1, 1, 0, 0], "after a loss it takes three reads"
