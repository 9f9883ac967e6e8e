"""The charge state machine.  Sheet: limits.md 3.1, 3.2, 3.6, 3.7, 3.8."""

import pytest

from gateway.limits import Memory, Site
from gateway.store import DRIFTING, changes
from tests.limits.play import WALL, WIDE, Play, cells, settings, sheet
from tests.make import reading

DAY = 86400.0


def full(**more: object) -> Play:
    """A pack at 3.452 V that has just begun absorption."""
    play = Play(settings(**{**WIDE, **more})).set(cell_voltages=cells(3.452), soc=97.0)
    assert play.look().charge_mode == "absorption"
    return play


def in_float(**more: object) -> Play:
    """A pack that came all the way to float."""
    play = full(**more)
    play.until(lambda d: d.charge_mode == "float")
    return play


# ---- 3.1


def test_chapter_3_1_base_voltages() -> None:
    found = Play().look()
    assert found.cvl == 55.20
    assert found.low_voltage == 46.40
    assert in_float().decision.cvl == 54.00  # type: ignore[union-attr]


def test_chapter_3_1_base_voltages_are_told_in_hundredths() -> None:
    odd = {"max": 3.4511, "float": 3.3757, "min": 2.9011}
    pack = reading(cell_voltages=cells(3.33, count=15), max_battery_voltage=0.0)
    play = Play(settings(cell_voltage=odd), {"a": pack})
    found = play.look()
    assert (found.cvl_caps[0].value, found.low_voltage) == (51.77, 43.52)
    asking = Play(settings(cell_voltage=odd, use_bms_values=True), {"a": pack}).look()
    assert asking.cvl_caps[0].value == 43.52, "no less than the empty bank"
    assert play.set(soc=None).run(1).cvl_caps[-1].value == 50.64


def test_chapter_3_1_voltage_drop_is_published_but_not_compared() -> None:
    play = full(voltage_drop=0.15)
    assert play.decision is not None and play.decision.cvl == 55.35


def test_chapter_3_1_control_off_stays_at_max() -> None:
    play = Play(settings(charge_voltage={"enabled": False}, soc_reset={"after_days": 1})).set(cell_voltages=cells(3.6))
    found = play.run(3000, dt=10)
    assert (found.cvl, found.charge_mode, found.soc_reset) == (55.20, "fixed", False)


# ---- 3.2


def test_chapter_3_2_worked_example() -> None:
    play = Play().set(cell_voltages=cells(3.452, 3.455), soc=98.0)
    play.look()
    assert play.until(lambda d: d.charge_mode == "float_transition") == 901, "more than 900 s"
    assert play.until(lambda d: d.charge_mode == "float") == 1200
    assert play.decision is not None and play.decision.cvl == 54.00


@pytest.mark.parametrize("count", [4, 7, 8, 14, 15, 16, 20, 23, 24])
def test_q8_cells_exactly_at_maximum_begin_absorption(count: int) -> None:
    found = Play(settings(**WIDE)).set(cell_voltages=cells(3.450, count=count)).look()
    assert found.charge_mode == "absorption"


def test_a1_needs_balanced_cells() -> None:
    play = Play(sheet(**WIDE)).set(cell_voltages=cells(3.455, 3.467))
    found = play.look()
    assert found.charge_mode == "bulk"
    assert found.waiting == ("absorption: cell difference 12 mV, needs <= 10 mV",)
    assert play.set(cell_voltages=cells(3.455, 3.465)).run(1).charge_mode == "absorption"


def test_a1_any_difference_will_do_when_the_condition_is_off() -> None:
    play = Play(settings(**WIDE, absorption={"cell_difference": None})).set(cell_voltages=cells(3.455, 3.5))
    assert play.look().charge_mode == "absorption"
    assert play.until(lambda d: d.charge_mode == "float_transition") == 901


def test_b1_imbalance_starts_the_time_anew() -> None:
    play = full()
    play.run(800)
    play.set(cell_voltages=cells(3.452, 3.464)).run(50)
    assert "left" in play.decision.waiting[0] and play.decision is not None  # type: ignore[union-attr]
    play.set(cell_voltages=cells(3.452, 3.466)).run(1)
    play.set(cell_voltages=cells(3.452))
    assert play.until(lambda d: d.charge_mode == "float_transition") == 901


@pytest.mark.parametrize(("volts", "left"), [(3.462, 101), (3.465, 101), (3.466, 901)])
def test_b1_begins_beyond_13_mv_not_at_10(volts: float, left: int) -> None:
    play = full()
    play.run(799)
    play.set(cell_voltages=cells(3.452, volts)).run(1)
    play.set(cell_voltages=cells(3.452))
    assert play.until(lambda d: d.charge_mode == "float_transition") == left


def test_b3_a_sagging_pack_goes_back_to_bulk_and_starts_anew() -> None:
    play = full(absorption={"abort_below": 0.5, "abort_after": 0})
    play.run(890)
    assert play.set(cell_voltages=cells(3.4190)).run(1).charge_mode == "absorption", "0.5 V is for the pack"
    assert play.set(cell_voltages=cells(3.4185)).run(1).charge_mode == "bulk"
    play.set(cell_voltages=cells(3.452))
    assert play.until(lambda d: d.charge_mode == "float_transition") == 902


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({"soc": 80.0, "cell_voltages": cells(3.33)}, "float"),
        ({"soc": 79.9, "cell_voltages": cells(3.33)}, "bulk"),
        ({"cell_voltages": cells(3.33, 3.409)}, "float"),
        ({"cell_voltages": cells(3.33, 3.41)}, "bulk"),
    ],
)
def test_a2_rebulk_by_soc_and_by_difference(changes: dict[str, object], mode: str) -> None:
    found = in_float().set(**changes).run(2)
    assert found.charge_mode == mode
    assert found.cvl == (55.20 if mode == "bulk" else 54.00), "float to bulk is one step"


def test_rebulk_conditions_can_be_off() -> None:
    play = in_float(rebulk={"soc": None, "cell_difference": None})
    assert play.set(soc=5.0, cell_voltages=cells(3.2, 3.4)).run(100).charge_mode == "float"
    assert play.decision is not None and play.decision.waiting == ("bulk: nothing brings it back",)


def test_q23_debounce_of_the_difference() -> None:
    play = in_float(rebulk={"debounce": 10})
    assert play.set(cell_voltages=cells(3.3, 3.39)).run(9).charge_mode == "float"
    assert play.set(cell_voltages=cells(3.3)).run(1).charge_mode == "float"
    assert play.set(cell_voltages=cells(3.3, 3.39)).run(10).charge_mode == "float", "the timer began anew"
    assert play.run(1).charge_mode == "bulk"


def test_rebulk_by_cell_voltage_and_by_days_are_options() -> None:
    play = in_float(rebulk={"soc": None, "cell_voltage": 3.30})
    assert play.set(cell_voltages=cells(3.305)).run(1).charge_mode == "float"
    assert play.set(cell_voltages=cells(3.300)).run(1).charge_mode == "bulk"
    play = in_float(rebulk={"soc": None, "days": 14})
    assert play.run(13.9 * DAY, dt=DAY).charge_mode == "float"
    assert play.run(0.2 * DAY, dt=DAY).charge_mode == "bulk"


def test_absorption_may_have_a_longest_time() -> None:
    play = full(absorption={"max_time": 1800})
    play.set(cell_voltages=cells(3.452, 3.470))
    assert play.until(lambda d: d.charge_mode == "float_transition") == 1801


def test_the_longest_time_also_ends_what_was_never_balanced() -> None:
    play = Play(settings(**WIDE, absorption={"max_time": 1800}, charge_voltage={"controller": "off"}))
    play.set(cell_voltages=cells(3.452, 3.490), soc=99.0)
    assert play.look().charge_mode == "absorption"
    assert play.until(lambda d: d.charge_mode == "float_transition") == 1801
    never = Play(sheet(**WIDE, charge_voltage={"controller": "off"})).set(cell_voltages=cells(3.452, 3.490), soc=99.0)
    assert never.run(7200, dt=10).charge_mode == "bulk"


def test_cells_that_a_full_charge_left_apart_do_not_make_it_full_again_and_again() -> None:
    quick = {"absorption": {"max_time": 10}, "float_transition": {"rate": 0.1}, "charge_voltage": {"controller": "off"}}
    play = Play(settings(**WIDE, **quick)).set(cell_voltages=cells(3.447, 3.55), soc=99.0)
    play.until(lambda d: d.charge_mode == "float_transition")
    assert play.run(1000, dt=10).charge_mode == "float"
    assert play.memory.full_events == 1
    assert "needs once < 80 mV and then >= 80 mV" in play.decision.waiting[0]  # type: ignore[union-attr]
    play.set(cell_voltages=cells(3.37, 3.375)).run(10)
    assert play.set(cell_voltages=cells(3.33, 3.41)).run(2).charge_mode == "bulk", "these drifted apart"


def test_a_charger_that_stays_short_reaches_the_maximum_within_the_tolerance() -> None:
    short = cells(3.4485)  # 24 mV below 55.20 V
    assert Play(sheet(**WIDE)).set(cell_voltages=short).run(60).charge_mode == "bulk"
    play = Play(sheet(**WIDE, absorption={"voltage_tolerance": 0.025})).set(cell_voltages=short, soc=99.0)
    assert play.look().charge_mode == "absorption"
    assert play.until(lambda d: d.charge_mode == "float_transition") == 901
    play = Play(sheet(**WIDE, absorption={"voltage_tolerance": 0.02})).set(cell_voltages=short)
    assert play.look().waiting == ("absorption: 55.176 V, needs 55.180 V",)


def test_the_penalty_of_one_high_cell_does_not_keep_a_tolerant_pack_in_bulk() -> None:
    """An inverter that holds CVL exactly keeps such a pack as far below the maximum as the cell is above its limit."""
    play = Play(settings(**WIDE, absorption={"voltage_tolerance": 0.05}))
    play.set(cell_voltages=cells(3.449, 3.458), soc=99.0)
    assert play.look().cvl == pytest.approx(55.19, abs=0.01)
    assert play.decision is not None and play.decision.charge_mode == "absorption"


@pytest.mark.parametrize("count", [4, 8, 15, 16])
def test_the_maximum_counts_as_reached_5_mv_a_cell_below_it(count: int) -> None:
    play = Play(settings(**WIDE), {"a": reading(cell_voltages=cells(3.444, count=count), soc=97.0)})
    assert play.look().charge_mode == "bulk"
    assert play.set(cell_voltages=cells(3.445, count=count)).run(1).charge_mode == "absorption"


HIGH_CELL = cells(3.42, 3.46)


def held(**more: object) -> Play:
    """A pack one of whose cells is above its maximum, so that our own charge voltage is below 55.20 V."""
    return Play(settings(**{**WIDE, **more})).set(cell_voltages=HIGH_CELL, soc=97.0)


def test_with_a_longest_time_absorption_begins_at_the_voltage_that_one_high_cell_leaves() -> None:
    play = held(absorption={"max_time": 1800})
    play.look()
    found = play.run(1)
    assert (found.cvl, found.charge_mode) == (54.75, "absorption")
    assert play.run(1700).charge_mode == "absorption", "and is not given up for being below the maximum"
    assert play.until(lambda d: d.charge_mode == "float_transition") == 101
    assert play.memory.full_events == 1


def test_without_one_it_waits_for_the_maximum_and_says_that_it_forbids_it_itself() -> None:
    play = held(absorption={"max_time": None})
    found = play.run(3600, dt=10)
    assert found.charge_mode == "bulk"
    says = "absorption: 54.760 V, needs 55.120 V, but a high cell holds our own charge voltage at 54.75 V"
    assert found.waiting[0] == says
    play.set(cell_voltages=cells(3.44)).run(2000, dt=10)
    assert play.decision is not None and play.decision.waiting == ("absorption: 55.040 V, needs 55.120 V",)


def test_a_pack_whose_cells_would_end_float_at_once_is_not_called_full() -> None:
    play = held().set(cell_voltages=cells(3.38, 3.46))
    assert play.run(7200, dt=10).charge_mode == "bulk"
    assert play.memory.full_events == 0


def test_a_pack_below_the_float_voltage_is_not_called_full() -> None:
    play = held(rebulk={"cell_difference": None}).set(cell_voltages=cells(3.33, 3.60))
    found = play.run(7200, dt=10)
    assert found.cvl is not None and found.cvl < 54.0
    assert found.charge_mode == "bulk"


def test_absorption_pauses_while_a_load_pulls_the_voltage_down() -> None:
    play = full()
    play.run(800)
    found = play.set(cell_voltages=cells(3.41)).run(40)
    assert found.charge_mode == "absorption"
    assert found.waiting == ("float: 54.560 V, absorption pauses below 54.720 V",)
    play.set(cell_voltages=cells(3.452))
    assert play.until(lambda d: d.charge_mode == "float_transition") == 101, "the 40 s do not count"


def test_absorption_is_given_up_when_the_voltage_does_not_come_back() -> None:
    play = full()
    play.run(800)
    play.set(cell_voltages=cells(3.41))
    assert play.until(lambda d: d.charge_mode == "bulk") == 1 + play.limits.absorption.abort_after
    play.set(cell_voltages=cells(3.452))
    assert play.until(lambda d: d.charge_mode == "float_transition") == 902


def test_float_is_not_above_what_one_high_cell_leaves() -> None:
    play = in_float(rebulk={"cell_difference": None})
    found = play.set(cell_voltages=cells(3.33, 3.50)).run(1)
    assert (found.charge_mode, found.cell_ovp, found.cvl) == ("float", "limiting", 53.35)
    assert play.set(cell_voltages=cells(3.33, 3.44)).run(30).cvl == 53.35
    assert play.run(1500).cvl == 54.00


def test_entering_float_never_raises_the_voltage() -> None:
    play = held(absorption={"max_time": 60}, rebulk={"cell_difference": None})
    play.set(cell_voltages=cells(3.36, 3.60))
    assert play.run(1).cvl == 53.85
    before = play.decision.cvl  # type: ignore[union-attr]
    for _ in range(300):
        found = play.run(1)
        assert found.cvl is not None and before is not None and found.cvl <= before
        before = found.cvl


def test_absorption_may_wait_for_the_tail_current() -> None:
    play = full(absorption={"tail_current": 5}).set(current=8.0)
    assert play.run(2000).charge_mode == "absorption"
    assert play.decision is not None and "float: 8.0 A, needs <= 5 A" in play.decision.waiting
    assert play.set(current=None).run(10).charge_mode == "absorption", "an unknown current is not a small one"
    assert play.set(current=4.0).run(1).charge_mode == "float_transition"


def test_no_absorption_time_means_no_wait() -> None:
    play = full(absorption={"time": 0})
    assert play.run(1).charge_mode == "float_transition"


# ---- 3.6


def test_chapter_3_6_full_event_once_and_ramp_down() -> None:
    play = full()
    play.run(900)
    assert play.memory.full_events == 0
    assert play.run(1).cvl == 55.20, "the voltage stays in that evaluation"
    assert play.memory.full_events == 1
    assert play.memory.last_full == play.memory.date == play.wall
    assert play.run(100).cvl == 55.10
    assert play.run(1101).cvl == 54.00
    play.run(500)
    assert play.memory.full_events == 1


def test_start_in_float_has_no_transition_and_no_full_event() -> None:
    play = in_float().restart(down=60)
    found = play.look()
    assert (found.cvl, found.charge_mode, play.memory.full_events) == (54.00, "float", 0)


def test_q9_a_full_charge_with_a_nonsense_soc_stays_in_float_until_it_makes_sense() -> None:
    play = full().set(soc=40.0)
    play.until(lambda d: d.charge_mode == "float")
    assert play.run(3600).charge_mode == "float"
    assert play.memory.full_events == 1
    assert "cannot be right after a full charge" in play.decision.waiting[0]  # type: ignore[union-attr]
    assert play.set(soc=85.0).run(1).charge_mode == "float"
    assert play.set(soc=79.0).run(1).charge_mode == "bulk", "from here on it counts"


def test_q9_an_empty_battery_is_bulk_whatever_its_soc_said() -> None:
    play = full().set(soc=40.0)
    play.until(lambda d: d.charge_mode == "float")
    assert play.set(cell_voltages=cells(3.29)).run(1).charge_mode == "bulk"


def test_q9_a_threshold_that_is_off_since_leaves_nothing_to_wait_for() -> None:
    play = full().set(soc=40.0)
    play.until(lambda d: d.charge_mode == "float")
    kept = play.memory.persisted()
    assert kept["soc_unsettled"]
    later = Play(settings(rebulk={"soc": None}), memory=Memory.restore(kept, 5.0, play.wall)).set(soc=0.0)
    assert later.look().charge_mode == "float"
    assert "cannot be right" not in str(later.decision)


# ---- 3.7


def reset(after_days: float | None = 15, **more: object) -> dict[str, object]:
    wide = {"charge": {"points": [3.5, 3.6, 3.63, 3.65], "fractions": [1, 0.5, 0.05, 0]}}
    return {"by_cell_voltage": wide, "soc_reset": {"after_days": after_days, "cell_voltage": 3.62, **more}}


def reached(days_ago: float) -> Memory:
    return Memory.restore({"soc_reset_last_reached": WALL - days_ago * DAY, "date": WALL}, 100.0, WALL)


def test_chapter_3_7_worked_example() -> None:
    play = Play(settings(**reset()), memory=reached(16))
    assert play.look().cvl == 57.92
    found = play.set(cell_voltages=cells(3.622), soc=99.0).run(1)
    assert (found.charge_mode, found.soc_reset) == ("absorption", True)
    assert play.until(lambda d: d.charge_mode == "float_transition") == 901
    assert play.decision is not None and not play.decision.soc_reset
    assert play.memory.reset_reached == play.wall
    assert play.until(lambda d: d.charge_mode == "float") == 3920
    assert play.set(soc=70.0, cell_voltages=cells(3.3)).run(1).cvl == 55.20


def test_chapter_3_7_days_are_counted_from_the_day_it_was_reached() -> None:
    assert not Play(settings(**reset()), memory=reached(15)).look().soc_reset, "strictly more"
    assert Play(settings(**reset()), memory=reached(15.001)).look().soc_reset
    play = Play(settings(**reset()), memory=reached(33))
    play.set(cell_voltages=cells(3.622), soc=99.0).look()
    play.until(lambda d: d.charge_mode == "float")
    play.set(cell_voltages=cells(3.375))
    assert not play.run(14 * DAY, dt=DAY / 4).soc_reset
    assert play.run(1 * DAY, dt=DAY / 4).soc_reset


def test_a_due_reset_leaves_float_at_once_whatever_the_soc() -> None:
    play = Play(settings(**reset()), memory=reached(14.9)).set(cell_voltages=cells(3.452), soc=99.0)
    play.look()
    play.until(lambda d: d.charge_mode == "float")
    assert play.until(lambda d: d.charge_mode == "bulk") < 0.2 * DAY
    assert play.decision is not None and play.decision.cvl == 57.92


@pytest.mark.parametrize("after_days", [None, 0])
def test_q16_zero_days_mean_off(after_days: float | None) -> None:
    assert not Play(settings(**reset(after_days))).look().soc_reset


def test_never_reached_is_due_at_once_or_days_after_the_first_start() -> None:
    assert Play(settings(**reset())).look().soc_reset
    play = Play(settings(**reset(at_first_start=False)))
    assert not play.look().soc_reset
    play.run(10 * DAY, dt=DAY / 4)
    assert not play.restart(down=DAY).look().soc_reset, "a restart is not a first start"
    assert play.run(5 * DAY, dt=DAY / 4).soc_reset


def test_a_request_survives_a_restart() -> None:
    play = Play(settings(**reset()), memory=reached(16))
    play.look()
    assert play.restart(down=3600).look().soc_reset


def test_q17_the_bms_lowers_the_set_point_unless_a_reset_is_requested() -> None:
    asked = reading(max_battery_voltage=54.4)
    plain = Play(settings(**reset(None), use_bms_values=True), {"a": asked}).look()
    assert plain.cvl == 54.40
    assert Play(settings(**reset(), use_bms_values=True), {"a": asked}).look().cvl == 57.92
    assert Play(settings(), {"a": asked}).look().cvl == 55.20, "not listened to"
    assert Play(settings(use_bms_values=True), {"a": reading(max_battery_voltage=58.4)}).look().cvl == 55.20


def test_float_is_never_above_what_the_bms_asks_for() -> None:
    play = in_float(use_bms_values=True)
    assert play.set(max_battery_voltage=53.0).run(1).cvl == 53.00


def test_absorption_begins_at_the_maximum_of_now_not_at_that_of_before() -> None:
    play = Play(settings(**WIDE, use_bms_values=True)).set(max_battery_voltage=54.4, cell_voltages=cells(3.35))
    play.run(2)
    assert play.set(max_battery_voltage=55.2, cell_voltages=cells(3.40)).run(1).charge_mode == "bulk"


def test_a_bms_that_asks_for_0_volts_does_not_drain_the_battery() -> None:
    assert Play(settings(use_bms_values=True), {"a": reading(max_battery_voltage=0.0)}).look().cvl == 46.40


@pytest.mark.parametrize("asked", [52.0, 0.0])
def test_a_bms_that_does_not_count_its_cells_is_listened_to_as_well(asked: float) -> None:
    extremes = {"cell_voltages": (), "lowest_cell_voltage": 3.30, "highest_cell_voltage": 3.32}
    for uncounted in (extremes, {"cell_voltages": ()}):
        pair = {"a": reading(), "b": reading(max_battery_voltage=asked, **uncounted)}
        found = Play(settings(use_bms_values=True), pair).look().cvl
        assert found == max(asked, 46.40), "no less than the empty bank"
        assert Play(settings(), pair).look().cvl > 52.0, "not listened to"


# ---- 3.8


@pytest.mark.parametrize("missing", ["soc", "cell", "cells"])
def test_chapter_3_8_missing_data_is_float_and_error(missing: str) -> None:
    play = Play()
    play.run(5)
    gone = {
        "soc": {"soc": None},
        "cell": {"cell_voltages": (None, *cells(3.32)[1:]), "voltage": 53.2},
        "cells": {"cell_voltages": (), "voltage": 53.2},
    }[missing]
    found = play.set(**gone).run(1)
    assert (found.cvl, found.charge_mode) == (54.00, "error")
    assert "missing data" in found.waiting[0]
    assert play.set(soc=60.0, cell_voltages=cells(3.32)).run(1).charge_mode == "bulk"


def test_unknown_never_raises_the_charge_voltage() -> None:
    play = Play(settings(**WIDE)).set(cell_voltages=cells(3.25, 3.60))
    lowered = play.look().cvl
    assert lowered is not None and lowered < 54.0
    assert play.set(soc=None).run(1).cvl == lowered


def test_without_a_cell_count_no_voltage_is_published_and_nothing_crashes() -> None:
    play = Play(batteries={"a": reading(cell_voltages=(), voltage=53.0)})
    found = play.look()
    assert (found.cvl, found.low_voltage, found.charge_mode) == (None, None, "error")


def test_time_that_nobody_could_look_does_not_count_as_absorption() -> None:
    play = full()
    play.run(600)
    play.set(soc=None).run(1000)
    assert play.memory.full_events == 0
    play.set(soc=97.0)
    assert play.until(lambda d: d.charge_mode == "float_transition") == 301
    assert play.memory.full_events == 1
    play = full()
    play.run(600)
    play.silence().run(1000)
    play.answer().run(3)
    assert play.memory.full_events == 0


def test_an_interrupted_transition_goes_on() -> None:
    play = full()
    play.until(lambda d: d.charge_mode == "float_transition")
    play.run(100)
    assert play.set(soc=None).run(10).charge_mode == "error"
    found = play.set(soc=97.0).run(1)
    assert found.charge_mode == "float_transition"
    assert play.memory.full_events == 1


# ---- what is told


def lowest_cap(play: Play) -> tuple[float, list[str]]:
    """The lowest of the caps of the last decision [V], and the rules of all."""
    assert play.decision is not None
    caps = play.decision.cvl_caps
    assert all(cap.value == round(cap.value, 3) for cap in caps), "no more than is measured"
    return min(cap.value for cap in caps), [cap.rule for cap in caps]


def test_what_is_told_is_the_lowest_of_its_caps_whatever_the_mode() -> None:
    options = {"float_transition": {"rate": 0.00123}, "rebulk": {"cell_difference": None}}
    play = Play(settings(**reset(), **options), memory=reached(16))
    assert (play.look().cvl, lowest_cap(play)) == (57.92, (57.92, ["soc_reset"]))
    found = play.set(cell_voltages=cells(3.50003, 3.63)).run(1)
    assert (found.cvl, lowest_cap(play)) == (56.07, (56.07, ["soc_reset", "cell_voltage"]))
    play.set(cell_voltages=cells(3.622), soc=99.0)
    play.until(lambda d: d.charge_mode == "float_transition")
    found = play.run(1000.7)
    lowest, rules = lowest_cap(play)
    assert found.cvl == pytest.approx(lowest, abs=0.005) and found.cvl > 55.20
    assert rules == ["float_transition"], "55.20 V does not bind what comes down from above"
    play.until(lambda d: d.charge_mode == "float")
    assert lowest_cap(play) == (54.00, ["config", "float"])
    assert play.set(cell_voltages=cells(3.33003, 3.50)).run(1).cvl == 53.35
    assert lowest_cap(play) == (53.35, ["config", "float", "cell_voltage"])


# ---- restart


def test_cells_that_are_apart_when_a_run_begins_in_float_end_it_only_after_they_were_together() -> None:
    play = in_float().restart(down=60).set(cell_voltages=cells(3.33, 3.43))
    assert play.run(30).charge_mode == "float", "perhaps a full charge left them so"
    play.set(cell_voltages=cells(3.33)).run(1)
    assert play.set(cell_voltages=cells(3.33, 3.43)).run(1).charge_mode == "bulk"


@pytest.mark.parametrize("down", [10, 3600, 20 * 3600, 3 * DAY])
def test_the_time_off_does_not_count_as_absorption(down: float) -> None:
    play = full()
    play.run(800)
    play.restart(down=down)
    assert play.look().charge_mode == "absorption"
    assert play.until(lambda d: d.charge_mode == "float_transition") == 101
    assert play.memory.full_events == 1


def test_absorption_goes_on_after_a_restart_only_if_the_voltage_is_still_there() -> None:
    play = full()
    play.run(899)
    play.restart(down=20 * 3600).set(cell_voltages=cells(3.20), soc=60.0)
    assert play.look().charge_mode == "bulk"
    assert play.run(600).charge_mode == "bulk"
    play.set(cell_voltages=cells(3.452), soc=97.0)
    assert play.until(lambda d: d.charge_mode == "float_transition") == 902, "it begins anew"


def test_a_process_that_stood_still_did_not_absorb() -> None:
    play = full()
    play.run(800)
    play.run(20 * 3600, dt=20 * 3600)
    assert play.until(lambda d: d.charge_mode == "float_transition") == 101
    play = full()
    play.run(800)
    play.set(cell_voltages=cells(3.20), soc=60.0)
    assert play.run(20 * 3600, dt=20 * 3600).charge_mode == "bulk"
    assert play.memory.full_events == 0


@pytest.mark.parametrize(("pause", "left"), [(59.0, 42), (61.0, 101)])
def test_a_pause_counts_as_absorption_up_to_a_minute(pause: float, left: int) -> None:
    play = full()
    play.run(800)
    play.run(pause, dt=pause)
    assert play.until(lambda d: d.charge_mode == "float_transition") == left


def test_the_longest_time_of_absorption_survives_restarts() -> None:
    play = full(absorption={"max_time": 1800}).set(cell_voltages=cells(3.452, 3.470))
    for _ in range(5):
        play.run(300)
        play.restart(down=60)
    assert play.until(lambda d: d.charge_mode == "float_transition") == 301


def test_what_is_stored_of_a_running_absorption_is_no_news_each_second() -> None:
    play = full()
    first = play.memory.persisted()
    play.run(300)
    assert changes(first, play.memory.persisted(), DRIFTING) == "little"


@pytest.mark.parametrize(
    ("reset", "says", "highest"), [(None, {}, 54.40), (None, {"max_battery_voltage": 54.5}, 54.40), (15, {}, 55.20),
     (15, {"max_battery_voltage": 54.5}, 54.50), (None, {"max_battery_voltage": 53.0}, 53.00)]
)  # fmt: skip
def test_the_way_down_keeps_to_what_is_set_and_asked_for_meanwhile(
    reset: int | None, says: dict[str, float], highest: float
) -> None:
    play = Play(settings(absorption={"time": 60}, **WIDE))
    play.set(cell_voltages=cells(3.455), current=1.0, soc=99.0)
    play.until(lambda d: d.charge_mode == "float_transition")
    after = {"after_days": reset, "at_first_start": False}
    play.site = Site(settings(cell_voltage={"max": 3.40}, soc_reset=after, use_bms_values=True, **WIDE))
    found = play.set(**says).run(1)
    assert found.cvl == pytest.approx(highest, abs=0.01)
    assert play.objection == ""
    assert min(cap.value for cap in found.cvl_caps) == pytest.approx(found.cvl, abs=0.01)
