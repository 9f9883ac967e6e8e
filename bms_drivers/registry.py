"""Drivers by name, imported only when asked for, so that a site without Bluetooth never loads a Bluetooth stack."""

import difflib
from importlib import import_module
from typing import Final

from bms_drivers.declare import Driver
from gateway.model import ConfigError

MODULES: Final = {
    "daly": "bms_drivers.daly",
    "jbd": "bms_drivers.jbd",
    "jk": "bms_drivers.jk",
    "jk_pb": "bms_drivers.jk_pb",
}


def names() -> list[str]:
    """Every driver's name."""
    return sorted(MODULES)


def load(name: str) -> Driver:
    """The driver called `name`.  Raises ConfigError with the nearest name."""
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(names())}"
        raise ConfigError(f"driver: no driver is called {name!r}, {hint}")
    driver: Driver = import_module(MODULES[name]).DRIVER
    return driver
