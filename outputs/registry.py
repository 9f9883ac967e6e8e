"""Outputs by name, imported only when configured, so that a site without D-Bus never loads it.

An output's package holds `settings.py` (a pydantic model called Settings, importing nothing heavy) and
`build.py` with `build(settings, clock, commander, identity) -> Output`.
"""

from importlib import import_module
from typing import Any, Final

from outputs.output import Clock, Commander, Output

PACKAGES: Final = {"can_bms": "outputs.can_bms", "venus_dbus": "outputs.venus_dbus"}


def settings_class(name: str) -> Any:
    """The pydantic model of one output's settings.  Raises KeyError for a name that is none."""
    return import_module(f"{PACKAGES[name]}.settings").Settings


def build(name: str, settings: Any, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output called `name`; `identity` is a stable id of this gateway (its bank) for buses that want one."""
    output: Output = import_module(f"{PACKAGES[name]}.build").build(settings, clock, commander, identity)
    return output
