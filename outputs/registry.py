"""Outputs by name, imported only when configured, so that a site without D-Bus never loads it.

An output's package holds `settings.py` (a Section called Settings, importing nothing heavy; its property `exclusive`
names the bus that no second gateway may use, `serial_port` the port that nobody else may, `door` where it listens) and
`build.py` with `build(settings, clock, commander, identity) -> Output`.  Where files say more than the settings,
`prepare.py` reads them: `build` is given what `prepare(settings)` returned, plain data that may come from another
process.
Where settings can be well-formed and still not work, `check.py` holds `problems(settings)`: keys and sentences, found
without opening anything; `doubts.py` may hold `doubts(settings)`: "key: sentence", of what is allowed but perhaps not
meant.
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
    "rs485_bms": "outputs.rs485_bms",
    "mqtt": "outputs.mqtt",
    "modbus_tcp": "outputs.modbus_tcp",
    "web": "outputs.web",
}
LIBRARIES: Final = {
    "can_bms": ("can", "cantools"),
    "venus_dbus": ("dbus", "gi"),
    "rs485_bms": ("serial",),
    "mqtt": ("aiomqtt",),
    "modbus_tcp": (),
    "web": ("h11",),
}
SEVERAL: Final = {"can_bms": "channel", "rs485_bms": "port"}
"""Kinds of which there may be several, as a list, and the setting that tells them apart: "can_bms:can1"."""


def kind(name: str) -> str:
    """What sort of output bears this name: can_bms for "can_bms:can1"."""
    return name.partition(":")[0]


def of_kind(wanted: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of one kind, by their names."""
    return {name: settings for name, settings in outputs.items() if kind(name) == wanted}


def settings_class(name: str) -> Any:
    """The class of one output's settings.  Raises KeyError for a name that is none."""
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
    check = _present(name, "check")
    nothing: tuple[str, frozenset[tuple[int, bool]]] = "", frozenset()
    return check.can_frames(settings) if hasattr(check, "can_frames") else nothing


def doubts(name: str, settings: Any) -> Iterable[str]:
    """What of one output's settings is perhaps not meant: "key: sentence", below the output."""
    room = _present(name, "doubts")
    found: Iterable[str] = room.doubts(settings) if room else ()
    return found


def name_clashes(outputs: Iterable[str], names: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Batteries that an output could not tell apart by their names, and why."""
    for name in outputs:
        room = _present(name, "check")
        if hasattr(room, "name_clashes"):
            yield from room.name_clashes(names)


def _present(name: str, file: str) -> Any:
    """As `_room`; None, too, where its library is missing: then nobody can tell, and that is said elsewhere."""
    return None if missing_library(name) else _room(name, file)


def _room(name: str, file: str) -> Any:
    """A module of an output's package that it may lack; None where it does."""
    module = f"{PACKAGES[kind(name)]}.{file}"
    return import_module(module) if find_spec(module) else None


def prepare(name: str, settings: Any) -> Any:
    """What the output called `name` is built of: its settings, or they with what stands in the files they name.

    Where its library is not installed, an output that does nothing but say so.  Raises GatewayError for a file that
    cannot be used.
    """
    if why := missing_library(name):
        return AbsentOutput(name, why)
    room = _room(name, "prepare")
    return room.prepare(settings) if room else settings


def build(name: str, prepared: Any, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output called `name`; `identity` is the id of this installation (gateway/installation.py).

    Where its library is not installed, an output that does nothing but say so.
    """
    if isinstance(prepared, AbsentOutput):
        return prepared
    try:
        with needed(f"outputs.{name}"):
            output: Output = import_module(f"{PACKAGES[kind(name)]}.build").build(prepared, clock, commander, identity)
    except MissingPart as problem:
        return AbsentOutput(name, str(problem))
    return output


def exclusive(settings: Any) -> str:
    """The bus on which no second gateway may speak, where an output's settings name one; "" = there is none."""
    return getattr(settings, "exclusive", "")


def serial_port(settings: Any) -> str:
    """The serial port that an output's settings name, for itself alone; "" = there is none."""
    port: str = getattr(settings, "serial_port", "")
    return port


def missing_library(name: str) -> str:
    """Why the output called `name` cannot work in this installation; "" = it can."""
    return missing(f"outputs.{name}", *LIBRARIES[kind(name)])


def door(settings: Any) -> tuple[str, int]:
    """Address and TCP port at which an output listens; port 0 = at none, or at any that is free."""
    found: tuple[str, int] = getattr(settings, "door", ("", 0))
    return found
