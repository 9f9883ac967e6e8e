"""What of the CAN output's settings cannot work, found without opening the bus."""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import can
from can.interfaces import BACKENDS

from gateway.model import GatewayError
from outputs.can_bms import dbc_file
from outputs.can_bms.dbc_file import load
from outputs.can_bms.keys import suggest
from outputs.can_bms.settings import Settings

LONGEST: Final = 15  # characters of a network interface's name in Linux
GIVEN: Final = ("self", "channel", "bitrate", "can_filters")  # what the gateway tells a bus


def problems(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key that is wrong, and why."""
    key = ("dialect",) if settings.dbc is None else ("dbc",)
    try:
        why = load(settings.dialect, settings.dbc).mistaken(settings.manufacturer or "")
        yield from [(("manufacturer",), why)] if why else []
    except GatewayError as problem:
        yield key, str(problem)
    if settings.interface not in can.VALID_INTERFACES:
        hint = suggest(settings.interface, can.VALID_INTERFACES)
        yield ("interface",), f"python-can knows no {settings.interface!r}; {hint}"
    elif missing := _missing(settings.interface, settings.channel):
        yield ("interface",), f"{settings.interface} also needs {' and '.join(missing)}, which can.conf does not give"
    if not settings.channel:
        yield ("channel",), "is empty, expected the name of the bus, as can0"
    elif settings.interface == "socketcan" and (len(settings.channel) > LONGEST or "/" in settings.channel):
        yield ("channel",), f"{settings.channel!r} is no network interface, expected one as `ip link` shows it: can0"


def doubts(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key that can be used and was perhaps not meant so, and why."""
    if settings.dbc is not None:
        with suppress(GatewayError):  # a file that is gone since it was found good is said when it is opened
            yield from ((("dbc",), text) for text in dbc_file.doubts(settings.dbc))


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
