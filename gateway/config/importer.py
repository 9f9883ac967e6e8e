"""A config.ini of dbus-serialbattery as gateway.yaml.

Sheet: limits.md section 10 (every option, its default, and names it had before).  What has no equal here, or that
nobody knows, becomes a comment that says so; what is wrong is refused with its line, where that driver would have gone
on with 0 or False.  Where its defaults are not ours, its own numbers are written.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from gateway.config.draft import Draft, Value
from gateway.config.explain import Explainer, nearest, number_advice, show, truth
from gateway.config.import_batteries import batteries
from gateway.config.ini import Entry, read_ini
from gateway.config.load import examine
from gateway.config.options import GATHERED, NO_EQUAL, OLDER_LISTS, OPTIONS, PAIRS, RENAMED, RETHOUGHT, Kind
from gateway.config.schema import Catalogue, installed
from gateway.config.survey import survey
from gateway.config.tree import Path, Problem, dotted
from gateway.config.write import to_yaml
from gateway.limits.reference_options import KEYS, OFF, WORDS, from_reference, in_our_words
from gateway.limits.settings import LimitSettings
from gateway.model import ConfigError

SENSOR: Final = "EXTERNAL_SENSOR_DBUS"
THEIRS: Final = "as dbus-serialbattery has it"
NO_VALUE: Final = "no value, expected a number; or remove the line"
LAYOUTS: Final[Mapping[object, str]] = {0: "none", 1: "voltages", 2: "cell", 3: "both"}  # of the paths of cells
JUST_ABOVE: Final = 0.1  # % SoC, where the full current begins again


@dataclass(frozen=True, slots=True)
class Imported:
    """The gateway.yaml, and what its owner should look at, a line each."""

    yaml: str
    notes: tuple[str, ...]


def convert(text: str, source: str, catalogue: Catalogue | None = None) -> Imported:
    """The gateway.yaml that means the same.  Raises ConfigError with a line for every mistake in `text`."""
    catalogue = catalogue or installed()
    options, problems = read_ini(text)
    draft = Draft(problems=problems)
    for entry in options.values():
        _take(entry, draft)
    _rethink(draft)
    batteries(draft, catalogue)
    _limits(draft)
    _external(draft)
    draft.data["outputs"] = {"venus_dbus": {}}
    _venus(draft)
    for name, entry in draft.entries.items():
        if name in NO_EQUAL and entry.text:
            draft.leave(name, NO_EQUAL[name])
    notes = [f"{source}:{entry.line}: {entry.name}: {hint}" for entry, hint in draft.unknown]
    notes += _unbuildable(draft, source, catalogue)
    return Imported(_written(draft, source), tuple(notes))


def _venus(draft: Draft) -> None:
    """What is published on D-Bus, where it is not as usual."""
    layout = draft.values.get("BATTERY_CELL_DATA_FORMAT")
    if layout is not None and layout not in LAYOUTS:
        draft.refuse(draft.entries["BATTERY_CELL_DATA_FORMAT"], "expected 0 (none), 1, 2 or 3 (both)")
    elif layout is not None and layout != 1:
        entry = draft.entries["BATTERY_CELL_DATA_FORMAT"]
        draft.put(("outputs", "venus_dbus", "cells"), LAYOUTS[layout], entry)
    if draft.values.get("MIDPOINT_ENABLE"):
        draft.put(("outputs", "venus_dbus", "midpoint"), True, draft.entries["MIDPOINT_ENABLE"])


def _unbuildable(draft: Draft, source: str, catalogue: Catalogue) -> Iterator[str]:
    """What this version cannot do, as remarks and notes.  Raises ConfigError for mistakes in the options."""
    settings, found = examine(_written(draft, source), catalogue, surveyed=False)
    draft.problems += [problem for one in found if (problem := _traced(one, draft))]
    if draft.problems or settings is None:
        raise ConfigError(*dict.fromkeys(problem.show(source) for problem in sorted(draft.problems)))
    for mistake in survey(settings, catalogue).mistakes:
        draft.remarks[mistake.path] = mistake.text
        yield f"{source}: {dotted(mistake.path)}: {mistake.text}"


def _written(draft: Draft, source: str) -> str:
    head = [
        f"Made by bms-gateway import-config from {source}.",
        "What config.ini does not say is as in the newest dbus-serialbattery: written here where our default differs.",
        "What has no equal is listed at the end.",
    ]
    unknown = [f"{entry.name} = {entry.text}: {hint}" for entry, hint in draft.unknown]
    return to_yaml(draft.data, draft.remarks, head, {"No equal here": draft.without, "Unknown, left out": unknown})


# ---- reading the options


def _take(entry: Entry, draft: Draft) -> None:
    """One option under today's name, its text understood by its kind."""
    name = RENAMED.get(entry.name, entry.name)
    kind, name = RETHOUGHT.get(name) or ((OPTIONS | GATHERED).get(name, ("", ""))[0], name)
    if not kind:
        near = nearest(entry.name, [*OPTIONS, *RENAMED, *GATHERED])
        draft.unknown.append((entry, f"unknown option, left out{f'; did you mean {near}?' if near else ''}"))
    elif (other := draft.entries.setdefault(name, entry)) is not entry:
        draft.refuse(entry, f"the same as {other.name} in line {other.line}; keep one of them")
    elif name in NO_EQUAL:
        draft.values[name] = entry.text
    elif wrong := _WRONG[kind](entry.text, _unit(name)):
        draft.refuse(entry, wrong)
    else:
        draft.values[name] = _READ[kind](entry.text)


def _rethink(draft: Draft) -> None:
    """Options whose value meant something else, once all others are known."""
    for name, entry in draft.entries.items():
        if name in draft.values and entry.name in _RETHINK:
            draft.values[name] = _RETHINK[entry.name](draft.values[name], draft.values)


@cache
def _unit(name: str) -> str:
    """The unit of an option that concerns limits, as at our own key."""
    return Explainer(LimitSettings).unit(tuple(KEYS[name].split("."))) if name in KEYS else ""


def _no_bool(text: str, unit: str) -> str:
    if text.lower() in ("true", "false"):
        return ""
    right = truth(text)
    return f"{text!r}, expected True or False{f' (here: {right.title()})' if right else ''}"


def _no_number(text: str, unit: str) -> str:
    if not text or _number(text) is not None:
        return ""
    return number_advice(text, unit) or f"{text!r}, expected a number"


def _no_numbers(text: str, unit: str) -> str:
    return next((wrong for part in text.split(",") if (wrong := _no_number(part.strip(), unit))), "")


_WRONG: Final[Mapping[Kind | str, Callable[[str, str], str]]] = {
    "bool": _no_bool, "number": _no_number, "numbers": _no_numbers, "text": lambda text, unit: "",
}  # fmt: skip
"""What is wrong with an option's text [unit], by the option's kind; "" = nothing."""


def _number(text: str) -> float | None:
    """The number; None when it is none.  Whole ones stay whole."""
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", text.strip()):
        return None
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _numbers(text: str) -> list[float]:
    return [value for part in text.split(",") if (value := _number(part)) is not None]


_READ: Final[Mapping[Kind | str, Callable[[str], Value]]] = {
    "bool": lambda text: text.lower() == "true", "number": _number, "numbers": _numbers, "text": str,
}  # fmt: skip


def _deviation(absolute: Value, others: Mapping[str, Value]) -> Value:
    """The restart threshold used to be absolute; today it is what is added to the balanced difference."""
    balanced = others.get("SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF", 0.010)
    return max(0.0, round(float(absolute or 0) - float(balanced or 0), 6))  # type: ignore[arg-type]


_RETHINK: Final[Mapping[str, Callable[[Value, Mapping[str, Value]], Value]]] = {
    "LINEAR_LIMITATION_ENABLE": lambda on, others: 1 if on else 2,
    "CVL_ICONTROLLER_MODE": lambda on, others: 2 if on else 1,
    "CELL_VOLTAGE_DIFF_KEEP_MAX_VOLTAGE_TIME_RESTART": _deviation,
    "TEMP_BATTERY": lambda sensor, others: [int(sensor)] if sensor else [1, 2, 3, 4],  # type: ignore[arg-type]
    "TEMPERATURE_SOURCE_BATTERY": lambda sensors, others: [1, 2, 3, 4] if sensors == [0] else sensors,
}


# ---- limits


def _limits(draft: Draft) -> None:
    """Every option that concerns limits, under its own key; then what differs from our defaults without being said."""
    _gather(draft)
    partners = set(_complete_pairs(draft))
    for name in KEYS:
        if name in draft.values:
            _limit(draft, name)
    for name in partners:
        draft.remarks[_path(name)] = THEIRS
    given = {_path(name) for name in KEYS if name in draft.values}
    for path, value in spelled_out(_theirs(), LimitSettings().plain()):
        if (full := ("limits", *path)) not in given:
            draft.put(full, value)
            draft.remarks[full] = THEIRS
    _rising(draft.data.get("limits", {}))


def _path(name: str) -> Path:
    return ("limits", *KEYS[name].split("."))


def _limit(draft: Draft, name: str) -> None:
    """One option under our key, or refused."""
    entry, value = draft.entries[name], draft.values[name]
    if name in WORDS and value not in WORDS[name]:
        choices = ", ".join(f"{number} ({word})" for number, word in WORDS[name].items())
        draft.refuse(entry, f"{show(value)}, expected one of {choices}")
    elif value is None and name not in OFF:
        draft.refuse(entry, NO_VALUE)
    else:
        draft.put(_path(name), in_our_words(name, value), entry)


@cache
def _theirs() -> Mapping[str, Any]:
    """The limits of a dbus-serialbattery in whose config.ini nothing is said, in our keys."""
    usual = {name: _READ[OPTIONS[name][0]](OPTIONS[name][1]) for name in KEYS}
    found = from_reference(usual).plain()
    _rising(found)
    return found


def spelled_out(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key in which `theirs` differs from `ours`; of the two lists of a table both."""
    differing = {key for key, value in theirs.items() if value != ours[key]}
    for pair in ({"points", "fractions"}, {"reported", "measured"}):
        differing |= pair if differing & pair else set()
    for key in theirs:
        if isinstance(theirs[key], Mapping):
            yield from spelled_out(theirs[key], ours[key], (*path, key))
        elif key in differing:
            yield (*path, key), theirs[key]


def _gather(draft: Draft) -> None:
    """Tables by SoC as they were before: three limits and their fractions, in options of their own."""
    for prefix, way in (("CC", "CHARG"), ("DC", "DISCHARG")):
        given = [name for name in GATHERED if name.startswith(prefix) and name in draft.values]
        today = (f"SOC_WHILE_{way}ING", f"MAX_{way}E_CURRENT_SOC_FRACTION")
        empty = [name for name in given if draft.values[name] is None]
        for name in empty:
            draft.refuse(draft.entries[name], NO_VALUE)
        if empty or not given:
            continue
        if both := next((draft.entries[name] for name in today if name in draft.entries), None):
            draft.refuse(
                draft.entries[given[0]], f"the same table as {both.name} in line {both.line}; keep one of them"
            )
            continue
        limits = [_gathered(draft, f"{prefix}_SOC_LIMIT{n}") for n in (1, 2, 3)]
        shares = [_gathered(draft, f"{prefix}_CURRENT_LIMIT{n}_FRACTION") for n in (1, 2, 3)]
        points = [100.0, *limits] if prefix == "CC" else [*limits, limits[-1] + JUST_ABOVE]
        for name, numbers in zip(today, (points, [*shares, 1.0]), strict=True):
            draft.values[name], draft.entries[name] = numbers, draft.entries[given[0]]


def _gathered(draft: Draft, name: str) -> float:
    """One of these options, or its default of then."""
    return float(draft.values.get(name, _number(GATHERED[name][1])))  # type: ignore[arg-type]


def _complete_pairs(draft: Draft) -> Iterator[str]:
    """Of two lists that are one table, the one that is not given has that project's default of then; yields it."""
    for pair in PAIRS:
        given = [name for name in pair if name in draft.values]
        for missing in pair:
            if len(given) == 1 and missing not in draft.values:
                draft.values[missing] = _partner(missing, len(draft.values[given[0]]))  # type: ignore[arg-type]
                draft.entries[missing] = draft.entries[given[0]]
                yield missing


def _partner(name: str, length: int) -> list[float]:
    """The default of a list, of the newest release in which it had this length."""
    defaults = [_numbers(text) for text in (OPTIONS[name][1], *OLDER_LISTS.get(name, ()))]
    return next((numbers for numbers in defaults if len(numbers) == length), defaults[0])


def _rising(section: Mapping[str, Any]) -> None:
    """Tables whose points fall, turned round: they mean the same and are easier to compare."""
    for inner in section.values():
        if not isinstance(inner, dict):
            continue
        points, fractions = inner.get("points"), inner.get("fractions")
        if points and fractions and points == sorted(points, reverse=True):
            inner |= {"points": points[::-1], "fractions": fractions[::-1]}
        _rising(inner)


# ---- the rest


def _external(draft: Draft) -> None:
    """The external sensor: a service with one path or two; paths alone do nothing there either."""
    device = f"{SENSOR}_DEVICE"
    if not draft.text(device):
        return
    paths = {"current": draft.text(f"{SENSOR}_PATH_CURRENT"), "soc": draft.text(f"{SENSOR}_PATH_SOC")}
    if not any(paths.values()):
        draft.refuse(draft.entries[device], f"expected also {SENSOR}_PATH_CURRENT or {SENSOR}_PATH_SOC")
        return
    root = ("bank", "external_sensor")
    draft.put((*root, "service"), draft.text(device), draft.entries[device])
    for key, path in paths.items():
        if path:
            draft.put((*root, key), path, draft.entries[f"{SENSOR}_PATH_{key.upper()}"])


def _traced(problem: Problem, draft: Draft) -> Problem | None:
    """A mistake in what was written, as one of the options that it came from.

    None when one of these is wrong already, so that the mistake may be none.
    """
    path = problem.path
    refused = {_path(name) for name in (KEYS.keys() & draft.entries.keys()) - draft.values.keys()}
    if any(place[: len(path)] == path for place in refused):
        return None
    below = [entry for origin, entry in draft.origin.items() if origin[: len(path)] == path]
    while not below and path:
        path = path[:-1]
        below = [draft.origin[path]] if path in draft.origin else []
    if not below or not path:
        return Problem(0, problem.path, problem.text)
    names = dict.fromkeys(entry.name for entry in below)
    return Problem(min(entry.line for entry in below), (", ".join(names),), problem.text)
