"""What a brand needs otherwise, and the laws that hold whatever it needs."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Snapshot
from outputs.can_bms import brand
from outputs.inverter.brand import Descent, Quirks
from outputs.inverter.keys import KINDS, Value
from outputs.inverter.quirks import Memory, Shaper, lowered_slowly, lowered_to_battery
from outputs.inverter.values import safe, values_of
from tests import make

ALL = frozenset(KINDS)
CVL, CCL, DCL = "charge_voltage_limit", "charge_current_limit", "discharge_current_limit"
PACE = Descent(step=0.1, every=180.0)
ALARM = {"high_cell_voltage": 2}


def told(quirks: Quirks, *, lost: bool = False, shaper: Shaper | None = None, now: float = 0.0, **decision: Any) -> Any:
    """What an inverter with `quirks` is told of one decision."""
    bank = {key: decision.pop(key) for key in ("voltage", "soc") if key in decision}
    snapshot = make.snapshot(now, bank=make.bank(**bank), decision=make.decision(**{"soc": None, **decision}))
    values = values_of(snapshot, ALL)
    return (shaper or Shaper(quirks, ALL)).shape(safe(values, ALL) if lost else values, snapshot, now)


def test_without_quirks_nothing_is_changed() -> None:
    snapshot = make.snapshot(decision=make.decision(alarms=ALARM, force_charge=True))
    shaper = Shaper(Quirks(), ALL)
    assert shaper.shape(values_of(snapshot, ALL), snapshot, 0.0) == values_of(snapshot, ALL)
    assert shaper.changes == []


# ---- the stop


def test_a_brand_that_ignores_0_is_told_a_tenth_of_an_ampere_with_the_enable_bits_cleared() -> None:
    sofar = brand.load("sofar").quirks
    values = told(sofar, ccl=0.0, allow_discharge=False, dcl=0.0)
    assert (values[CCL], values[DCL]) == (0.1, 0.1)
    assert (values["charge_enable"], values["discharge_enable"]) == (0, 0)
    assert told(sofar, ccl=0.04)[CCL] == 0.1, "it would be rounded to 0"
    assert told(sofar, ccl=30.0)[CCL] == 30.0


def test_the_safe_state_is_0_a_for_all_but_those_that_ignore_it() -> None:
    for name in brand.names():
        quirks = brand.load(name).quirks
        values = told(quirks, lost=True)
        assert (values[CCL], values[DCL]) == (quirks.least_charge_current, quirks.least_discharge_current)
        assert not values["charge_enable"] and not values["discharge_enable"] and values["p_system_error"]


def test_a_solis_may_charge_again_after_its_battery_was_emptied() -> None:
    values = told(brand.load("solis").quirks, dcl=0.0, allow_discharge=False, soc=5.0, alarms={"low_soc": 2})
    assert (values["charge_enable"], values["discharge_enable"], values[DCL]) == (1, 0, 0.0)
    assert values[CCL] > 0


def test_force_charge_goes_to_the_bit_that_the_brand_reads() -> None:
    for wanted, bits in (((1, 2), (1, 1)), ((2,), (0, 1)), ((), (0, 0))):
        values = told(Quirks(force_charge=wanted), force_charge=True)
        assert (values["force_charge_1"], values["force_charge_2"]) == bits
    assert told(Quirks(force_charge=(2,)))["force_charge_2"] == 0


def test_a_full_charge_is_asked_for_while_charging_is_allowed() -> None:
    assert told(Quirks(), full_charge=True)["full_charge"] == 1
    assert told(Quirks(), full_charge=True, ccl=0.0)["full_charge"] == 0
    assert told(Quirks(), full_charge=True, lost=True)["full_charge"] == 0


# ---- SoC


@pytest.mark.parametrize(
    ("mode", "soc", "shown"),
    [
        ("bulk", 97.0, 97), ("bulk", 100.0, 98), ("absorption", 100.0, 98), ("float_transition", 100.0, 100),
        ("float", 100.0, 100), ("float", 99.0, 99), ("fixed", 99.9, 98), ("fixed", 100.0, 100), ("error", 99.0, 98),
    ],
)  # fmt: skip
def test_the_soc_waits_at_98_until_the_battery_is_declared_full(mode: str, soc: float, shown: int) -> None:
    values = told(Quirks(soc_until_full=98), charge_mode=mode, soc=soc)
    assert values["soc"] == shown
    assert values["soc_high_resolution"] <= shown or mode == "float"


# ---- alarms


def test_an_sma_is_told_alarms_as_warnings_while_current_may_flow() -> None:
    sma = brand.load("sma").quirks
    raised = {"high_voltage": 2, "high_charge_temperature": 2, "internal_failure": 2, "low_temperature": 1}
    values = told(sma, alarms=raised, ccl=0.0)
    assert not any(values.get(key) for key in KINDS if key.startswith("p_") or key.endswith("_alarm"))
    assert values["a_high_voltage"] and values["high_charge_temperature_warning"] and values["a_low_temperature"]
    cut = told(sma, alarms=raised, ccl=0.0, dcl=0.0)
    assert cut["p_over_voltage"] and cut["high_charge_temperature_alarm"] and cut["p_system_error"]
    assert told(sma, lost=True)["p_system_error"] == 1


# ---- charge voltage limit


def descent(*steps: tuple[float, float | None, float]) -> list[float | None]:
    """What is sent for (decided, voltage, s) one after the other."""
    memory, sent = Memory(), []
    for decided, voltage, now in steps:
        memory = lowered_slowly(decided, voltage, memory, now, PACE)
        sent.append(memory.sent)
    return sent


def test_it_comes_down_to_the_battery_at_once_and_below_it_a_step_each_three_minutes() -> None:
    down = [(55.2, 55.0, 0.0), (54.0, 55.0, 1.0), (54.0, 55.0, 180.0), (54.0, 55.0, 181.0), (54.0, 55.0, 360.0)]
    assert descent(*down) == [55.2, 55.0, 54.9, 54.9, 54.8]


def test_it_follows_a_falling_battery_at_once_and_a_rising_one_never() -> None:
    assert descent((55.2, 55.0, 0), (54.0, 55.0, 1), (54.0, 54.3, 2), (54.0, 55.6, 3)) == [55.2, 55.0, 54.3, 54.3]
    assert descent((55.2, 55.0, 0), (54.0, 53.0, 1)) == [55.2, 54.0]


def test_a_raised_decision_is_raised_at_once_and_the_first_one_is_sent_as_it_is() -> None:
    assert descent((54.0, 55.0, 0), (55.2, 55.0, 1), (54.0, 55.0, 2), (54.5, 55.0, 3)) == [54.0, 55.2, 55.0, 55.0]
    assert descent((54.0, None, 0), (53.0, None, 1)) == [54.0, 53.0]


def test_a_cell_at_its_alarm_ends_the_patience() -> None:
    shaper = Shaper(Quirks(lower_slowly=PACE), ALL)
    assert told(Quirks(), shaper=shaper, cvl=55.2, voltage=55.0)[CVL] == 55.2
    assert told(Quirks(), shaper=shaper, cvl=53.0, voltage=55.0, now=1.0)[CVL] == 55.0
    assert [(c.decided, c.sent) for c in shaper.changes] == [(53.0, 55.0)]
    assert told(Quirks(), shaper=shaper, cvl=53.0, voltage=55.0, now=2.0, alarms={"high_voltage": 1})[CVL] == 55.0
    assert told(Quirks(), shaper=shaper, cvl=53.0, voltage=55.0, now=3.0, alarms=ALARM)[CVL] == 53.0
    assert told(Quirks(), shaper=shaper, cvl=53.0, voltage=55.0, now=4.0)[CVL] == 53.0, "it never rises again"


def test_a_victron_that_may_not_charge_is_not_told_to_dump_its_battery() -> None:
    shaper = Shaper(brand.load("victron").quirks, ALL)
    sent = [
        told(Quirks(), shaper=shaper, now=now, voltage=volts, cvl=cvl, ccl=ccl)[CVL]
        for now, volts, cvl, ccl in (
            (0, 55.0, 55.2, 50.0), (1, 55.0, 53.0, 0.0), (9999, 55.0, 53.0, 0.0), (10000, 54.0, 53.0, 0.0),
            (10001, 55.0, 53.0, 0.0), (10002, 55.0, 53.0, 1.0), (10003, 55.0, 53.0, 0.0),
        )
    ]  # fmt: skip
    assert sent == [55.2, 55.0, 55.0, 54.0, 54.0, 53.0, 53.0]


# ---- laws

VOLTS = st.one_of(st.none(), st.floats(40, 60).map(lambda volts: round(volts, 2)))
MOMENTS = st.lists(st.tuples(st.floats(40, 60).map(lambda v: round(v, 2)), VOLTS, st.floats(0, 400)), max_size=30)
SLACK = 1e-9


@given(MOMENTS, st.builds(Descent, step=st.floats(0.05, 5), every=st.floats(1, 3600)))
def test_the_descent_keeps_its_laws(moments: Any, pace: Descent) -> None:
    memory, now, last_step, before = Memory(), 0.0, -math.inf, None
    for decided, voltage, passed in moments:
        now += passed
        memory = lowered_slowly(decided, voltage, memory, now, pace)
        sent = memory.sent
        assert sent is not None and sent >= decided
        if before is None:
            assert sent == decided
        else:
            assert sent <= max(before, decided), "it never rises but by a decision"
            floor = decided if voltage is None else max(decided, voltage)
            assert sent <= max(decided, min(before, floor)), "down to the battery at once"
            step = min(before, floor) - sent
            if decided < before and step > SLACK:
                assert step <= pace.step + 0.001 and now - last_step >= pace.every - SLACK, (
                    "below it one step at a time"
                )
                last_step = now
        before = sent


@given(MOMENTS)
def test_a_limit_that_stays_at_the_battery_keeps_its_laws(moments: Any) -> None:
    memory = Memory()
    for now, (decided, voltage, _) in enumerate(moments):
        before, memory = memory, lowered_to_battery(decided, voltage, memory, now)
        assert memory.sent is not None and memory.sent >= decided
        ceiling = decided if before.sent is None else max(before.sent, decided)
        assert memory.sent <= ceiling and memory.sent <= max(decided, voltage or decided)


QUIRKS = st.builds(
    Quirks,
    least_charge_current=st.sampled_from([0.0, 0.1, 1.0]), least_discharge_current=st.sampled_from([0.0, 0.1]),
    lower_slowly=st.one_of(st.none(), st.just(PACE)), not_below_battery_when_stopped=st.booleans(),
    soc_until_full=st.sampled_from([None, 98, 99]), alarms=st.sampled_from(["raised", "when_cut"]),
    force_charge=st.sampled_from([(), (1,), (2,), (1, 2)]),
)  # fmt: skip
AMPS = st.one_of(st.just(0.0), st.floats(0, 200), st.just(math.nan))
SNAPSHOTS = st.builds(
    lambda at, volts, soc, **decision: make.snapshot(
        at, bank=make.bank(voltage=volts, soc=soc), decision=make.decision(soc=None, **decision)
    ),
    at=st.floats(0, 400), volts=VOLTS, soc=st.one_of(st.none(), st.floats(0, 100)),
    cvl=st.one_of(st.none(), st.floats(40, 60)), ccl=AMPS, dcl=AMPS, allow_charge=st.booleans(),
    allow_discharge=st.booleans(), force_charge=st.booleans(), full_charge=st.booleans(),
    cell_ovp=st.sampled_from(["none", "limiting", "holding"]),
    charge_mode=st.sampled_from(["bulk", "absorption", "float_transition", "float", "fixed", "error"]),
    alarms=st.dictionaries(st.sampled_from(["high_cell_voltage", "high_voltage", "low_soc", "bms_cable"]),
                           st.integers(0, 2)),
)  # fmt: skip


@settings(max_examples=300)
@given(QUIRKS, st.lists(st.tuples(SNAPSHOTS, st.booleans()), max_size=12))
def test_no_quirk_allows_more_than_was_decided(quirks: Quirks, life: list[tuple[Snapshot, bool]]) -> None:
    shaper, now, before = Shaper(quirks, ALL), 0.0, -math.inf
    for snapshot, lost in life:
        now += snapshot.at
        values = values_of(replace(snapshot, at=now), ALL)
        values = safe(values, ALL) if lost else values
        sent = shaper.shape(values, snapshot, now)
        least = {CCL: quirks.least_charge_current, DCL: quirks.least_discharge_current}
        for key, floor in least.items():
            assert number(sent, key) in (number(values, key), floor) and number(sent, key) >= number(values, key)
        for flag in ("charge_enable", "discharge_enable", "force_charge_1", "force_charge_2", "full_charge"):
            assert number(sent, flag) <= number(values, flag)
        if CVL in sent:
            assert number(values, CVL) <= number(sent, CVL) <= max(before, number(values, CVL))
            before = number(sent, CVL)
        assert number(sent, "soc") <= number(values, "soc")
        told_of = {change.key: change.sent for change in shaper.changes}
        assert {key: value for key, value in sent.items() if value != values.get(key)} == {
            key: value for key, value in told_of.items() if value != values.get(key)
        }, "whatever is changed is told"
        severe = any(snapshot.decision.alarms.get(name) == 2 for name in ("high_cell_voltage", "high_voltage"))
        stopped = snapshot.decision.ccl == 0 and snapshot.decision.cell_ovp == "limiting"
        if severe or stopped:
            assert sent.get(CVL) == values.get(CVL)


def number(values: dict[str, Value], key: str) -> float:
    """A value; what is not known counts as 0."""
    value = values.get(key, 0.0)
    assert isinstance(value, int | float)
    return value
