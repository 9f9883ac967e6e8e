"""What the user may say about the Venus OS output; imports no D-Bus."""

import re
from typing import Annotated, Final, Literal

from gateway.model.section import Checked, Section, declared

OWN_PRODUCT: Final = 0xBAFE  # an id that systemcalc does nothing special about
SAFE_FIRST: Final = 10.0  # s of 0 A before a BMS is withdrawn: what was told last stays in the chargers, read each 3 s
SERIALBATTERY: Final = 0xBA77  # reserved for dbus-serialbattery: its GUI plugin attaches to this id

QUIRKS: Final[dict[int, str]] = {
    0xB009: "Pylontech: systemcalc rewrites CVL and replaces CCL 0 by a quarter of the capacity",
    0xB004: "LG: systemcalc caps CVL at 57.3 V",
    **dict.fromkeys((0xB00A, 0xB015, 0xB019), "BYD: systemcalc answers CCL 0 with 40 A at 55 V"),
    0xB029: "Pylontech Pelio-L: systemcalc raises CCL to a fifth of the capacity",
    **dict.fromkeys(range(0xA3E3, 0xA3E8), "Victron Lynx: systemcalc forces SVS on and treats CCL 0 differently"),
    **dict.fromkeys(
        (0xB005, 0xB014, 0xB016, 0xB01A, 0xB01B, 0xB01D, 0xB01E, 0xB01F, 0xB020, 0xB021, 0xB024, 0xB028, 0xB02A,
         0xB02B, 0xB051, 0xB052),
        "a known CAN battery: systemcalc forces DVCC on and switches temperature sense off",
    ),
    **dict.fromkeys((0xB02E, 0xB02F, 0xB038, 0xB054, 0xB055), "a known CAN battery: systemcalc forces DVCC and SVS on"),
}  # fmt: skip
"""Product ids by which Victron's systemcalc changes the limits or the user's settings, and what it does."""


def legal_name(name: str) -> str:
    """Raises ValueError for what cannot be part of a name on D-Bus."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} cannot end a D-Bus name, expected letters, digits and _, no digit first")
    return name


def harmless(product: int) -> int:
    """Raises ValueError for an id upon which systemcalc changes something."""
    if product in QUIRKS:
        raise ValueError(f"{product:#06X} is {QUIRKS[product]}; expected an id without effects, as {OWN_PRODUCT:#X}")
    return product


class Settings(Section):
    """`outputs: venus_dbus:` in gateway.yaml.  `venus_dbus: {}` is enough on a GX."""

    bus: Literal["auto", "system", "session"] = declared(
        "auto", description="auto = the session bus when DBUS_SESSION_BUS_ADDRESS is set, else the system bus"
    )
    service: Annotated[str, Checked(legal_name)] = declared(
        "bms_gateway",
        max_length=100,
        description="end of the service name: com.victronenergy.battery.<service>",
    )
    device_instance: int = declared(
        1, ge=0, le=255, description="wish; Venus OS gives the next free one when it is taken"
    )
    product_id: Annotated[int, Checked(harmless)] = declared(
        OWN_PRODUCT, ge=0, le=0xFFFF,
        description="0xBA77 makes dbus-serialbattery's GUI pages appear; ids that change the limits are refused",
    )  # fmt: skip
    custom_name: str = declared(
        "", max_length=64, description="name shown until the user gives another on the GX; empty = product name"
    )
    each_battery: bool = declared(
        False, description="true = also publish every battery by itself, to look at, without limits"
    )
    cells: Literal["voltages", "cell", "both", "none"] = declared(
        "voltages", description="paths of single cells: /Voltages/Cell1, /Cell/1/Volts, both, or none"
    )
    midpoint: bool = declared(False, description="true = publish the voltage at half of the cells")
    writable: bool = declared(
        True, description="false = nobody on the bus may switch charging or discharging off or set the SoC"
    )
    no_bms_after: float | None = declared(
        None, ge=SAFE_FIRST, le=86400, unit="s",
        description="withdraw the charge voltage when a lost BMS has kept the limits at 0 for so long, cable alarm"
        " included: a GX then looks for another BMS, this one stays as battery monitor; null = keep publishing 0 A",
    )  # fmt: skip
    leave_after: float | None = declared(
        None, ge=SAFE_FIRST, le=86400, unit="s",
        description="leave the bus when a lost BMS has kept the limits at 0 for so long, cable alarm included, so that"
        " solar chargers raise error 67; null = stay and keep publishing 0 A",
    )  # fmt: skip
    min_interval: float = declared(
        1.0, ge=0.1, le=60, unit="s",
        description="between two updates of a service in the long run; limits that fall and alarms do not wait",
    )  # fmt: skip
    battery_interval: float = declared(
        5.0, ge=0.1, le=60, unit="s",
        description="likewise of the services of single batteries (each_battery), which nobody obeys",
    )  # fmt: skip
    slow_interval: float = declared(
        30.0, ge=1, le=3600, unit="s",
        description="between updates of what nobody needs each second: time to go, averages, history, reasons",
    )  # fmt: skip
