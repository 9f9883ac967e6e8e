"""Outputs by name, imported only when configured, so that a site without D-Bus never loads it.

An output's package holds `settings.py` (a pydantic model called Settings, importing nothing heavy; its property
`exclusive` names the bus that no second gateway may use) and `build.py` with
`build(settings, clock, commander, identity) -> Output`.  Where settings can be well-formed and still not work,
`check.py` holds `problems(settings)`: keys and sentences, found without opening anything; `doubts.py` may hold
`doubts(settings)`: "key: sentence", of what is allowed but perhaps not meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from gateway.extras import missing, needed
from gateway.model import MissingPart
from outputs.absent import AbsentOutput
from outputs.output import Clock, Commander, Output

PACKAGES: Final = {
    "can_bms": "outputs.can_bms",
    "venus_dbus": "outputs.venus_dbus",
    "mqtt": "outputs.mqtt",
    "modbus_tcp": "outputs.modbus_tcp",
    "web": "outputs.web",
}
LIBRARIES: Final = {
    "can_bms": ("can", "cantools"),
    "venus_dbus": ("dbus", "gi"),
    "mqtt": ("aiomqtt",),
    "modbus_tcp": (),
    "web": ("h11",),
}
SEVERAL: Final = {"can_bms": "channel"}
"""Kinds of which there may be several, as a list, and the setting that tells them apart: "can_bms:can1"."""


def kind(name: str) -> str:
    """What sort of output bears this name: can_bms for "can_bms:can1"."""
    return name.partition(":")[0]


def of_kind(wanted: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of one kind, by their names."""
    return {name: settings for name, settings in outputs.items() if kind(name) == wanted}


def settings_class(name: str) -> Any:
    """The pydantic model of one output's settings.  Raises KeyError for a name that is none."""
    return import_module(f"{PACKAGES[kind(name)]}.settings").Settings


def problems(name: str, settings: Any) -> Iterable[tuple[tuple[str, ...], str]]:
    """What of one output's settings cannot be built or opened: the key below the output, and why.

    Raises ModuleNotFoundError where a library is missing without which nobody can tell.
    """
    check = _room(name, "check")
    found: Iterable[tuple[tuple[str, ...], str]] = check.problems(settings) if check else ()
    return found


def can_frames(name: str, settings: Any) -> tuple[str, frozenset[tuple[int, bool]]]:
    """The SocketCAN interface that an output speaks on, and (id, 29 bits) of what it sends and what it is answered.

    Nothing for an output on no such bus, or one whose settings do not tell.
    """
    check = None if missing_library(name) else _room(name, "check")
    found: tuple[str, frozenset[tuple[int, bool]]] = check.can_frames(settings) if check else ("", frozenset())
    return found


def doubts(name: str, settings: Any) -> Iterable[str]:
    """What of one output's settings is perhaps not meant: "key: sentence", below the output."""
    room = None if missing_library(name) else _room(name, "doubts")  # else nobody can tell; what is missing is said
    found: Iterable[str] = room.doubts(settings) if room else ()
    return found


def name_clashes(outputs: Iterable[str], names: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Batteries that an output could not tell apart by their names, and why."""
    for name in outputs:
        room = None if missing_library(name) else _room(name, "check")
        if room is not None and hasattr(room, "name_clashes"):
            yield from room.name_clashes(names)


def _room(name: str, file: str) -> Any:
    """A module of an output's package that it may lack; None where it does."""
    module = f"{PACKAGES[kind(name)]}.{file}"
    return import_module(module) if find_spec(module) else None


def build(name: str, settings: Any, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output called `name`; `identity` is the id of this installation (gateway/installation.py).

    Where its library is not installed, an output that does nothing but say so.
    """
    try:
        with needed(f"outputs.{name}"):
            output: Output = import_module(f"{PACKAGES[kind(name)]}.build").build(settings, clock, commander, identity)
    except MissingPart as problem:
        return AbsentOutput(name, str(problem))
    return output


def exclusive(settings: Any) -> str:
    """The bus on which no second gateway may speak, where an output's settings name one; "" = there is none."""
    return getattr(settings, "exclusive", "")


def missing_library(name: str) -> str:
    """Why the output called `name` cannot work in this installation; "" = it can."""
    return missing(f"outputs.{name}", *LIBRARIES[kind(name)])
