"""Names of values for inverters: the signal names of a DBC file, and what kind of value each is.

Sheet: can-inverter-protocols.md section 14, and sections 6 and 7 for what LuxPower and Growatt have beyond it.  Units
are SI except where the name says otherwise (mV, kWh).
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from gateway.model import GatewayError
from gateway.model.words import meant

Kind = Literal["number", "flag", "text", "version", "group"]
Value = float | str | Mapping[str, object] | tuple[float, ...]
Values = Mapping[str, Value]

LEVELS: Final = ("alarm", "warning")

REQUIRED: Final = ("charge_voltage_limit", "soc", "soc_high_resolution", "voltage", "voltage_0p1V", "current")
"""Without these no frame is honest: nothing is sent before all that the dialect carries were known."""
LIMITS: Final = ("charge_current_limit", "discharge_current_limit")
BOUNDS: Final = ("charge_voltage_limit", *LIMITS)
"""What the inverter must not exceed."""
ENABLES: Final = ("charge_enable", "discharge_enable")
STAND_INS: Final[Mapping[str, float]] = {"soh": 100.0, "temperature": 25.0, "modules": 1.0}
"""What is sent for a value that is not known, where the file does not say: %, °C, a count.

0 % is a dead battery to an inverter, and at 0 °C some stop charging; neither value steers anything of ours.
"""

NAMES: Final = ("manufacturer", "name", "product")
"""Texts by which an inverter may take us for somebody else's battery."""

_NUMBERS: Final = """
    charge_voltage_limit charge_current_limit discharge_current_limit discharge_voltage_limit soc soh
    soc_high_resolution voltage voltage_0p1V current temperature modules available_capacity capacity_35f
    manufacturer_id_35f installed_capacity modules_online modules_blocking_charge modules_blocking_discharge
    modules_offline min_cell_voltage_mV max_cell_voltage_mV min_cell_temperature max_cell_temperature
    max_cell_temperature_370 min_cell_temperature_370 max_cell_voltage_mV_370 min_cell_voltage_mV_370
    charged_energy_kWh discharged_energy_kWh
    charge_cycles cell_count cell_voltage_difference operating_state system_state faulty_pack_number
    max_voltage_cell_number max_voltage_pack_number min_voltage_cell_number min_voltage_pack_number
    max_temperature_cell_number max_temperature_pack_number min_temperature_cell_number min_temperature_pack_number
"""
CELLS: Final = tuple(f"cell_voltage_{number}" for number in range(1, 17))
"""Single cells [V], of a single battery."""
_FLAGS: Final = """
    charge_enable discharge_enable force_charge_1 force_charge_2 full_charge p_over_voltage p_under_voltage
    p_over_temperature p_under_temperature p_discharge_over_current p_charge_over_current p_system_error
    a_high_voltage a_low_voltage a_high_temperature a_low_temperature a_discharge_high_current
    a_charge_high_current a_internal_comm_fail general_alarm general_warning high_charge_temperature_alarm
    high_charge_temperature_warning low_charge_temperature_alarm low_charge_temperature_warning
    contactor_alarm contactor_warning short_circuit_alarm short_circuit_warning cell_imbalance_alarm
    cell_imbalance_warning high_cell_voltage_alarm high_cell_voltage_warning low_cell_voltage_alarm
    low_cell_voltage_warning protections_valid balancing
"""
_TEXTS: Final = """
    manufacturer name product serial_part1 serial_part2 battery_type min_voltage_cell_id max_voltage_cell_id
    min_temperature_cell_id max_temperature_cell_id
"""

KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys((*_NUMBERS.split(), *CELLS), "number"),
    **dict.fromkeys(_FLAGS.split(), "flag"),
    **dict.fromkeys(_TEXTS.split(), "text"),
    "firmware_version": "version",
    "flags_35a": "group",
}


def suggest(wrong: str, known: Iterable[str]) -> str:
    """`did you mean ...?` for a misspelt name, or the list of those there are."""
    names = sorted(known)
    return meant(wrong, names, f"known are: {', '.join(names)}")


def mistaken(text: str, names: Iterable[str]) -> str:
    """Why an inverter that changes the limits of batteries of these `names` may not be told `text`; "" = it may."""
    found = [name for name in names if name.upper() in text.upper()]
    return f"{text!r} may pass for a battery of {found[0]}, whose limits this inverter changes" if found else ""


def check(values: Mapping[str, object]) -> dict[str, Value]:
    """The values that are known (not None), each of a known name.  Raises GatewayError for a name that is none."""
    for key in values:
        if key not in KINDS:
            raise GatewayError(f"{key}: no value of that name; {suggest(key, KINDS)}")
    return {key: _kept(key, value) for key, value in values.items() if value is not None}


def _kept(key: str, value: object) -> Value:
    kind = KINDS[key]
    if kind == "group":
        if not isinstance(value, Mapping) or not all(_is_list_of_names(value.get(level, [])) for level in LEVELS):
            raise GatewayError(f'{key}: expected {{"alarm": [names], "warning": [names]}}, not {value!r}')
        return value
    if kind in ("text", "version"):
        if not isinstance(value, str):
            raise GatewayError(f"{key}: expected a text, not {value!r}")
        return value
    if kind == "flag" and value not in (0, 1):
        raise GatewayError(f"{key}: expected 0 or 1, not {value!r}")
    if not isinstance(value, int | float) or (isinstance(value, bool) and kind != "flag"):
        raise GatewayError(f"{key}: expected a number, not {value!r}")
    return value


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
