"""Seplos BMS 3.0 (XZH) over Bluetooth LE: the registers of seplos_v3, another way; packs are units 1 to 16.

Sheet: seplos_ble.md.
"""

from dataclasses import replace
from typing import Final

from bms_drivers import kit, seplos_v3

OPTIONS: Final = tuple(option for option in seplos_v3.DRIVER.options if option.name == "current_unit")

DRIVER: Final = replace(
    seplos_v3.DRIVER,
    name="seplos_v3_ble",
    title="Seplos BMS 3.0 (XZH), Bluetooth",
    transports=("ble",),
    line=None,
    ble=kit.BleLine(ways=(kit.Gatt("fff0", "fff1", "fff2"),), names=r"SP1?..B|XZHX|CSY", patience=2.0),
    options=(kit.Option("address", 1, "pack 1..16 behind the module", least=0, most=16), *OPTIONS),
    detection=replace(
        seplos_v3.DRIVER.detection,
        setups=({"address": 1},),
        siblings=tuple({"address": unit} for unit in range(2, 17)),
        overheard=(),
        begins=1.5,
    ),
)
