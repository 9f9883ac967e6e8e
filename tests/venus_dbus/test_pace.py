"""Messages are rare, except those that must not wait."""

from typing import Any

import pytest
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


def test_usual_news_come_once_an_interval_and_one_may_come_early() -> None:
    pace = Pace(1.0)
    assert pace.wait(10.0, Haste.USUAL) == 0.0
    pace.sent(10.0)
    assert pace.wait(10.2, Haste.USUAL) == pytest.approx(0.3), "never two at once"
    assert pace.wait(10.2, Haste.SOON) == pace.wait(10.2, Haste.NOW) == 0.0
    assert pace.wait(10.6, Haste.USUAL) == 0.0
    pace.sent(10.6)
    assert pace.wait(11.1, Haste.USUAL) == 0.0
    pace.sent(11.1)
    assert pace.wait(11.6, Haste.USUAL) == pytest.approx(0.4), "it would be the fourth in 2 s"


def test_what_changes_with_time_alone_never_takes_the_place_of_a_reading() -> None:
    pace = Pace(1.0)
    pace.sent(10.0)
    assert pace.wait(10.85, Haste.USUAL, fresh=False) == pytest.approx(0.15)
    pace.sent(11.0, fresh=False)
    assert pace.wait(11.01, Haste.USUAL) == 0.0
    assert pace.wait(11.01, Haste.USUAL, fresh=False) == pytest.approx(0.99)


@given(st.lists(st.floats(-0.2, 0.2), min_size=20, max_size=100))
def test_readings_once_an_interval_never_wait_although_they_come_unevenly(late: list[float]) -> None:
    pace = Pace(1.0)
    for number, off in enumerate(late):
        assert pace.wait(number + off, Haste.USUAL) == 0.0
        pace.sent(number + off)


@given(st.lists(st.tuples(st.floats(0.001, 1.5), st.booleans()), min_size=20, max_size=100))
def test_in_the_long_run_there_is_one_message_an_interval(steps: list[tuple[float, bool]]) -> None:
    pace, now, sent = Pace(1.0), 0.0, 0
    for step, fresh in steps:
        now += step
        if pace.wait(now, Haste.USUAL, fresh=fresh) == 0.0:
            pace.sent(now, fresh=fresh)
            sent += 1
    assert sent <= 2 + now + 1e-6


@given(st.lists(st.floats(0.01, 0.5), min_size=50, max_size=300), st.sampled_from([Haste.USUAL, Haste.SOON]))
def test_changing_limits_cannot_flood_the_bus(steps: list[float], urgency: Haste) -> None:
    pace, now, sent = Pace(1.0), 0.0, 0
    for step in steps:
        now += step
        if pace.wait(now, urgency) == 0.0:
            pace.sent(now)
            sent += 1
    assert sent <= 5 + now * (1.0 + 1.0 / 5.0)
