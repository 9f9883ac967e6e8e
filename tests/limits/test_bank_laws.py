"""Laws of the whole way from readings to the guard, while voltages, membership, lists, capacities and links move."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.bank import Standing
from gateway.limits import LimitSettings
from gateway.model import Decision, Health, Reading
from tests.limits.play import Play, cells, settings
from tests.limits.test_laws import near
from tests.make import reading

CELLS = 8
NAMES = ("a", "b", "c")
Event = tuple[float, int, str, float]  # s, whose, what, how much


def pack(volts: float = 3.30, **changes: object) -> Reading:
    """A pack of CELLS cells without current."""
    usual: dict[str, object] = {
        "cell_voltages": cells(volts, count=CELLS), "voltage": volts * CELLS, "current": 0.0, "capacity": 100.0,
        "remaining_capacity": None,
    }  # fmt: skip
    return reading(**{**usual, **changes})


LEVEL = near(3.20, 3.46)  # V; two of them are often further apart than what joins, 62 mV a cell
AMOUNTS = {
    "volts": LEVEL,
    "one cell": near(2.85, 3.60),
    "current": st.sampled_from([0.0, 0.5, -12.0, 30.0]),
    "heat": near(-5, 60),
    "soc": near(0, 100),
    "asks": near(0, 80),
    "switch": st.sampled_from([0.0, 1.0]),
    "fewer cells": st.just(0.0),
    "fewer sensors": st.just(0.0),
    "no capacity": st.just(0.0),
    "absurd voltage": st.sampled_from([0.0, 26.5, 80.0]),
    "bare board": st.just(0.0),
    "silence": st.just(0.0),
    "answer": st.just(0.0),
}


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Something that happens to one battery, and how long nothing happens then."""
    what = draw(st.sampled_from([*AMOUNTS, "volts", "silence", "silence", "answer", "answer"]))
    return (
        draw(st.sampled_from([1.0, 3.0, 12.0, 40.0, 70.0, 700.0])), draw(st.integers(0, 2)), what, draw(AMOUNTS[what])
    )  # fmt: skip


STORY = st.lists(events(), max_size=8)


def changed(says: Reading, what: str, amount: float) -> Reading:
    """What the BMS says after that."""
    if what == "volts":
        return replace(says, cell_voltages=cells(amount, count=CELLS), voltage=amount * CELLS)
    if what == "one cell":
        listed = (amount, *says.cell_voltages[1:])
        return replace(says, cell_voltages=listed, voltage=sum(v for v in listed if v is not None))
    if what == "fewer cells":
        listed = says.cell_voltages[: CELLS - 1]
        return replace(says, cell_voltages=listed, voltage=sum(v for v in listed if v is not None))
    if what == "bare board":
        return replace(says, cell_voltages=(0.0, *says.cell_voltages[1:]), voltage=0.0, current=0.0)
    if what == "fewer sensors":
        return replace(says, temperatures=says.temperatures[:1])
    if what == "heat":
        return replace(says, temperatures=(25.0, amount))
    if what == "switch":
        return replace(says, charge_allowed=bool(amount))
    names = {
        "current": "current", "soc": "soc", "asks": "max_charge_current", "no capacity": "capacity",
        "absurd voltage": "voltage",
    }  # fmt: skip
    return replace(says, **{names[what]: None if what == "no capacity" else amount})  # type: ignore[arg-type]


def happens(play: Play, event: Event) -> Play:
    """`play` after an event."""
    _, number, what, amount = event
    name = list(play.batteries)[number % len(play.batteries)]
    if what in ("silence", "answer"):
        return play.silence(name) if what == "silence" else play.answer(name)
    play.batteries[name] = changed(play.batteries[name], what, amount)
    return play


@st.composite
def banks(draw: st.DrawFn, least: int = 1) -> Play:
    """Batteries that agree at first, each with its own size and limits, after a minute."""
    names = NAMES[: draw(st.integers(least, 3))]
    block = draw(st.booleans())
    own = {
        name: settings(charge_current={"max": draw(near(10, 90))}, on_loss={"block": block}, use_bms_values=True)
        for name in names
    }
    packs = {name: pack(capacity=draw(st.sampled_from([None, 50.0, 100.0, 300.0]))) for name in names}
    play = Play(LimitSettings(), packs, {"per_battery": own}, difference=1.0)
    play.run(60, dt=20)
    return play


def through(play: Play, story: Sequence[Event]) -> Play:
    """`play` after a whole story."""
    for event in story:
        happens(play, event).run(event[0], dt=max(1.0, event[0] / 4))
    return play


def raised(less: Decision, more: Decision) -> list[str]:
    """Which limits of `less` are above those of `more`, in words."""
    pairs = [("CVL", less.cvl, more.cvl), ("CCL", less.ccl, more.ccl), ("DCL", less.dcl, more.dcl)]
    return [f"{name} {a} above {b}" for name, a, b in pairs if a is not None and b is not None and a > b + 0.002]


def others(play: Play, name: str) -> dict[str, Standing]:
    """What all batteries but one are to the bank."""
    return {other: standing for other, standing in play.standings.items() if other != name}


@given(banks(least=2), STORY, st.integers(0, 2), STORY)
@examples(max_examples=60, deadline=None)
def test_losing_a_battery_never_raises_any_limit(
    play: Play, before: list[Event], number: int, after: list[Event]
) -> None:
    """Compared with the same bank in which it goes on answering the same, while the others go on living.

    As long as the others stay what they were: one that is admitted because the lost one no longer speaks against its
    voltage brings limits of its own.  When none answers any more, what they had is kept for a while, not raised.
    """
    through(play, before)
    name = list(play.batteries)[number % len(play.batteries)]
    rest, had = play.twin().silence(name), play.decision
    for event in [(12.0, 0, "answer", 0.0), *after]:
        if list(play.batteries)[event[1] % len(play.batteries)] != name:
            happens(play, event)
            happens(rest, event)
        for _ in range(4):
            whole, left = (one.run(event[0] / 4, dt=event[0]) for one in (play, rest))
            if others(play, name) != others(rest, name):
                return
            kept = had is not None and not any(link.answers for link in rest.links.values())
            assert raised(left, whole) == [] or (kept and raised(left, had) == [])  # type: ignore[arg-type]


FORGOTTEN = st.sampled_from(
    ["cell", "cells", "last cell", "sensor", "sensors", "last sensor", "voltage", "current", "capacity", "soc",
     "mosfet_temperature", "max_charge_current", "max_discharge_current", "max_battery_voltage", "charge_allowed"]
)  # fmt: skip


def without(says: Reading, what: str) -> Reading:
    """A reading that lacks something it had."""
    lists = {
        "cell": {"cell_voltages": (None, *says.cell_voltages[1:])},
        "cells": {"cell_voltages": ()},
        "last cell": {"cell_voltages": says.cell_voltages[:-1]},
        "sensor": {"temperatures": (None, *says.temperatures[1:])},
        "sensors": {"temperatures": ()},
        "last sensor": {"temperatures": says.temperatures[:-1]},
    }
    return replace(says, **lists.get(what, {what: None}))  # type: ignore[arg-type]


@given(banks(), STORY, FORGOTTEN)
@examples(max_examples=50, deadline=None)
def test_forgetting_a_value_never_raises_any_limit(play: Play, story: list[Event], what: str) -> None:
    through(play, story)
    for name in play.batteries:
        play.answer(name)
    play.batteries["a"] = replace(play.batteries["a"], max_battery_voltage=27.3)
    play.run(5)
    blind = play.twin()
    blind.batteries["a"] = without(blind.batteries["a"], what)
    for seconds in (1, 9, 30, 21, 3, 60, 300):
        known, unknown = play.run(seconds, dt=15), blind.run(seconds, dt=15)
        assert raised(unknown, known) == []


@given(banks(), STORY)
@examples(max_examples=60, deadline=None)
def test_a_silent_battery_keeps_float_cap_bound_and_alarm_until_it_answers(play: Play, story: list[Event]) -> None:
    for event in story:
        was = dict(play.standings)
        happens(play, event)
        for _ in range(3):
            found = play.run(event[0] / 3, dt=event[0])
            for state in play.seen.batteries:
                if state.health not in (Health.STALE, Health.LOST):
                    continue
                if was[state.name] is Standing.OUT:
                    assert not state.joined, "nor does it come in by its silence"
                    continue
                assert state.joined
                assert found.cvl is not None
                assert found.cvl <= 3.375 * CELLS + 0.005
                assert found.alarms["bms_cable"] >= (state.health is Health.LOST)
            was = dict(play.standings)


@given(banks(), STORY)
@examples(max_examples=60, deadline=None)
def test_one_that_is_kept_out_always_shows(play: Play, story: list[Event]) -> None:
    for event in story:
        found = through(play, [event]).run(1)
        states = play.seen.batteries
        strangers = [state for state in states if not (state.joined and state.shares)]
        assert all(state.remark for state in strangers)
        assert (found.alarms.get("internal_failure", 0) >= 1) is bool(strangers)
        answering = [state for state in states if state.health is Health.ONLINE]
        assert not answering or any(state.joined for state in answering), "the limits never rest on silent ones alone"


@given(banks(), STORY)
@examples(max_examples=100, deadline=None)
def test_the_guard_never_objects_to_the_rules(play: Play, story: list[Event]) -> None:
    for event in story:
        happens(play, event)
        for _ in range(4):
            play.run(event[0] / 4, dt=event[0])
            assert play.objection == ""


@given(banks(least=2), STORY, st.randoms(use_true_random=False))
@examples(max_examples=25, deadline=None)
def test_the_order_of_batteries_is_irrelevant_to_membership(play: Play, story: list[Event], random: object) -> None:
    other, names = play.twin(), list(play.batteries)
    mixed = random.sample(names, len(names))  # type: ignore[attr-defined]
    other.batteries = {name: other.batteries[name] for name in mixed}
    moved = [(seconds, mixed.index(names[n % len(names)]), what, amount) for seconds, n, what, amount in story]
    one, two = through(play, story).run(1), through(other, moved).run(1)
    assert play.standings == other.standings
    assert (one.cvl, one.ccl, one.dcl, one.alarms) == (two.cvl, two.ccl, two.dcl, two.alarms)
