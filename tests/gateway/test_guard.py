"""The last look: no invariant-breaking decision leaves as it is."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard import Bounds, broken, safe
from gateway.model import BankState, Decision
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
