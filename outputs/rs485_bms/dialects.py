"""The dialects by name; each is imported when it is spoken."""

from collections.abc import Iterable
from importlib import import_module
from typing import Final

from outputs.rs485_bms.heard import Dialect, Request
from outputs.rs485_bms.wire import Wire

CLASSES: Final = {"pylontech": "Pylontech", "growatt": "Growatt", "voltronic": "Voltronic"}
ADDRESSES: Final = {"pylontech": 2, "growatt": 1, "voltronic": 1}  # usual
RTU: Final = ("growatt", "voltronic")  # asked in the same way


def make(name: str, wire: Wire, address: int | None = None) -> Dialect:
    """The dialect called `name` at an address, None = the usual one.  Raises KeyError."""
    made: Dialect = getattr(import_module(f"outputs.rs485_bms.{name}"), CLASSES[name])(
        wire, ADDRESSES[name] if address is None else address
    )
    return made


def resembles(raw: bytes, but: Iterable[str] = ()) -> list[str]:
    """Dialects in which these bytes hold a sound question, other than `but`."""
    found = []
    for name in CLASSES:
        heard = make(name, Wire()).split(bytearray(raw)) if name not in but else ()
        if any(isinstance(one, Request) and not one.code for one in heard):
            found.append(name)
    return found
