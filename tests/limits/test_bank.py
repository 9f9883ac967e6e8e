"""Several batteries, one bank: shares, loss of one, its return.

Sheet: limits.md 13; architecture "Several batteries".
"""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bank import Standing, aggregate
from gateway.limits import evaluate
from gateway.limits.settings import LimitSettings
from gateway.model import Reading
from tests.limits.play import Play, Silent, cells, settings
from tests.make import reading

BLOCK = settings(on_loss={"block": True})


def pair(limits: LimitSettings | None = None, **options: object) -> Play:
    return Play(limits or LimitSettings(), {"a": reading(), "b": reading()}, dict(options))


def test_two_equal_batteries_allow_twice_as_much() -> None:
    found = pair().look()
    assert (found.ccl, found.dcl) == (100.0, 120.0)
    assert found.ccl_reason == ("config",)


def test_batteries_of_different_size_share_by_capacity() -> None:
    play = Play(batteries={"a": reading(capacity=300.0), "b": reading(capacity=100.0)})
    found = play.look()
    assert found.ccl == pytest.approx(66.666, abs=0.001), "a takes three quarters: 50 A"
    assert {cap.battery for cap in found.ccl_caps} >= {"a", "b"}


def test_an_unknown_capacity_does_not_loosen_the_bank() -> None:
    """Of 100 and 300 Ah with 50 A each the bank may have 66.7 A; 100 A if the 300 Ah were taken for 100."""
    play = Play(batteries={"small": reading(capacity=100.0), "big": reading(capacity=300.0)})
    assert play.look().ccl == pytest.approx(66.666, abs=0.001)
    play = Play(batteries={"small": reading(capacity=100.0), "big": reading(capacity=None)})
    found = play.look()
    assert found.ccl == 50.0
    assert "its capacity is not known: it may take all" in found.ccl_caps[-1].why


def test_a_battery_alone_needs_no_capacity() -> None:
    play = Play(batteries={"a": reading(capacity=None)})
    found = play.look()
    assert (found.ccl, found.dcl) == (50.0, 60.0)
    assert "capacity" not in str(found.ccl_caps)


def test_without_any_capacity_the_bank_gets_what_the_tightest_allows() -> None:
    play = Play(batteries={"a": reading(capacity=None), "b": reading(capacity=None, max_charge_current=10.0)})
    assert play.look().ccl == 10.0


def test_one_tight_battery_limits_the_bank_by_its_share() -> None:
    found = pair().set("b", temperatures=(3.0, 25.0)).look()
    assert found.ccl == pytest.approx(33.334, abs=0.002)
    assert found.ccl_reason == ("temperature",)


def test_the_sum_binds_where_it_is_less_than_the_shares() -> None:
    play = Play(batteries={"a": reading(), "b": reading(max_charge_current=20.0), "c": reading()})
    found = play.look()
    assert found.ccl == 60.0, "the share of b"
    big = settings(charge_current={"max": 100})
    play = Play(
        batteries={"a": reading(capacity=100.0), "b": reading(capacity=300.0)}, options={"per_battery": {"b": big}}
    )
    found = play.look()
    assert found.ccl == pytest.approx(133.333, abs=0.001)


def test_the_users_cap_is_on_top() -> None:
    found = pair(charge_current_limit=30.0, discharge_current_limit=40.0).look()
    assert (found.ccl, found.dcl) == (30.0, 40.0)
    assert found.ccl_reason == ("bank_limit",)
    assert found.ccl_caps[-1].setting == "bank.charge_current_limit"


def test_a_battery_with_an_open_switch_takes_no_share_and_does_not_stop_the_rest() -> None:
    play = pair()
    play.look()
    found = play.set("b", charge_allowed=False).run(1)
    assert (found.ccl, found.dcl) == (50.0, 120.0)
    assert found.allow_charge
    assert "b: charge switch off, takes no share" in found.waiting


def test_its_return_never_lowers_the_bank() -> None:
    play = pair()
    play.look()
    play.set("b", charge_allowed=False).run(5)
    play.set("b", charge_allowed=True)
    assert play.run(1).ccl == 50.0
    assert play.decision is not None and "b held at 0 A" in play.decision.ccl_caps[-1].why
    assert play.run(30).ccl == 50.0
    assert play.run(5).ccl == 70.0, "10 A at a time"
    assert play.run(10).ccl == 100.0


def test_one_that_was_never_left_out_holds_the_bank_by_its_share() -> None:
    play = pair()
    play.set("b", temperatures=(50.0, 25.0)).look()
    assert play.set("b", temperatures=(30.0, 25.0)).run(20).ccl == 25.0
    assert play.run(30).ccl == 100.0


def test_any_blocks_stops_all() -> None:
    play = pair(any_blocks=True)
    play.look()
    found = play.set("b", charge_allowed=False).run(1)
    assert (found.ccl, found.dcl) == (0.0, 120.0)
    assert found.ccl_reason[-1] == "any_blocks"
    play = pair(BLOCK, any_blocks=True)
    play.run(5)
    assert play.silence("b").run(10).dcl == 0.0


def test_losing_one_lowers_the_limits_by_at_least_its_share_and_kills_nothing() -> None:
    play = pair(BLOCK)
    play.run(5)
    found = play.silence("b").run(10)
    assert (found.ccl, found.dcl) == (50.0, 60.0)
    assert found.blocked_since is None
    assert found.cvl == 54.0, "nobody sees its cells"
    assert found.alarms["bms_cable"] == 0
    assert play.run(60).alarms["bms_cable"] == 1, "2 only when none is left"


def test_losing_a_tight_one_never_loosens_the_bank() -> None:
    play = pair(BLOCK).set("b", temperatures=(50.0, 25.0))
    before = play.run(5)
    found = play.silence("b").run(10)
    assert before.ccl == 25.0
    assert found.ccl == 12.5
    assert "it last allowed 12.5 A for its share" in str(found.ccl_caps)


@pytest.mark.parametrize("limits", [BLOCK, LimitSettings()], ids=["block", "default"])
def test_a_lost_one_bounds_the_others_until_it_answers(limits: LimitSettings) -> None:
    """Whoever has not been heard of since it was at 56 °C may still be connected, however long that is ago."""
    play = pair(limits).set("b", temperatures=(56.0, 25.0))
    play.run(5)
    assert play.silence("b").run(1799, dt=3).ccl == 0.0
    assert play.run(3600, dt=60).ccl == 0.0
    play.answer("b").set("b", temperatures=(25.0, 25.0))
    assert play.run(3).ccl == 50.0


def test_what_is_only_held_does_not_count_as_its_own_limit_when_it_is_lost() -> None:
    play = pair(BLOCK)
    play.run(5)
    play.silence("b").run(20)
    play.answer("b").run(4)
    assert play.silence("b").run(20).ccl == 50.0


def test_a_lost_one_comes_back_without_lowering_the_bank() -> None:
    play = pair(BLOCK)
    play.run(5)
    play.silence("b").run(100)
    play.answer("b")
    seen = [play.run(1).ccl for _ in range(60)]
    assert min(seen) == 50.0
    assert seen[-1] == 100.0
    assert seen == sorted(seen)


def test_all_lost_is_lost() -> None:
    play = pair(BLOCK)
    play.run(5)
    found = play.silence("a").silence("b").run(60)
    assert (found.ccl, found.dcl, found.cvl, found.alarms["bms_cable"]) == (0.0, 0.0, 54.0, 2)
    assert found.blocked_since is not None


def test_a_battery_that_never_answered_is_reported_and_blocks_only_if_asked_to() -> None:
    for any_blocks, ccl in ((False, 50.0), (True, 0.0)):
        play = pair(any_blocks=any_blocks)
        states = play.bank().batteries
        states = (states[0], replace(states[1], reading=None, age=None))
        found, _ = evaluate(aggregate(states, complete=True), play.site, play.memory, play.now, play.wall)
        assert (found.ccl, found.alarms["bms_cable"]) == (ccl, 1)


def test_a_battery_without_cell_count_takes_that_of_the_others() -> None:
    play = Play(
        batteries={"a": reading(), "b": reading(cell_voltages=(), highest_cell_voltage=3.33, lowest_cell_voltage=3.32)}
    )
    assert play.look().cvl == 55.20


def test_the_order_of_batteries_is_irrelevant() -> None:
    packs = {
        "a": reading(capacity=100.0, cell_voltages=cells(3.40, 3.50), max_charge_current=31.7),
        "b": reading(capacity=230.0, temperatures=(8.0, 25.0), soc=71.0),
        "c": reading(capacity=314.0, charge_allowed=False, soc=33.0),
    }
    results = set()
    for order in permutations(packs):
        play = Play(batteries={name: packs[name] for name in order})
        play.run(3)
        found = play.silence("b").run(70)
        results.add((found.cvl, found.ccl, found.dcl, round(found.soc or 0, 9), found.charge_mode))
    assert len(results) == 1


def test_pack_settings_follow_the_name_of_the_device() -> None:
    own = settings(charge_current={"max": 10})
    play = Play(batteries={"master/2": reading(), "b": reading()}, options={"per_battery": {"master": own}})
    assert play.look().ccl == 20.0


def test_a_capacity_that_is_no_longer_told_counts_as_last_known() -> None:
    """Equal shares, for want of it, would give the big one more than it allows."""
    play = Play(batteries={"big": reading(capacity=600.0, max_charge_current=10.0), "small": reading(capacity=50.0)})
    known = play.run(60).ccl
    assert known == pytest.approx(10 * 650 / 600, abs=0.01)
    assert play.set("big", capacity=None).run(600).ccl == known
    assert play.decision is not None and play.decision.soc == pytest.approx(60.0)


# ---- one of several is silent: what the survivors may have


@pytest.mark.parametrize("age", [15, 65, 600])
@pytest.mark.parametrize("low", [3.30, 3.20], ids=["safe cells", "cells not safe"])
def test_while_another_one_lives_the_share_of_a_silent_one_goes(age: int, low: float) -> None:
    """Default settings: the survivor alone never gets more than its own 50 A."""
    play = pair().set("b", cell_voltages=cells(3.30, low))
    assert play.run(5).ccl == 100.0
    found = play.silence("b").run(age)
    assert (found.ccl, found.dcl, found.cvl) == (50.0, 60.0, 54.0)
    assert found.alarms["bms_cable"] == (age >= 60)
    assert found.waiting[0].startswith("b: silent for ")


def test_until_10_s_nothing_changes_and_then_the_share_is_gone() -> None:
    play = pair()
    play.run(5)
    play.silence("b")
    assert [play.run(1).ccl for _ in range(12)] == [100.0] * 9 + [50.0] * 3


def test_when_all_fall_silent_together_each_is_by_the_table() -> None:
    play = pair().set(cell_voltages=cells(3.30))
    play.run(5)
    play.silence("a").silence("b")
    assert (play.run(15).ccl, play.run(50).ccl, play.run(1740).ccl) == (100.0, 100.0, 0.0)


def test_one_after_the_other_leaves_no_more_than_the_last_one_had() -> None:
    play = pair().set(cell_voltages=cells(3.30))
    play.run(5)
    play.silence("a").run(30)
    assert play.silence("b").run(15).ccl == 50.0
    found = play.run(100)
    assert (found.ccl, found.alarms["bms_cable"]) == (50.0, 1)


def test_a_silent_share_comes_back_by_hold_and_ramp_after_three_good_reads() -> None:
    play = pair()
    play.run(5)
    play.silence("b").run(15)
    play.answer("b")
    seen = [play.run(1).ccl for _ in range(45)]
    assert seen[:32] == [50.0] * 32
    assert seen[-1] == 100.0
    assert seen == sorted(seen)


def test_one_that_went_with_its_switch_open_and_comes_back_with_it_closed_stops_nobody() -> None:
    play = pair()
    play.run(5)
    play.set("b", charge_allowed=False).run(5)
    play.silence("b").run(100)
    play.answer("b").set("b", charge_allowed=True)
    seen = [play.run(1).ccl for _ in range(60)]
    assert (min(seen), seen[-1]) == (50.0, 100.0)


# ---- a decision is never taken from what a silent battery said long ago


def judged(**packs: Reading) -> Play:
    """Batteries that are members or not by their voltage."""
    return Play(batteries=dict(packs), difference=1.0)


def at(volts: float, **says: Any) -> Reading:
    """16 cells at `volts`, and no current."""
    return reading(**{"cell_voltages": cells(volts), "voltage": volts * 16, "current": 0.0, **says})


@pytest.mark.parametrize("volts", [3.30, 3.3619, 3.3625, 3.37])
def test_a_pack_that_fell_silent_hot_holds_the_bank_whatever_the_voltage_does(volts: float) -> None:
    """The others move by 62 mV a cell, which once let it drop out: CVL 54.0 -> 55.2 V, CCL 0 -> 50 A."""
    play = judged(a=at(3.30), b=at(3.30, temperatures=(56.0, 25.0)))
    play.run(5)
    play.silence("b").run(70)
    found = play.set("a", cell_voltages=cells(volts)).run(120)
    assert (found.cvl, found.ccl, found.dcl, found.alarms["bms_cable"]) == (54.0, 0.0, 0.0, 1)
    assert play.objection == ""


def test_after_both_were_lost_the_living_one_decides() -> None:
    """It is at 58 °C with alarms, 100 mV a cell above what the dead one said last."""
    play = judged(a=at(3.30), b=at(3.30))
    play.run(5)
    play.silence("a").silence("b").run(100)
    play.answer("b").set("b", cell_voltages=cells(3.40), temperatures=(58.0, 25.0), alarms={"high_temperature": 2})
    found = play.run(40)
    assert (found.cvl, found.ccl, found.dcl) == (54.0, 0.0, 0.0)
    assert (found.alarms["high_temperature"], found.alarms["bms_cable"]) == (2, 1)
    assert play.seen.voltage == pytest.approx(54.4)
    assert "temperature" in found.ccl_reason or "hottest sensor 58.0" in str(found.ccl_caps)


STRANGER = {"temperatures": (58.0, 25.0), "cell_voltages": cells(3.10, 3.70), "voltage": 50.2}


def test_a_battery_kept_out_by_its_voltage_through_which_current_flows_has_its_say() -> None:
    """30 A, 58 °C, a cell at 3.70 V, alarms."""
    play = judged(a=at(3.30), b=at(3.30))
    play.batteries["b"] = at(3.10, **STRANGER, current=30.0, alarms={"high_cell_voltage": 2})
    play.links["b"].answers = False
    play.standings = {"a": Standing.MEMBER, "b": Standing.OUT}
    found = play.answer("b").run(1)
    assert (found.ccl, found.dcl, found.allow_charge) == (0.0, 0.0, False)
    assert found.alarms["high_cell_voltage"] == 2
    assert found.alarms["internal_failure"] == 1
    assert "b: counts as connected" in str(found.waiting)


def test_one_that_is_kept_out_is_an_alarm_and_binds_nothing() -> None:
    play = judged(a=at(3.30), b=at(3.30))
    play.standings = {"a": Standing.MEMBER, "b": Standing.OUT}
    found = play.set("b", **STRANGER).run(1)
    assert (found.cvl, found.ccl, found.dcl, found.alarms["internal_failure"]) == (55.2, 50.0, 60.0, 1)
    assert "b: kept out of the bank: 50.20 V differs from the bank's 52.80 V" in str(found.waiting)
    found = play.set("b", cell_voltages=cells(3.30), temperatures=(25.0, 25.0)).run(1)
    assert (found.ccl, found.alarms.get("internal_failure", 0)) == (100.0, 0), "it agrees, and is in"


def test_a_connected_stranger_adds_nothing_to_what_the_members_allow() -> None:
    play = judged(a=at(3.30), b=at(3.10, current=30.0, max_charge_current=20.0))
    play.standings = {"a": Standing.MEMBER, "b": Standing.OUT}
    found = play.run(5)
    assert found.ccl == 20.0, "half of what flows goes through it, and it may have 20 A"
    assert play.set("b", max_charge_current=200.0).run(60).ccl == 50.0


def test_a_newcomer_never_gets_more_than_the_one_it_replaces_was_allowed() -> None:
    """Nobody knows which of the two is connected while the old one is silent."""
    own = settings(charge_current={"max": 200})
    play = judged(a=at(3.30, capacity=100.0), b=at(3.10, capacity=600.0))
    play.site = replace(play.site, per_battery={"b": own})
    play.standings = {"a": Standing.MEMBER, "b": Standing.OUT}
    assert play.run(5).ccl == 50.0
    play.silence("a")
    assert max(play.run(1).ccl for _ in range(150)) == 50.0
    assert play.standings["b"] is Standing.MEMBER


# ---- capacities that are not known

CAPACITY = st.sampled_from([None, 20.0, 100.0, 280.0, 300.0, 1000.0])
ASKED = st.integers(1, 100).map(float)


@given(st.lists(st.tuples(CAPACITY, ASKED), min_size=2, max_size=4), st.data())
def test_whatever_the_true_capacities_none_gets_more_than_it_allows(packs: list[Any], data: st.DataObject) -> None:
    batteries = {str(n): reading(capacity=c, max_charge_current=a) for n, (c, a) in enumerate(packs)}
    ccl = Play(batteries=batteries).look().ccl
    true = [c or data.draw(st.floats(1.0, 5000.0)) for c, _ in packs]
    for capacity, (_, asked) in zip(true, packs, strict=True):
        assert ccl * capacity / sum(true) <= min(asked, 50.0) + 0.002
    known = {n: replace(r, capacity=c) for (n, r), c in zip(batteries.items(), true, strict=True)}
    told = Play(batteries={n: replace(r, remaining_capacity=None) for n, r in known.items()})
    assert ccl <= told.look().ccl + 0.002, "not to know is never better than to know"


def test_a_lost_battery_of_unknown_size_bounds_the_rest_by_what_it_allowed() -> None:
    play = Play(batteries={"a": reading(capacity=300.0), "b": reading(capacity=None, max_charge_current=10.0)})
    assert play.run(5).ccl == 10.0
    assert play.silence("b").run(100).ccl == 10.0


def test_a_lost_battery_bounds_but_does_not_stop_one_of_unknown_size() -> None:
    play = Play(batteries={"a": reading(capacity=None), "b": reading(capacity=100.0, max_charge_current=30.0)})
    assert play.run(5).ccl == 30.0
    assert play.silence("b").run(100).ccl == 30.0


def test_a_second_loss_does_not_raise_what_the_first_left_where_a_size_is_not_known() -> None:
    play = Play(batteries={"a": reading(capacity=50.0), "b": reading(capacity=None), "c": reading(capacity=100.0)})
    play.run(5)
    left = play.silence("c").run(20).ccl
    assert play.silence("a").run(20).ccl <= left


# ---- a loss raises nothing, neither at once nor later


def test_one_that_is_lost_while_it_is_held_at_0_a_goes_on_holding_the_bank() -> None:
    play = pair().set("b", temperatures=(56.0, 25.0))
    assert play.run(5).ccl == 0.0
    assert play.set("b", temperatures=(30.0, 25.0)).run(15).ccl == 0.0
    play.silence("b")
    assert max(play.run(1).ccl for _ in range(200)) == 0.0


def test_a_high_cell_that_is_out_of_sight_goes_on_lowering_the_charge_voltage() -> None:
    play = pair().set("b", cell_voltages=cells(3.30, 3.60))
    before = play.run(5)
    assert before.cvl == pytest.approx(52.95)
    assert play.silence("b").run(600, dt=5).cvl == before.cvl


@pytest.mark.parametrize("controller", ["integral", "clipped", "off"])
def test_whatever_the_controller_a_lost_cell_raises_no_charge_voltage(controller: str) -> None:
    play = pair(settings(charge_voltage={"controller": controller})).set("b", cell_voltages=cells(3.40, 3.60))
    before = play.run(30)
    assert before.cvl is not None
    found = play.silence("b").run(600, dt=5)
    assert found.cvl is not None
    assert 46.4 <= found.cvl <= min(before.cvl, 54.0)


def test_a_lone_good_read_and_silence_again_leave_the_bound_as_it_was() -> None:
    play = pair()
    play.run(5)
    play.silence("b").run(70)
    play.answer("b").run(1)
    assert play.silence("b").run(100).ccl == 50.0


def test_who_was_long_silent_when_another_went_was_no_company_of_it() -> None:
    """What comes back alone gets no more than the last one had: nobody knows whether they are connected together."""
    big = settings(charge_current={"max": 200})
    play = Play(
        batteries={"a": reading(capacity=100.0), "b": reading(capacity=600.0)}, options={"per_battery": {"b": big}}
    )
    play.run(5)
    play.silence("b").run(100)
    play.silence("a").run(100)
    play.answer("b")
    assert max(play.run(1).ccl for _ in range(120)) == 50.0


def test_when_all_its_company_is_gone_too_a_silent_one_bounds_as_with_the_least_of_them() -> None:
    play = judged(a=at(3.30, capacity=100.0), b=at(3.30, capacity=20.0), c=at(3.10, capacity=300.0))
    play.standings = {"a": Standing.MEMBER, "b": Standing.MEMBER, "c": Standing.OUT}
    play.run(5)
    assert play.silence("a").run(30).ccl == pytest.approx(10.0), "50 A of 100 Ah, 10 A of 20 Ah"
    play.silence("b")
    assert max(play.run(1).ccl for _ in range(200)) == pytest.approx(10.0)
    assert play.standings["c"] is Standing.MEMBER


def test_a_stand_in_does_not_soften_the_alarm_of_the_last_member() -> None:
    play = judged(a=at(3.30))
    play.run(5)
    play.batteries["board"] = at(3.6, cell_voltages=(*cells(3.6)[:15], 0.0), voltage=0.0)
    play.links["board"] = Silent(play.now)
    assert play.run(1).ccl == 50.0
    play.silence("a")
    for _ in range(190):
        found = play.run(10)
        assert play.objection == ""
    assert (found.ccl, found.alarms["bms_cable"], found.alarms["internal_failure"]) == (0.0, 2, 1)
    assert play.standings["board"] is Standing.STAND_IN


def test_what_a_battery_shows_while_it_is_kept_out_is_remembered_for_when_it_counts() -> None:
    near, far = reading(cell_voltages=cells(3.3)), reading(cell_voltages=cells(3.2, 2.6), voltage=50.6, current=0.0)
    play = Play(batteries={"near": near, "far": near}, difference=1.0)
    play.run(5)
    play.silence("far").run(70)
    play.answer("far").set("far", cell_voltages=far.cell_voltages, current=0.0).run(2)
    assert not play.seen.batteries[1].joined
    found = play.set("far", cell_voltages=(), voltage=50.6, current=-20.0).run(1)
    assert play.seen.batteries[1].joined, "current flows through it"
    assert found.dcl == 0.0


def test_two_packs_absorb_at_the_voltage_of_one_not_at_the_sum_of_both() -> None:
    half = reading(voltage=52.8, cell_voltages=cells(3.3), current=5.0)
    play = Play(LimitSettings(), {"a": half, "b": half})
    assert play.run(7200, 60.0).charge_mode == "bulk"
