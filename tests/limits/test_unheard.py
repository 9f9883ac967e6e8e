"""A restart in the middle of an outage: who took part before, and has not answered since, binds as it did."""

import json
from dataclasses import replace

import pytest

from gateway.bank import aggregate
from gateway.limits import Memory, Site, evaluate
from gateway.model import Decision, Health
from tests.limits.play import WALL, Play, settings
from tests.make import reading


def pair() -> Play:
    return Play(batteries={"a": reading(), "b": reading()})


def without(play: Play, *names: str) -> Decision:
    """One evaluation in which these have not answered yet."""
    states = [
        replace(state, reading=None, age=None, health=Health.STARTING) if state.name in names else state
        for state in play.bank().batteries
    ]
    found, play.memory = evaluate(aggregate(states, complete=True), play.site, play.memory, play.now, play.wall)
    return found


def test_one_that_fell_silent_hot_goes_on_holding_the_bank_after_a_restart() -> None:
    play = pair()
    play.set("b", temperatures=(56.0,)).run(5)
    before = play.silence("b").run(70)
    assert (before.ccl, before.cvl) == (0.0, 54.0)
    after = without(play.restart(down=20), "b")
    assert (after.ccl, after.cvl, after.alarms["bms_cable"]) == (0.0, 54.0, 1)
    assert after.dcl <= before.dcl
    assert "b: not heard since the start" in after.waiting
    assert "not heard since the start; it last allowed 0 A for its share" in [cap.why for cap in after.ccl_caps]


def test_it_bounds_by_the_share_that_it_had() -> None:
    play = Play(batteries={"a": reading(capacity=300.0), "b": reading(capacity=100.0, max_charge_current=10.0)})
    play.run(40)
    before = play.silence("b").run(70)
    after = without(play.restart(), "b")
    assert (before.ccl, after.ccl) == (30.0, 30.0)


def test_a_second_restart_changes_nothing() -> None:
    play = pair()
    play.set("b", temperatures=(56.0,)).run(5)
    play.silence("b").run(70)
    without(play.restart(), "b")
    assert without(play.restart(), "b").ccl == 0.0


def test_the_guard_knows_its_capacity_before_it_tells_it_again() -> None:
    play = Play(batteries={name: reading() for name in "abc"})
    play.run(5)
    play.silence("c").run(70)
    play.restart().answer("c").links["c"].good_in_a_row = 0
    play.set("c", capacity=None)
    assert (play.look().ccl, play.objection) == (100.0, "")


def test_it_comes_back_with_its_third_good_read_as_from_any_loss() -> None:
    play = pair()
    play.run(5)
    play.silence("b").run(70)
    without(play.restart(), "b")
    play.links["b"].good_in_a_row = 0
    assert [play.run(1).cvl for _ in range(3)] == [54.0, 54.0, 55.2]
    assert play.run(120).ccl == 100.0


def test_what_comes_back_may_be_another_one_and_is_taken_as_it_is() -> None:
    play = Play(batteries={"a": reading(), "b": reading(max_charge_current=10.0, capacity=280.0)})
    play.run(40)
    play.silence("b").run(70)
    without(play.restart(), "b")
    play.links["b"].good_in_a_row = 0
    play.set("b", max_charge_current=None, capacity=None)
    notes = [note for _ in range(3) for note in play.run(1).notes]
    assert notes == ["b: it was lost and is taken as it is now: unknown Ah instead of 280.0"]
    assert play.memory.batteries["b"].capacity is None
    assert play.run(60).ccl == 50.0, "it may be so large that it takes all"
    assert play.objection == ""


def test_while_it_is_not_heard_and_the_others_are_silent_the_alarm_stays() -> None:
    play = pair()
    play.run(5)
    without(play.restart(), "b")
    play.silence("a").now += 15
    assert without(play, "b").alarms["bms_cable"] == 1


def test_one_that_was_well_when_the_run_ended_means_float() -> None:
    play = pair()
    play.run(5)
    assert without(play.restart(), "b").cvl == 54.0


def test_packs_behind_a_device_that_is_silent_bind_each() -> None:
    play = Play(batteries={"a": reading(), "m/1": reading(), "m/2": reading(temperatures=(56.0,))})
    play.run(5)
    play.silence("m/1").silence("m/2").run(70)
    play.restart()
    state = play.bank().batteries[0]
    master = replace(state, name="m", reading=None, age=None, health=Health.STARTING)
    found, _ = evaluate(aggregate((state, master), complete=True), play.site, play.memory, play.now, play.wall)
    assert (found.ccl, found.cvl) == (0.0, 54.0)


@pytest.mark.parametrize("others", [["m/1"], ["a", "m/1"]])
def test_a_pack_that_was_silent_binds_although_its_device_answers_for_others(others: list[str]) -> None:
    play = Play(batteries={**{name: reading() for name in others}, "m/2": reading(temperatures=(56.0,))})
    play.run(5)
    before = play.silence("m/2").run(70)
    play.restart()
    rest = tuple(state for state in play.bank().batteries if state.name in others)
    found, play.memory = evaluate(aggregate(rest, complete=True), play.site, play.memory, play.now, play.wall)
    assert (before.ccl, before.cvl, before.alarms["bms_cable"]) == (0.0, 54.0, 1)
    assert (found.ccl, found.cvl, found.alarms["bms_cable"]) == (0.0, 54.0, 1)
    assert "m/2: not heard since the start" in found.waiting
    found, _ = evaluate(play.bank(), play.site, play.memory, play.now, play.wall)
    assert "m/2: not heard since the start" not in found.waiting, "it answers again"


@pytest.mark.parametrize("now", ["m", "n/1"])
def test_packs_of_a_device_that_speaks_for_none_or_is_taken_out_bind_nothing(now: str) -> None:
    play = Play(batteries={now: reading(), "m/1": reading(), "m/2": reading(temperatures=(56.0,))})
    play.run(5)
    play.silence("m/1").silence("m/2").run(70)
    play.restart()
    rest = tuple(state for state in play.bank().batteries if state.name == now)
    found, _ = evaluate(aggregate(rest, complete=True), play.site, play.memory, play.now, play.wall)
    assert found.cvl == 55.2 and not any("not heard" in line for line in found.waiting)


def test_one_that_is_only_watched_now_binds_nothing() -> None:
    play = pair()
    play.run(5)
    play.silence("b").run(70)
    play.restart()
    a, b = play.bank().batteries
    watched = replace(b, reading=None, age=None, health=Health.STARTING, control=False)
    found, _ = evaluate(aggregate((a, watched), complete=True), play.site, play.memory, play.now, play.wall)
    assert (found.ccl, found.cvl) == (50.0, 55.2)


@pytest.mark.parametrize(("block", "ccl"), [(False, 50.0), (True, 0.0)])
def test_one_that_answers_again_after_a_restart_has_what_it_had_while_it_was_silent(block: bool, ccl: float) -> None:
    play = Play(settings(on_loss={"block": block})).set(max_charge_current=50.0)
    play.run(5)
    assert play.silence().run(30).ccl == ccl
    play.restart().answer().links["a"].good_in_a_row = 0
    assert [play.run(1).ccl for _ in range(2)] == [ccl, ccl]


def test_whether_it_was_blocked_is_not_known_of_a_file_that_does_not_say() -> None:
    memory = Memory.restore({"batteries": {"a": {"lost": True, "charge": 50.0}}}, 100.0, WALL)
    play = Play(memory=memory)
    play.links["a"].good_in_a_row = 0
    assert play.look().ccl == 0.0


@pytest.mark.parametrize("value", [-1, "x", None, [], {"a": 1}, float("nan"), [1, None]])
def test_what_is_absurd_in_the_file_is_not_known(value: object) -> None:
    kept = {"lost": True, "charge_before": value, "discharge_before": value, "capacity": value, "company": value}
    play = Play(memory=Memory.restore({"batteries": {"a": kept, "b": {"lost": value}}}, 100.0, WALL))
    assert play.run(60).ccl == 50.0
    json.dumps(play.memory.persisted(), allow_nan=False)


def test_its_own_float_voltage_holds_after_a_restart() -> None:
    play = Play(batteries={name: reading() for name in "ab"})
    play.site = Site(settings(), {"b": settings(cell_voltage={"float": 3.35})})
    play.run(5)
    assert play.silence("b").run(70).cvl == 53.6
    assert without(play.restart(), "b").cvl == 53.6
