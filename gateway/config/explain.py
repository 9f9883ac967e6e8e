"""Turns what the validation objects to into a sentence with what would be right, in the words of a battery owner.

Ranges, units and choices come from the JSON Schema of the settings, so they are written down once, at the field.
"""

import difflib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from pydantic_core import ErrorDetails

from gateway.config.names import OLD_NAMES
from gateway.config.tree import NOTHING, Path, dotted
from gateway.model.section import Section
from gateway.model.validation import model_of

Schema = Mapping[str, Any]

PREFIXES: Final = {"m": 1e-3, "k": 1e3}  # of units: mV, kW
TIMES: Final = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "day": 86400, "days": 86400}
SAME: Final = {"C": "°C", "degC": "°C", "AH": "Ah", "ah": "Ah", "a": "A", "v": "V", "percent": "%", "volt": "V"}
TYPE_ERRORS: Final = ("_type", "_parsing", "int_from_float", "finite_number", "missing_argument")
RANGE_ERRORS: Final = ("greater_than", "less_than", "multiple_of")


class Explainer:
    """Speaks about one kind of section, by its JSON Schema; free of cost while there is nothing to explain."""

    def __init__(self, kind: type[Section]) -> None:
        self._kind = kind

    @cached_property
    def _root(self) -> Schema:
        return model_of(self._kind).model_json_schema()

    def node(self, path: Path) -> Schema | None:
        """The part of the schema that describes `path`; None for a key that is not known."""
        node: Schema | None = self._root
        for part in path:
            node = self._step(node, part) if node is not None else None
        return node

    def keys(self, path: Path) -> list[str]:
        """The keys that may stand in the section `path`."""
        node = self.node(path)
        found = [key for branch in self._branches(node or {}) for key in branch.get("properties", {})]
        return list(dict.fromkeys(found))

    def is_section(self, path: Path) -> bool:
        """May `path` be a section, so that one with nothing in it means: all defaults?"""
        branches = self._branches(self.node(path) or {})
        return any("properties" in branch or "additionalProperties" in branch for branch in branches)

    def expected(self, path: Path) -> str:
        """What may stand at `path`, with range and unit."""
        node = self.node(path)
        return self._words(node) if node is not None else "another key"

    def unit(self, path: Path) -> str:
        """The unit of the number at `path`; "" where it has none."""
        return self._unit(self.node(path) or {})

    def unknown_key(self, path: Path, whole: "Explainer") -> str:
        """What the writer of an unknown key may have meant, here or elsewhere in the `whole` file."""
        *section, key = path
        known = self.keys(tuple(section))
        if old := old_name(str(key)):
            return old
        if near := nearest(str(key), known):
            return f"unknown key, did you mean {near}?"
        if len(elsewhere := [found for found in whole.paths() if found[-1] == key]) == 1:
            return f"unknown key here, it belongs to {dotted(elsewhere[0][:-1]) or 'the top level'}"
        return f"unknown key, expected {_one_of(known)}" if known else "unknown key, none belongs here"

    def explain(self, error: ErrorDetails, path: Path) -> str:
        """One sentence about one objection, other than to an unknown key."""
        kind, value = error["type"], error["input"]
        if kind == "missing":
            return f"missing, expected {self.expected(path)}"
        if kind in ("value_error", "assertion_error"):
            return str(error.get("ctx", {}).get("error", error["msg"]))
        if kind in ("literal_error", "enum"):
            return self._choice(value, path)
        if kind.startswith(RANGE_ERRORS):
            return f"{show(value)} is out of range, expected {self.expected(path)}"
        if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
            return f"{_amount(error)}, expected {self.expected(path)}"
        if kind.endswith(TYPE_ERRORS):
            return self._wrong_type(value, path)
        return f"{show(value)}: {error['msg'][:1].lower()}{error['msg'][1:]}, expected {self.expected(path)}"

    def _wrong_type(self, value: object, path: Path) -> str:
        node = self.node(path) or {}
        types = {branch.get("type") for branch in self._branches(node)}
        expected = self.expected(path)
        if isinstance(value, str):
            if types & {"number", "integer"} and (advice := number_advice(value, self._unit(node))):
                return advice
            if "boolean" in types and (right := truth(value)):
                return f"{value!r} is text to YAML, write true or false (here: {right})"
        if "boolean" in types and value in (0, 1) and not isinstance(value, bool):
            return f"{value} is a number, write {'true' if value else 'false'}"
        if "string" in types and isinstance(value, bool | int | float):
            return f'{show(value)} is no text, write "{show(value)}" in quotes'
        return f"{show(value)}, expected {expected}"

    def _choice(self, value: object, path: Path) -> str:
        choices = [str(c) for branch in self._branches(self.node(path) or {}) for c in _choices(branch)]
        near = nearest(str(value), choices)
        hint = f"did you mean {near}?" if near else f"expected {_one_of(choices)}"
        return f"{show(value)} is not a choice, {hint}"

    def _step(self, node: Schema, part: str | int) -> Schema | None:
        for branch in self._branches(node):
            if isinstance(part, int):
                prefix = branch.get("prefixItems", [])
                if part < len(prefix):
                    return prefix[part]  # type: ignore[no-any-return]
                if isinstance(items := branch.get("items"), Mapping):
                    return items
            elif part in branch.get("properties", {}):
                return branch["properties"][part]  # type: ignore[no-any-return]
            elif isinstance(rest := branch.get("additionalProperties"), Mapping):
                return rest
        return None

    def _branches(self, node: Schema) -> list[Schema]:
        """The node and its alternatives, references followed."""
        found: list[Schema] = []
        waiting = [node]
        while waiting:
            here = waiting.pop(0)
            if reference := here.get("$ref"):
                waiting.append(self._root["$defs"][reference.rpartition("/")[2]])
            waiting += [*here.get("anyOf", ()), *here.get("oneOf", ()), *here.get("allOf", ())]
            found.append(here)
        return found

    def _unit(self, node: Schema) -> str:
        return next((str(branch["unit"]) for branch in self._branches(node) if "unit" in branch), "")

    def _words(self, node: Schema) -> str:
        """A schema node as words: a number 0..300 A."""
        unit = self._unit(node)
        words = [text for branch in self._branches(node) if (text := self._plain(branch, unit))]
        return " or ".join(dict.fromkeys(words)) or "something else"

    def _plain(self, branch: Schema, unit: str) -> str:
        if choices := _choices(branch):
            return _one_of([str(choice) for choice in choices])
        kind = branch.get("type")
        if kind in ("number", "integer"):
            return " ".join(filter(None, ("a whole number" if kind == "integer" else "a number", _range(branch), unit)))
        if kind == "array":
            parts = branch.get("prefixItems") or [branch.get("items", {})]
            return f"a list of {' and '.join(dict.fromkeys(self._words(part) for part in parts))}"
        if kind == "object":
            keys = ", ".join(branch.get("properties", {}))
            return f"a section with {keys}" if keys else "a section (lines of key: value)"
        if kind == "string" and branch.get("description"):
            return f"text: {branch['description']}"
        return {"boolean": "true or false", "string": "text"}.get(str(kind), "")

    def paths(self, path: Path = ()) -> Iterator[Path]:
        """Every key of every section below `path`."""
        for key in self.keys(path):
            yield (*path, key)
            if len(path) < 6:
                yield from self.paths((*path, key))


def old_name(key: str) -> str:
    """Where an option of dbus-serialbattery lives here, as a sentence; "" when it is none."""
    if (new := OLD_NAMES.get(key.upper())) is None:
        return ""
    return f"dbus-serialbattery's name, here it is {new}" if new else "dbus-serialbattery's name, it has no equal here"


POLES: Final[Mapping[str, str]] = {  # words that turn a setting into another one -> what they stand for
    **dict.fromkeys(("charge", "charging", "cc", "ccl", "cccm"), "charge"),
    **dict.fromkeys(("discharge", "discharging", "dc", "dcl", "dccm"), "discharge"),
    **dict.fromkeys(("cvl", "cvcm"), "voltage"),
    **{word: word for word in ("float", "bulk", "reset", "min", "max", "low", "high", "warning", "alarm")},
    **{word: word for word in ("reported", "measured", "below", "until", "hold", "rate")},
}
AKIN: Final = 0.8  # how like such a word a misspelt one must be


def nearest(word: str, known: Sequence[str]) -> str:
    """The one of `known` that looks most like `word` and is not about its opposite; "" when none does."""
    about = poles(word)
    if any(len(choice) > 1 for choice in about):
        return ""  # a misspelt word that may be either of two opposites
    names = {name.lower(): name for name in known if poles(name) == about}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    return names[found[0]] if found else ""


@functools.cache
def poles(name: str) -> frozenset[frozenset[str]]:
    """Which of opposites a name is about, as discharge and not charge; for a misspelt word those it might be."""
    words = re.findall(r"[a-z]+", name.lower())
    return frozenset(choice for word in words if (choice := frozenset(POLES[near] for near in _like(word))))


def _like(word: str) -> list[str]:
    """The words of POLES that `word` is or, misspelt, might be."""
    return [word] if word in POLES else difflib.get_close_matches(word, POLES, n=len(POLES), cutoff=AKIN)


def hint(word: str, known: Sequence[str]) -> str:
    """What a misspelt name may have meant, or which names there are."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"expected one of {', '.join(known)}"


def number_advice(word: str, unit: str) -> str:
    """What is wrong with text where a number [`unit`] belongs, if it is one of the usual slips; else ""."""
    text = word.strip()
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return f"decimal comma, write {text.replace(',', '.')}"
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        return f"{word!r} is text, write {text} without quotes"
    if re.fullmatch(r"[-+]?\d+(_\d+)+", text):
        return f"{word!r} is no number, write {text.replace('_', '')}"
    found = re.fullmatch(r"([-+]?\d+(?:[.,]\d+)?) ?([A-Za-z%°Ω]+(?:/\w+)?)", text)
    if not found:
        return ""
    number, given = found[1].replace(",", "."), SAME.get(found[2], found[2])
    if not unit:
        return f"{word!r} holds a unit, write {float(number) * (1000 if given == 'k' else 1):.10g}"
    if given == unit:
        return f"{word!r} holds its unit, write {number} ({unit} is the unit)"
    if (factor := _factor(given, unit)) is None:
        return f"{word!r} has another unit, expected a number ({unit} is the unit)"
    return f"{word!r} holds another unit, write {float(number) * factor:.6g} ({unit} is the unit)"


def _factor(given: str, unit: str) -> float | None:
    """What a number in `given` is multiplied by to be in `unit`; None when they do not go together."""
    if given in TIMES and unit in TIMES:
        return TIMES[given] / TIMES[unit]
    if given == "k":
        return 1000.0
    if given[1:] == unit and given[0] in PREFIXES:
        return PREFIXES[given[0]]
    return None


def truth(word: str) -> str:
    """true or false for the words people write instead; "" for others."""
    words = {"true": ("yes", "on", "y", "true", "enabled", "1"), "false": ("no", "off", "n", "false", "disabled", "0")}
    return next((right for right, others in words.items() if word.lower() in others), "")


def show(value: object) -> str:
    """A value as the file has it; lists and sections by what they are."""
    if value is None or value is NOTHING:
        return "nothing"
    if isinstance(value, Mapping):
        return "a section (key: value)"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    return json.dumps(value)


def _range(branch: Schema) -> str:
    low, high = branch.get("minimum"), branch.get("maximum")
    above, below = branch.get("exclusiveMinimum"), branch.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{low:.10g}..{high:.10g}"
    words = (("at least", low), ("above", above), ("at most", high), ("below", below))
    return " and ".join(f"{word} {bound:.10g}" for word, bound in words if bound is not None)


def _choices(branch: Schema) -> list[Any]:
    return list(branch.get("enum", ())) or ([branch["const"]] if "const" in branch else [])


def _one_of(choices: Sequence[str]) -> str:
    return f"one of {', '.join(choices)}" if len(choices) != 1 else choices[0]


def _amount(error: ErrorDetails) -> str:
    """How many there are and how many there may be."""
    context = error.get("ctx", {})
    limit = context.get("min_length", context.get("max_length"))
    word = "at least" if "min_length" in context else "at most"
    what = "characters" if error["type"].startswith("string") else "entries"
    value = error["input"]
    have = len(value) if isinstance(value, str | list | tuple | Mapping) else "?"
    return f"{have} {what} where {word} {limit} belong"
