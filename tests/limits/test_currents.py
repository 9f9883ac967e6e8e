"""Current limits of one battery.  Sheet: limits.md chapter 4."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.currents import INPUTS, Way, allowed, candidates, down
from gateway.limits.inputs import Inputs
from gateway.limits.site import compiled
from gateway.model import Decision
from tests.limits.play import Play, cells, settings, sheet
from tests.make import reading

SOC_TABLES = {"by_soc": {"charge": {"enabled": True}, "discharge": {"enabled": True}}}


def both(found: Decision) -> tuple[float, float]:
    return found.ccl, found.dcl


# ---- 4.1, 4.2


@pytest.mark.parametrize(
    ("inputs", "ccl", "dcl"),
    [
        ({"temperatures": (3.0,)}, 16.667, 24.0),
        ({"mosfet_temperature": 75.0}, 31.25, 37.5),
        ({"cell_voltages": cells(3.05)}, 50.0, 9.0),
        ({"temperatures": (3.0, 48.0)}, 16.667, 21.0),
        ({"soc": 92.0}, 19.0, 60.0),
    ],
)
def test_chapter_4_2_worked_examples(inputs: dict[str, object], ccl: float, dcl: float) -> None:
    found = Play(settings(**SOC_TABLES)).set(**inputs).look()
    assert both(found) == pytest.approx((ccl, dcl), abs=0.001)


def test_chapter_4_1_reasons_are_the_rules_with_the_smallest_value() -> None:
    found = Play().set(temperatures=(3.0, 25.0), max_charge_current=30.0, max_discharge_current=100.0).look()
    assert found.ccl_reason == ("temperature",)
    assert Play().look().ccl_reason == ("config",)
    found = Play().set(max_charge_current=20.0).look()
    assert (found.ccl, found.ccl_reason) == (20.0, ("bms_limit",))
    assert Play().set(charge_allowed=False).look().ccl_reason == ("bms_switch",)


OURS, THEIRS = compiled(settings(**SOC_TABLES)), compiled(settings(charge_current={"max": 20}))
FEW = st.sampled_from([0.0, -0.0, 0, 1, True, 3.44, 47.0])  # some equal each other and read differently


@given(st.sampled_from(["charge", "discharge"]), st.booleans(), st.data())
def test_what_the_rules_say_is_of_these_inputs_and_of_no_earlier_ones(
    way: Way, ours: bool, data: st.DataObject
) -> None:
    rules, names = OURS if ours else THEIRS, st.sampled_from(INPUTS[way])
    gone = data.draw(st.dictionaries(names, st.sampled_from(["cell 3", "SoC"]), max_size=2))
    known = data.draw(st.dictionaries(names.filter(lambda name: name not in gone), FEW))
    inputs = Inputs(known, gone)
    found = allowed(way, rules, inputs)
    assert repr(found.caps) == repr(tuple(candidates(way, rules, inputs)))
    assert found is allowed(way, rules, Inputs({**known}, {**gone}))


def test_every_cap_has_a_sentence_and_the_tables_name_their_key() -> None:
    found = Play(sheet()).set(cell_voltages=cells(3.31, 3.41)).look()
    cap = next(cap for cap in found.ccl_caps if cap.rule == "cell_voltage")
    assert cap.why == "highest cell 3.410 V allows 17.0% of 50 A"
    assert (cap.setting, cap.battery) == ("limits.by_cell_voltage.charge", "a")
    assert all(cap.why for cap in (*found.ccl_caps, *found.dcl_caps, *found.cvl_caps))


def test_fractions_scale_the_configured_maximum_or_by_option_the_smaller_one() -> None:
    changes = {"cell_voltages": cells(3.31, 3.40), "max_charge_current": 20.0}
    assert Play(sheet()).set(**changes).look().ccl == 12.5
    assert Play(sheet(charge_current={"scale_by_bms": True})).set(**changes).look().ccl == 5.0


def test_tables_can_be_off() -> None:
    off = {"charge": {"enabled": False}, "discharge": {"enabled": False}}
    limits = settings(by_cell_voltage=off, by_temperature=off, by_mosfet_temperature=off)
    assert both(Play(limits).set(cell_voltages=cells(3.6), temperatures=(60.0, 25.0)).look()) == (50.0, 60.0)


@pytest.mark.parametrize(("way", "found"), [("charge", (50.0, 0.0)), ("discharge", (0.0, 60.0))])
def test_a_table_that_is_off_one_way_holds_the_other(way: str, found: tuple[float, float]) -> None:
    limits = settings(by_temperature={way: {"enabled": False}}, by_mosfet_temperature={way: {"enabled": False}})
    assert both(Play(limits).set(temperatures=(60.0, 25.0)).look()) == found
    assert both(Play(limits).set(mosfet_temperature=95.0).look()) == found


def test_only_chosen_sensors_count() -> None:
    play = Play(settings(temperature_sensors=[1, 2])).set(temperatures=(25.0, 26.0, 70.0))
    assert both(play.look()) == (50.0, 60.0)
    assert both(Play().set(temperatures=(25.0, 26.0, 70.0)).look()) == (0.0, 0.0)


def test_a_bms_that_asks_for_no_limit_has_none() -> None:
    assert both(Play().set(max_charge_current=None).look()) == (50.0, 60.0)


@pytest.mark.parametrize("limit", [math.nan, -1.0, 65535.0])
def test_a_bms_limit_that_cannot_be_is_missing_data(limit: float) -> None:
    """The BMS asks for something, and nobody knows for what."""
    found = Play().set(max_charge_current=limit).look()
    assert both(found) == (0.0, 60.0)
    assert "charge current limit of the BMS is not known" in str(found.ccl_caps)


def test_limits_are_never_rounded_up() -> None:
    assert Play().set(max_charge_current=33.3339).look().ccl == 33.333


@given(st.floats(-1e4, 1e6) | st.sampled_from([math.inf, -math.inf, math.nan]))
def test_a_limit_is_told_in_thousandths_at_most_what_it_is_and_never_below_0(amps: float) -> None:
    told = down(amps)
    assert told == 0.0 if not amps > 0 else told == amps or 0 <= amps - told + 1e-9 <= 0.001 + 1e-9


# ---- 4.3


def test_chapter_4_3_worked_example_stop_hold_ramp() -> None:
    play = Play(sheet())
    play.look()
    assert both(play.set(temperatures=(56.0, 25.0)).run(1)) == (0.0, 0.0)
    play.run(59)
    play.set(temperatures=(39.0, 25.0)).run(1)  # t = 120 s in the sheet
    assert both(play.run(29)) == (0.0, 0.0)
    assert play.decision is not None and play.decision.ccl_reason == ("recovery",)
    assert play.run(1).ccl == 0.0
    assert play.run(1).ccl == 5.0
    assert play.run(9).ccl == 50.0, "160 s"
    assert play.decision.dcl == 50.0
    assert play.run(2).dcl == 60.0, "162 s"


def test_chapter_4_3_recovery_threshold() -> None:
    play = Play(sheet())
    play.set(cell_voltages=cells(3.5)).look()
    found = play.set(cell_voltages=cells(3.470)).run(120)
    assert found.ccl == 0.0
    assert "too little to leave 0 A" in found.ccl_caps[-1].why
    play.set(cell_voltages=cells(3.443))
    assert play.run(29).ccl == 0.0
    assert play.run(3).ccl == pytest.approx(0.88, abs=0.001)


@pytest.mark.parametrize(("asked", "found"), [(0.749, 0.0), (0.75, 0.75)])
def test_chapter_4_3_too_small_is_less_than_the_threshold(asked: float, found: float) -> None:
    play = Play().set(max_charge_current=0.0)
    play.look()
    assert play.set(max_charge_current=asked).run(32).ccl == found


def test_q1_every_reduction_is_immediate() -> None:
    play = Play(sheet())
    play.look()
    previous = 50.0
    for volts in (3.376, 3.377, 3.380, 3.390, 3.4001):
        now = play.set(cell_voltages=cells(volts)).run(1).ccl
        assert now < previous
        previous = now


def test_a_dip_during_the_hold_starts_it_anew() -> None:
    play = Play(sheet())
    play.set(temperatures=(50.0, 25.0)).look()
    play.set(temperatures=(30.0, 25.0)).run(25)
    assert play.set(temperatures=(50.0, 25.0)).run(1).ccl == 12.5
    play.set(temperatures=(30.0, 25.0)).run(1)
    assert play.run(29).ccl == 12.5
    assert play.run(2).ccl == 17.5


def test_a_target_that_falls_below_the_ramp_cancels_it() -> None:
    play = Play(sheet())
    play.set(temperatures=(56.0, 25.0)).look()
    play.set(temperatures=(30.0, 25.0)).run(1)
    assert play.run(33).ccl == 15.0
    assert play.set(temperatures=(52.5, 25.0)).run(1).ccl == 6.25
    play.set(temperatures=(30.0, 25.0)).run(1)
    assert play.run(29).ccl == 6.25


def test_rate_0_and_hold_0_are_immediate() -> None:
    now = {"hold": 0, "rate": 0}
    play = Play(settings(charge_current=now, discharge_current=now))
    play.set(temperatures=(56.0, 25.0)).look()
    assert both(play.set(temperatures=(30.0, 25.0)).run(1)) == (50.0, 60.0)


def test_a_limit_rises_by_steps_that_are_worth_telling() -> None:
    play = Play()
    play.set(temperatures=(56.0, 25.0)).look()
    play.set(temperatures=(30.0, 25.0)).run(30)
    seen = [play.run(1).ccl for _ in range(15)]
    assert sorted(set(seen)) == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert seen == sorted(seen)


def test_what_is_missing_by_less_than_a_step_comes_at_once() -> None:
    play = Play()
    play.set(temperatures=(41.0, 25.0)).look()
    assert play.run(1).ccl == 45.0
    play.set(temperatures=(40.5, 25.0)).run(1)
    assert play.run(31).ccl == 47.5


def test_the_steps_never_lead_above_what_is_allowed() -> None:
    play = Play()
    play.set(temperatures=(56.0, 25.0)).look()
    play.set(temperatures=(52.7, 25.0)).run(1)
    assert all(play.run(1).ccl <= 5.75 for _ in range(60))
    assert play.decision is not None and play.decision.ccl == 5.75


# ---- 4.4


@pytest.mark.parametrize(("switch", "allowed"), [(True, True), (False, False), (None, True)])
def test_chapter_4_4_allow_flags_q5(switch: bool | None, allowed: bool) -> None:
    found = Play().set(charge_allowed=switch).look()
    assert (found.allow_charge, found.allow_discharge) == (allowed, True)
    assert (found.ccl > 0) is allowed


def test_0_amperes_are_no_permission() -> None:
    found = Play().set(temperatures=(56.0, 25.0)).look()
    assert (found.allow_charge, found.allow_discharge) == (False, False)


# ---- 4.5

MISSING = {
    "cell": ({"cell_voltages": (None, *cells(3.42)[1:])}, "cell 1"),
    "cells": ({"cell_voltages": (), "voltage": 54.0}, "highest cell"),
    "sensor": ({"temperatures": (24.5, None)}, "temperature sensor 2"),
    "sensors": ({"temperatures": ()}, "temperature sensor 1, 2"),
    "a shorter list of sensors": ({"temperatures": (24.5,)}, "temperature sensor 2"),
    "a shorter list of cells": ({"cell_voltages": cells(3.33, count=15)}, "cell 16"),
    "mosfet": ({"mosfet_temperature": None}, "MOSFET"),
    "limit": ({"max_charge_current": None, "max_discharge_current": None}, "limit of the BMS"),
    "nan": ({"max_charge_current": math.nan, "max_discharge_current": math.nan}, "limit of the BMS"),
    "switch": ({"charge_allowed": None, "discharge_allowed": None}, "switch"),
    "soc": ({"soc": None}, "SoC"),
}


@pytest.mark.parametrize("what", MISSING)
def test_chapter_4_5_what_goes_missing_counts_as_it_was_for_60_s_and_then_stops(what: str) -> None:
    play = Play(settings(**SOC_TABLES))
    known = {"cell_voltages": cells(3.15, 3.41), "temperatures": (24.5, 46.0), "mosfet_temperature": 75.0, "soc": 15.0}
    before = both(play.set(**known, max_charge_current=25.0, max_discharge_current=25.0).look())
    changes, word = MISSING[what]
    easier = {"cell_voltages": cells(3.33), "temperatures": (24.5, 25.0), "mosfet_temperature": 30.0, "soc": 50.0}
    play.set(**{**easier, "max_charge_current": 100.0, "max_discharge_current": 100.0, **changes})
    held = play.run(60)
    assert held.ccl <= 50 and held.dcl > 0
    after = play.run(1)
    assert both(after) == (0.0, 0.0)
    assert any(word in cap.why and "missing data" in cap.why for cap in after.ccl_caps)
    assert before[0] > 0


def test_chapter_4_5_the_last_value_binds_while_it_is_missing() -> None:
    play = Play()
    assert play.set(temperatures=(24.5, 46.0)).look().ccl == 22.5
    assert play.set(temperatures=(24.5, None)).run(59).ccl == 22.5


@pytest.mark.parametrize(
    ("name", "word", "stops"),
    [("temperatures", "cell sensors", "cd"), ("cell_voltages", "highest cell", "cd"),
     ("mosfet_temperature", "MOSFET temperature", "cd"), ("max_charge_current", "charge current limit", "c"),
     ("max_discharge_current", "discharge current limit", "d"), ("charge_allowed", "charge switch", "c"),
     ("discharge_allowed", "discharge switch", "d")],
)  # fmt: skip
def test_what_a_bms_has_but_never_told_is_missing_from_the_start(name: str, word: str, stops: str) -> None:
    nothing = () if name in ("temperatures", "cell_voltages") else None
    found = Play(batteries={"a": reading(**{name: nothing, "untold": (name,)})}).look()
    assert both(found) == (0.0 if "c" in stops else 50.0, 0.0 if "d" in stops else 60.0)
    assert f"missing data: {word}" in str((found.ccl_caps, found.dcl_caps))


VANISHED = {  # what was there: full current before, when only its neighbours were looked at
    "hot sensor": ({"temperatures": (24.5, 52.5)}, {"temperatures": (24.5,)}, 6.25, 7.5),
    "all sensors": ({"temperatures": (24.5, 52.5)}, {"temperatures": ()}, 6.25, 7.5),
    "full cell": ({"cell_voltages": cells(3.3, 3.43)[::-1]}, {"cell_voltages": cells(3.3, count=15)}, 2.05, 60.0),
    "empty cell": ({"cell_voltages": cells(3.3, 3.05)[::-1]}, {"cell_voltages": cells(3.3, count=15)}, 50.0, 9.0),
    "one of the count": (
        {"cell_voltages": (), "cell_count": 16, "highest_cell_voltage": 3.43, "lowest_cell_voltage": 3.05},
        {"cell_voltages": (), "cell_count": 15, "highest_cell_voltage": 3.3, "lowest_cell_voltage": 3.3},
        2.05, 9.0,
    ),
    "both extremes": (
        {"cell_voltages": (), "voltage": None, "highest_cell_voltage": 3.43, "lowest_cell_voltage": 3.05},
        {"cell_voltages": (), "voltage": None, "highest_cell_voltage": 0.0, "lowest_cell_voltage": 65.535},
        2.05, 9.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", VANISHED)
def test_what_vanishes_from_its_list_is_missing_not_fine(what: str) -> None:
    there, gone, ccl, dcl = VANISHED[what]
    play = Play(sheet())
    assert both(play.set(**there).look()) == pytest.approx((ccl, dcl))
    assert both(play.set(**gone).run(59)) == pytest.approx((ccl, dcl)), "as it was last"
    found = play.run(2)
    assert 0.0 in both(found)
    assert "missing data" in str((found.ccl_caps, found.dcl_caps))


def test_the_charge_voltage_of_a_battery_that_lacks_a_cell_is_float_by_all_its_cells() -> None:
    play = Play()
    play.look()
    found = play.set(cell_voltages=cells(3.3, count=15)).run(1)
    assert (found.cvl, found.low_voltage) == (54.0, 46.4)
    assert found.waiting == ("missing data: a: not all of its cell voltages are known",)


def test_a_list_that_grows_against_the_pack_voltage_makes_no_higher_charge_voltage() -> None:
    play = Play().set(cell_voltages=cells(3.3))
    play.look()
    assert play.set(cell_voltages=cells(3.3, count=17), voltage=52.8).run(1).cvl == 55.2
    assert play.set(cell_voltages=cells(3.3), voltage=52.8).run(100).ccl == 50.0, "nor is the 17th missing afterwards"


def test_a_value_that_appears_while_another_vanishes_hides_nothing() -> None:
    play = Play().set(mosfet_temperature=85.0, max_charge_current=None)
    assert play.look().ccl == 6.25
    assert play.set(mosfet_temperature=None, max_charge_current=40.0).run(59).ccl == 6.25
    assert play.run(2).ccl == 0.0


def test_a_chosen_sensor_that_the_bms_does_not_have_is_missing_data() -> None:
    found = Play(settings(temperature_sensors=[9])).look()
    assert both(found) == (0.0, 0.0)
    assert "missing data: temperature sensor 9 is not known" in str(found.ccl_caps)
    assert both(Play(settings(temperature_sensors=[2, 9])).run(10)) == (0.0, 0.0)
    assert both(Play(settings(temperature_sensors=[1, 2, 3, 4])).look()) == (50.0, 60.0), "the default: those there are"


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.33), (3.32, 65.535), (3.32, 0.0), (65.535, 65.535)])
def test_extremes_of_the_bms_that_cannot_be_open_no_limit(low: float, high: float) -> None:
    extremes = {"lowest_cell_voltage": low, "highest_cell_voltage": high}
    found = Play(batteries={"a": reading(cell_voltages=(), voltage=None, **extremes)}).look()
    assert (found.ccl == 0.0) or (found.dcl == 0.0)
    assert found.ccl == 0.0 or 0.5 <= high <= 5.0
    assert found.dcl == 0.0 or 0.5 <= low <= 5.0
    assert "cell is not known" in str((found.ccl_caps, found.dcl_caps))


def test_a_charge_voltage_that_the_bms_no_longer_tells_counts_as_last_known() -> None:
    play = Play(settings(use_bms_values=True)).set(max_battery_voltage=54.6, min_battery_voltage=48.0)
    assert (play.look().cvl, play.run(1).low_voltage) == (54.6, 48.0)
    found = play.set(max_battery_voltage=None, min_battery_voltage=None).run(3600, dt=60)
    assert (found.cvl, found.low_voltage, found.ccl) == (54.6, 48.0, 50.0)


def test_a_known_sensor_counts_although_another_is_broken() -> None:
    play = Play(sheet())
    play.set(temperatures=(24.5, 25.0)).look()
    assert play.set(temperatures=(52.5, None)).run(1).ccl == 6.25
    play = Play(sheet())
    play.look()
    assert play.set(cell_voltages=(None, *cells(3.43)[1:])).run(1).ccl < 2.5


def test_missing_data_that_comes_back_returns_by_hold_and_ramp() -> None:
    play = Play()
    play.look()
    play.set(cell_voltages=()).run(100)
    play.set(cell_voltages=cells(3.3)).run(1)
    assert play.run(29).ccl == 0.0
    assert play.run(11).ccl == 50.0


def test_chapter_4_5_what_the_bms_never_has_is_no_candidate() -> None:
    bare = reading(temperatures=(), mosfet_temperature=None, charge_allowed=None, discharge_allowed=None)
    found = Play(batteries={"a": bare}).run(300)
    assert both(found) == (50.0, 60.0)
    assert {cap.rule for cap in found.ccl_caps} == {"config", "cell_voltage"}


def test_a_bms_that_counts_cells_but_tells_no_voltage_may_not_be_charged() -> None:
    found = Play(batteries={"a": reading(cell_voltages=(), cell_count=16)}).look()
    assert both(found) == (0.0, 0.0)
