"""The section `limits:`; options of dbus-serialbattery; doubts.  Sheet: limits.md chapters 2, 8.2, 10, 15."""

import json
import math
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.limits.checks import doubts, together_doubts
from gateway.limits.reference_options import from_reference
from gateway.limits.settings import Absorption, CellVoltage, CurrentMap, ForceCharge, LimitSettings, Soc, Table
from gateway.model import ConfigError
from gateway.model.section import Section
from gateway.model.validation import validated
from tests.limits.play import settings
from tests.make import reading


def at(tree: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell_voltage": {"float": 3.5}},
        {"cell_voltage": {"min": 3.4}},
        {"cell_voltage": {"max": 0.0}},
        {"cell_voltage": {"max": math.nan}},
        {"by_temperature": {"charge": {"points": [0, 10, 10, 20], "fractions": [0, 1, 1, 0]}}},
        {"by_temperature": {"charge": {"points": [0, 10, 5], "fractions": [0, 1, 0]}}},
        {"by_temperature": {"charge": {"points": [0, 10], "fractions": [0, 1, 1]}}},
        {"by_temperature": {"charge": {"points": [0, 10], "fractions": [0, 1.5]}}},
        {"by_temperature": {"charge": {"points": [0], "fractions": [1]}}},
        {"charge_current": {"recovery_threshold_fraction": 1.5}},
        {"charge_current": {"max": -1}},
        {"soc": {"low_warning": 5}},
        {"soc": {"current_map": {"reported": [300, -300], "measured": [300, -300]}}},
        {"soc": {"current_map": {"reported": [-300, 300], "measured": [300]}}},
        {"temperature_sensors": [0]},
        {"nonsense": 1},
        {"mode": "curved"},
    ],
)
def test_what_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        (Table, {"points": (0, 10, 10), "fractions": (0, 1, 1)}, "all rise or all fall"),
        (Table, {"points": (10, 5, 5), "fractions": (0, 1, 1)}, "all rise or all fall"),
        (Table, {"points": (0, 10, 5), "fractions": (0, 1, 1)}, "all rise or all fall"),
        (Table, {"points": (0,), "fractions": (1,)}, "two points at least"),
        (Table, {"points": (0, 10), "fractions": (0,)}, "2 numbers and fractions 1"),
        (Table, {"points": (0, 10), "fractions": (0, 1.01)}, "between 0 and 1"),
        (Table, {"points": (0, 10), "fractions": (-0.01, 1)}, "between 0 and 1"),
        (CurrentMap, {"reported": (0.0,), "measured": (0.0,)}, "two at least"),
        (CurrentMap, {"reported": (0.0, 0.0), "measured": (0.0, 1.0)}, "must rise"),
        (CellVoltage, {"min": 3.375}, "must rise"),
        (CellVoltage, {"float_": 3.46}, "must rise"),
        (Absorption, {"voltage_tolerance": 0.5, "abort_below": 0.5}, "must be less than abort_below"),
        (Soc, {"low_alarm": 20.1}, "must not be above low_warning"),
        (ForceCharge, {"below": 15.0}, "must be less than until"),
    ],
)
def test_a_section_refuses_what_does_not_go_together(section: type[Section], values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        section(**values)


def test_what_just_goes_together_is_taken() -> None:
    Table(points=(0, 10), fractions=(0, 1))
    Table(points=(10, 0), fractions=(1, 0))
    CurrentMap(reported=(0.0, 0.1), measured=(1.0, 0.0))
    CellVoltage(float_=3.45)
    Absorption(voltage_tolerance=0.5, abort_below=0.501)
    Soc(low_alarm=20.0)


@pytest.mark.parametrize(
    ("adjust", "taken"),
    [
        ((-50, 0.1), True),
        ((50, 10), True),
        ((-50.1, 1), False),
        ((50.1, 1), False),
        ((0, 0.09), False),
        ((0, 10.1), False),
    ],
)
def test_a_sensor_is_corrected_by_what_sensors_need(adjust: tuple[float, float], taken: bool) -> None:
    with nullcontext() if taken else pytest.raises(ValidationError, match="expected an offset of"):
        settings(temperature_adjust={"sensor_1": adjust})


def test_how_near_counts_as_reached_and_how_far_as_left() -> None:
    usual, own = Absorption(), Absorption(voltage_tolerance=0.025, abort_below=0.4)
    assert (usual.tolerance(4), usual.abort(4)) == pytest.approx((0.02, 0.12))
    assert (usual.tolerance(16), usual.abort(16)) == pytest.approx((0.08, 0.48))
    assert (own.tolerance(16), own.abort(16)) == (0.025, 0.4)
    wide = Absorption(voltage_tolerance=0.6)
    assert wide.abort(16) == pytest.approx(0.601), "always below what counts as reached"


# ---- options of dbus-serialbattery


def test_options_find_their_place() -> None:
    found = from_reference(
        {"MAX_CELL_VOLTAGE": 3.5, "CHARGE_MODE": 2, "SOC_CALCULATION": True, "CVL_CONTROLLER_MODE": 2,
         "CELL_VOLTAGES_WHILE_CHARGING": [3.55, 3.5, 3.45, 3.3], "MAX_CHARGE_CURRENT_CV_FRACTION": [0, 0.05, 0.5, 1],
         **{f"TEMPERATURE_{n}_ADJUST": [n, 1] for n in (1, 2, 3, 4)}, "TEMPERATURE_MOS_ADJUST": [5, 1]}
    )  # fmt: skip
    assert (found.cell_voltage.max, found.mode, found.soc.source) == (3.5, "step", "counter")
    assert found.charge_voltage.controller == "integral"
    assert found.by_cell_voltage.charge.points == (3.55, 3.5, 3.45, 3.3)
    assert [offset for offset, _ in found.temperature_adjust.of_sensors("1234")] == [1, 2, 3, 4]
    assert found.temperature_adjust.mosfet == (5, 1)


@pytest.mark.parametrize(
    ("option", "value", "path"),
    [
        ("SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF", 10, "absorption.cell_difference"),
        ("SWITCH_TO_BULK_CELL_VOLTAGE_DIFF", "", "rebulk.cell_difference"),
        ("SWITCH_TO_BULK_SOC_THRESHOLD", 0, "rebulk.soc"),
        ("SOC_RESET_AFTER_DAYS", "", "soc_reset.after_days"),
    ],
)
def test_what_switches_a_condition_off(option: str, value: object, path: str) -> None:
    assert at(from_reference({option: value}).plain(), path) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"MAX_CELL_VOLTAGE": "3,45"}, "MAX_CELL_VOLTAGE: '3,45'"),
        ({"CHARGE_MODE": 3}, "CHARGE_MODE: 3, expected one of 1, 2"),
        ({"CHARGE_MODE": [1]}, "CHARGE_MODE: [1], expected one of 1, 2"),
        ({"NONSENSE": 3}, "NONSENSE: no such option of the limits"),
        ({"CELL_VOLTAGES_WHILE_CHARGING": [3.5, 3.4]}, "by_cell_voltage.charge: "),
    ],
)
def test_wrong_options_are_refused_by_their_name(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        from_reference(options)
    assert str(refused.value).startswith(says)


# ---- doubts


def test_the_defaults_leave_no_doubt() -> None:
    assert doubts(LimitSettings()) == []
    assert doubts(LimitSettings(), reading(cell_overvoltage_protection=3.65, cell_undervoltage_protection=2.5)) == []


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"cell_voltage": {"max": 3.5}}, "allows 0 A at cell_voltage.max 3.5 V"),
        ({"soc_reset": {"after_days": 10}}, "3.65 V cannot be reached"),
        ({"rebulk": {"soc": 0, "cell_difference": None}}, "stays in float until a restart"),
        ({"on_loss": {"cell_voltage_min": 3.4}}, "always blocks"),
        ({"on_loss": {"cell_voltage_max": 3.6}}, "3.6 V is above cell_voltage.max 3.45 V"),
        ({"charge_current": {"max": 0}}, "forbids charging"),
    ],
)
def test_doubts_say_what_and_why_with_numbers(sections: dict[str, Any], words: str) -> None:
    assert any(words in doubt and doubt.startswith("limits.") for doubt in doubts(settings(**sections)))


@pytest.mark.parametrize(("protection", "words"), [(3.48, "only 30 mV below the 3.48 V"), (3.40, "-50 mV below")])
def test_the_distance_to_the_bms_own_protection_is_checked(protection: float, words: str) -> None:
    assert words in doubts(LimitSettings(), reading(cell_overvoltage_protection=protection))[0]


def test_the_reset_voltage_keeps_30_mv_from_the_protection() -> None:
    limits = settings(
        soc_reset={"after_days": 10, "cell_voltage": 3.49}, by_cell_voltage={"charge": {"enabled": False}}
    )
    assert doubts(limits, reading(cell_overvoltage_protection=3.52)) == []
    assert "20 mV" in doubts(limits, reading(cell_overvoltage_protection=3.51))[0]


def test_set_points_of_batteries_in_parallel_are_checked_against_each_other() -> None:
    lfp, nmc = settings(), settings(cell_voltage={"max": 4.1, "float": 4.0, "min": 3.3})
    assert list(together_doubts({"a": (lfp, 16), "b": (lfp, 16)})) == []
    assert list(together_doubts({"a": (lfp, 16), "b": (settings(cell_voltage={"max": 3.46}), 16)})) == []
    assert list(together_doubts({"a": (lfp, 16), "b": (settings(cell_voltage={"max": 3.5}), 16)})) == [
        "cell_voltage.max: a is full at 55.20 V and b at 56.00 V; the bank is charged to the lower, so b never gets"
        " full"
    ]
    assert list(together_doubts({"lfp": (lfp, 15), "nmc": (nmc, 16)})) == [
        "cell_voltage: nmc must stay above 52.80 V, and lfp floats at 50.62 V: these two cannot be in parallel"
    ]


def test_settings_survive_their_own_yaml_form() -> None:
    tree = json.loads(json.dumps(LimitSettings().plain()))
    assert validated(LimitSettings, tree) == LimitSettings()
