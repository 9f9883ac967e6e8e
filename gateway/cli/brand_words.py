"""What both halves of the page about inverters say in the same words: what facts rest on, cables, keys of a file."""

from collections.abc import Iterator
from typing import Any, Final, get_args

from gateway.model.section import Section, key_of, of_the_file
from outputs.inverter.brand import Cable

STANDING: Final = {"recording": "recordings", "document": "documents", "report": "reports of users"}
TRUST: Final = {"recording": "seen in a recording", "document": "a document says so", "report": "reported"}


def keys_of(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a brand's file, and what it means."""
    for field in of_the_file(section):
        name, about = key_of(field), field.metadata
        inner = [kind for kind in (field.type, *get_args(field.type)) if _is_section(kind)]
        if inner:
            yield from keys_of(inner[0], f"{prefix}{name}.")
        else:
            unit = about.get("unit")
            yield f"{prefix}{name}", about.get("description", "") + (f" [{unit}]" if unit else "")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def cable_of(cable: Cable | None) -> str:
    if cable is None:
        return "Cable: not known here; see the inverter's manual."
    pins = ", ".join(f"pin {pin} {what}" for pin, what in cable.pins.items())
    return f"Cable: {cable.socket}, {pins} ({TRUST[cable.trust]})."
