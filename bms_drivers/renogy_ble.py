"""Renogy smart batteries over Bluetooth LE, built in or by a BT-1, BT-2 dongle: the registers of renogy, another way.

Sheet: renogy_ble.md.  A dongle may have several batteries behind it, each with its unit.  Read and written in
different services; both characteristics exist twice in the PRO series, and one of each works.
"""

from dataclasses import replace
from typing import Final

from bms_drivers import kit, renogy

WRITES: Final = ("ffd0", "f000ffd0-0451-4000-b000-000000000000")  # the service; the second as some list it
LINE: Final = kit.BleLine(
    ways=tuple(kit.Gatt("fff0", "fff1", "ffd1", write_service=service) for service in WRITES),
    names=r"BT-TH-|RNGRBP|RNGC",
    makers=(0xE14C,),
    quiet=0.5,
    patience=2.0,
)

DRIVER: Final = replace(
    renogy.DRIVER,
    name="renogy_ble",
    title="Renogy smart lithium batteries, Bluetooth",
    transports=("ble",),
    line=None,
    ble=LINE,
    unseen=(
        "alarms",
        "ambient_temperature",
        "hardware_version",
        "max_battery_voltage",
        "max_charge_current",
        "max_discharge_current",
        "min_battery_voltage",
        "mosfet_temperature",
        "48 V batteries",
    ),
)
