"""What differs between two configurations, for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.config.schema import Settings

ABSENT: Final = object()


def changes(old: Settings, new: Settings) -> list[str]:
    """A phrase for each key whose value is another: "limits.cell_voltage.max 3.45 -> 3.4", "batteries.rack-2 added"."""
    return list(_differences("", _by_name(old), _by_name(new)))


def _by_name(settings: Settings) -> dict[str, Any]:
    """The settings as a tree, in which batteries are known by their names and not by their places."""
    batteries = {battery.name: {**battery.plain(), **battery.setup} for battery in settings.batteries}
    for about in batteries.values():
        del about["name"]
    return {**settings.plain(), "batteries": batteries}


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            below = f"{path}.{key}" if path else str(key)
            yield from _differences(below, old.get(key, ABSENT), new.get(key, ABSENT))
    elif old is ABSENT:
        yield f"{path} added"
    elif new is ABSENT:
        yield f"{path} removed"
    elif old != new:
        yield f"{path} {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "its own"
    return f"{value:g}" if isinstance(value, float) else str(value)
