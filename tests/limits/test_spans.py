"""What is told of time is told in steps: nobody keeps a row a second because a sentence counts down."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.spans import COARSEST, left, past
from tests.limits.play import WIDE, Play, cells, settings


@pytest.mark.parametrize(
    ("seconds", "still", "since"),
    [(-3.0, "0 s", "-3 s"), (0.0, "0 s", "0 s"), (0.2, "10 s", "0 s"), (9.4, "10 s", "9 s"), (10.0, "10 s", "10 s"),
     (29.0, "30 s", "20 s"), (59.0, "60 s", "50 s"), (60.0, "60 s", "60 s"), (61.0, "120 s", "60 s"),
     (3599.0, "3600 s", "3540 s"), (3600.0, "3600 s", "3600 s"), (8000.0, "8100 s", "7200 s"),
     (math.inf, "inf s", "inf s")],
)  # fmt: skip
def test_spans_in_words(seconds: float, still: str, since: str) -> None:
    assert (left(seconds), past(seconds)) == (still, since)


@given(st.floats(10, 1e6))
def test_no_less_is_left_and_no_more_is_past_than_told(seconds: float) -> None:
    number = [float(words.removesuffix(" s")) for words in (past(seconds), left(seconds))]
    assert number[0] <= seconds <= number[1] <= number[0] + COARSEST


def sentences(play: Play, seconds: int) -> int:
    """How many different sentences a program is told in so many seconds in which nothing else happens."""
    told = set()
    for _ in range(seconds):
        found = play.run(1)
        told.add((found.waiting, *(cap.why for cap in (*found.cvl_caps, *found.ccl_caps, *found.dcl_caps))))
    return len(told)


def test_nothing_that_only_takes_time_is_another_sentence_each_second() -> None:
    full = Play(settings(**WIDE)).set(cell_voltages=cells(3.452), soc=99.0, current=20.0)
    assert full.look().charge_mode == "absorption"
    assert sentences(full, 300) <= 8
    silent = Play().silence()
    silent.run(30)
    assert sentences(silent, 600) <= 20
    held = Play(settings(charge_current={"hold": 120}))
    held.set(temperatures=(2.0,)).run(5)
    held.set(temperatures=(25.0,))
    assert any("for another 120 s" in cap.why for cap in held.run(1).ccl_caps)
    assert sentences(held, 90) <= 9
