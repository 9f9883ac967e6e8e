"""ANT BMS over Bluetooth LE: the frames of ant, both generations, another way.

Sheet: ant_ble.md.  Not here: the password that some newer firmware wants before it answers.
"""

from dataclasses import replace
from typing import Final

from bms_drivers import ant, kit

LINE: Final = kit.BleLine(ways=(kit.Gatt("ffe0", "ffe1", "ffe1"),), names=r"ANT[-@]BLE", patience=1.5)

DRIVER: Final = replace(
    ant.DRIVER,
    name="ant_ble",
    title="ANT BMS, Bluetooth, new (7E A1) and old (AA 55 AA FF) protocol",
    transports=("ble",),
    line=None,
    ble=LINE,
    unseen=(
        "cell_overvoltage_protection", "cell_undervoltage_protection", "charging", "alarms", "old boards",
        "set balance", "set charge", "set discharge",
    ),
)  # fmt: skip
