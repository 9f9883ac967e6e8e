"""Drivers by name: what lies in the folder is there, and is imported only when asked for.

A site without Bluetooth never loads a Bluetooth stack.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import bms_drivers
from bms_drivers import sims
from bms_drivers.kit.declare import Driver
from gateway.model import ConfigError
from gateway.model.words import meant


@cache
def names() -> list[str]:
    """Every driver's name: the files of the folder."""
    return _modules(bms_drivers)


@cache
def simulated() -> list[str]:
    """Names of the drivers that have a simulator."""
    there = set(_modules(sims))
    return [name for name in names() if name in there]


def load(name: str) -> Driver:
    """The driver called `name`.  Raises ConfigError with the nearest name, or for a file that declares none."""
    if name not in names():
        hint = meant(name, names(), f"one of {', '.join(names())}")
        raise ConfigError(f"driver: no driver is called {name!r}, {hint}")
    driver: Driver | None = getattr(import_module(f"bms_drivers.{name}"), "DRIVER", None)
    if driver is None or driver.name != name:
        raise ConfigError(f"driver: bms_drivers/{name}.py declares no DRIVER called {name!r}")
    return driver


def _modules(package: ModuleType) -> list[str]:
    return sorted(module.name for module in iter_modules(package.__path__) if not module.ispkg)
