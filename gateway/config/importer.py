"""A config.ini of dbus-serialbattery as gateway.yaml.

Sheet: limits.md section 10 (every option, its default, and names it had before).  What has no equal here becomes a
comment that says so; what is wrong is refused with its line, where that driver would have gone on with 0 or False.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from gateway.config.explain import Explainer, nearest, number_advice, show, truth
from gateway.config.ini import Entry, read_ini
from gateway.config.load import examine
from gateway.config.options import NO_EQUAL, OPTIONS, PAIRS, RENAMED, RETHOUGHT, Kind
from gateway.config.schema import AUTO, Catalogue, installed
from gateway.config.tree import Path, Problem
from gateway.config.write import Remarks, to_yaml
from gateway.limits.reference_options import KEYS, PINNED, WORDS
from gateway.limits.settings import LimitSettings
from gateway.model import ConfigError

PORT: Final = "/dev/ttyUSB0"
SENSOR: Final = "EXTERNAL_SENSOR_DBUS"
INVERT: Final = "INVERT_CURRENT_MEASUREMENT"
Value = bool | float | list[float] | str | None


@dataclass(slots=True)
class Draft:
    """The gateway.yaml that is being written, and which option each of its keys comes from."""

    entries: dict[str, Entry] = field(default_factory=dict)  # by today's option name
    values: dict[str, Value] = field(default_factory=dict)  # likewise; only sound ones
    data: dict[str, Any] = field(default_factory=dict)
    origin: dict[Path, Entry] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, entry: Entry, text: str) -> None:
        """Note that an option is wrong."""
        self.problems.append(Problem(entry.line, (entry.name,), text))

    def put(self, path: Path, value: Any, entry: Entry) -> None:
        """Set one key, making the sections around it."""
        section = self.data
        for part in path[:-1]:
            section = section.setdefault(str(part), {})
        section[str(path[-1])] = value
        self.origin[path] = entry

    def text(self, name: str) -> str:
        """A text option; "" when it is not given."""
        return str(self.values.get(name) or "")


def convert(text: str, source: str, catalogue: Catalogue | None = None) -> str:
    """The gateway.yaml, as text that `load` accepts.  Raises ConfigError with a line for every mistake in `text`."""
    options, problems = read_ini(text)
    draft = Draft(problems=problems)
    for entry in options.values():
        _take(entry, draft)
    _batteries(draft, catalogue or installed())
    _limits(draft)
    _external(draft)
    draft.data["outputs"] = {"venus_dbus": {}}
    _without_equal(draft)
    written = to_yaml(draft.data, draft.remarks, _head(source), draft.without)
    traced = (_traced(problem, draft) for problem in examine(written, catalogue)[1])
    draft.problems += [problem for problem in traced if problem]
    if draft.problems:
        raise ConfigError(*dict.fromkeys(problem.show(source) for problem in sorted(draft.problems)))
    return written


def _head(source: str) -> list[str]:
    return [
        f"Made by bms-gateway import-config from {source}.",
        "What is not written here has its default; what has no equal is listed at the end.",
    ]


# ---- reading the options


def _take(entry: Entry, draft: Draft) -> None:
    """One option under today's name, its text understood by its kind."""
    name = RENAMED.get(entry.name, entry.name)
    kind, name = RETHOUGHT.get(name) or (OPTIONS.get(name, ("", ""))[0], name)
    if not kind:
        near = nearest(entry.name, [*OPTIONS, *RENAMED])
        draft.refuse(entry, f"unknown option, {f'did you mean {near}?' if near else 'remove the line'}")
    elif (other := draft.entries.setdefault(name, entry)) is not entry:
        draft.refuse(entry, f"the same as {other.name} in line {other.line}; keep one of them")
    elif wrong := _WRONG[kind](entry.text, _unit(name)):
        draft.refuse(entry, wrong)
    else:
        draft.values[name] = _READ[kind](entry.text)
        if entry.name in RETHOUGHT:
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
}


# ---- batteries


def _batteries(draft: Draft, catalogue: Catalogue) -> None:
    """The list of batteries: those that are named, else one whose port is a guess that the owner must look at."""
    types = [word.strip() for word in draft.text("BMS_TYPE").split(",") if word.strip()]
    driver = driver_name(types[0], catalogue) if len(types) == 1 else AUTO
    found = [*_bluetooth(draft, catalogue), *_can(draft, driver, catalogue), *_addressed(draft, driver, catalogue)]
    batteries = found or [{"driver": driver, "port": PORT}]
    interval = draft.values.get("POLL_INTERVAL")
    for number, battery in enumerate(batteries, 1):
        battery |= {"poll_interval": interval} if interval is not None else {}
        path = ("batteries", number - 1)
        if battery["driver"] == AUTO:
            was = f"{', '.join(types)}: " if types else ""
            draft.remarks[(*path, "driver")] = f"{was}write your BMS, see `bms-gateway drivers`"
        if battery["port"] == PORT:
            draft.remarks[(*path, "port")] = "config.ini does not say where it is: write your port"
    draft.data["batteries"] = [{"name": f"battery-{n}", **battery} for n, battery in enumerate(batteries, 1)]
    for name, key in (("POLL_INTERVAL", "poll_interval"), ("BATTERY_ADDRESSES", "address")):
        for index in range(len(batteries)):
            if name in draft.entries:
                draft.origin["batteries", index, key] = draft.entries[name]


def driver_name(old: str, catalogue: Catalogue) -> str:
    """Our driver for one of that project's BMS types (Jkbms_Pb, LltJbd, ...); auto when there is none."""
    plain = old.lower().replace("jkbms", "jk").replace("lltjbd", "jbd").replace("_", "")
    return next((name for name in catalogue.names() if name.replace("_", "") == plain), AUTO)


def _bluetooth(draft: Draft, catalogue: Catalogue) -> list[dict[str, Any]]:
    """BLUETOOTH_BMS: type and MAC, comma separated."""
    found = []
    for pair in filter(None, (part.strip() for part in draft.text("BLUETOOTH_BMS").split(","))):
        match = re.fullmatch(r"(\w+)\s+((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})", pair)
        if match is None:
            draft.refuse(draft.entries["BLUETOOTH_BMS"], f"{pair!r}, expected TYPE AA:BB:CC:DD:EE:FF, ...")
            continue
        driver = driver_name(match[1], catalogue)
        if "ble" not in catalogue.transports(driver):
            driver = AUTO
        found.append({"driver": driver, "port": f"ble:{match[2].upper()}"})
    return found


def _can(draft: Draft, driver: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    """CAN_PORT: interfaces with a BMS, comma separated."""
    speaks_can = driver if "can" in catalogue.transports(driver) else AUTO
    ports = [part.strip() for part in draft.text("CAN_PORT").split(",")]
    return [{"driver": speaks_can, "port": port} for port in ports if port]


def _addressed(draft: Draft, driver: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    """BATTERY_ADDRESSES: several on one serial port, hexadecimal, comma separated."""
    found: list[dict[str, Any]] = []
    driver = driver if catalogue.has_addresses(driver) else AUTO
    for word in filter(None, (part.strip() for part in draft.text("BATTERY_ADDRESSES").split(","))):
        if not re.fullmatch(r"0x[0-9A-Fa-f]{1,4}|\d{1,4}", word):
            draft.refuse(draft.entries["BATTERY_ADDRESSES"], f"{word!r}, expected addresses such as 0x01, 0x02")
            continue
        found.append({"driver": driver, "port": PORT, "address": int(word, 0)})
    return found


# ---- limits and the rest


def _limits(draft: Draft) -> None:
    """Every option that concerns limits, under its own key; PINNED is what that project does where we do otherwise."""
    _complete_pairs(draft)
    for pinned, number in PINNED.items():
        _pin(draft.data, ("limits", *pinned.split(".")), number)
    for name, value in draft.values.items():
        entry = draft.entries.get(name)
        if name not in KEYS or entry is None:
            continue
        path = ("limits", *KEYS[name].split("."))
        if name in WORDS:
            if value in WORDS[name]:
                draft.put(path, WORDS[name][value], entry)
            else:
                choices = ", ".join(f"{number} ({word})" for number, word in WORDS[name].items())
                draft.refuse(entry, f"{show(value)}, expected one of {choices}")
        elif value is None and name not in _OFF:
            draft.refuse(entry, "no value, expected a number; or remove the line")
        else:
            off, *same = _OFF.get(name, (None,))
            draft.put(path, off if value is None or value in same else value, entry)
    _rising(draft.data.get("limits", {}))


def _pin(section: dict[str, Any], path: Path, value: Any) -> None:
    """Set one key, making the sections around it."""
    for part in path[:-1]:
        section = section.setdefault(str(part), {})
    section[str(path[-1])] = list(value) if isinstance(value, tuple) else value


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


def _complete_pairs(draft: Draft) -> None:
    """Of two lists that are one table, the one that is not given has that project's default."""
    for pair in PAIRS:
        given = [name for name in pair if name in draft.values]
        for missing in pair:
            if len(given) == 1 and missing not in draft.values:
                draft.values[missing] = _numbers(OPTIONS[missing][1])
                draft.entries[missing] = draft.entries[given[0]]


def _rising(section: Mapping[str, Any]) -> None:
    """Tables whose points fall, turned round: they mean the same and are easier to compare."""
    for inner in section.values():
        if not isinstance(inner, dict):
            continue
        points, fractions = inner.get("points"), inner.get("fractions")
        if points and fractions and points == sorted(points, reverse=True):
            inner |= {"points": points[::-1], "fractions": fractions[::-1]}
        _rising(inner)


_OFF: Final[Mapping[str, tuple[float | None, ...]]] = {
    "SOC_RESET_AFTER_DAYS": (None, 0),
    "BATTERY_CAPACITY": (None, 99),
    "SWITCH_TO_FLOAT_WAIT_FOR_SEC": (0,),
    "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF": (None, 10),
    "SWITCH_TO_BULK_CELL_VOLTAGE_DIFF": (None, 10),
    "SWITCH_TO_BULK_SOC_THRESHOLD": (None, 0),
}
"""What an empty option is here, and values that mean the same; sheet: limits.md sections 3.2 and 3.7."""


def _without_equal(draft: Draft) -> None:
    """Options that are set and lead nowhere here."""
    for name, entry in draft.entries.items():
        if name in NO_EQUAL and entry.text and not (name == INVERT and draft.values.get(name) == 1):
            text = "(not shown)" if "PASSWORD" in name else entry.text
            draft.without.append(f"{entry.name} = {text}: {NO_EQUAL[name]}")


def _traced(problem: Problem, draft: Draft) -> Problem | None:
    """A mistake in what was written, as one of the options that it came from.

    None when one of these is wrong already, so that the mistake may be none.
    """
    path = problem.path
    refused = {
        ("limits", *KEYS[name].split(".")) for name in (KEYS.keys() & draft.entries.keys()) - draft.values.keys()
    }
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
