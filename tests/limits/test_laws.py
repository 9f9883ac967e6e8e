"""Laws of the limits: what holds for every bank, every history and every restart."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.limits import LimitSettings
from gateway.model import Decision, Reading
from tests.limits.play import WIDE, Play, cells, settings
from tests.make import reading

CELLS = 8
NAMES = ("a", "b", "c", "d")


def near(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of a range in steps that instruments have."""
    return st.integers(round(low * 1000), round(high * 1000)).map(lambda n: n / 1000)


CELL = near(2.75, 3.60) | st.sampled_from([2.9, 3.1, 3.19, 3.375, 3.40, 3.425, 3.45, 3.5])
HEAT = near(-15, 60) | st.sampled_from([0.0, 5.0, 10.0, 25.0, 25.0, 40.0, 50.0, 55.0])
SWITCH = st.sampled_from([True, True, True, None, False])


@st.composite
def readings(draw: st.DrawFn, healthy: bool = False) -> Reading:
    """A pack of CELLS cells, one of them apart from the others."""
    rest, other = draw(CELL), draw(CELL)
    usual = {"charge_allowed": True, "discharge_allowed": True} if healthy else {}
    return reading(
        **{
            "cell_voltages": cells(rest, rest + max(-0.2, min(0.2, other - rest)), count=CELLS),
            "voltage": None,
            "soc": draw(near(0, 100)),
            "current": draw(near(-80, 80)),
            "capacity": draw(st.sampled_from([50.0, 100.0, 280.0, 600.0])),
            "remaining_capacity": None,
            "temperatures": (draw(HEAT), draw(HEAT)),
            "mosfet_temperature": draw(st.none() | near(20, 100)),
            "max_charge_current": draw(st.none() | near(0, 120)),
            "max_discharge_current": draw(st.none() | near(0, 120)),
            "charge_allowed": draw(SWITCH),
            "discharge_allowed": draw(SWITCH),
            **usual,
        }
    )


LIMITS = st.builds(
    lambda charge, discharge, mode, soc: settings(
        charge_current={"max": charge}, discharge_current={"max": discharge}, mode=mode,
        by_soc={"charge": {"enabled": soc}, "discharge": {"enabled": soc}},
    ),
    near(5, 120), near(5, 120), st.sampled_from(["linear", "step"]), st.booleans(),
)  # fmt: skip


@st.composite
def banks(draw: st.DrawFn, most: int = 4, **options: Any) -> Play:
    """A bank of batteries, each with limits of its own."""
    names = NAMES[: draw(st.integers(1, most))]
    own = {name: draw(LIMITS) for name in names}
    return Play(LimitSettings(), {name: draw(readings()) for name in names}, {"per_battery": own, **options})


def shaken(play: Play, story: Sequence[tuple[float, int, Reading, bool]]) -> Play:
    """`play` after a history: seconds pass, a battery says something new or falls silent."""
    names = list(play.batteries)
    for seconds, number, says, answers in story:
        name = names[number % len(names)]
        if answers:
            play.batteries[name] = replace(says, capacity=play.batteries[name].capacity)
        (play.answer if answers else play.silence)(name)
        play.run(seconds, dt=max(1.0, seconds / 4))
    return play


STORY = st.lists(
    st.tuples(st.sampled_from([1.0, 3.0, 12.0, 40.0, 90.0, 700.0]), st.integers(0, 3), readings(), st.booleans()),
    max_size=6,
)


# ---- 1: no output above any cap


def share(table: Any, x: float) -> float:
    """A table's fraction at `x` by straight lines, worked out here once more."""
    points = sorted(zip(table.points, table.fractions, strict=True))
    k = bisect_right([p for p, _ in points], x)
    if k in (0, len(points)):
        return float(points[min(k, len(points) - 1)][1])
    (x0, y0), (x1, y1) = points[k - 1], points[k]
    return float(y0 + (y1 - y0) * (x - x0) / (x1 - x0))


def most(play: Play, name: str, way: str) -> float:
    """A [A] that one battery may have by its own settings, cells, sensors and BMS."""
    own, says = play.site.of(name), play.batteries[name]
    top = (own.charge_current if way == "charge" else own.discharge_current).max
    cell = says.max_cell if way == "charge" else says.min_cell
    shares = [share(getattr(own.by_cell_voltage, way), cell or 0.0)]
    shares += [share(getattr(own.by_temperature, way), heat) for heat in says.temperatures if heat is not None]
    if says.mosfet_temperature is not None:
        shares.append(share(getattr(own.by_mosfet_temperature, way), says.mosfet_temperature))
    asked = says.max_charge_current if way == "charge" else says.max_discharge_current
    bms = float("inf") if asked is None else asked
    return min(bms, top * min(shares) if own.mode == "linear" else top)


@given(banks(), STORY, st.none() | near(1, 200))
@examples(max_examples=150, deadline=None)
def test_no_current_is_above_what_any_battery_allows_for_its_share(play: Play, story: Any, cap: float | None) -> None:
    play.site = replace(play.site, charge_current_limit=cap, discharge_current_limit=cap)
    found = shaken(play, story).run(1)
    for way, amps, caps in (("charge", found.ccl, found.ccl_caps), ("discharge", found.dcl, found.dcl_caps)):
        assert 0 <= amps <= min([c.value for c in caps] + ([cap] if cap is not None else []))
        answering = [name for name in play.batteries if play.links[name].answers]
        carrying = [n for n in answering if getattr(play.batteries[n], f"{way}_allowed") is not False]
        whole = sum(play.batteries[n].capacity or 0.0 for n in carrying)
        if len(answering) < len(play.batteries):
            continue  # what a silent one means has laws of its own
        for name in carrying:
            assert amps * (play.batteries[name].capacity or 0.0) / whole <= most(play, name, way) + 0.002
        if not carrying:
            assert amps == 0
    assert found.allow_charge is (found.ccl > 0)
    assert found.allow_discharge is (found.dcl > 0)


@given(banks(), STORY)
@examples(max_examples=80, deadline=None)
def test_the_charge_voltage_is_never_above_the_lowest_set_point(play: Play, story: Any) -> None:
    found = shaken(play, story).run(1)
    assert found.cvl is not None
    assert 0 < found.cvl <= min(play.site.of(name).cell_voltage.max for name in play.batteries) * CELLS + 0.005


@given(banks(), STORY, st.booleans())
@examples(max_examples=120, deadline=None)
def test_the_guard_never_objects_to_what_the_rules_decide(play: Play, story: Any, block: bool) -> None:
    losing(play, block)
    for step in story:
        shaken(play, [step]).run(1)
        assert play.objection == ""


# ---- 2: hotter, colder, fuller, higher never raises


def once(limits: LimitSettings, **says: Any) -> Decision:
    """What a battery that says this is allowed at its first evaluation."""
    return Play(limits).set(**says).look()


MODES = st.sampled_from(["linear", "step"])


@given(MODES, near(10, 70), near(0, 30))
def test_hotter_never_raises(mode: str, heat: float, more: float) -> None:
    cool, hot = (once(settings(mode=mode), temperatures=(heat + extra,)) for extra in (0.0, more))
    assert hot.ccl <= cool.ccl
    assert hot.dcl <= cool.dcl


@given(MODES, near(-30, 39.999), near(0, 30))  # in step mode 40 °C itself already belongs to the hot side
def test_colder_never_raises(mode: str, heat: float, less: float) -> None:
    warm, cold = (once(settings(mode=mode), temperatures=(heat - lower,)) for lower in (0.0, less))
    assert cold.ccl <= warm.ccl
    assert cold.dcl <= warm.dcl


@given(MODES, near(20, 110), near(0, 30))
def test_a_hotter_mosfet_never_raises(mode: str, heat: float, more: float) -> None:
    cool, hot = (once(settings(mode=mode), mosfet_temperature=heat + extra) for extra in (0.0, more))
    assert hot.ccl <= cool.ccl
    assert hot.dcl <= cool.dcl


@given(MODES, near(2.6, 3.6), near(0, 0.3))
def test_a_higher_cell_never_raises_the_charge_nor_a_lower_one_the_discharge(mode: str, v: float, d: float) -> None:
    limits = settings(mode=mode)
    assert once(limits, cell_voltages=cells(3.3, v + d)).ccl <= once(limits, cell_voltages=cells(3.3, v)).ccl
    assert once(limits, cell_voltages=cells(3.3, v - d)).dcl <= once(limits, cell_voltages=cells(3.3, v)).dcl
    assert once(limits, cell_voltages=cells(3.3, v + d)).cvl <= once(limits, cell_voltages=cells(3.3, v)).cvl  # type: ignore[operator]


@given(MODES, near(0, 100), near(0, 50))
def test_fuller_never_raises_the_charge_nor_emptier_the_discharge(mode: str, soc: float, d: float) -> None:
    limits = settings(mode=mode, by_soc={"charge": {"enabled": True}, "discharge": {"enabled": True}})
    assert once(limits, soc=min(100.0, soc + d)).ccl <= once(limits, soc=soc).ccl
    assert once(limits, soc=max(0.0, soc - d)).dcl <= once(limits, soc=soc).dcl


@given(MODES, st.lists(near(2.9, 3.65), min_size=2, max_size=6, unique=True), st.data())
@examples(max_examples=60, deadline=None)
def test_whatever_the_table_higher_never_raises(mode: str, points: list[float], data: st.DataObject) -> None:
    between = data.draw(st.lists(near(0, 1), min_size=len(points) - 2, max_size=len(points) - 2))
    first = max([data.draw(near(0.001, 1)), *between])
    table = {"points": sorted(points), "fractions": [first, *sorted(between, reverse=True), 0]}
    limits = settings(mode=mode, by_cell_voltage={"charge": table})
    low, high = sorted(data.draw(st.tuples(near(2.5, 3.65), near(2.5, 3.65))))
    assert once(limits, cell_voltages=cells(high)).ccl <= once(limits, cell_voltages=cells(low)).ccl


# ---- 3: unknown never loosens


def without(says: Reading, what: str) -> Reading:
    """A reading that lacks one thing it had."""
    if what == "cell":
        return replace(says, cell_voltages=(None, *says.cell_voltages[1:]))
    if what == "cells":
        return replace(says, cell_voltages=(None,) * CELLS)
    if what == "all cells":
        return replace(says, cell_voltages=())
    if what == "sensor":
        return replace(says, temperatures=(None, *says.temperatures[1:]))
    if what == "sensors":
        return replace(says, temperatures=())
    return replace(says, **{what: None})  # type: ignore[arg-type]


INPUTS = (
    "cell", "cells", "all cells", "sensor", "sensors", "mosfet_temperature", "soc", "capacity", "current", "voltage",
    "charge_allowed", "discharge_allowed", "max_charge_current", "max_discharge_current",
)  # fmt: skip


@given(banks(most=3), STORY)
@examples(max_examples=15, deadline=None)
def test_what_becomes_unknown_never_loosens(play: Play, story: Any) -> None:
    """One bank goes on knowing everything, beside it one for each of INPUTS that has lost it."""
    shaken(play, story)
    for name in play.batteries:
        play.answer(name)
    play.run(4)
    blind = {what: play.twin() for what in INPUTS}
    for what, bank in blind.items():
        bank.batteries["a"] = without(bank.batteries["a"], what)
    for seconds in (1, 1, 8, 30, 18, 3, 60, 600):
        step = max(10, seconds // 10)
        known = play.run(seconds, dt=step)
        assert known.cvl is not None
        for what, bank in blind.items():
            unknown = bank.run(seconds, dt=step)
            assert unknown.ccl <= known.ccl + 1e-9, what
            assert unknown.dcl <= known.dcl + 1e-9, what
            assert unknown.cvl is not None, what
            assert unknown.cvl <= known.cvl + 1e-9, what


# ---- 4: order of batteries


@given(banks(), STORY, st.randoms(use_true_random=False))
@examples(max_examples=60, deadline=None)
def test_the_order_of_batteries_is_irrelevant(play: Play, story: Any, random: Any) -> None:
    other, names = play.twin(), list(play.batteries)
    mixed = random.sample(names, len(names))
    other.batteries = {name: other.batteries[name] for name in mixed}
    moved = [(seconds, mixed.index(names[n % len(names)]), says, ok) for seconds, n, says, ok in story]
    one, two = shaken(play, story).run(1), shaken(other, moved).run(1)
    assert (one.ccl, one.dcl) == pytest.approx((two.ccl, two.dcl), abs=0.0011)
    assert one.cvl == pytest.approx(two.cvl, abs=0.011)
    assert one.soc == pytest.approx(two.soc, abs=0.0011)
    assert (one.charge_mode, one.alarms) == (two.charge_mode, two.alarms)
    assert {(c.rule, c.battery) for c in one.ccl_caps} == {(c.rule, c.battery) for c in two.ccl_caps}


# ---- 5: loss of a member


def losing(play: Play, block: bool) -> Play:
    """`play`, whose batteries all have this on_loss.block, after a while in which every limit has settled."""
    change = {"block": block}
    own = {n: o.changed(on_loss=o.on_loss.changed(**change)) for n, o in play.site.per_battery.items()}
    play.site = replace(play.site, per_battery=own)
    play.run(120, dt=5)
    return play


@pytest.mark.parametrize("block", [True, False])
@given(banks(), st.integers(0, 3))
@examples(max_examples=15, deadline=None)
def test_a_lost_member_lowers_the_limits_by_its_share_and_kills_nothing(block: bool, play: Play, number: int) -> None:
    assume(len(play.batteries) > 1)
    losing(play, block)
    name = list(play.batteries)[number % len(play.batteries)]
    rest = play.twin().silence(name)
    for _ in range(12):
        whole, left = play.run(10, dt=5), rest.run(10, dt=5)
        for way, before, after in (("charge", whole.ccl, left.ccl), ("discharge", whole.dcl, left.dcl)):
            carrying = [n for n in play.batteries if getattr(play.batteries[n], f"{way}_allowed") is not False]
            total = sum(play.batteries[n].capacity or 0.0 for n in carrying)
            part = (play.batteries[name].capacity or 0.0) / total if block and name in carrying else 0.0
            assert after <= before * (1 - part) + 0.01
            others = [n for n in carrying if n != name]
            assert after > 0 or before < 0.02 or not others


@given(banks(), st.integers(0, 3))
@examples(max_examples=20, deadline=None)
def test_the_rest_of_a_bank_never_gets_more_than_it_allows_by_itself(play: Play, number: int) -> None:
    assume(len(play.batteries) > 1)
    name = list(play.batteries)[number % len(play.batteries)]
    without_it = {n: says for n, says in play.batteries.items() if n != name}
    alone = losing(Play(play.limits, without_it, {"per_battery": play.site.per_battery}), False)
    left = losing(play, False).silence(name)
    for seconds in (30, 60, 1700, 200):
        most, found = alone.run(seconds, dt=60), left.run(seconds, dt=60)
    assert found.ccl <= most.ccl + 0.01
    assert found.dcl <= most.dcl + 0.01


# ---- 6: every timer re-arms


CALM = {
    "cell_voltages": cells(3.29, count=CELLS), "soc": 60.0, "temperatures": (25.0, 25.0), "mosfet_temperature": 30.0,
    "charge_allowed": True, "discharge_allowed": True, "max_charge_current": 200.0, "max_discharge_current": 200.0,
    "current": 0.0,
}  # fmt: skip


@given(STORY, st.booleans())
@examples(max_examples=8, deadline=None)
def test_any_history_re_arms_every_timer(story: Any, counter: bool) -> None:
    limits = settings(
        **WIDE, soc={"source": "counter" if counter else "bms"}, imbalance={"enabled": True}, rebulk={"debounce": 20},
        obey_check={"enabled": True}, on_loss={"block": True},
    )  # fmt: skip
    play = shaken(Play(limits, {"a": reading(**CALM), "b": reading(**CALM)}), story)
    fresh = Play(limits, dict(play.batteries))
    for one in (play, fresh):
        for name in one.batteries:
            one.answer(name)
        one.set(**CALM).run(6000, dt=25)
        memory = one.memory
        timers = (memory.absorbing_since, memory.rebulk_since, memory.blocked_since, memory.imbalance_since,
                  memory.over_charge_since, memory.over_discharge_since, memory.voltage.limited_at)  # fmt: skip
        assert not any(timers)
        for battery in memory.batteries.values():
            assert (battery.charge.rising_since, battery.discharge.rising_since, battery.empty_since) == (None,) * 3
            assert (battery.lost, battery.blocked, battery.charge.apart, battery.discharge.apart) == (False,) * 4
    assert play.decision is not None
    assert fresh.decision is not None
    assert (play.decision.ccl, play.decision.dcl) == (fresh.decision.ccl, fresh.decision.dcl) == (100.0, 120.0)
    assert not any(play.decision.alarms.values())
    if not counter:  # the counter's SoC is part of the history
        assert (play.decision.cvl, play.decision.charge_mode) == (fresh.decision.cvl, fresh.decision.charge_mode)
        for one in (play, fresh):
            one.set(cell_voltages=cells(3.451, count=CELLS), soc=99.0).run(1)
            assert one.until(lambda d: d.charge_mode == "float_transition") == 901


# ---- 7: restart anywhere


@given(near(1, 1600), near(0, 60), st.sampled_from(["bms", "counter"]))
@examples(max_examples=10, deadline=None)
def test_a_restart_anywhere_changes_only_what_is_not_stored(moment: float, down: float, source: str) -> None:
    """A charge: bulk for 60 s, absorption for 120 s, down to float, float; the process ends somewhere in it."""
    limits = settings(**WIDE, soc={"source": source}, absorption={"time": 120})
    play = Play(limits).set(cell_voltages=cells(3.40), soc=95.0, current=10.0)

    def charge(one: Play, start: float, end: float) -> None:
        """From `start` to `end` [s] of the charge."""
        marks = [start, *(t for t in (60.0,) if start < t < end), end]
        for since, until in pairwise(marks):
            one.set(cell_voltages=cells(3.40 if since < 60 else 3.451), current=10.0 if since < 60 else 0.0)
            if until > since:
                one.run(until - since, dt=9)

    charge(play, 0.0, moment)
    other = play.twin().restart(down)
    assert other.memory.allow_max is play.memory.allow_max
    if play.memory.absorbing_since is not None:
        assert other.memory.absorbing_since == pytest.approx(5.0 - (play.now - play.memory.absorbing_since), abs=1e-3)
    for one in (play, other):
        charge(one, moment, 2400.0)
    assert play.decision is not None
    assert other.decision is not None
    assert (other.decision.charge_mode, other.decision.cvl) == (play.decision.charge_mode, play.decision.cvl)
    assert (other.decision.ccl, other.decision.dcl) == (play.decision.ccl, play.decision.dcl)
    assert other.memory.history.automatic_syncs == play.memory.history.automatic_syncs == 1
    assert other.decision.soc == pytest.approx(play.decision.soc, abs=0.2), "60 s with 10 A of 280 Ah may be missed"


@given(banks(), STORY)
@examples(max_examples=40, deadline=None)
def test_what_is_stored_can_be_stored_again_unchanged(play: Play, story: Any) -> None:
    stored = shaken(play, story).memory.persisted()
    assert play.restart().memory.persisted() == stored


@given(banks(), STORY)
@examples(max_examples=40, deadline=None)
def test_no_restart_loosens_beyond_what_a_fresh_start_allows(play: Play, story: Any) -> None:
    shaken(play, story)
    for name in play.batteries:
        play.answer(name)
    fresh = Play(play.limits, dict(play.batteries), dict(play.options)).look()
    again = play.restart().look()
    assert again.ccl <= fresh.ccl
    assert again.dcl <= fresh.dcl
    assert again.cvl is not None
    assert fresh.cvl is not None
    assert again.cvl <= fresh.cvl


# ---- 8: the pace of evaluation


@given(readings(healthy=True), readings(healthy=True), st.sampled_from([7.0, 31.0, 45.0, 200.0]))
@examples(max_examples=12, deadline=None)
def test_how_often_is_evaluated_changes_no_limit_by_more_than_one_step(one: Reading, two: Reading, wait: float) -> None:
    slow = Play(LimitSettings(), {"a": one})
    slow.look()
    quick = slow.twin()
    for play, dt in ((slow, 4.0), (quick, 1.0)):
        play.batteries["a"] = two
        play.look()
        play.run(wait, dt=dt)
    assert slow.decision is not None
    assert quick.decision is not None
    assert slow.decision.ccl == pytest.approx(quick.decision.ccl, abs=5.0 * 2.5)
    assert slow.decision.dcl == pytest.approx(quick.decision.dcl, abs=5.0 * 2.5)
    assert slow.decision.cvl == pytest.approx(quick.decision.cvl, abs=0.02)
