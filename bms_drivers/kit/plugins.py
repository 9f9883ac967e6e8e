"""The plug-ins of the library aiobmsble, one a family of BMSs, by name; and which of them are read better by us.

Nothing of the library is needed to import this.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

LIBRARY: Final = "aiobmsble"
ENDING: Final = "_bms"
NO_BMS: Final = ("dummy_bms",)  # a template for authors of plug-ins
OURS: Final = {
    "ant_bms": "ant_ble",
    "ant_leg_bms": "ant_ble",
    "daly_bms": "daly_ble",
    "felicity_bms": "felicity_ble",
    "jbd_bms": "jbd_ble",
    "jikong_bms": "jk_ble",
    "redodo_bms": "litime_ble",
    "renogy_bms": "renogy_ble",
    "seplos_bms": "seplos_v3_ble",
    "seplos_v2_bms": "seplos_ble",
    "tdt_bms": "xdzn_ble",
    "topband_bms": "kilovault_ble",
}
"""Plug-in -> our driver for the same BMS: more values, alarms by name, switches."""


def names() -> list[str]:
    """Of all plug-ins that are installed; [] where the library is not."""
    try:
        package = import_module(f"{LIBRARY}.bms")
    except ImportError:
        return []
    found = (module.name for module in iter_modules(package.__path__))
    return sorted(name for name in found if name.endswith(ENDING) and name not in NO_BMS)
