"""A config.ini of dbus-serialbattery becomes a gateway.yaml that means the same, or is refused with its line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.import_config import command
from gateway.config.doubts import doubts
from gateway.config.explain import nearest, poles
from gateway.config.importer import convert, spelled_out
from gateway.config.load import examine, load, parse
from gateway.config.options import GATHERED, NO_EQUAL, OPTIONS, RENAMED, RETHOUGHT
from gateway.config.schema import Settings
from gateway.limits.reference_options import KEYS, from_reference
from gateway.limits.settings import LimitSettings
from gateway.limits.tables import Curve
from gateway.model import ConfigError
from tests.config.bench import CATALOGUE

ON_DBUS = {"BATTERY_CELL_DATA_FORMAT", "MIDPOINT_ENABLE"}
SENSOR = {f"EXTERNAL_SENSOR_DBUS_{what}" for what in ("DEVICE", "PATH_CURRENT", "PATH_SOC")}
BATTERIES = {
    *("BMS_TYPE", "BLUETOOTH_BMS", "CAN_PORT", "BATTERY_ADDRESSES", "POLL_INTERVAL", "INVERT_CURRENT_MEASUREMENT"),
    *("CUSTOM_BATTERY_NAMES", "HELTEC_MODBUS_ADDR"),
}


def converted(text: str) -> str:
    """The yaml that `text` becomes."""
    return convert(f"[DEFAULT]\n{text}\n", "config.ini", CATALOGUE).yaml


def noted(text: str) -> list[str]:
    """What the owner is told of `text`, whose first line is line 2."""
    return list(convert(f"[DEFAULT]\n{text}\n", "config.ini", CATALOGUE).notes)


def imported(text: str) -> Settings:
    """The settings that `text` becomes."""
    return parse(converted(text), "made.yaml", CATALOGUE)


def daly(text: str) -> list[dict[str, Any]]:
    """The batteries that a Daly's `text` becomes, with this installation's drivers."""
    written = convert(f"BMS_TYPE = Daly\n{text}\n", "config.ini").yaml
    return [battery.setup for battery in parse(written).batteries]


def limits(text: str) -> dict[str, Any]:
    """The limits that `text` becomes, where they differ from those of a dbus-serialbattery that is told nothing."""
    got, usual = (flat(ordered(tree)) for tree in (imported(text).limits, from_reference({})))
    got, usual = ({key: tuple(v) if isinstance(v, list) else v for key, v in t.items()} for t in (got, usual))
    return {key: value for key, value in got.items() if value != usual[key]}


def flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested sections as {dotted key: value}."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def refusals(text: str) -> list[str]:
    """What is wrong with `text`, whose first line is line 2."""
    with pytest.raises(ConfigError) as refused:
        converted(text)
    return list(refused.value.problems)


def ordered(limits: LimitSettings) -> dict[str, Any]:
    """Limits with all tables in ascending order, so that they can be compared."""
    tree = limits.plain()
    for group in ("by_cell_voltage", "by_temperature", "by_mosfet_temperature", "by_soc"):
        for table in tree[group].values():
            pairs = sorted(zip(table["points"], table["fractions"], strict=True))
            table |= {"points": [at for at, _ in pairs], "fractions": [share for _, share in pairs]}
    return tree


DEFAULTS = "\n".join(f"{name} = {default}" for name, (_, default) in OPTIONS.items())


@pytest.mark.parametrize("text", ["", DEFAULTS])
def test_what_is_not_said_is_as_dbus_serialbattery_has_it(text: str) -> None:
    assert ordered(imported(text).limits) == ordered(from_reference({}))


def test_every_option_has_its_key_or_a_reason_why_not() -> None:
    assert set(OPTIONS) == set(KEYS) | set(NO_EQUAL) | BATTERIES | SENSOR | ON_DBUS
    assert set(RENAMED.values()) | {name for _, name in RETHOUGHT.values()} <= set(OPTIONS)


OURS = {"a": 1, "table": {"enabled": True, "points": [1, 2], "fractions": [0, 1]}, "map": {"reported": [1, 2]}}


def test_numbers_of_theirs_that_differ_from_our_defaults_are_spelled_out() -> None:
    assert list(spelled_out(OURS, OURS)) == []
    theirs = {"a": 2, "table": {"enabled": True, "points": [1, 3], "fractions": [0, 1]}, "map": {"reported": [1, 2]}}
    assert list(spelled_out(theirs, OURS)) == [
        (("a",), 2), (("table", "points"), [1, 3]), (("table", "fractions"), [0, 1]),
    ]  # fmt: skip


def test_the_other_list_of_a_table_is_theirs_and_says_so() -> None:
    text = converted("SOC_WHILE_CHARGING = 99, 96, 91, 86")
    assert "points: [86, 91, 96, 99]\n" in text
    assert "fractions: [1, 0.5, 0.2, 0.1]  # as dbus-serialbattery has it" in text


@pytest.mark.parametrize(
    ("text", "points", "fractions"),
    [
        (
            "CELL_VOLTAGES_WHILE_CHARGING = 3.60, 3.50, 3.45, 3.30",
            "by_cell_voltage.charge.points",
            (1, 0.5, 0.05, 0),
        ),
        (
            "TEMPERATURE_LIMITS_WHILE_DISCHARGING = -15, 0, 5, 10, 15, 45, 55",
            "by_temperature.discharge.points",
            (0, 0.2, 0.3, 0.4, 1, 1, 0),
        ),
    ],
)
def test_a_list_of_an_older_length_is_completed_by_the_default_of_then(
    text: str, points: str, fractions: tuple[float, ...]
) -> None:
    found = limits(text)
    assert points in found
    assert found[points.replace("points", "fractions")] == fractions


def test_nothing_configured_is_one_battery_to_be_completed() -> None:
    found = imported("")
    assert [(b.name, b.driver, b.port) for b in found.batteries] == [("battery-1", "auto", "/dev/ttyUSB0")]
    assert list(found.outputs) == ["venus_dbus"]
    assert "# config.ini does not say where it is: write your port" in converted("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MAX_CELL_VOLTAGE = 3.55", {"cell_voltage.max": 3.55}),
        ("max_cell_voltage: 3.55 ; V", {"cell_voltage.max": 3.55}),
        ("MAX_BATTERY_CHARGE_CURRENT = 70.0", {"charge_current.max": 70.0}),
        ("CVCM_ENABLE = false", {"charge_voltage.enabled": False}),
        ("CHARGE_MODE = 2", {"mode": "step"}),
        ("LINEAR_LIMITATION_ENABLE = False", {"mode": "step"}),
        ("LINEAR_LIMITATION_ENABLE = True", {}),
        ("CVL_CONTROLLER_MODE = 3", {"charge_voltage.controller": "clipped"}),
        ("CVL_ICONTROLLER_MODE = True", {"charge_voltage.controller": "integral"}),
        ("SOC_CALCULATION = True", {"soc.source": "counter"}),
        ("BLOCK_ON_DISCONNECT = True", {"on_loss.block": True}),
        ("SOC_RESET_AFTER_DAYS = 15", {"soc_reset.after_days": 15.0}),
        ("SOC_RESET_AFTER_DAYS =", {}),
        ("SOC_RESET_VOLTAGE = 3.6", {"soc_reset.cell_voltage": 3.6}),
        ("BULK_CELL_VOLTAGE = 3.6", {"soc_reset.cell_voltage": 3.6}),
        ("BULK_AFTER_DAYS = 7", {"soc_reset.after_days": 7.0}),
        ("TEMPERATURE_SOURCE_BATTERY = 0", {}),
        ("SWITCH_TO_FLOAT_WAIT_FOR_SEC =", {"absorption.time": 0.0}),
        ("SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF = 10", {"absorption.cell_difference": None}),
        ("SWITCH_TO_BULK_CELL_VOLTAGE_DIFF =", {"rebulk.cell_difference": None}),
        ("SOC_LEVEL_TO_RESET_VOLTAGE_LIMIT = 0", {"rebulk.soc": None}),
        ("MAX_VOLTAGE_TIME_SEC = 600", {"absorption.time": 600.0}),
        ("CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_TIME_RESTART = 0.013", {}),
        ("CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_TIME_RESTART = 0.030", {"absorption.cell_difference_deviation": 0.02}),
        ("TEMP_BATTERY = 0", {}),
        ("TEMP_BATTERY = 2", {"temperature_sensors": (2,)}),
        ("TIME_TO_SOC_POINTS = 100, 50, 10", {"time_to_go.points": (100.0, 50.0, 10.0)}),
        (
            "CELL_VOLTAGES_WHILE_CHARGING = 3.55, 3.5,\n   3.45, 3.3\nMAX_CHARGE_CURRENT_CV_FRACTION = 0, .05, .5, 1",
            {
                "by_cell_voltage.charge.points": (3.30, 3.45, 3.50, 3.55),
                "by_cell_voltage.charge.fractions": (1, 0.5, 0.05, 0),
            },
        ),
        ("TEMPERATURE_2_ADJUST = -1.5, 1.02", {"temperature_adjust.sensor_2": (-1.5, 1.02)}),
        ("BATTERY_CAPACITY = 280", {"soc.capacity": 280.0}),
        ("BATTERY_CAPACITY = 99", {}),
        ("TEMPERATURE_MOS_ADJUST = 3, 1", {"temperature_adjust.mosfet": (3.0, 1.0)}),
        ("TEMPERATURE_1_ADJUST = 0, 1", {}),
        ("CCCM_SOC_ENABLE = True", {"by_soc.charge.enabled": True}),
        ("SOC_WHILE_CHARGING = 99, 96, 91, 86", {"by_soc.charge.points": (86, 91, 96, 99)}),
        (
            "CURRENT_REPORTED_BY_BMS = -300, -0.5, 0.5, 300\nCURRENT_MEASURED_BY_USER = -300, 0, 0, 300",
            {"soc.current_map.reported": (-300, -0.5, 0.5, 300), "soc.current_map.measured": (-300, 0, 0, 300)},
        ),
    ],
)
def test_option_finds_its_place(text: str, expected: dict[str, Any]) -> None:
    assert limits(text) == expected


@pytest.mark.parametrize(
    ("text", "cells", "midpoint"),
    [
        ("", "voltages", False),
        ("BATTERY_CELL_DATA_FORMAT = 1", "voltages", False),
        ("BATTERY_CELL_DATA_FORMAT = 3\nMIDPOINT_ENABLE = True", "both", True),
        ("BATTERY_CELL_DATA_FORMAT = 0\nMIDPOINT_ENABLE = False", "none", False),
    ],
)
def test_what_is_published_on_dbus(text: str, cells: str, midpoint: bool) -> None:
    venus: Any = imported(text).outputs["venus_dbus"]
    assert (venus.cells, venus.midpoint) == (cells, midpoint)


def test_external_sensor() -> None:
    device = "EXTERNAL_SENSOR_DBUS_DEVICE = com.victronenergy.battery.ttyS7\n"
    found = imported(device + "EXTERNAL_SENSOR_DBUS_PATH_CURRENT = /Dc/0/Current").bank.external_sensor
    assert found is not None
    assert (found.service, found.paths) == ("com.victronenergy.battery.ttyS7", {"current": "/Dc/0/Current"})
    old = "EXTERNAL_CURRENT_SENSOR_DBUS_DEVICE = a.b\nEXTERNAL_CURRENT_SENSOR_DBUS_PATH = /I"
    assert imported(old).bank.external_sensor is not None
    assert imported("EXTERNAL_SENSOR_DBUS_PATH_SOC = /Soc").bank.external_sensor is None, "paths alone do nothing"
    assert refusals(device) == [
        "config.ini:2: EXTERNAL_SENSOR_DBUS_DEVICE: expected also EXTERNAL_SENSOR_DBUS_PATH_CURRENT or"
        " EXTERNAL_SENSOR_DBUS_PATH_SOC"
    ]
    both = refusals(device + "EXTERNAL_SENSOR_DBUS_PATH_SOC = /Soc\nSOC_CALCULATION = True")
    assert len(both) == 1
    assert "config.ini:3: EXTERNAL_SENSOR_DBUS_PATH_SOC: an SoC from outside and" in both[0]


def test_bluetooth_batteries_are_written_as_they_are() -> None:
    text = "BLUETOOTH_BMS = Plain C8:47:8c:00:00:00, Whatever_Ble C8:47:8C:00:00:02"
    written = converted(text)
    found, problems = examine(written, CATALOGUE, surveyed=False)
    assert found is not None and problems == []
    assert [(b.driver, b.port) for b in found.batteries] == [
        ("plain", "ble:C8:47:8C:00:00:00"),
        ("auto", "ble:C8:47:8C:00:00:02"),
    ]
    assert noted(text) == []


def test_a_chip_on_the_computers_own_bus_is_not_looked_for_on_a_serial_port() -> None:
    written = convert("BMS_TYPE = MNB\n", "config.ini").yaml
    (battery,) = parse(written).batteries
    assert (battery.driver, battery.port) == ("mnb", "spi:0.0")
    assert "config.ini does not say where it is: write your port" in written


def test_daisy_chain_and_can_batteries() -> None:
    found = imported("BMS_TYPE = Chain\nBATTERY_ADDRESSES = 0x01, 0x0A\nPOLL_INTERVAL = 2")
    assert [(b.name, b.driver, b.port, b.address, b.poll_interval) for b in found.batteries] == [
        ("battery-1", "chain", "/dev/ttyUSB0", 1, 2.0),
        ("battery-2", "chain", "/dev/ttyUSB0", 10, 2.0),
    ]
    (battery,) = imported("BMS_TYPE = CanBms\nCAN_PORT = can0").batteries
    assert (battery.driver, battery.port) == ("canbms", "can0")


def test_addresses_of_a_bms_that_nobody_knows_are_noted_and_not_used() -> None:
    text = "BMS_TYPE = Fancy_Bms\nBATTERY_ADDRESSES = 0x01, 0x02"
    (battery,) = imported(text).batteries
    assert (battery.driver, battery.address) == ("auto", None)
    assert "BATTERY_ADDRESSES = 0x01, 0x02: name the driver of each, see `address` under batteries" in converted(text)
    assert "0x01: plain has one BMS on a port" in converted("BMS_TYPE = Plain\nBATTERY_ADDRESSES = 0x01")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BATTERY_ADDRESSES = 0x40", [{"address": 1}]),
        ("MODBUS_ADDRESSES = 0x40, 0x41, 0x4A", [{"address": 1}, {"address": 2}, {"address": 11}]),
        ("BATTERY_ADDRESSES = 0x80", [{"address": 1, "host_address": 0x80}]),
        ("INVERT_CURRENT_MEASUREMENT = -1", [{"address": 1, "invert_current": True}]),
        ("INVERT_CURRENT_MEASUREMENT = 1", [{"address": 1}]),
        ("BATTERY_ADDRESSES = 0x40, 0x41\nINVERT_CURRENT_MEASUREMENT = -1", [
            {"address": 1, "invert_current": True}, {"address": 2, "invert_current": True},
        ]),
    ],
)  # fmt: skip
def test_addresses_and_sign_of_a_daly_are_translated(text: str, expected: list[dict[str, Any]]) -> None:
    assert daly(text) == [{**setup, "fill": 0} for setup in expected]


def test_what_is_no_address_of_a_daly_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError) as refused:
        daly("BATTERY_ADDRESSES = 0x20")
    assert str(refused.value) == (
        "config.ini:2: BATTERY_ADDRESSES: 0x20 is no address of a daly, expected 0x40..0x5F or 0x80"
    )


def test_the_sign_is_noted_where_the_driver_learns_it() -> None:
    assert "-1: was for Daly boards alone" in converted("BMS_TYPE = Plain\nINVERT_CURRENT_MEASUREMENT = -1")
    assert "invert_current: true" in converted("BMS_TYPE = Chain\nINVERT_CURRENT_MEASUREMENT = -1")
    assert refusals("INVERT_CURRENT_MEASUREMENT = 2") == [
        "config.ini:2: INVERT_CURRENT_MEASUREMENT: 2, expected 1 or -1"
    ]


def test_names_by_port_are_batteries() -> None:
    text = "BMS_TYPE = Plain\nCUSTOM_BATTERY_NAMES = /dev/ttyUSB0:My first battery,/dev/ttyUSB1: Shed"
    assert [(b.name, b.driver, b.port) for b in imported(text).batteries] == [
        ("My first battery", "plain", "/dev/ttyUSB0"),
        ("Shed", "plain", "/dev/ttyUSB1"),
    ]
    assert "see `name` under batteries" in converted("CUSTOM_BATTERY_NAMES = ttyUSB0=Pack")


def test_heltec_addresses_are_those_of_heltec_boards_alone() -> None:
    chain = replace(CATALOGUE, names=lambda: ["heltec_modbus"], load=lambda name: CATALOGUE.load("chain"))
    text = "BMS_TYPE = HeltecModbus\nHELTEC_MODBUS_ADDR = 1, 2"
    found = parse(convert(text, "config.ini", chain).yaml, catalogue=chain)
    assert [(b.driver, b.address) for b in found.batteries] == [("heltec_modbus", 1), ("heltec_modbus", 2)]
    assert "HELTEC_MODBUS_ADDR = 1: see `address` under batteries" in converted("HELTEC_MODBUS_ADDR = 1")


def test_type_without_driver_is_named_in_a_comment() -> None:
    assert "driver: auto  # Fancy_Bms: write your BMS" in converted("BMS_TYPE = Fancy_Bms")


def test_what_has_no_equal_is_told_at_the_end() -> None:
    text = converted("TELEMETRY = False\nMQTT_PASSWORD = secret\nLOGGING =\nINVERT_CURRENT_MEASUREMENT = 1")
    assert text.endswith(
        "\n# No equal here:\n#   TELEMETRY = False: nothing is ever sent to anybody\n"
        "#   MQTT_PASSWORD = (not shown): no battery is read from MQTT\n"
    )


REFUSED = """\
MAX_CELL_VOLTAGE = 3,45
CVCM_ENABLE = yes
MAX_BATTERY_DISCHARGE_CURRENT = 80A
MAX_BATERY_CHARGE_CURRENT = 70
CHARGE_MODE = 3
MIN_CELL_VOLTAGE = low
MAX_BATTERY_CHARGE_CURRENT = 5000
VOLTAGE_DROP =
hello
MIN_CELL_VOLTAGE = 2.9"""


def test_what_was_silently_0_or_false_is_refused_line_by_line() -> None:
    assert refusals(REFUSED) == [
        "config.ini:2: MAX_CELL_VOLTAGE: decimal comma, write 3.45",
        "config.ini:3: CVCM_ENABLE: 'yes', expected True or False (here: True)",
        "config.ini:4: MAX_BATTERY_DISCHARGE_CURRENT: '80A' holds its unit, write 80 (A is the unit)",
        "config.ini:6: CHARGE_MODE: 3, expected one of 1 (linear), 2 (step)",
        "config.ini:7: MIN_CELL_VOLTAGE: 'low', expected a number",
        "config.ini:8: MAX_BATTERY_CHARGE_CURRENT: 5000 is out of range, expected a number 0..2000 A",
        "config.ini:9: VOLTAGE_DROP: no value, expected a number; or remove the line",
        "config.ini:10: 'hello' is no setting, expected OPTION = value",
        "config.ini:11: MIN_CELL_VOLTAGE: given twice, first in line 7; keep one of them",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FLOAT_CELL_VOLTAGE = 3.5", "2: FLOAT_CELL_VOLTAGE: must rise: min 2.9 < float 3.5 <= max 3.45"),
        ("CELL_VOLTAGES_WHILE_CHARGING = 3.5, 3.4", "points has 2 numbers and fractions 5"),
        ("SOC_WHILE_CHARGING = 98, 95, 95, 85", "2: SOC_WHILE_CHARGING: points must all rise or all fall"),
        ("MAX_CHARGE_CURRENT_T_FRACTION = 0, 2, 5, 1, 1, 5, 2, 0", "fractions lie between 0 and 1"),
        ("POLL_INTERVAL = 500", "2: POLL_INTERVAL: 500 is out of range, expected a number 0.1..20 s"),
        ("BATTERY_ADDRESSES = one", "2: BATTERY_ADDRESSES: 'one', expected addresses such as 0x01, 0x02"),
        ("BMS_TYPE = Chain\nBATTERY_ADDRESSES = 0x01, 0x40", "3: BATTERY_ADDRESSES: 64 is out of range"),
        ("BMS_TYPE = Chain\nBATTERY_ADDRESSES = 0x01, 1", "3: BATTERY_ADDRESSES: 1 is given twice"),
        (
            "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF = 0.285\nSWITCH_TO_BULK_CELL_VOLTAGE_DIFF = 0.010",
            "3: SWITCH_TO_BULK_CELL_VOLTAGE_DIFF: 10 mV between cells ends float, and absorption goes on up to 285 + 3",
        ),
        ("SOC_RESET_AFTER_DAYS = 9\nSOC_RESET_VOLTAGE = 3.4", "SOC_RESET_VOLTAGE: 3.4 V is below the usual 3.45 V"),
        ("BLUETOOTH_BMS = Jk_Ble C8:47", "expected TYPE AA:BB:CC:DD:EE:FF"),
        ("CAN_PORT = ttyUSB0", "'ttyUSB0' is no port"),
        ("BATTERY_CELL_DATA_FORMAT = 4", "2: BATTERY_CELL_DATA_FORMAT: expected 0 (none), 1, 2 or 3 (both)"),
        ("SOC_RESET_VOLTAGE = 3.6\nSOC_RESET_CELL_VOLTAGE = 3.6", "the same as SOC_RESET_VOLTAGE in line 2"),
    ],
)
def test_what_cannot_be_right_is_refused(text: str, expected: str) -> None:
    found = refusals(text)
    assert len(found) == 1 and expected in found[0]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MAX_BATERY_CHARGE_CURRENT", "; did you mean MAX_BATTERY_CHARGE_CURRENT?"),
        ("MAX_BATTERY_DISHARGE_CURRENT", "; did you mean MAX_BATTERY_DISCHARGE_CURRENT?"),
        ("DC_LIMITS_BY_SOC", ""),
        ("RESET_CELL_VOLTAGE", "; did you mean SOC_RESET_CELL_VOLTAGE?"),
        ("MAX_BATTERY_CURRENT", ""),
        ("NONSENSE", ""),
    ],
)
def test_a_name_that_nobody_knows_is_noted_and_never_refuses_the_file(name: str, hint: str) -> None:
    assert noted(f"{name} = 70") == [f"config.ini:2: {name}: unknown option, left out{hint}"]
    assert converted(f"{name} = 70").endswith(
        f"\n# Unknown, left out:\n#   {name} = 70: unknown option, left out{hint}\n"
    )
    assert imported(f"{name} = 70").plain() == imported("").plain()


KNOWN = [*OPTIONS, *RENAMED, *RETHOUGHT, *GATHERED]


@given(st.sampled_from(KNOWN), st.integers(0, 60), st.sampled_from(["", "X", "E", "_"]))
@settings(max_examples=400, deadline=None)
def test_no_hint_turns_discharge_into_charge_or_reset_into_float(name: str, place: int, slip: str) -> None:
    at = place % len(name)
    word = name[:at] + slip + name[at + 1 :]
    found = nearest(word, KNOWN)
    assert not found or poles(found) <= poles(name)


def test_switches_of_things_that_have_no_equal_are_noted_whatever_they_say() -> None:
    for said in ("0", "1", "True", "False", "maybe"):
        assert f"PUBLISH_CONFIG_VALUES = {said}: `bms-gateway explain`" in converted(f"PUBLISH_CONFIG_VALUES = {said}")


# ---- older releases

FIRST = """\
LINEAR_LIMITATION_ENABLE = False
MAX_BATTERY_CHARGE_CURRENT = 70.0
MAX_BATTERY_DISCHARGE_CURRENT = 90.0
MIN_CELL_VOLTAGE = 2.9
MAX_CELL_VOLTAGE = 3.45
FLOAT_CELL_VOLTAGE = 3.35
CVCM_ENABLE = True
PENALTY_AT_CELL_VOLTAGE = 3.45,3.55,3.6
PENALTY_BATTERY_VOLTAGE = 0.01,1.0,2.0
PENALTY_RECALCULATE_EVERY = 60
MAX_VOLTAGE_TIME_SEC = 900
SOC_LEVEL_TO_RESET_VOLTAGE_LIMIT = 90
CELL_VOLTAGES_WHILE_CHARGING = 3.55,3.50,3.45,3.30
MAX_CHARGE_CURRENT_CV_FRACTION = 0,0.05,0.5,1
CELL_VOLTAGES_WHILE_DISCHARGING = 2.70,2.80,2.90,3.10
MAX_DISCHARGE_CURRENT_CV_FRACTION = 0,0.1,0.5,1
TEMPERATURE_LIMITS_WHILE_CHARGING = 0,2,5,10,15,20,35,40,55
MAX_CHARGE_CURRENT_T_FRACTION = 0,0.1,0.2,0.4,0.8,1,1,0.4,0
TEMPERATURE_LIMITS_WHILE_DISCHARGING = -20,0,5,10,15,45,55
MAX_DISCHARGE_CURRENT_T_FRACTION = 0,.2,.3,.4,1,1,0
CCCM_SOC_ENABLE = True
DCCM_SOC_ENABLE = True
CC_SOC_LIMIT1 = 98
CC_SOC_LIMIT2 = 95
CC_SOC_LIMIT3 = 91
CC_CURRENT_LIMIT1_FRACTION = 0.1
CC_CURRENT_LIMIT2_FRACTION = 0.3
CC_CURRENT_LIMIT3_FRACTION = 0.5
DC_SOC_LIMIT1 = 10
DC_SOC_LIMIT2 = 20
DC_SOC_LIMIT3 = 30
DC_CURRENT_LIMIT1_FRACTION = 0.1
DC_CURRENT_LIMIT2_FRACTION = 0.3
DC_CURRENT_LIMIT3_FRACTION = 0.5
TIME_TO_SOC_VALUE_TYPE = 3
TIME_TO_SOC_LOOP_CYCLES = 5
BMS_TYPE =
PUBLISH_CONFIG_VALUES = 1
TEMP_BATTERY = 0
BATTERY_CAPACITY = 50
INVERT_CURRENT_MEASUREMENT = 1
HELTEC_MODBUS_ADDR = 1"""
"""Options and defaults of the first release that had a file for them."""

LATER = """\
BULK_CELL_VOLTAGE = 3.650
BULK_AFTER_DAYS =
BLUETOOTH_BMS =
CAN_PORT =
CAN_SPEED = 250
CUSTOM_BATTERY_NAMES =
EXCLUDED_DEVICES =
LINEAR_RECALCULATION_EVERY = 60
LINEAR_RECALCULATION_ON_PERC_CHANGE = 5
CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_UNTIL = 0.010
CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_TIME_RESTART = 0.013
CELL_VOLTAGE_DIFF_TO_RESET_VOLTAGE_LIMIT = 0.080
SOC_CALC_CURRENT_REPORTED_BY_BMS = -300, 300
SOC_CALC_CURRENT_MEASURED_BY_USER = -300, 300
SOC_RESET_CURRENT = 7
BLOCK_ON_DISCONNECT_TIMEOUT_MINUTES = 20
BLOCK_ON_DISCONNECT_VOLTAGE_MAX = 3.35
BLOCK_ON_DISCONNECT_VOLTAGE_MIN = 3.25
SEPLOS_USE_BMS_VALUES = False
CVL_ICONTROLLER_MODE = False
MODBUS_ADDRESSES =
EXTERNAL_CURRENT_SENSOR_DBUS_DEVICE =
EXTERNAL_CURRENT_SENSOR_DBUS_PATH ="""
"""What later releases added under names they have lost again."""


@pytest.mark.parametrize("text", [FIRST, f"{FIRST}\n{LATER}", LATER])
def test_options_of_older_releases_are_all_known(text: str) -> None:
    assert noted(text) == []
    found = imported(text)
    assert found.limits.absorption.cell_difference == 0.010
    assert doubts(found, CATALOGUE) == []


def old_share(soc: float, points: list[float], shares: list[float], *, step: bool) -> float:
    """What a table by SoC meant there: straight lines, or steps that take the more restrictive end."""
    if soc <= points[0] or soc >= points[-1]:
        return shares[0] if soc <= points[0] else shares[-1]
    k = next(n for n, point in enumerate(points) if soc < point)
    if step:
        return shares[k]
    part = (soc - points[k - 1]) / (points[k] - points[k - 1])
    return shares[k - 1] + part * (shares[k] - shares[k - 1])


@pytest.mark.parametrize("mode", ["linear", "step"])
def test_tables_by_soc_of_older_releases_mean_the_same(mode: str) -> None:
    tables = imported(FIRST).limits.by_soc
    side: Any = "linear" if mode == "linear" else "right"
    for soc in [n / 4 for n in range(401)]:
        charge = old_share(soc, [91, 95, 98, 100], [1, 0.5, 0.3, 0.1], step=mode == "step")
        assert Curve(tables.charge.points, tables.charge.fractions)(soc, side) == pytest.approx(charge)
        if soc >= 30:
            discharge = 0.5 if soc == 30 and mode == "linear" else 1.0
        else:
            discharge = old_share(soc, [10, 20, 30], [0.1, 0.3, 0.5], step=mode == "step")
        assert Curve(tables.discharge.points, tables.discharge.fractions)(soc, side) == pytest.approx(discharge)


def test_a_share_of_0_stays_0() -> None:
    shares = imported("CC_CURRENT_LIMIT1_FRACTION = 0\nDC_CURRENT_LIMIT1_FRACTION = 0.0").limits.by_soc
    assert shares.charge.fractions == (1, 0.5, 0.3, 0)
    assert shares.discharge.fractions == (0, 0.3, 0.5, 1)
    assert refusals("DC_SOC_LIMIT2 =") == [
        "config.ini:2: DC_SOC_LIMIT2: no value, expected a number; or remove the line"
    ]


def test_the_restart_threshold_is_measured_from_the_balanced_one_wherever_that_stands() -> None:
    lines = [
        "CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_TIME_RESTART = 0.030",
        "CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_UNTIL = 0.020",
    ]
    for text in ("\n".join(lines), "\n".join(reversed(lines))):
        assert imported(text).limits.absorption.cell_difference_deviation == pytest.approx(0.010)


def test_old_and_new_options_of_one_table_exclude_each_other() -> None:
    assert refusals("CC_SOC_LIMIT1 = 97\nSOC_WHILE_CHARGING = 98, 95, 90, 85") == [
        "config.ini:2: CC_SOC_LIMIT1: the same table as SOC_WHILE_CHARGING in line 3; keep one of them"
    ]


# ---- users' files

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "bulk_names",
            {
                "cell_voltage.min": 2.75,
                "soc_reset.cell_voltage": 3.601,
                "soc_reset.after_days": 1,
            },
        ),
        (
            "publish_config_values",
            {
                "cell_voltage.float": 3.35,
                "charge_voltage.enabled": False,
                "absorption.time": 600,
                "rebulk.cell_difference": 0.160,
                "rebulk.soc": 90,
                "time_to_go.every": 30,
            },
        ),
        ("daly_address", {}),
        ("daly_invert", {"soc.capacity": 280}),
    ],
)
def test_files_of_users_keep_their_numbers(case: str, expected: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "gateway.yaml"
    done = CliRunner().invoke(command, [str(CASES / f"{case}.ini"), "-o", str(target)])
    assert (done.exit_code, done.stderr) == (0, "")
    got, usual = (flat(tree.plain()) for tree in (load(target).limits, from_reference({})))
    assert {key: value for key, value in got.items() if value != usual[key]} == expected


def test_the_battery_of_a_users_file_is_translated() -> None:
    address, invert, jk = (
        parse(convert((CASES / f"{case}.ini").read_text(), case).yaml).batteries[0]
        for case in ("daly_address", "daly_invert", "publish_config_values")
    )
    assert (address.driver, address.address) == ("daly", 1)
    assert (invert.driver, invert.setup["invert_current"]) == ("daly", True)
    assert jk.driver == "jk"


option_text = st.sampled_from(
    ["3.45", "3,45", "yes", "True", "", "0", "-1", "1e9", "1, 2, 3", "a\u2028b", "#", "x: [", "0x1F"]
)
lines = st.tuples(st.sampled_from([*KNOWN, "X"]), option_text | st.text(max_size=8)).map(" = ".join)


@given(st.lists(lines, max_size=6).map("\n".join) | st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_config_is_converted_or_refused(text: str) -> None:
    try:
        written = converted(text)
    except ConfigError as error:
        assert error.problems and all(line.startswith("config.ini") and "\n" not in line for line in error.problems)
    else:
        found, problems = examine(written, CATALOGUE, surveyed=False)
        assert found is not None and problems == []


def test_command_prints_or_writes_a_new_file(tmp_path: Path) -> None:
    ini, target = tmp_path / "config.ini", tmp_path / "gateway.yaml"
    ini.write_text("[DEFAULT]\nMAX_CELL_VOLTAGE = 3.5\n")
    printed = CliRunner().invoke(command, [str(ini)])
    assert printed.exit_code == 0 and parse(printed.stdout).limits.cell_voltage.max == 3.5
    written = CliRunner().invoke(command, [str(ini), "-o", str(target)])
    assert written.exit_code == 0 and target.read_text() == printed.stdout
    again = CliRunner().invoke(command, [str(ini), "-o", str(target)])
    assert isinstance(again.exception, ConfigError) and "exists already" in str(again.exception)


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda path: None, "no such file, expected a config.ini of dbus-serialbattery"),
        (lambda path: path.mkdir(), "cannot be read (Is a directory)"),
        (lambda path: path.write_bytes(b"\xff"), "not UTF-8"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, prepare: Any, expected: str) -> None:
    prepare(tmp_path / "config.ini")
    result = CliRunner().invoke(command, [str(tmp_path / "config.ini")])
    assert isinstance(result.exception, ConfigError) and expected in str(result.exception)
