"""Every default and every bound of the section `limits:`, written down once more.  Sheet: limits.md 4.2, chapter 10.

What is another number than there is so on purpose: a change of one of these is a change of what batteries get.
"""

import math
from typing import Any, Final

from pydantic import ValidationError

from gateway.limits.reference_options import KEYS, PINNED, from_reference
from gateway.limits.settings import LimitSettings
from gateway.model.section import Section, key_of, of_the_file
from gateway.model.validation import validated

# Numbers: our default ("-" = null), and the bounds of what is taken.
NUMBERS: Final = """
cell_voltage.max                             3.45   > 1       < 5
cell_voltage.float                           3.375  > 1       < 5
cell_voltage.min                             2.9    > 1       < 5
charge_current.max                           50     >= 0      <= 2000
charge_current.hold                          30     >= 0      <= 3600
charge_current.rate                          5      >= 0      <= 1000
charge_current.step_fraction                 0.2    >= 0      <= 1
charge_current.recovery_threshold_fraction   0.015  >= 0      <= 0.5
discharge_current.max                        60     >= 0      <= 2000
discharge_current.hold                       30     >= 0      <= 3600
discharge_current.rate                       5      >= 0      <= 1000
discharge_current.step_fraction              0.2    >= 0      <= 1
discharge_current.recovery_threshold_fraction 0.015  >= 0      <= 0.5
charge_voltage.integral_factor               0.2    > 0       <= 10
charge_voltage.hold                          240    >= 0      <= 3600
charge_voltage.rate                          0.001  >= 0      <= 1
charge_voltage.release                       0.005  >= 0      <= 0.1
charge_voltage.step                          0.05   >= 0      <= 1
charge_voltage.correct_after                 15     >= 5      <= 3600
absorption.time                              900    >= 0      <= 86400
absorption.cell_difference                   0.01   >= 0      <= 1
absorption.cell_difference_deviation         0.003  >= 0      <= 1
absorption.abort_below                       -      > 0       <= 10
absorption.abort_after                       900    >= 0      <= 3600
absorption.voltage_tolerance                 -      >= 0.001  <= 1
absorption.max_time                          3600   > 0       <= 86400
absorption.tail_current                      -      >= 0      <= 1000
float_transition.rate                        0.001  > 0       <= 10
rebulk.soc                                   80     >= 0      <= 100
rebulk.cell_difference                       0.08   > 0       <= 1
rebulk.debounce                              0      >= 0      <= 3600
rebulk.cell_voltage                          -      > 1       < 5
rebulk.days                                  -      > 0       <= 365
soc_reset.after_days                         -      >= 0      <= 365
soc_reset.cell_voltage                       3.65   > 1       < 5
soc.efficiency                               1      > 0.5     <= 1
soc.capacity                                 -      > 0       <= 5000
soc.low_warning                              20     >= 0      <= 100
soc.low_alarm                                10     >= 0      <= 100
on_loss.timeout_minutes                      30     >= 1      <= 1440
on_loss.cell_voltage_min                     3.225  > 1       < 5
on_loss.cell_voltage_max                     3.375  > 1       < 5
imbalance.cell_difference                    0.16   > 0       <= 1
imbalance.below_c_rate                       0.05   > 0       <= 5
imbalance.after                              60     >= 0      <= 3600
obey_check.margin_fraction                   0.1    >= 0      <= 1
obey_check.after                             60     >= 0      <= 3600
force_charge.below                           10     > 0       < 100
force_charge.until                           15     > 0       <= 100
full_charge_request.after_days               -      >= 0      <= 365
full_charge_request.soc                      97     > 50      <= 100
time_to_go.every                             60     >= 5      <= 3600
voltage_drop                                 0      >= 0      <= 2
"""

OTHERS: Final = {  # our defaults that are no numbers, where the sheet has none or another
    "charge_current.scale_by_bms": False, "discharge_current.scale_by_bms": False, "soc.cap_until_full": False,
    "soc_reset.at_first_start": True, "imbalance.enabled": False, "obey_check.enabled": False,
    "force_charge.enabled": False, "by_cell_voltage.charge.points": [3.43, 3.45, 3.465, 3.475],
    "by_cell_voltage.charge.fractions": [1, 0.4, 0.1, 0],
}  # fmt: skip

WARM: Final = [0, 0.25, 0.5, 1, 1, 0.5, 0.25, 0]
SHEET: Final = {  # options of dbus-serialbattery with their defaults
    "MAX_BATTERY_CHARGE_CURRENT": 50, "MAX_BATTERY_DISCHARGE_CURRENT": 60, "MIN_CELL_VOLTAGE": 2.9,
    "MAX_CELL_VOLTAGE": 3.45, "FLOAT_CELL_VOLTAGE": 3.375, "SOC_RESET_CELL_VOLTAGE": 3.65,
    "SOC_RESET_AFTER_DAYS": "", "AUTO_RESET_SOC": True, "SOC_CALCULATION": False,
    "CURRENT_REPORTED_BY_BMS": [-300, 300], "CURRENT_MEASURED_BY_USER": [-300, 300], "BATTERY_CAPACITY": 99,
    "SOC_LOW_WARNING": 20, "SOC_LOW_ALARM": 10, "BLOCK_ON_DISCONNECT": False,
    "BLOCK_ON_DISCONNECT_TIMEOUT_MINUTES": 30, "BLOCK_ON_DISCONNECT_VOLTAGE_MIN": 3.225,
    "BLOCK_ON_DISCONNECT_VOLTAGE_MAX": 3.375, "BMS_CABLE_ALARM": True, "CHARGE_MODE": 1, "CVL_RECOVERY_HOLD_SEC": 60,
    "CVL_RECOVERY_RATE_V_PER_SEC": 0.001, "CVCM_ENABLE": True, "CVL_CONTROLLER_MODE": 1, "CVL_ICONTROLLER_FACTOR": 0.2,
    "SWITCH_TO_FLOAT_WAIT_FOR_SEC": 900, "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF": 0.010,
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DEVIATION": 0.003, "SWITCH_TO_BULK_SOC_THRESHOLD": 80,
    "SWITCH_TO_BULK_CELL_VOLTAGE_DIFF": 0.080, "CCCM_CV_ENABLE": True, "DCCM_CV_ENABLE": True,
    "CELL_VOLTAGES_WHILE_CHARGING": [3.375, 3.4, 3.425, 3.45, 3.5],
    "MAX_CHARGE_CURRENT_CV_FRACTION": [1, 0.25, 0.05, 0.005, 0],
    "CELL_VOLTAGES_WHILE_DISCHARGING": [2.8, 2.9, 3.0, 3.1, 3.19],
    "MAX_DISCHARGE_CURRENT_CV_FRACTION": [0, 0.005, 0.05, 0.25, 1], "CCCM_T_ENABLE": True, "DCCM_T_ENABLE": True,
    "TEMPERATURES_WHILE_CHARGING": [0, 2, 5, 10, 40, 45, 50, 55], "MAX_CHARGE_CURRENT_T_FRACTION": WARM,
    "TEMPERATURES_WHILE_DISCHARGING": [-10, 0, 5, 10, 40, 45, 50, 55], "MAX_DISCHARGE_CURRENT_T_FRACTION": WARM,
    "CCCM_T_MOSFET_ENABLE": True, "DCCM_T_MOSFET_ENABLE": True, "MOSFET_TEMPERATURES_WHILE_CHARGING": [70, 80, 90],
    "MAX_CHARGE_CURRENT_T_MOSFET_FRACTION": [1, 0.25, 0], "MOSFET_TEMPERATURES_WHILE_DISCHARGING": [70, 80, 90],
    "MAX_DISCHARGE_CURRENT_T_MOSFET_FRACTION": [1, 0.25, 0], "CCCM_SOC_ENABLE": False, "DCCM_SOC_ENABLE": False,
    "SOC_WHILE_CHARGING": [85, 90, 95, 98], "MAX_CHARGE_CURRENT_SOC_FRACTION": [1, 0.5, 0.2, 0.1],
    "SOC_WHILE_DISCHARGING": [5, 10, 15, 20], "MAX_DISCHARGE_CURRENT_SOC_FRACTION": [0.1, 0.2, 0.5, 1],
    "CHARGE_CURRENT_RECOVERY_THRESHOLD_PERCENT": 0.015, "DISCHARGE_CURRENT_RECOVERY_THRESHOLD_PERCENT": 0.015,
    "CCL_RECOVERY_HOLD_SEC": 30, "DCL_RECOVERY_HOLD_SEC": 30, "CCL_RECOVERY_RATE_A_PER_SEC": 5,
    "DCL_RECOVERY_RATE_A_PER_SEC": 5, "TIME_TO_GO_ENABLE": True, "TIME_TO_SOC_POINTS": [],
    "TIME_TO_SOC_RECALCULATE_EVERY": 60, "HISTORY_ENABLE": True, "TEMPERATURE_SOURCE_BATTERY": [1, 2, 3, 4],
    "TEMPERATURE_1_ADJUST": [0, 1], "TEMPERATURE_2_ADJUST": [0, 1], "TEMPERATURE_3_ADJUST": [0, 1],
    "TEMPERATURE_4_ADJUST": [0, 1], "TEMPERATURE_MOS_ADJUST": [0, 1], "VOLTAGE_DROP": 0, "USE_BMS_DVCC_VALUES": False,
}  # fmt: skip
DOES: Final = {  # what dbus-serialbattery does, for which it has no option
    "absorption.voltage_tolerance": 0.001, "absorption.abort_below": 0.5, "absorption.abort_after": 0,
    "absorption.max_time": None, "charge_voltage.release": 0, "charge_voltage.step": 0,
    "charge_voltage.correct_after": None, "charge_current.step_fraction": 0, "discharge_current.step_fraction": 0,
}  # fmt: skip

BEYOND: Final = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
"""What pydantic calls a value that is out of its bounds."""


def rows() -> dict[str, tuple[float | None, str, float, str, float]]:
    """NUMBERS: key -> default, sign and least, sign and most."""
    cut = [line.split() for line in NUMBERS.strip().splitlines()]
    return {
        key: (None if default == "-" else float(default), above, float(least), below, float(most))
        for key, default, above, least, below, most in cut
    }


def leaves(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Dotted key -> value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def is_taken(path: str, value: float) -> bool:
    """Does the value lie in the key's own bounds, whatever it contradicts elsewhere?"""
    tree: Any = value
    for key in reversed(path.split(".")):
        tree = {key: tree}
    try:
        validated(LimitSettings, tree)
    except ValidationError as error:
        return not any(one["type"] in BEYOND for one in error.errors())
    return True


OURS = leaves(LimitSettings().plain())


def test_our_defaults() -> None:
    numbers = {key: row[0] for key, row in rows().items()}
    assert {key: OURS[key] for key in numbers} == numbers
    assert {key: OURS[key] for key in OTHERS} == OTHERS
    assert OURS.keys() == {*numbers, *OTHERS, *KEYS.values()}, "each key is written down"


def test_the_options_defaults_are_what_no_options_mean() -> None:
    assert SHEET.keys() == KEYS.keys()
    assert from_reference(SHEET) == from_reference({})
    theirs = leaves(from_reference({}).plain())
    assert {key: theirs[key] for key in DOES} == DOES


def test_no_options_are_our_defaults_but_for_what_is_pinned() -> None:
    theirs = leaves(from_reference({}).plain())
    assert {key for key, value in theirs.items() if value != OURS[key]} == PINNED.keys()


def test_each_number_is_taken_within_its_bounds_and_no_further() -> None:
    wrong = []
    for key, (_, above, least, below, most) in rows().items():
        for sign, bound, inward in ((above, least, math.inf), (below, most, -math.inf)):
            inside, outside = math.nextafter(bound, inward), math.nextafter(bound, -inward)
            if not is_taken(key, bound if "=" in sign else inside) or is_taken(key, outside if "=" in sign else bound):
                wrong.append(f"{key} {sign} {bound}")
    assert wrong == []


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
