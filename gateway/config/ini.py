"""Reads a config.ini with the line of every option; sections do not matter, as only one exists."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config.tree import Problem


@dataclass(frozen=True, slots=True)
class Entry:
    """One option as written: its line (from 1), its name in capitals and its text."""

    line: int
    name: str
    text: str


def read_ini(text: str) -> tuple[dict[str, Entry], list[Problem]]:
    """Options by name, and lines that are none.  An option given twice is a problem; an indented line goes on."""
    entries: dict[str, Entry] = {}
    problems: list[Problem] = []
    for line, content in _joined(text):
        found = re.fullmatch(r"(\w+)\s*[=:]\s*(.*)", content, re.DOTALL)
        if not found:
            problems.append(Problem(line, (), f"{content[:40]!r} is no setting, expected OPTION = value"))
            continue
        entry = Entry(line, found[1].upper(), found[2].strip())
        if (first := entries.setdefault(entry.name, entry)) is not entry:
            problems.append(Problem(line, (entry.name,), f"given twice, first in line {first.line}; keep one of them"))
    return entries, problems


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Line number and content of each setting; comments and section heads out, continuation lines joined."""
    pending: tuple[int, str] | None = None
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = re.split(r"\s[;#]", raw, maxsplit=1)[0].rstrip()
        if not line.strip() or line.lstrip()[0] in ";#":
            continue
        if line[0].isspace() and pending and not re.match(r"\s+\w+\s*[=:]", line):
            pending = pending[0], f"{pending[1]} {line.strip()}"
            continue
        if pending:
            yield pending
        pending = None if re.fullmatch(r"\[[^]]*\]", line.strip()) else (number, line.strip())
    if pending:
        yield pending
