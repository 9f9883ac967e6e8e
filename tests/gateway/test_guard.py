"""The last look: no invariant-breaking decision leaves as it is."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard import Bounds, Memory, broken, learn, safe
from gateway.model import BankState, BatteryState, Decision, Health
from tests.make import bank, battery, decision, reading

BOUNDS = Bounds({"rack-1": 3.45}, 0.0, {"rack-1": 50.0}, {"rack-1": 60.0}, {"rack-1": 1800.0})


def judged(made: Decision, state: BankState | None = None, bounds: Bounds = BOUNDS) -> str:
    return broken(made, state or bank(), bounds)


def test_a_sound_decision_passes() -> None:
    assert judged(decision()) == ""


@pytest.mark.parametrize("name", ["cvl", "ccl", "dcl"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1])
def test_no_limit_is_ever_nan_infinite_or_negative(name: str, value: float) -> None:
    assert judged(replace(decision(), **{name: value})) != ""


def test_the_charge_voltage_stays_under_the_settings() -> None:
    assert judged(decision(cvl=55.3)) == "CVL 55.30 V above 55.20 V of the settings"


def test_the_charge_voltage_stays_under_every_batterys_own_settings() -> None:
    both = bank(battery("a"), battery("b"))
    bounds = Bounds({"a": 3.55, "b": 3.40}, 0.0, {"a": 50.0, "b": 50.0}, {"a": 60.0, "b": 60.0}, {"a": 1e9, "b": 1e9})
    assert judged(decision(cvl=54.4), both, bounds) == ""
    assert judged(decision(cvl=55.2), both, bounds) == "CVL 55.20 V above 54.40 V of the settings"


def test_a_battery_that_was_silent_for_too_long_counts_for_nothing() -> None:
    assert judged(decision(), bank(battery(age=1800.0))) == ""
    assert judged(decision(), bank(battery(age=1800.1))) == "CCL 50.0 A above the 0.0 A that its members allow"
    assert judged(decision(ccl=0.0, allow_charge=False), bank(battery(age=None))).startswith("DCL 60.0 A above")


def test_packs_behind_one_device_have_its_bounds() -> None:
    packs = bank(battery("rack-1/1"), battery("rack-1/2"))
    assert judged(decision(ccl=100.0, dcl=120.0), packs) == ""
    assert judged(decision(ccl=100.5, dcl=120.0), packs) == "CCL 100.5 A above the 100.0 A that its members allow"


def test_no_battery_gets_more_than_its_own_cap_by_its_share() -> None:
    both = bank(battery("big", of=reading(capacity=300.0)), battery("small", of=reading(capacity=100.0)))
    bounds = Bounds(dict.fromkeys(("big", "small"), 3.45), 0.0, dict.fromkeys(("big", "small"), 50.0),
                    dict.fromkeys(("big", "small"), 60.0), dict.fromkeys(("big", "small"), 1800.0))  # fmt: skip
    assert judged(decision(ccl=66.6), both, bounds) == ""
    assert judged(decision(ccl=70.0), both, bounds) == "CCL 70.0 A gives big 52.5 A by its share, above its 50.0 A"
    closed = bank(battery("big", of=reading(capacity=300.0, charge_allowed=False)), battery("small"))
    assert judged(decision(ccl=50.0), closed, bounds) == "", "one whose switch is open takes no share"


def test_the_current_stays_under_the_settings_and_the_banks_cap() -> None:
    assert "members allow" in judged(decision(ccl=50.5))
    assert "bank's cap" in judged(decision(), bounds=replace(BOUNDS, bank_charge_current=40.0))


def test_the_bms_own_limit_is_never_exceeded() -> None:
    asks_less = bank(battery(of=reading(max_charge_current=10.0)))
    assert "above the 10.0 A that its members allow" in judged(decision(ccl=20.0), asks_less)


def test_an_open_switch_means_no_current() -> None:
    blocking = bank(battery(of=reading(discharge_allowed=False)))
    assert judged(decision(), blocking) != ""


def test_a_forbidden_direction_has_a_zero_limit() -> None:
    assert judged(decision(allow_charge=False)) == "charge is forbidden but its limit is 50.0 A"


# ---- by itself: who took part, whatever the rules count as part of the bank

PAIR = Bounds(
    dict.fromkeys("ab", 3.45), 0.0, dict.fromkeys("ab", 50.0), dict.fromkeys("ab", 60.0), dict.fromkeys("ab", 1800.0),
    float_voltage=dict.fromkeys("ab", 3.375), cable_alarm=frozenset("ab"),
)  # fmt: skip
CALM = reading(current=0.0)
TOLD = {"bms_cable": 1, "internal_failure": 1}


def after(*rounds: list[BatteryState]) -> tuple[BankState, Memory]:
    """The last bank, and what the guard knows by all of them."""
    known: Memory = {}
    for states in rounds:
        known = learn(bank(*states), known)
    return bank(*rounds[-1]), known


def objection(made: Decision, *rounds: list[BatteryState], bounds: Bounds = PAIR) -> str:
    state, known = after(*rounds)
    return broken(made, state, bounds, known)


def pair(**second: Any) -> list[BatteryState]:
    return [battery("a", of=CALM), battery("b", **{"of": CALM, **second})]


STALE: dict[str, Any] = {"health": Health.STALE, "age": 15.0}
LOST: dict[str, Any] = {"health": Health.LOST, "age": 100.0}


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("silent", [STALE, LOST])
def test_one_that_took_part_and_is_silent_means_float_whatever_the_rules_say(
    joined: bool, silent: dict[str, Any]
) -> None:
    rounds = pair(), pair(joined=joined, **silent)
    assert objection(decision(cvl=54.0, alarms=TOLD), *rounds) == ""
    said = objection(decision(cvl=55.2, alarms=TOLD), *rounds)
    assert said == "CVL 55.20 V above the float voltage of 54.00 V while b is silent"


@pytest.mark.parametrize("joined", [True, False])
def test_one_that_took_part_and_is_lost_means_a_cable_alarm(joined: bool) -> None:
    rounds = pair(), pair(joined=joined, **LOST)
    assert objection(decision(cvl=54.0, alarms=TOLD | {"bms_cable": 0}), *rounds) == "no cable alarm although b is lost"
    assert objection(decision(cvl=54.0, alarms=TOLD | {"bms_cable": 2}), *rounds) == ""
    quiet = replace(PAIR, cable_alarm=frozenset("a"))
    assert objection(decision(cvl=54.0, alarms={}), *rounds, bounds=quiet) == "", "limits.on_loss.alarm is off"


def test_one_that_was_kept_out_when_it_last_answered_did_not_take_part() -> None:
    rounds = pair(joined=False, shares=False), pair(joined=False, shares=False, **LOST)
    assert objection(decision(alarms=TOLD), *rounds) == ""


def test_a_watched_one_never_takes_part() -> None:
    assert objection(decision(), pair(control=False), pair(control=False, **LOST)) == ""


def test_the_limits_never_rest_on_a_silent_one_while_one_that_answers_is_kept_out() -> None:
    rounds = pair(), [battery("a", of=CALM, **LOST), battery("b", of=CALM, joined=False)]
    said = objection(decision(cvl=54.0, alarms=TOLD), *rounds)
    assert said == "b answers, but does not count, and nobody else does"


def test_current_through_one_that_is_kept_out_is_seen() -> None:
    flowing = reading(current=30.0, max_charge_current=0.0)
    said = objection(decision(ccl=50.0, alarms=TOLD), pair(of=flowing, joined=False, shares=False))
    assert said == "current flows through b, which does not count"
    counted = pair(of=flowing, shares=False)
    assert objection(decision(ccl=0.0, allow_charge=False, alarms=TOLD), counted) == ""
    assert "gives b 25.0 A by its share, above its 0.0 A" in objection(decision(ccl=50.0, alarms=TOLD), counted)


def test_one_that_is_kept_out_without_an_alarm_is_seen() -> None:
    out = pair(joined=False, shares=False)
    assert objection(decision(alarms={}), out) == "b is kept out of the bank without an alarm"


def test_a_silent_one_adds_nothing_while_another_answers() -> None:
    rounds = pair(), pair(**STALE)
    assert objection(decision(cvl=54.0, ccl=50.0), *rounds) == ""
    assert objection(decision(cvl=54.0, ccl=50.1), *rounds) == "CCL 50.1 A above the 50.0 A that its members allow"
    both = [battery(name, of=CALM, **STALE) for name in "ab"]
    assert objection(decision(cvl=54.0, ccl=100.0, dcl=120.0), pair(), both) == "", "all together: by the table"


def test_a_silent_one_still_has_its_share() -> None:
    asks = reading(current=0.0, max_charge_current=10.0)
    rounds = pair(of=asks), pair(of=asks, **LOST)
    assert objection(decision(cvl=54.0, ccl=20.0, alarms=TOLD), *rounds) == ""
    assert "gives b 10.5 A by its share" in objection(decision(cvl=54.0, ccl=21.0, alarms=TOLD), *rounds)


def test_a_capacity_or_a_cell_that_is_no_longer_told_counts_as_last_known() -> None:
    small, big, blind = (reading(current=0.0, capacity=c, remaining_capacity=None) for c in (100.0, 300.0, None))
    rounds = [[battery("a", of=small), battery("b", of=of)] for of in (big, blind)]
    assert objection(decision(ccl=66.6), *rounds) == ""
    assert "gives b 52.5 A by its share" in objection(decision(ccl=70.0), *rounds)
    assert "66.6 A by its share" in objection(decision(ccl=66.6), rounds[1]), "never told: it may be all or nothing"
    fewer = reading(current=0.0, cell_voltages=(3.3,) * 15)
    assert objection(decision(cvl=54.0), pair(), pair(of=fewer)) == ""


def test_another_battery_after_a_loss_is_taken_as_it_is() -> None:
    other = reading(current=0.0, cell_voltages=(3.3,) * 15)
    rounds = pair(), pair(**LOST), pair(of=other, good_in_a_row=3)
    assert objection(decision(cvl=51.75), *rounds) == ""
    assert "above 51.75 V of the settings" in objection(decision(cvl=55.2), *rounds)


def test_the_safe_state_is_no_more_than_float_and_tells_the_loss() -> None:
    state, known = after(pair(), pair(joined=False, **LOST))
    calm = safe(decision(), state, PAIR, "test", known)
    assert (calm.cvl, calm.ccl, calm.alarms["bms_cable"]) == (53.2, 0.0, 1)
    assert broken(calm, state, PAIR, known) == ""


@given(
    st.floats(), st.floats(), st.floats(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_the_safe_state_of_anything_is_safe(cvl: float, ccl: float, dcl: float, charge: bool, discharge: bool) -> None:
    made = decision(cvl=cvl, ccl=ccl, dcl=dcl, allow_charge=charge, allow_discharge=discharge)
    calm = safe(made, bank(), BOUNDS, "test")
    assert (calm.ccl, calm.dcl, calm.allow_charge, calm.allow_discharge) == (0.0, 0.0, False, False)
    assert calm.cvl is not None
    assert 0 <= calm.cvl <= 55.2
    assert calm.alarms["internal_failure"] == 2


def test_it_remembers_what_a_battery_has_shown_since_it_is_back() -> None:
    known: Memory = {}
    for cells, health, good in (
        (16, "online", 9),
        (16, "lost", 0),
        (15, "online", 1),
        (15, "online", 2),
        (0, "online", 3),
    ):
        shown = reading(cell_voltages=(3.3,) * cells, cell_count=None)
        known = learn(bank(battery(of=shown, health=Health(health), good_in_a_row=good)), known)
    last = bank(battery(of=reading(cell_voltages=(), cell_count=None)))
    assert broken(decision(cvl=51.76), last, BOUNDS, known) == ""
    assert broken(decision(cvl=51.80), last, BOUNDS, known) == "CVL 51.80 V above 51.75 V of the settings"
