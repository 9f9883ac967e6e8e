"""What both halves of the page about inverters say in the same words: what facts rest on, cables, keys of a file."""

from collections.abc import Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel

from outputs.inverter.brand import Cable

STANDING: Final = {"recording": "recordings", "document": "documents", "report": "reports of users"}
TRUST: Final = {"recording": "seen in a recording", "document": "a document says so", "report": "reported"}


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a brand's file, and what it means."""
    for name, field in model.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_section(kind)]
        if inner:
            yield from keys_of(inner[0], f"{prefix}{name}.")
        else:
            unit = field.json_schema_extra.get("unit") if isinstance(field.json_schema_extra, dict) else None
            yield f"{prefix}{name}", (field.description or "") + (f" [{unit}]" if unit else "")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def cable_of(cable: Cable | None) -> str:
    if cable is None:
        return "Cable: not known here; see the inverter's manual."
    pins = ", ".join(f"pin {pin} {what}" for pin, what in cable.pins.items())
    return f"Cable: {cable.socket}, {pins} ({TRUST[cable.trust]})."
