"""Several batteries, one bank: shares, loss of one, its return.

Sheet: limits.md 13; architecture "Several batteries".
"""

from itertools import permutations

import pytest

from gateway.limits.settings import LimitSettings
from tests.limits.play import Play, cells, settings
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


def test_without_capacities_shares_are_equal() -> None:
    play = Play(batteries={"a": reading(capacity=None), "b": reading(max_charge_current=10.0)})
    assert play.look().ccl == 20.0


def test_one_tight_battery_limits_the_bank_by_its_share() -> None:
    found = pair().set("b", temperatures=(3.0,)).look()
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
    play.set("b", temperatures=(50.0,)).look()
    assert play.set("b", temperatures=(30.0,)).run(20).ccl == 25.0
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
    play = pair(BLOCK).set("b", temperatures=(50.0,))
    before = play.run(5)
    found = play.silence("b").run(10)
    assert before.ccl == 25.0
    assert found.ccl == 12.5
    assert "it last allowed 12.5 A for its share" in str(found.ccl_caps)


def test_a_lost_one_bounds_the_others_for_no_longer_than_the_timeout() -> None:
    play = pair(BLOCK).set("b", temperatures=(56.0,))
    play.run(5)
    assert play.silence("b").run(1799, dt=3).ccl == 0.0
    assert play.run(1).ccl == 50.0


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
    from dataclasses import replace

    from gateway.bank import aggregate
    from gateway.limits import evaluate

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
        "b": reading(capacity=230.0, temperatures=(8.0,), soc=71.0),
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
