"""Plain data as YAML for people: short lists in one line, a comment behind a key, nothing quoted without need."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.config.tree import Path

Remarks = dict[Path, str]
"""What to say behind a key."""


def to_yaml(
    data: Mapping[str, Any], remarks: Mapping[Path, str], head: Sequence[str], tail: Mapping[str, Sequence[str]]
) -> str:
    """The document, with comment lines before it, and after it lists under their titles."""
    lines = [*_comments(head)]
    for key, value in data.items():
        lines += ["", *_entry((key,), value, remarks, 0)]
    for title, told in tail.items():
        if told:
            lines += ["", *_comments([f"{title}:", *(f"  {line}" for line in told)])]
    return "\n".join(lines) + "\n"


def _comments(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"# {' '.join(line.splitlines())}".rstrip() if not line.startswith(" ") else f"# {line.rstrip()}"


def _entry(path: Path, value: Any, remarks: Mapping[Path, str], depth: int) -> Iterator[str]:
    """One key with what belongs to it."""
    margin, remark = "  " * depth, f"  # {remarks[path]}" if path in remarks else ""
    if isinstance(value, dict) and value:
        yield f"{margin}{path[-1]}:{remark}"
        for key, inner in value.items():
            yield from _entry((*path, key), inner, remarks, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{margin}{path[-1]}:{remark}"
        for index, item in enumerate(value):
            entries = [_entry((*path, index, key), inner, remarks, depth + 2) for key, inner in item.items()]
            lines = [line for entry in entries for line in entry]
            yield f"{margin}  - {lines[0].lstrip()}"
            yield from lines[1:]
    else:
        yield f"{margin}{path[-1]}: {_word(value)}{remark}"


def _word(value: Any) -> str:
    """A value in one line.  JSON is YAML, so whatever looks odd is written as JSON."""
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z/][\w./-]*", value)
        and value.lower() not in ("true", "false", "null")
    ):
        return value
    if isinstance(value, list | tuple):
        return f"[{', '.join(_word(item) for item in value)}]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)
