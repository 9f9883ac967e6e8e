"""The section `limits:`; options of dbus-serialbattery; doubts.  Sheet: limits.md chapters 2, 8.2, 10, 15."""

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.limits.checks import doubts, together_doubts
from gateway.limits.reference_options import KEYS, PINNED, from_reference
from gateway.limits.settings import LimitSettings
from gateway.model import ConfigError
from gateway.model.section import Section, key_of, of_the_file
from gateway.model.validation import validated
from tests.limits.play import settings
from tests.make import reading

CHAPTER_10 = {
    "charge_current.max": 50, "discharge_current.max": 60, "cell_voltage.min": 2.9, "cell_voltage.max": 3.45,
    "cell_voltage.float": 3.375, "soc_reset.cell_voltage": 3.65, "soc_reset.after_days": None, "soc.source": "bms",
    "on_loss.block": False, "on_loss.timeout_minutes": 30, "on_loss.cell_voltage_min": 3.225, "mode": "linear",
    "on_loss.cell_voltage_max": 3.375, "on_loss.alarm": True, "charge_voltage.rate": 0.001,
    "charge_voltage.enabled": True, "absorption.time": 900, "absorption.cell_difference": 0.010, "rebulk.soc": 80,
    "absorption.cell_difference_deviation": 0.003, "rebulk.cell_difference": 0.080, "charge_current.hold": 30,
    "charge_voltage.controller": "penalty", "charge_voltage.integral_factor": 0.2, "charge_current.rate": 5,
    "charge_current.recovery_threshold_fraction": 0.015, "by_soc.charge.enabled": False, "voltage_drop": 0,
    "by_temperature.charge.enabled": True, "soc.low_warning": 20, "soc.low_alarm": 10, "time_to_go.every": 60,
    "soc_reset.write_to_bms": True, "use_bms_values": False, "history": True, "discharge_current.rate": 5,
}  # fmt: skip


def at(tree: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


@pytest.mark.parametrize("path", CHAPTER_10)
def test_defaults_are_those_of_chapter_10(path: str) -> None:
    assert at(LimitSettings().plain(), path) == CHAPTER_10[path]


def test_every_number_has_a_unit_and_every_key_a_meaning() -> None:
    def walk(kind: type[Section], path: str) -> None:
        for field in of_the_file(kind):
            where = f"{path}.{key_of(field)}"
            if isinstance(field.type, type) and issubclass(field.type, Section):
                walk(field.type, where)
            elif field.type in (float, float | None):
                assert field.metadata.get("unit"), where
                assert field.metadata.get("description"), where

    walk(LimitSettings, "limits")


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


# ---- options of dbus-serialbattery


def test_every_key_of_the_table_exists() -> None:
    tree = LimitSettings().plain()
    for path in KEYS.values():
        at(tree, path)


def test_no_options_are_our_defaults_but_for_what_is_pinned() -> None:
    ours, theirs = LimitSettings().plain(), from_reference({}).plain()
    assert {path: at(theirs, path) for path in PINNED} == {
        path: list(value) if isinstance(value, tuple) else value for path, value in PINNED.items()
    }
    for path in PINNED:
        *sections, last = path.split(".")
        (at(theirs, ".".join(sections)))[last] = at(ours, path)
    assert ours == theirs


def test_options_find_their_place() -> None:
    found = from_reference(
        {"MAX_CELL_VOLTAGE": 3.5, "CHARGE_MODE": 2, "SOC_CALCULATION": True, "CVL_CONTROLLER_MODE": 2,
         "CELL_VOLTAGES_WHILE_CHARGING": [3.55, 3.5, 3.45, 3.3], "MAX_CHARGE_CURRENT_CV_FRACTION": [0, 0.05, 0.5, 1]}
    )  # fmt: skip
    assert (found.cell_voltage.max, found.mode, found.soc.source) == (3.5, "step", "counter")
    assert found.charge_voltage.controller == "integral"
    assert found.by_cell_voltage.charge.points == (3.55, 3.5, 3.45, 3.3)


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
