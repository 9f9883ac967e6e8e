"""Cell-voltage controllers and how their target is applied.  Sheet: limits.md 3.3, 3.4."""

from itertools import pairwise

import pytest

from gateway.limits import LimitSettings
from gateway.limits.cvl import target
from gateway.limits.memory import Voltage
from tests.limits.play import WIDE, Play, cells, settings, sheet
from tests.make import reading


def controlled(kind: str, **more: object) -> Play:
    return Play(sheet(**WIDE, charge_voltage={"controller": kind, **more}))


@pytest.mark.parametrize(("kind", "cvl"), [("off", 55.20), ("penalty", 54.45), ("clipped", 54.46)])
def test_chapter_3_3_worked_example(kind: str, cvl: float) -> None:
    found = controlled(kind).set(cell_voltages=cells(3.4, 3.55)).look()
    assert found.cvl == cvl
    if kind == "penalty":
        assert found.cell_ovp == "limiting"
        assert found.cvl_caps[-1].why == "highest cell 3.550 V above 3.450 V, penalty 0.100 V"


def test_chapter_3_3_penalty_has_a_floor() -> None:
    assert Play().set(cell_voltages=cells(2.85, 3.5)).look().cvl == 46.40


@pytest.mark.parametrize("kind", ["penalty", "clipped", "integral"])
def test_every_controller_has_the_floor(kind: str) -> None:
    play = controlled(kind)
    play.set(cell_voltages=cells(2.80, 3.7)).look()
    for _ in range(60):
        found = play.run(10)
        assert found.cvl is not None and found.cvl >= 46.40
    assert found.cvl == 46.40 or kind == "integral"


@pytest.mark.parametrize("kind", ["penalty", "clipped"])
def test_a_bms_that_no_longer_tells_how_many_cells_it_has_is_charged_no_further(kind: str) -> None:
    lone = reading(cell_voltages=(), cell_count=16, highest_cell_voltage=3.4, lowest_cell_voltage=3.3, voltage=53.0)
    play = Play(sheet(charge_voltage={"controller": kind}), {"a": lone})
    play.look()
    found = play.set(cell_count=None, highest_cell_voltage=3.6, voltage=20.0).run(1)
    assert (found.cvl, found.ccl) == (54.0, 0.0), "by the cells that were seen of it: missing data"


def test_a_cell_at_the_limit_is_not_above_it() -> None:
    assert Play().set(cell_voltages=cells(3.4, 3.45)).look().cvl == 55.20


def test_the_limit_of_cells_is_the_reset_voltage_while_that_is_wanted() -> None:
    play = Play(settings(**WIDE, soc_reset={"after_days": 1, "cell_voltage": 3.62}))
    assert play.set(cell_voltages=cells(3.5, 3.61)).look().cvl == 57.92


def test_chapter_3_3_integral_controller() -> None:
    play = controlled("integral")
    play.set(cell_voltages=cells(3.4)).look()
    assert play.set(cell_voltages=cells(3.4, 3.55)).run(1).cvl == 55.18


def test_q14_the_integral_controller_counts_seconds_not_evaluations() -> None:
    slow, quick = controlled("integral"), controlled("integral")
    for play, dt in ((slow, 5.0), (quick, 0.25)):
        play.set(cell_voltages=cells(3.4)).look()
        play.set(cell_voltages=cells(3.4, 3.55)).run(20, dt=dt)
    assert slow.memory.voltage.volts == pytest.approx(quick.memory.voltage.volts, abs=1e-6)
    assert slow.memory.voltage.volts == pytest.approx(55.2 - 0.018 * 20, abs=1e-6)


def test_the_integral_controller_counts_no_pause_beyond_10_s_and_none_before_it_looked() -> None:
    play = controlled("integral").set(cell_voltages=cells(3.4, 3.55))
    play.look()
    assert play.memory.voltage.volts == 55.2
    play.run(600, dt=600)
    assert play.memory.voltage.volts == pytest.approx(55.2 - 0.018 * 10)


def test_without_a_difference_that_counts_as_balanced_the_integral_controller_takes_all_above() -> None:
    play = Play(sheet(**WIDE, charge_voltage={"controller": "integral"}, absorption={"cell_difference": None}))
    play.set(cell_voltages=cells(3.4)).look()
    play.set(cell_voltages=cells(3.4, 3.55)).run(1)
    assert play.memory.voltage.volts == pytest.approx(55.2 - 0.020, abs=1e-9)


def test_the_integral_controller_comes_back_by_hold_and_ramp() -> None:
    play = controlled("integral")
    play.set(cell_voltages=cells(3.4, 3.55)).run(31)
    low = play.decision.cvl  # type: ignore[union-attr]
    play.set(cell_voltages=cells(3.4))
    assert play.run(59).cvl == low
    assert low < play.run(60).cvl < 55.2  # type: ignore[operator]
    assert play.run(1200).cvl == 55.20


def test_a_bms_without_single_cells_is_controlled_by_its_highest() -> None:
    lone = reading(cell_voltages=(), cell_count=16, highest_cell_voltage=3.55, lowest_cell_voltage=3.4, voltage=54.55)
    for kind, cvl in (("penalty", 54.45), ("clipped", 54.46)):
        assert Play(settings(charge_voltage={"controller": kind}), {"a": lone}).look().cvl == cvl


def test_chapter_3_4_worked_example_down_hold_ramp() -> None:
    play = controlled("penalty")
    play.set(cell_voltages=cells(3.4)).look()
    play.run(98)
    play.set(cell_voltages=cells(3.4, 3.55))
    assert play.run(1).cvl == 54.45, "at once"
    play.run(1)  # t_lim = t 0
    play.set(cell_voltages=cells(3.4))
    assert play.run(1).cell_ovp == "holding"
    assert play.run(58).cvl == 54.45
    assert play.decision is not None and play.decision.cell_ovp == "holding"
    found = play.run(342)  # 401 s after the last limitation
    assert (found.cvl, found.cell_ovp) == (54.79, "recovering")
    assert play.until(lambda d: d.cvl == 55.20) == pytest.approx(405, abs=6)
    found = play.run(10)
    assert (found.cvl, found.cell_ovp) == (55.20, "none")


def test_rate_0_comes_back_in_one_step() -> None:
    play = controlled("penalty", rate=0)
    play.set(cell_voltages=cells(3.4, 3.55)).look()
    play.set(cell_voltages=cells(3.4))
    assert play.run(59).cvl == 54.45
    assert play.run(1).cvl == 55.20


def test_a_lowered_voltage_stays_until_the_cell_is_clearly_below_its_maximum() -> None:
    play = Play(settings(**WIDE)).set(cell_voltages=cells(3.4, 3.55))
    assert play.look().cvl == 54.45
    for volts in (3.450, 3.447, 3.446):
        found = play.set(cell_voltages=cells(3.4, volts)).run(300)
        assert (found.cvl, found.cell_ovp) == (54.45, "limiting")
    assert "is not yet 5 mV below 3.450 V" in found.cvl_caps[-1].why
    play.set(cell_voltages=cells(3.4, 3.445))
    assert play.run(59).cvl == 54.45, "then the hold begins"
    assert play.run(1000).cvl == 55.20


def test_a_lowered_voltage_rises_by_steps_that_are_worth_telling() -> None:
    play = Play(settings(**WIDE)).set(cell_voltages=cells(3.4, 3.55))
    play.look()
    play.set(cell_voltages=cells(3.4))
    seen = [play.run(1).cvl for _ in range(1000)]
    assert sorted(set(seen)) == pytest.approx([54.45 + 0.05 * n for n in range(15)] + [55.20], abs=0.011)
    assert all(b >= a for a, b in pairwise(seen))  # type: ignore[operator]


@pytest.mark.parametrize("told", [[55.08, 55.13, 55.20], [55.07, 55.12, 55.17, 55.20]])
def test_what_is_left_of_less_than_half_a_step_comes_with_the_last(told: list[float]) -> None:
    play = Play(settings(**WIDE)).set(cell_voltages=cells((told[0] - 3.45) / 15, 3.46))
    seen = [play.look().cvl]
    play.set(cell_voltages=cells(3.4))
    seen += [play.run(1).cvl for _ in range(400)]
    assert sorted(set(seen)) == told  # type: ignore[type-var]


@pytest.mark.parametrize("calm", [1, 60])
def test_a_charger_that_holds_more_than_it_is_told_is_told_less(calm: int) -> None:
    """25 mV a cell too much: the plain penalty would only repeat what it was told before."""
    play = Play(settings(**WIDE), {"a": reading(cell_voltages=cells(3.44, count=4))})
    play.run(calm)
    assert play.set(cell_voltages=cells(3.475, count=4)).run(1).cvl == 13.80
    assert play.run(14).cvl == 13.80, "it has its time to obey"
    assert play.run(1).cvl == 13.68
    assert "0.10 V more than it is told" in play.decision.cvl_caps[-1].why  # type: ignore[union-attr]
    play.set(cell_voltages=cells(3.450, count=4))
    assert play.run(600, dt=10).cvl == 13.68, "and so it stays while that holds the cells at their maximum"


@pytest.mark.parametrize(("high", "rest", "was", "told"), [(3.46, 3.44, 13.74, 13.73), (3.49, 3.43, 13.75, 13.72)])
def test_it_is_told_less_by_what_the_cell_is_above_and_by_no_more_than_it_holds_too_much(
    high: float, rest: float, was: float, told: float
) -> None:
    pack, before = reading(cell_voltages=cells(rest, high, count=4)), Voltage(volts=was, over_since=0.0)
    found, why = target(pack, LimitSettings(), 3.45, 11.6, 13.8, before, 20.0, frozen=False, least=13.65)
    assert found == pytest.approx(told)
    assert f"the charger holds 13.78 V, {13.78 - was:.2f} V more than it is told" in why


def test_a_charger_that_never_obeys_is_not_told_less_and_less() -> None:
    play = Play(settings(**WIDE), {"a": reading(cell_voltages=cells(3.475, count=4))})
    assert play.run(800, dt=5).cvl == pytest.approx((3.45 + 3.375) / 2 * 4)


@pytest.mark.parametrize(("volts", "count", "told"), [(3.456, 3, 10.35), (3.456, 4, 13.756), (3.4549, 16, 55.20)])
def test_only_what_is_clearly_more_than_it_is_told_is_told_less(volts: float, count: int, told: float) -> None:
    """18 mV a pack are measured no better, and neither are 5 mV a cell."""
    play = Play(settings(**WIDE), {"a": reading(cell_voltages=cells(volts, count=count))})
    play.run(30)
    assert play.memory.voltage.volts == pytest.approx(told)


def test_q3_a_constant_overshoot_gives_no_saw_tooth() -> None:
    play = controlled("penalty")
    seen = set()
    for second in range(900):
        noise = (second % 7 - 3) * 1e-12
        play.set(cell_voltages=cells(3.4 + noise, 3.55 - noise))
        found = play.run(1)
        seen.add((found.cvl, found.cell_ovp))
    assert seen == {(54.45, "limiting")}


def test_q3_the_ramp_is_bounded_by_the_target() -> None:
    play = controlled("penalty", hold=5, rate=1)
    play.set(cell_voltages=cells(3.4, 3.60)).look()
    play.set(cell_voltages=cells(3.41, 3.48))  # still above: target 54.60
    found = play.run(30)
    assert found.cvl == 54.60


def test_q4_the_label_goes_when_nothing_is_limited_any_more() -> None:
    play = controlled("penalty")
    assert play.set(cell_voltages=cells(3.4, 3.55)).look().cell_ovp == "limiting"
    found = play.set(cell_voltages=cells(3.452, 3.466)).run(1000)
    assert (found.cvl, found.cell_ovp) == (55.20, "none"), "what is above the limit no longer lowers anything"


@pytest.mark.parametrize(("kind", "volts"), [("penalty", 27.175), ("clipped", 27.185)])
def test_of_parallel_strings_the_pack_is_the_mean(kind: str, volts: float) -> None:
    """Two strings of 8: 3.4 V a cell but for one of 3.55 V; a sum over both would lower nothing."""
    pack = reading(cell_voltages=cells(3.4, 3.55), cell_count=8, voltage=27.275)
    play = Play(settings(charge_voltage={"controller": kind}), {"a": pack})
    play.look()
    assert play.memory.voltage.volts == pytest.approx(volts)


def test_the_integral_controller_goes_no_further_by_what_a_silent_pack_said_last() -> None:
    low, high = reading(cell_voltages=cells(3.33)), reading(cell_voltages=cells(3.33, 3.60))
    play = Play(settings(**WIDE, charge_voltage={"controller": "integral"}), {"a": low, "b": high})
    play.run(5)
    play.silence("b").run(10)
    stood = play.memory.voltage.volts
    assert stood is not None and stood < 55.0
    assert play.run(600).cvl is not None
    assert play.memory.voltage.volts == stood, "neither lowered further nor raised"


def test_q4_what_was_lowered_by_less_than_is_measured_comes_back_at_once() -> None:
    play = Play().set(cell_voltages=cells(3.44995, 3.4505))
    assert play.look().cell_ovp == "limiting"
    assert play.memory.voltage.volts == pytest.approx(55.19925)
    assert play.set(cell_voltages=cells(3.44)).run(1).cell_ovp == "none"
    assert play.memory.voltage.volts == 55.2


def test_the_lowest_target_of_several_batteries_wins_whatever_their_order() -> None:
    low, high = reading(cell_voltages=cells(3.4, 3.55), voltage=54.55), reading()
    for batteries in ({"a": low, "b": high}, {"b": high, "a": low}):
        assert Play(settings(**WIDE), batteries).look().cvl == 54.45


def test_a_battery_with_a_lower_maximum_lowers_the_bank() -> None:
    play = Play(
        settings(), {"a": reading(), "b": reading()}, {"per_battery": {"b": settings(cell_voltage={"max": 3.4})}}
    )
    assert play.look().cvl == 54.40


def test_the_sums_that_are_compared_are_the_mean_of_the_packs() -> None:
    packs = {"a": reading(cell_voltages=cells(3.453)), "b": reading(cell_voltages=cells(3.448))}
    assert Play(settings(**WIDE), packs).look().charge_mode == "absorption"
