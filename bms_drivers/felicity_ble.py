"""Felicity Solar / FelicityESS batteries over Bluetooth LE: the JSON text of felicity.

Sheet: felicity.md.  The current is taken as it comes: its sign is not proven.  The switches are not told.
"""

from dataclasses import replace
from typing import Final

from bms_drivers import felicity, kit

LINE: Final = kit.BleLine(
    ways=(
        kit.Gatt(
            "6e6f736a-4643-4d44-8fa9-0fafd005e455",
            "49535458-8341-43f4-a9d4-ec0e34729bb3",
            "49535258-184d-4bd9-bc61-20c647249616",
        ),
    ),
    names=r"F07|F10",
)

DRIVER: Final = replace(
    felicity.DRIVER,
    name="felicity_ble",
    title="Felicity Solar / FelicityESS, Bluetooth",
    transports=("ble",),
    line=None,
    ble=LINE,
    options=(kit.Option("protocol", "json", "the text spoken over Bluetooth", kind=str, choices=("json",)),),
    plan=(
        replace(
            felicity.DRIVER.poll("live"),
            gives=(
                "voltage", "current", "soc", "capacity", "remaining_capacity", "cell_voltages", "temperatures",
                *felicity.LIMITS.names, "alarms",
            ),
        ),
        replace(felicity.DRIVER.poll("about"), gives=("firmware_version", "serial_number")),
    ),
    detection=kit.Detection(polls=("live", "about"), proof=felicity.proof, begins=2.0),
    standing="decoded from captures (one, idle)",
    unseen=("alarms", "the sign of the current"),
    daisy_chain=False,
    asked_with=lambda request: {},
)  # fmt: skip
