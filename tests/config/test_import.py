"""A config.ini of dbus-serialbattery becomes a gateway.yaml that means the same, or is refused with its line."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gateway.cli.import_config import command
from gateway.config.importer import convert
from gateway.config.load import parse
from gateway.config.options import NO_EQUAL, OPTIONS, RENAMED, RETHOUGHT
from gateway.config.schema import Settings
from gateway.limits.reference_options import KEYS, PINNED, from_reference
from gateway.limits.settings import LimitSettings
from gateway.model import ConfigError
from tests.config.bench import CATALOGUE

SENSOR = {f"EXTERNAL_SENSOR_DBUS_{what}" for what in ("DEVICE", "PATH_CURRENT", "PATH_SOC")}
BATTERIES = {"BMS_TYPE", "BLUETOOTH_BMS", "CAN_PORT", "BATTERY_ADDRESSES", "POLL_INTERVAL"}


def converted(text: str) -> str:
    """The yaml that `text` becomes."""
    return convert(f"[DEFAULT]\n{text}\n", "config.ini", CATALOGUE)


def imported(text: str) -> Settings:
    """The settings that `text` becomes."""
    return parse(converted(text), "made.yaml", CATALOGUE)


def limits(text: str) -> dict[str, Any]:
    """The limits that `text` becomes, where they differ from the defaults."""
    got, usual = (flat(tree.model_dump(by_alias=True)) for tree in (imported(text).limits, from_reference({})))
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


def test_defaults_there_are_defaults_here() -> None:
    text = "\n".join(f"{name} = {default}" for name, (_, default) in OPTIONS.items())
    assert imported(text).limits == from_reference({})


def test_what_our_defaults_do_otherwise_is_written_down_as_it_was_there() -> None:
    written = flat(YAML(typ="safe").load(converted(""))["limits"])
    assert written == {path: list(v) if isinstance(v, tuple) else v for path, v in PINNED.items()}
    usual = flat(LimitSettings().model_dump(by_alias=True))
    assert all(usual[path] != value for path, value in PINNED.items())
    assert limits("CELL_VOLTAGES_WHILE_CHARGING = 3.5, 3.4\nMAX_CHARGE_CURRENT_CV_FRACTION = 0, 1") == {
        "by_cell_voltage.charge.points": (3.4, 3.5), "by_cell_voltage.charge.fractions": (1.0, 0.0),
    }  # fmt: skip


def test_every_option_has_its_key_or_a_reason_why_not() -> None:
    assert set(OPTIONS) == set(KEYS) | set(NO_EQUAL) | BATTERIES | SENSOR
    assert set(RENAMED.values()) | {name for _, name in RETHOUGHT.values()} <= set(OPTIONS)


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


def test_bluetooth_batteries() -> None:
    found = imported("BLUETOOTH_BMS = Plain C8:47:8c:00:00:01, Whatever_Ble C8:47:8C:00:00:02")
    assert [(b.driver, b.port) for b in found.batteries] == [
        ("plain", "ble:C8:47:8C:00:00:01"),
        ("auto", "ble:C8:47:8C:00:00:02"),
    ]


def test_daisy_chain_and_can_batteries() -> None:
    found = imported("BMS_TYPE = Chain\nBATTERY_ADDRESSES = 0x01, 0x0A\nCAN_PORT = can0\nPOLL_INTERVAL = 2")
    assert [(b.name, b.driver, b.port, b.address, b.poll_interval) for b in found.batteries] == [
        ("battery-1", "auto", "can0", None, 2.0),
        ("battery-2", "chain", "/dev/ttyUSB0", 1, 2.0),
        ("battery-3", "chain", "/dev/ttyUSB0", 10, 2.0),
    ]


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
        "config.ini:5: MAX_BATERY_CHARGE_CURRENT: unknown option, did you mean MAX_BATTERY_CHARGE_CURRENT?",
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
        ("POLL_INTERVAL = 500", "2: POLL_INTERVAL: 500 is out of range, expected a number 0.1..60 s"),
        ("BATTERY_ADDRESSES = one", "2: BATTERY_ADDRESSES: 'one', expected addresses such as 0x01, 0x02"),
        ("BMS_TYPE = Chain\nBATTERY_ADDRESSES = 0x01, 0x40", "3: BATTERY_ADDRESSES: 64 is out of range"),
        ("BLUETOOTH_BMS = Jk_Ble C8:47", "expected TYPE AA:BB:CC:DD:EE:FF"),
        ("CAN_PORT = ttyUSB0", "'ttyUSB0' is no port"),
        ("SOC_RESET_VOLTAGE = 3.6\nSOC_RESET_CELL_VOLTAGE = 3.6", "the same as SOC_RESET_VOLTAGE in line 2"),
    ],
)
def test_what_cannot_be_right_is_refused(text: str, expected: str) -> None:
    found = refusals(text)
    assert len(found) == 1 and expected in found[0]


option_text = st.sampled_from(
    ["3.45", "3,45", "yes", "True", "", "0", "-1", "1e9", "1, 2, 3", "a\u2028b", "#", "x: [", "0x1F"]
)
lines = st.tuples(st.sampled_from([*OPTIONS, *RENAMED, *RETHOUGHT, "X"]), option_text | st.text(max_size=8)).map(
    " = ".join
)


@given(st.lists(lines, max_size=6).map("\n".join) | st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_config_is_converted_or_refused(text: str) -> None:
    try:
        written = converted(text)
    except ConfigError as error:
        assert error.problems and all(line.startswith("config.ini") and "\n" not in line for line in error.problems)
    else:
        parse(written, "made.yaml", CATALOGUE)


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
