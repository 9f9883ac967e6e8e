"""A config.ini of dbus-serialbattery while it becomes a gateway.yaml."""

from dataclasses import dataclass, field
from typing import Any

from gateway.config.ini import Entry
from gateway.config.tree import Path, Problem
from gateway.config.write import Remarks

Value = bool | float | list[float] | str | None


@dataclass(slots=True)
class Draft:
    """The gateway.yaml that is being written, and which option each of its keys comes from."""

    entries: dict[str, Entry] = field(default_factory=dict)  # by today's option name
    values: dict[str, Value] = field(default_factory=dict)  # likewise; only sound ones
    data: dict[str, Any] = field(default_factory=dict)
    origin: dict[Path, Entry] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=dict)
    without: list[str] = field(default_factory=list)  # options that lead nowhere here, a sentence each
    unknown: list[tuple[Entry, str]] = field(default_factory=list)  # nobody's options, and what may have been meant
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, entry: Entry, text: str) -> None:
        """Note that an option is wrong."""
        self.problems.append(Problem(entry.line, (entry.name,), text))

    def put(self, path: Path, value: Any, entry: Entry | None = None) -> None:
        """Set one key, making the sections around it."""
        section = self.data
        for part in path[:-1]:
            section = section.setdefault(str(part), {})
        section[str(path[-1])] = value
        if entry is not None:
            self.origin[path] = entry

    def leave(self, name: str, why: str) -> None:
        """Note that an option that is set has no effect here."""
        entry = self.entries[name]
        text = "(not shown)" if "PASSWORD" in name else entry.text
        self.without.append(f"{entry.name} = {text}: {why}")

    def text(self, name: str) -> str:
        """A text option; "" when it is not given."""
        return str(self.values.get(name) or "")

    def words(self, name: str) -> list[str]:
        """The parts of a comma separated option."""
        return [word for part in self.text(name).split(",") if (word := part.strip())]
