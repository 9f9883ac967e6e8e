"""A limit from outside is one more cap: whatever is asked for, by whomever, it never loosens anything."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway import guard
from gateway.limits import LimitSettings
from gateway.model import Decision, RemoteLimit
from gateway.model.restriction import BOUNDS
from tests.limits.play import Play
from tests.limits.test_bank_laws import STORY, Event, banks, happens
from tests.make import bank, battery, decision, reading

REMAIN = [f.name for f in fields(Decision) if f.name not in (
    "ccl", "dcl", "allow_charge", "allow_discharge", "ccl_caps", "dcl_caps", "alarms",
)]  # fmt: skip


def limit(key: str, value: float, source: str = "mqtt") -> RemoteLimit:
    return RemoteLimit(key, value, source, 1e9, 1_790_000_000.0)  # type: ignore[arg-type]


VALUES = st.sampled_from([0.0, 0.3, 5.0, 20.0, 59.999, 60.0, 60.001, 80.0, 100.0])
ASKED = st.lists(
    st.builds(limit, st.sampled_from(list(BOUNDS)), VALUES, st.sampled_from(["mqtt", "http", "cli"])), max_size=4
)


@given(banks(), STORY, st.lists(ASKED, min_size=1, max_size=8))
@examples(max_examples=40, deadline=None)
def test_it_never_loosens_and_touches_nothing_else(
    play: Play, story: list[Event], asked: list[list[RemoteLimit]]
) -> None:
    free = play.twin()
    for number, event in enumerate([*story, *story[:2]]):
        play.asked = tuple(asked[number % len(asked)])
        for one in (play, free):
            happens(one, event)
        for _ in range(4):
            bound, own = play.run(event[0] / 4, dt=event[0]), free.run(event[0] / 4, dt=event[0])
            assert bound.ccl <= own.ccl and bound.dcl <= own.dcl
            assert all(getattr(bound, name) == getattr(own, name) for name in REMAIN)
            assert all(level >= own.alarms.get(name, 0) for name, level in bound.alarms.items())
            assert play.objection == "", "the guard knows of it, and agrees"


@given(banks(), STORY, ASKED)
@examples(max_examples=40, deadline=None)
def test_more_that_is_asked_for_never_loosens_either(play: Play, story: list[Event], asked: list[RemoteLimit]) -> None:
    more = play.twin()
    play.asked, more.asked = tuple(asked[1:]), tuple(asked)
    for event in story:
        for one in (play, more):
            happens(one, event)
        less, found = play.run(event[0], dt=event[0] / 3), more.run(event[0], dt=event[0] / 3)
        assert found.ccl <= less.ccl and found.dcl <= less.dcl


def test_when_it_ends_the_limit_comes_back_by_hold_and_ramp_and_says_so() -> None:
    play = Play(LimitSettings())
    assert play.run(60).ccl == 50
    play.asked = (limit("ccl", 12.0), limit("dcl", 0.0, "http"))
    bound = play.run(1)
    assert (bound.ccl, bound.dcl, bound.allow_discharge) == (12, 0, False)
    assert bound.ccl_reason == ("remote",)
    assert [cap.why for cap in bound.ccl_caps if cap.rule == "remote"] == [
        "at most 12 A: mqtt asks for it, not beyond 14:15 UTC"
    ]
    play.run(600)
    play.asked = ()
    held = play.run(29)
    assert held.ccl == 12 and held.ccl_reason == ("recovery",)
    assert any("after a limit from outside: held at 12 A" in cap.why for cap in held.ccl_caps)
    assert 0 < play.until(lambda found: found.ccl == 50) <= 12
    assert play.run(1).ccl_caps == Play(LimitSettings()).run(61).ccl_caps, "nothing of it is left"


def test_one_above_the_limit_has_no_effect_now_nor_later() -> None:
    play = Play(LimitSettings(), asked=(limit("ccl", 9000.0), limit("soc_max", 90.0), limit("soc_min", 10.0)))
    found = play.run(60)
    assert (found.ccl, found.dcl, found.ccl_reason) == (50, 60, ("config",))
    play.asked = ()
    assert (play.run(1).ccl, play.run(1).dcl) == (50, 60)


def test_the_state_of_charge_window_ends_the_current_at_its_edges() -> None:
    play = Play(LimitSettings(), asked=(limit("soc_max", 60.0), limit("soc_min", 40.0)))
    play.run(60)
    found = play.set(soc=60.0, remaining_capacity=168.0).run(1)
    assert (found.ccl, found.allow_charge, found.dcl) == (0, False, 60)
    found = play.set(soc=59.0).run(120)
    assert (found.ccl, found.dcl) == (50, 60)
    found = play.set(soc=40.0).run(1)
    assert (found.ccl, found.dcl) == (50, 0)


def test_with_a_window_and_no_state_of_charge_nothing_flows() -> None:
    play = Play(LimitSettings(), {"a": reading(soc=None, remaining_capacity=None)}, asked=(limit("soc_max", 90.0),))
    found = play.run(5)
    assert (found.ccl, found.dcl) == (0, Play(LimitSettings(), dict(play.batteries)).run(5).dcl)
    assert "SoC not known" in "".join(cap.why for cap in found.ccl_caps)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("ccl", 49.9, "CCL 50.0 A above the 49.9 A that mqtt asks for (ccl)"),
        ("dcl", 10.0, "DCL 60.0 A above the 10.0 A that mqtt asks for (dcl)"),
        ("soc_max", 60.0, "CCL 50.0 A above the 0.0 A that mqtt asks for (soc_max)"),
        ("soc_min", 60.0, "DCL 60.0 A above the 0.0 A that mqtt asks for (soc_min)"),
    ],
)
def test_the_guard_stops_a_decision_that_ignores_it(key: str, value: float, says: str) -> None:
    bounds = guard.Bounds({"rack-1": 3.45}, 0.0, {"rack-1": 50.0}, {"rack-1": 60.0}, {"rack-1": 10.0})
    one = bank(battery())
    assert guard.broken(decision(), one, bounds) == ""
    assert guard.broken(decision(), one, bounds, None, (limit(key, value),)) == says
