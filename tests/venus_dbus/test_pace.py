"""Messages are rare, except those that must not wait."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Decision
from outputs.venus_dbus.pace import Haste, Pace, haste
from outputs.view import View, bank_view
from tests import make


def view(**changes: Any) -> View:
    decision: Decision = make.decision(**changes)
    return bank_view(make.snapshot(decision=decision))


def test_only_limits_and_alarms_are_urgent() -> None:
    assert haste(None, view()) is Haste.NOW
    assert haste(view(), view()) is Haste.USUAL
    assert haste(view(), bank_view(make.snapshot(bank=make.bank(current=99.0)))) is Haste.USUAL
    assert haste(view(), view(ccl=49.0)) is Haste.SOON
    assert haste(view(ccl=49.0), view(ccl=50.0)) is Haste.SOON
    assert haste(view(alarms={"low_soc": 2}), view(alarms={"low_soc": 0})) is Haste.SOON


def test_what_takes_a_permission_away_is_due_now() -> None:
    for changes in (
        {"ccl": 0.0}, {"dcl": 0.0}, {"cvl": None}, {"allow_charge": False}, {"allow_discharge": False},
        {"alarms": {"low_soc": 1}}, {"alarms": {"fuse_blown": 2}},
    ):  # fmt: skip
        assert haste(view(), view(**changes)) is Haste.NOW, changes


def test_usual_news_wait_for_the_interval() -> None:
    pace = Pace(0.9)
    assert pace.wait(10.0, Haste.USUAL) == 0.0
    pace.sent(10.0)
    assert abs(pace.wait(10.5, Haste.USUAL) - 0.4) < 1e-9
    assert pace.wait(10.5, Haste.SOON) == 0.0
    assert pace.wait(10.0, Haste.NOW) == 0.0
    assert pace.wait(10.9, Haste.USUAL) == 0.0


def test_what_changes_with_time_alone_never_takes_the_place_of_a_reading() -> None:
    pace = Pace(0.9)
    pace.sent(10.0)
    assert abs(pace.wait(10.85, Haste.USUAL, fresh=False) - 0.05) < 1e-9
    pace.sent(10.9, fresh=False)
    assert pace.wait(10.91, Haste.USUAL) == 0.0
    assert abs(pace.wait(10.91, Haste.USUAL, fresh=False) - 0.89) < 1e-9


@given(st.lists(st.tuples(st.floats(0.01, 1.5), st.booleans()), min_size=20, max_size=200))
def test_readings_wait_for_readings_only_and_the_bus_is_not_flooded(steps: list[tuple[float, bool]]) -> None:
    pace, now, sent = Pace(0.9), 0.0, 0
    last = float("-inf")
    for step, fresh in steps:
        now += step
        wait = pace.wait(now, Haste.USUAL, fresh=fresh)
        if fresh and sent:
            assert abs(wait - max(0.0, last + 0.9 - now)) < 1e-9
        if wait == 0.0:
            pace.sent(now, fresh=fresh)
            sent += 1
            last = now if fresh else last
    assert sent <= 2 * (1 + now / 0.9)


@given(st.lists(st.floats(0.01, 0.5), min_size=50, max_size=300), st.sampled_from([Haste.USUAL, Haste.SOON]))
def test_changing_limits_cannot_flood_the_bus(steps: list[float], urgency: Haste) -> None:
    pace, now, sent = Pace(0.9), 0.0, 0
    for step in steps:
        now += step
        if pace.wait(now, urgency) == 0.0:
            pace.sent(now)
            sent += 1
    assert sent <= 5 + now * (1.0 / 0.9 + 1.0 / 5.0)
