"""What of the CAN output's settings cannot work, found without opening the bus."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Final

import can
from can.interfaces import BACKENDS

from gateway.model import ConfigError, GatewayError
from outputs.can_bms import brand
from outputs.can_bms.dbc_check import Unusable
from outputs.can_bms.dbc_file import load
from outputs.can_bms.keys import suggest
from outputs.can_bms.settings import Settings

LONGEST: Final = 15  # characters of a network interface's name in Linux
GIVEN: Final = ("self", "channel", "bitrate", "can_filters")  # what the gateway tells a bus


def problems(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key that is wrong, and why."""
    yield from _spoken(settings)
    if settings.interface not in can.VALID_INTERFACES:
        hint = suggest(settings.interface, can.VALID_INTERFACES)
        yield ("interface",), f"python-can knows no {settings.interface!r}; {hint}"
    elif missing := _missing(settings.interface, settings.channel):
        yield ("interface",), f"{settings.interface} also needs {' and '.join(missing)}, which can.conf does not give"
    if not settings.channel:
        yield ("channel",), "is empty, expected the name of the bus, as can0"
    elif settings.interface == "socketcan" and (len(settings.channel) > LONGEST or "/" in settings.channel):
        yield ("channel",), f"{settings.channel!r} is no network interface, expected one as `ip link` shows it: can0"


def can_frames(settings: Settings) -> tuple[str, frozenset[tuple[int, bool]]]:
    """See outputs.registry."""
    if settings.interface != "socketcan":
        return "", frozenset()
    try:
        dialect = load(brand.dialect_of(settings, brand.of(settings)), settings.dbc)
    except GatewayError:
        return "", frozenset()  # that is a mistake of its own
    return settings.channel, dialect.ids | {(id_, False) for id_ in dialect.keep_alive}


def _spoken(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the inverter's file, the dialect, and the name under which the battery shows itself."""
    try:
        towards = brand.of(settings)
    except ConfigError as problem:
        yield from ((("inverter",), text) for text in problem.problems)
        return
    try:
        dialect = load(brand.dialect_of(settings, towards), settings.dbc)
    except Unusable as problem:
        yield from (((_chosen_by(settings),), text) for text in problem.problems)
        return
    except GatewayError as problem:
        yield (_chosen_by(settings),), str(problem)
        return
    shown = settings.manufacturer or towards.manufacturer or str(dialect.defaults.get("manufacturer", ""))
    if why := dialect.mistaken(shown) or towards.mistaken(shown):
        yield ("manufacturer" if settings.manufacturer else _chosen_by(settings),), f"{why}; expected another name"


def _chosen_by(settings: Settings) -> str:
    """The key that says which dialect is spoken."""
    if settings.dbc is not None:
        return "dbc"
    return "inverter" if settings.inverter and not settings.dialect else "dialect"


def _missing(interface: str, channel: str) -> list[str]:
    """What the interface must be told beyond what is in gateway.yaml and in python-can's own configuration files."""
    try:
        module, name = BACKENDS[interface]
        wanted = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
        told = can.util.load_config(config={"interface": interface, "channel": channel})
    except (ImportError, OSError, AttributeError, KeyError, ValueError, TypeError):
        return []  # its own library is not here: that is said when it is opened
    needed = [p.name for p in wanted if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [name for name in needed if name not in GIVEN and name not in told]
