"""The options of dbus-serialbattery's config.ini: kind, default, earlier names, their key here or why there is none.

Sheet: limits.md section 10; older names and defaults: the released default files from 1.0.0 betas (2023) to 2.1.
Where those that concern limits live: gateway.limits.reference_options.
"""

from typing import Final, Literal

from gateway.limits.reference_options import KEYS

Kind = Literal["bool", "number", "numbers", "text"]

OPTIONS: Final[dict[str, tuple[Kind, str]]] = {
    "MAX_BATTERY_CHARGE_CURRENT": ("number", "50"),
    "MAX_BATTERY_DISCHARGE_CURRENT": ("number", "60"),
    "MIN_CELL_VOLTAGE": ("number", "2.900"),
    "MAX_CELL_VOLTAGE": ("number", "3.450"),
    "FLOAT_CELL_VOLTAGE": ("number", "3.375"),
    "SOC_RESET_CELL_VOLTAGE": ("number", "3.650"),
    "SOC_RESET_AFTER_DAYS": ("number", ""),
    "SOC_CALCULATION": ("bool", "False"),
    "CURRENT_REPORTED_BY_BMS": ("numbers", "-300, 300"),
    "CURRENT_MEASURED_BY_USER": ("numbers", "-300, 300"),
    "BLOCK_ON_DISCONNECT": ("bool", "False"),
    "BLOCK_ON_DISCONNECT_TIMEOUT_MINUTES": ("number", "30"),
    "BLOCK_ON_DISCONNECT_VOLTAGE_MIN": ("number", "3.225"),
    "BLOCK_ON_DISCONNECT_VOLTAGE_MAX": ("number", "3.375"),
    "BMS_CABLE_ALARM": ("bool", "True"),
    "EXTERNAL_SENSOR_DBUS_DEVICE": ("text", ""),
    "EXTERNAL_SENSOR_DBUS_PATH_CURRENT": ("text", ""),
    "EXTERNAL_SENSOR_DBUS_PATH_SOC": ("text", ""),
    "CHARGE_MODE": ("number", "1"),
    "CVL_RECALCULATION_EVERY": ("number", "60"),
    "CVL_RECALCULATION_ON_MAX_PERCENTAGE_CHANGE": ("number", "33"),
    "CVL_RECOVERY_HOLD_SEC": ("number", "60"),
    "CVL_RECOVERY_RATE_V_PER_SEC": ("number", "0.001"),
    "CVCM_ENABLE": ("bool", "True"),
    "SWITCH_TO_FLOAT_WAIT_FOR_SEC": ("number", "900"),
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF": ("number", "0.010"),
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DEVIATION": ("number", "0.003"),
    "SWITCH_TO_BULK_SOC_THRESHOLD": ("number", "80"),
    "SWITCH_TO_BULK_CELL_VOLTAGE_DIFF": ("number", "0.080"),
    "CVL_CONTROLLER_MODE": ("number", "1"),
    "CVL_ICONTROLLER_FACTOR": ("number", "0.2"),
    "CCCM_CV_ENABLE": ("bool", "True"),
    "DCCM_CV_ENABLE": ("bool", "True"),
    "CELL_VOLTAGES_WHILE_CHARGING": ("numbers", "3.500, 3.450, 3.425, 3.400, 3.375"),
    "MAX_CHARGE_CURRENT_CV_FRACTION": ("numbers", "0, 0.005, 0.050, 0.250, 1"),
    "CELL_VOLTAGES_WHILE_DISCHARGING": ("numbers", "2.800, 2.900, 3.000, 3.100, 3.190"),
    "MAX_DISCHARGE_CURRENT_CV_FRACTION": ("numbers", "0, 0.005, 0.050, 0.250, 1"),
    "CCCM_T_ENABLE": ("bool", "True"),
    "DCCM_T_ENABLE": ("bool", "True"),
    "TEMPERATURES_WHILE_CHARGING": ("numbers", "0, 2, 5, 10, 40, 45, 50, 55"),
    "MAX_CHARGE_CURRENT_T_FRACTION": ("numbers", "0, 0.25, 0.50, 1, 1, 0.50, 0.25, 0"),
    "TEMPERATURES_WHILE_DISCHARGING": ("numbers", "-10, 0, 5, 10, 40, 45, 50, 55"),
    "MAX_DISCHARGE_CURRENT_T_FRACTION": ("numbers", "0, 0.25, 0.50, 1, 1, 0.50, 0.25, 0"),
    "CCCM_T_MOSFET_ENABLE": ("bool", "True"),
    "DCCM_T_MOSFET_ENABLE": ("bool", "True"),
    "MOSFET_TEMPERATURES_WHILE_CHARGING": ("numbers", "70, 80, 90"),
    "MAX_CHARGE_CURRENT_T_MOSFET_FRACTION": ("numbers", "1, 0.25, 0"),
    "MOSFET_TEMPERATURES_WHILE_DISCHARGING": ("numbers", "70, 80, 90"),
    "MAX_DISCHARGE_CURRENT_T_MOSFET_FRACTION": ("numbers", "1, 0.25, 0"),
    "CCCM_SOC_ENABLE": ("bool", "False"),
    "DCCM_SOC_ENABLE": ("bool", "False"),
    "SOC_WHILE_CHARGING": ("numbers", "98, 95, 90, 85"),
    "MAX_CHARGE_CURRENT_SOC_FRACTION": ("numbers", "0.10, 0.20, 0.50, 1"),
    "SOC_WHILE_DISCHARGING": ("numbers", "5, 10, 15, 20"),
    "MAX_DISCHARGE_CURRENT_SOC_FRACTION": ("numbers", "0.10, 0.20, 0.50, 1"),
    "CHARGE_CURRENT_RECOVERY_THRESHOLD_PERCENT": ("number", "0.015"),
    "DISCHARGE_CURRENT_RECOVERY_THRESHOLD_PERCENT": ("number", "0.015"),
    "CCL_RECOVERY_HOLD_SEC": ("number", "30"),
    "DCL_RECOVERY_HOLD_SEC": ("number", "30"),
    "CCL_RECOVERY_RATE_A_PER_SEC": ("number", "5"),
    "DCL_RECOVERY_RATE_A_PER_SEC": ("number", "5"),
    "TIME_TO_GO_ENABLE": ("bool", "True"),
    "TIME_TO_SOC_POINTS": ("numbers", ""),
    "TIME_TO_SOC_VALUE_TYPE": ("number", "1"),
    "TIME_TO_SOC_RECALCULATE_EVERY": ("number", "60"),
    "TIME_TO_SOC_INC_FROM": ("bool", "False"),
    "HISTORY_ENABLE": ("bool", "True"),
    "TEMPERATURE_SOURCE_BATTERY": ("numbers", "1, 2, 3, 4"),
    **{f"TEMPERATURE_{n}_ADJUST": ("numbers", "0, 1") for n in (1, 2, 3, 4, "MOS")},
    **{f"TEMPERATURE_{n}_NAME": ("text", f"Temp {n}") for n in (1, 2, 3, 4)},
    "VOLTAGE_DROP": ("number", "0.00"),
    "BATTERY_CAPACITY": ("number", "99"),
    "AUTO_RESET_SOC": ("bool", "True"),
    "USE_BMS_DVCC_VALUES": ("bool", "False"),
    "SOC_LOW_WARNING": ("number", "20"),
    "SOC_LOW_ALARM": ("number", "10"),
    "BMS_TYPE": ("text", ""),
    "BLUETOOTH_BMS": ("text", ""),
    "CAN_PORT": ("text", ""),
    "BATTERY_ADDRESSES": ("text", ""),
    "POLL_INTERVAL": ("number", ""),
    "INVERT_CURRENT_MEASUREMENT": ("number", "1"),
    "LOGGING": ("text", "INFO"),
    "EXCLUDED_DEVICES": ("text", ""),
    "BLUETOOTH_USE_POLLING": ("bool", "True"),
    "BLUETOOTH_FORCE_RESET_BLE_STACK": ("bool", "False"),
    "BLUETOOTH_USE_USB": ("bool", "False"),
    "SERIAL_STARTER_ENABLED": ("bool", "True"),
    "PUBLISH_CONFIG_VALUES": ("bool", "False"),
    "PUBLISH_BATTERY_DATA_AS_JSON": ("bool", "False"),
    "BATTERY_CELL_DATA_FORMAT": ("number", "1"),
    "MIDPOINT_ENABLE": ("bool", "False"),
    "GUI_PARAMETERS_SHOW_ADDITIONAL_INFO": ("bool", "False"),
    "GUI_INSTALL_CUSTOMIZATIONS": ("bool", "True"),
    "TELEMETRY": ("bool", "True"),
    "USE_PORT_AS_UNIQUE_ID": ("bool", "False"),
    "UP16S_REQUIRE_DIRECT_CONNECTION": ("bool", "False"),
    "GREENMETER_ADDRESS": ("number", "1"),
    "LIPRO_START_ADDRESS": ("number", "2"),
    "LIPRO_END_ADDRESS": ("number", "4"),
    "LIPRO_CELL_COUNT": ("number", "15"),
    "UBMS_CAN_MODULE_SERIES": ("number", "4"),
    "UBMS_CAN_MODULE_PARALLEL": ("number", "2"),
    "MQTT_TOPIC": ("text", ""),
    "MQTT_BROKER_ADDRESS": ("text", "127.0.0.1"),
    "MQTT_BROKER_PORT": ("number", "1883"),
    "MQTT_TLS_ENABLED": ("bool", "False"),
    "MQTT_TLS_PATH_TO_CA": ("text", ""),
    "MQTT_TLS_INSECURE": ("bool", "True"),
    "MQTT_USERNAME": ("text", ""),
    "MQTT_PASSWORD": ("text", ""),
    "BMS_CAPTURE_RAW_DATA": ("bool", "False"),
    "BMS_CAPTURE_RAW_DATA_MAX_SIZE_MB": ("number", "5"),
    "BMS_CAPTURE_RAW_DATA_BACKUP_COUNT": ("number", "3"),
    "SOC_RESET_CURRENT": ("number", "7"),
    "SOC_RESET_TIME": ("number", "60"),
    "JKBMS_CAN_CELL_COUNT": ("number", "1"),
    "CUSTOM_BATTERY_NAMES": ("text", ""),
    "HELTEC_MODBUS_ADDR": ("text", "1"),
    "PENALTY_AT_CELL_VOLTAGE": ("numbers", ""),
    "PENALTY_BATTERY_VOLTAGE": ("numbers", ""),
    "PENALTY_RECALCULATE_EVERY": ("number", "60"),
    "TIME_TO_SOC_LOOP_CYCLES": ("number", "5"),
    "CAN_SPEED": ("number", "250"),
}
"""Every option, with kind and default as that driver has it (the last one for what is gone); "" = off."""

RENAMED: Final[dict[str, str]] = {
    "SOC_RESET_VOLTAGE": "SOC_RESET_CELL_VOLTAGE",
    "SOC_CALC_CURRENT_REPORTED_BY_BMS": "CURRENT_REPORTED_BY_BMS",
    "SOC_CALC_CURRENT_MEASURED_BY_USER": "CURRENT_MEASURED_BY_USER",
    "MODBUS_ADDRESSES": "BATTERY_ADDRESSES",
    "EXTERNAL_CURRENT_SENSOR_DBUS_DEVICE": "EXTERNAL_SENSOR_DBUS_DEVICE",
    "EXTERNAL_CURRENT_SENSOR_DBUS_PATH": "EXTERNAL_SENSOR_DBUS_PATH_CURRENT",
    "LINEAR_RECALCULATION_EVERY": "CVL_RECALCULATION_EVERY",
    "LINEAR_RECALCULATION_ON_PERC_CHANGE": "CVL_RECALCULATION_ON_MAX_PERCENTAGE_CHANGE",
    "MAX_VOLTAGE_TIME_SEC": "SWITCH_TO_FLOAT_WAIT_FOR_SEC",
    "CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_UNTIL": "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF",
    "SOC_LEVEL_TO_RESET_VOLTAGE_LIMIT": "SWITCH_TO_BULK_SOC_THRESHOLD",
    "CELL_VOLTAGE_DIFF_TO_RESET_VOLTAGE_LIMIT": "SWITCH_TO_BULK_CELL_VOLTAGE_DIFF",
    "SEPLOS_USE_BMS_VALUES": "USE_BMS_DVCC_VALUES",
    "BULK_CELL_VOLTAGE": "SOC_RESET_CELL_VOLTAGE",
    "BULK_AFTER_DAYS": "SOC_RESET_AFTER_DAYS",
    "TEMPERATURE_LIMITS_WHILE_CHARGING": "TEMPERATURES_WHILE_CHARGING",
    "TEMPERATURE_LIMITS_WHILE_DISCHARGING": "TEMPERATURES_WHILE_DISCHARGING",
    **{f"TEMP_{n}_NAME": f"TEMPERATURE_{n}_NAME" for n in (1, 2, 3, 4)},
}
"""Earlier names whose meaning stayed the same."""

RETHOUGHT: Final[dict[str, tuple[Kind, str]]] = {
    "LINEAR_LIMITATION_ENABLE": ("bool", "CHARGE_MODE"),
    "CVL_ICONTROLLER_MODE": ("bool", "CVL_CONTROLLER_MODE"),
    "CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_TIME_RESTART": ("number", "SWITCH_TO_FLOAT_CELL_VOLTAGE_DEVIATION"),
    "TEMP_BATTERY": ("number", "TEMPERATURE_SOURCE_BATTERY"),
}
"""Earlier names whose value meant something else, with its kind then."""

GATHERED: Final[dict[str, tuple[Kind, str]]] = {
    **{f"CC_SOC_LIMIT{n}": ("number", default) for n, default in ((1, "98"), (2, "95"), (3, "91"))},
    **{f"DC_SOC_LIMIT{n}": ("number", default) for n, default in ((1, "10"), (2, "20"), (3, "30"))},
    **{
        f"{way}_CURRENT_LIMIT{n}_FRACTION": ("number", default)
        for way in ("CC", "DC")
        for n, default in ((1, "0.1"), (2, "0.3"), (3, "0.5"))
    },
}
"""Options that are together one table today (by SoC), with kind and default."""

OLDER_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "CELL_VOLTAGES_WHILE_CHARGING": ("3.55, 3.50, 3.45, 3.30",),
    "MAX_CHARGE_CURRENT_CV_FRACTION": ("0, 0.05, 0.5, 1",),
    "CELL_VOLTAGES_WHILE_DISCHARGING": ("2.70, 2.80, 2.90, 3.10",),
    "MAX_DISCHARGE_CURRENT_CV_FRACTION": ("0, 0.1, 0.5, 1",),
    "TEMPERATURES_WHILE_CHARGING": ("0, 2, 5, 10, 15, 20, 35, 40, 55",),
    "MAX_CHARGE_CURRENT_T_FRACTION": ("0, 0.1, 0.2, 0.4, 0.8, 1, 1, 0.4, 0",),
    "TEMPERATURES_WHILE_DISCHARGING": ("-20, 0, 5, 10, 15, 45, 55",),
    "MAX_DISCHARGE_CURRENT_T_FRACTION": ("0, 0.2, 0.3, 0.4, 1, 1, 0",),
    "SOC_WHILE_DISCHARGING": ("0, 5, 10, 15, 20",),
    "MAX_DISCHARGE_CURRENT_SOC_FRACTION": ("0, 0.10, 0.20, 0.50, 1",),
}
"""Defaults of earlier releases, where a list had another length: which of them the other list of a table belongs to."""

PAIRS: Final = tuple(
    (first, second)
    for first, path in KEYS.items()
    for second, other in KEYS.items()
    if (path.rpartition(".")[2], other.rpartition(".")[2]) in (("points", "fractions"), ("reported", "measured"))
    and path.rpartition(".")[0] == other.rpartition(".")[0]
)
"""Lists that are one table: where one is given, the other's default belongs to it."""

NO_EQUAL: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("CVL_RECALCULATION_EVERY", "CVL_RECALCULATION_ON_MAX_PERCENTAGE_CHANGE"),
        "a limit that falls is always given on at once",
    ),
    "TIME_TO_SOC_VALUE_TYPE": "times are seconds",
    "TIME_TO_SOC_INC_FROM": "it has no effect there either",
    **{f"TEMPERATURE_{n}_NAME": "sensors have numbers" for n in (1, 2, 3, 4)},
    **dict.fromkeys(("SOC_RESET_CURRENT", "SOC_RESET_TIME"), "a full charge is the end of absorption"),
    "LOGGING": "the log level is an option of the command: bms-gateway run --log debug",
    "EXCLUDED_DEVICES": "only the ports that are listed under batteries are touched",
    "BLUETOOTH_USE_POLLING": "the driver decides how a BMS is asked",
    "BLUETOOTH_FORCE_RESET_BLE_STACK": "links reconnect by themselves; the Bluetooth adapter is not reset",
    "BLUETOOTH_USE_USB": "the operating system chooses the Bluetooth adapter",
    "SERIAL_STARTER_ENABLED": "ports are listed under batteries",
    "PUBLISH_CONFIG_VALUES": "`bms-gateway explain` names the setting behind every limit",
    "PUBLISH_BATTERY_DATA_AS_JSON": "`bms-gateway status --json` prints everything",
    "GUI_PARAMETERS_SHOW_ADDITIONAL_INFO": "`bms-gateway explain` shows what the limits wait for",
    "GUI_INSTALL_CUSTOMIZATIONS": "nothing is changed in the GUI of Venus OS",
    "TELEMETRY": "nothing is ever sent to anybody",
    "USE_PORT_AS_UNIQUE_ID": "a battery is known by its serial number, else by its port; see identity under batteries",
    "UP16S_REQUIRE_DIRECT_CONNECTION": "see the settings of the driver jbd_up16s",
    "PENALTY_AT_CELL_VOLTAGE": "the charge voltage falls by what each cell is above the maximum",
    "PENALTY_BATTERY_VOLTAGE": "the charge voltage falls by what each cell is above the maximum",
    "PENALTY_RECALCULATE_EVERY": "it is worked out each second",
    "TIME_TO_SOC_LOOP_CYCLES": "see limits.time_to_go.every, in seconds",
    "CAN_SPEED": "the system sets the bit rate: ip link set can0 type can bitrate 250000",
    "GREENMETER_ADDRESS": "see the settings of the driver ecs",
    "LIPRO_START_ADDRESS": "see the settings of the driver ecs",
    "LIPRO_END_ADDRESS": "see the settings of the driver ecs",
    "LIPRO_CELL_COUNT": "see the settings of the driver ecs",
    "UBMS_CAN_MODULE_SERIES": "see the settings of the driver ubms_can",
    "UBMS_CAN_MODULE_PARALLEL": "see the settings of the driver ubms_can",
    "JKBMS_CAN_CELL_COUNT": "the cell count is read from the BMS",
    **dict.fromkeys(
        ("BMS_CAPTURE_RAW_DATA", "BMS_CAPTURE_RAW_DATA_MAX_SIZE_MB", "BMS_CAPTURE_RAW_DATA_BACKUP_COUNT"),
        "`bms-gateway record` writes a recording when one is wanted",
    ),
    **dict.fromkeys((name for name in OPTIONS if name.startswith("MQTT_")), "no battery is read from MQTT"),
}
"""Why an option is not needed, or what there is instead."""
