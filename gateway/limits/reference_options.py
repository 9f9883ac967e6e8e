"""dbus-serialbattery's options that concern limits, as ours.  Sheet: limits.md chapter 10.

KEYS says where each has its place in gateway.yaml; `from_reference` builds LimitSettings from such options.  Where our
defaults are others, PINNED holds that project's, so that its options mean here what they meant there.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.limits.sense import Contradiction, told
from gateway.limits.settings import LimitSettings
from gateway.model import ConfigError
from gateway.model.validation import validated

KEYS: Final[Mapping[str, str]] = {  # option -> path below `limits:`
    "MAX_BATTERY_CHARGE_CURRENT": "charge_current.max",
    "MAX_BATTERY_DISCHARGE_CURRENT": "discharge_current.max",
    "MIN_CELL_VOLTAGE": "cell_voltage.min",
    "MAX_CELL_VOLTAGE": "cell_voltage.max",
    "FLOAT_CELL_VOLTAGE": "cell_voltage.float",
    "SOC_RESET_CELL_VOLTAGE": "soc_reset.cell_voltage",
    "SOC_RESET_AFTER_DAYS": "soc_reset.after_days",
    "AUTO_RESET_SOC": "soc_reset.write_to_bms",
    "SOC_CALCULATION": "soc.source",
    "CURRENT_REPORTED_BY_BMS": "soc.current_map.reported",
    "CURRENT_MEASURED_BY_USER": "soc.current_map.measured",
    "BATTERY_CAPACITY": "soc.capacity",
    "SOC_LOW_WARNING": "soc.low_warning",
    "SOC_LOW_ALARM": "soc.low_alarm",
    "BLOCK_ON_DISCONNECT": "on_loss.block",
    "BLOCK_ON_DISCONNECT_TIMEOUT_MINUTES": "on_loss.timeout_minutes",
    "BLOCK_ON_DISCONNECT_VOLTAGE_MIN": "on_loss.cell_voltage_min",
    "BLOCK_ON_DISCONNECT_VOLTAGE_MAX": "on_loss.cell_voltage_max",
    "BMS_CABLE_ALARM": "on_loss.alarm",
    "CHARGE_MODE": "mode",
    "CVL_RECOVERY_HOLD_SEC": "charge_voltage.hold",
    "CVL_RECOVERY_RATE_V_PER_SEC": "charge_voltage.rate",
    "CVCM_ENABLE": "charge_voltage.enabled",
    "CVL_CONTROLLER_MODE": "charge_voltage.controller",
    "CVL_ICONTROLLER_FACTOR": "charge_voltage.integral_factor",
    "SWITCH_TO_FLOAT_WAIT_FOR_SEC": "absorption.time",
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF": "absorption.cell_difference",
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DEVIATION": "absorption.cell_difference_deviation",
    "SWITCH_TO_BULK_SOC_THRESHOLD": "rebulk.soc",
    "SWITCH_TO_BULK_CELL_VOLTAGE_DIFF": "rebulk.cell_difference",
    "CCCM_CV_ENABLE": "by_cell_voltage.charge.enabled",
    "DCCM_CV_ENABLE": "by_cell_voltage.discharge.enabled",
    "CELL_VOLTAGES_WHILE_CHARGING": "by_cell_voltage.charge.points",
    "MAX_CHARGE_CURRENT_CV_FRACTION": "by_cell_voltage.charge.fractions",
    "CELL_VOLTAGES_WHILE_DISCHARGING": "by_cell_voltage.discharge.points",
    "MAX_DISCHARGE_CURRENT_CV_FRACTION": "by_cell_voltage.discharge.fractions",
    "CCCM_T_ENABLE": "by_temperature.charge.enabled",
    "DCCM_T_ENABLE": "by_temperature.discharge.enabled",
    "TEMPERATURES_WHILE_CHARGING": "by_temperature.charge.points",
    "MAX_CHARGE_CURRENT_T_FRACTION": "by_temperature.charge.fractions",
    "TEMPERATURES_WHILE_DISCHARGING": "by_temperature.discharge.points",
    "MAX_DISCHARGE_CURRENT_T_FRACTION": "by_temperature.discharge.fractions",
    "CCCM_T_MOSFET_ENABLE": "by_mosfet_temperature.charge.enabled",
    "DCCM_T_MOSFET_ENABLE": "by_mosfet_temperature.discharge.enabled",
    "MOSFET_TEMPERATURES_WHILE_CHARGING": "by_mosfet_temperature.charge.points",
    "MAX_CHARGE_CURRENT_T_MOSFET_FRACTION": "by_mosfet_temperature.charge.fractions",
    "MOSFET_TEMPERATURES_WHILE_DISCHARGING": "by_mosfet_temperature.discharge.points",
    "MAX_DISCHARGE_CURRENT_T_MOSFET_FRACTION": "by_mosfet_temperature.discharge.fractions",
    "CCCM_SOC_ENABLE": "by_soc.charge.enabled",
    "DCCM_SOC_ENABLE": "by_soc.discharge.enabled",
    "SOC_WHILE_CHARGING": "by_soc.charge.points",
    "MAX_CHARGE_CURRENT_SOC_FRACTION": "by_soc.charge.fractions",
    "SOC_WHILE_DISCHARGING": "by_soc.discharge.points",
    "MAX_DISCHARGE_CURRENT_SOC_FRACTION": "by_soc.discharge.fractions",
    "CHARGE_CURRENT_RECOVERY_THRESHOLD_PERCENT": "charge_current.recovery_threshold_fraction",
    "DISCHARGE_CURRENT_RECOVERY_THRESHOLD_PERCENT": "discharge_current.recovery_threshold_fraction",
    "CCL_RECOVERY_HOLD_SEC": "charge_current.hold",
    "DCL_RECOVERY_HOLD_SEC": "discharge_current.hold",
    "CCL_RECOVERY_RATE_A_PER_SEC": "charge_current.rate",
    "DCL_RECOVERY_RATE_A_PER_SEC": "discharge_current.rate",
    "TIME_TO_GO_ENABLE": "time_to_go.enabled",
    "TIME_TO_SOC_POINTS": "time_to_go.points",
    "TIME_TO_SOC_RECALCULATE_EVERY": "time_to_go.every",
    "HISTORY_ENABLE": "history",
    "TEMPERATURE_SOURCE_BATTERY": "temperature_sensors",
    **{f"TEMPERATURE_{n}_ADJUST": f"temperature_adjust.sensor_{n}" for n in (1, 2, 3, 4)},
    "TEMPERATURE_MOS_ADJUST": "temperature_adjust.mosfet",
    "VOLTAGE_DROP": "voltage_drop",
    "USE_BMS_DVCC_VALUES": "use_bms_values",
}

WORDS: Final[Mapping[str, Mapping[Any, Any]]] = {  # options whose values have other names with us
    "SOC_CALCULATION": {True: "counter", False: "bms"},
    "CHARGE_MODE": {1: "linear", 2: "step"},
    "CVL_CONTROLLER_MODE": {0: "off", 1: "penalty", 2: "integral", 3: "clipped"},
}


OFF: Final[Mapping[str, tuple[tuple[Any, ...], Any]]] = {  # option -> what switches it off there, and here
    "SOC_RESET_AFTER_DAYS": (("", None, 0), None),
    "BATTERY_CAPACITY": (("", None, 99), None),  # its default is a placeholder, nobody's capacity
    "SWITCH_TO_FLOAT_WAIT_FOR_SEC": (("", None, 0), 0),
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF": (("", None, 10), None),
    "SWITCH_TO_BULK_CELL_VOLTAGE_DIFF": (("", None, 10), None),
    "SWITCH_TO_BULK_SOC_THRESHOLD": (("", None, 0), None),
}

PINNED: Final[Mapping[str, Any]] = {  # path below `limits:` -> what that project does where our default is another
    "by_cell_voltage.charge.points": (3.375, 3.400, 3.425, 3.450, 3.500),
    "by_cell_voltage.charge.fractions": (1.0, 0.25, 0.05, 0.005, 0.0),
    "absorption.voltage_tolerance": 0.001,
    "absorption.abort_below": 0.5,
    "absorption.abort_after": 0.0,
    "absorption.max_time": None,
    "charge_voltage.hold": 60.0,
    "charge_voltage.release": 0.0,
    "charge_voltage.step": 0.0,
    "charge_voltage.correct_after": None,
    "charge_current.step_fraction": 0.0,
    "discharge_current.step_fraction": 0.0,
}


def from_reference(options: Mapping[str, Any]) -> LimitSettings:
    """LimitSettings from such options; those not given keep that project's defaults.

    Raises ConfigError with what is wrong.
    """
    tree: dict[str, Any] = LimitSettings().plain()
    for path, value in PINNED.items():
        _put(tree, path, value)
    for option, value in options.items():
        if option not in KEYS:
            raise ConfigError(f"{option}: no such option of the limits")
        _put(tree, KEYS[option], in_our_words(option, value))
    try:
        return validated(LimitSettings, tree)
    except ValidationError as error:
        raise ConfigError(*(line for e in error.errors() for line in _sentences(e, options))) from None


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set one key of the tree by its dotted path."""
    *sections, last = path.split(".")
    for section in sections:
        tree = tree[section]
    tree[last] = value


def _sentences(error: ErrorDetails, options: Mapping[str, Any]) -> Iterator[str]:
    """One objection, by the option it is about where there is one."""
    names = {path: option for option, path in KEYS.items()}
    if found := told(error):
        yield from (_contradiction(one, names, options) for one in found)
        return
    path = ".".join(str(part) for part in error["loc"] if not isinstance(part, int))
    if path in names:
        yield f"{names[path]}: {error['input']!r}, {error['msg']}"
    else:
        yield f"{path or 'limits'}: {error['msg']}"


def _contradiction(found: Contradiction, names: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """By the options that were given, as these are what somebody can change."""
    given = [names[key] for key in found.keys if names.get(key) in options]
    return f"{', '.join(given) or f'limits.{found.keys[0]}'}: {found.text}"


def in_our_words(option: str, value: Any) -> Any:
    """The value as gateway.yaml has it.  Raises ConfigError for a word that has no equal."""
    if option in OFF and value in OFF[option][0]:
        return OFF[option][1]
    if option not in WORDS:
        return value
    for theirs, ours in WORDS[option].items():
        if theirs == value:
            return ours
    raise ConfigError(f"{option}: {value!r}, expected one of {', '.join(map(str, WORDS[option]))}")
