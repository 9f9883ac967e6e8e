"""Prometheus's text format, made from the list at each scrape: what is not known has no sample, nothing is remembered.

Sheet: face.md chapter 3 (names, and why there are no timestamps, no NaN and no sentences in labels).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway import VERSION
from gateway.model import Snapshot
from outputs.values import BANK, BATTERY, OF_GATEWAY, of_all
from outputs.values.value import Series, Subject, Value
from outputs.web.state import EARLY

KIND: Final = "text/plain; version=0.0.4; charset=utf-8"
ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Series, str, Labels, float]  # metric, its row's series, help, labels, value


def exposition(snapshot: Snapshot | None, now: float, house: Mapping[str, Any]) -> bytes:
    """The page at /metrics; `now` [s, the clock's]."""
    families: dict[str, tuple[Series, str, list[str]]] = {}
    for metric, series, text, labels, value in _samples(snapshot, now, house):
        family = families.setdefault(metric, (series, text, []))
        family[2].append(f"{metric}{_labels(labels)} {value!r}")
    return "".join(_family(metric, *family) for metric, family in families.items()).encode("utf-8", "replace")


def _family(metric: str, series: Series, text: str, samples: list[str]) -> str:
    kind = "counter" if series.counter else "gauge"
    lines = "\n".join(dict.fromkeys(samples))
    return f"# HELP {metric} {text}\n# TYPE {metric} {kind}\n{lines}\n"


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{text.translate(ESCAPES)}"' for name, text in labels)
    return f"{{{inside}}}" if inside else ""


def _samples(snapshot: Snapshot | None, now: float, house: Mapping[str, Any]) -> Iterator[Sample]:
    yield "bms_gateway_build_info", Series(""), OF_GATEWAY["bms_gateway_build_info"], (("version", VERSION),), 1
    for name, output in house.get("outputs", {}).items():
        text = OF_GATEWAY["bms_output_connected"]
        yield "bms_output_connected", Series(""), text, (("output", name),), int(bool(output.get("connected")))
    if snapshot is None:
        return
    bank, batteries = of_all(snapshot, now)
    yield from _told(bank, BANK if snapshot.bank.complete else EARLY, "bms_bank_", ())
    for battery in batteries:
        labels = (("battery", battery.state.name if battery.state else ""),)
        yield from _told(battery, BATTERY, "bms_battery_", labels)
        text = OF_GATEWAY["bms_battery_info"]
        yield "bms_battery_info", Series(""), text, labels + _info(battery), 1


def _info(battery: Subject) -> Labels:
    """What it is, without what only one in the world has: a serial number would be a series of its own for ever."""
    names = ("driver", "manufacturer", "model", "firmware_version")
    found = ((name, row.of(battery)) for name in names for row in BATTERY if row.name == name)
    return tuple((name, str(text)) for name, text in found if text)


def _told(subject: Subject, rows: Iterable[Value], prefix: str, labels: Labels) -> Iterator[Sample]:
    for row in rows:
        if (series := row.prometheus) is None:
            continue
        metric = series.name if series.name.startswith("bms_") else prefix + series.name
        own = (*labels, series.one_of) if series.one_of else labels
        for more, value in _each(row, row.of(subject)):
            yield metric, series, _help(row, series), own + more, value


def _help(row: Value, series: Series) -> str:
    """What a metric is; one that several rows share is called by its name."""
    return series.name.removesuffix("_total").replace("_", " ").capitalize() if series.one_of else row.words


def _each(row: Value, value: Any) -> Iterator[tuple[Labels, float]]:
    """The samples of one row: further labels, and the value."""
    series = row.prometheus
    if value is None or series is None:
        return
    if row.kind == "enum":
        yield from ((((series.label, word),), int(word == value)) for word in row.options)
    elif row.kind == "list":
        yield from (
            (((series.label, str(n)),), _number(one, series)) for n, one in enumerate(value, 1) if one is not None
        )
    elif row.kind == "map":
        yield from ((((series.label, key),), _number(one, series)) for key, one in value.items() if one is not None)
    elif row.kind == "table":
        yield from _tightest(value)
    else:
        yield (), _number(value, series)


def _number(value: float, series: Series) -> float:
    if isinstance(value, bool):
        return int(value)
    return value if series.factor == 1.0 else round(value * series.factor, 6)


def _tightest(caps: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Labels, float]]:
    """The smallest cap of each rule about each battery."""
    found: dict[Labels, float] = {}
    for cap in caps:
        labels = (("rule", cap["rule"]), ("about", cap["battery"]))
        if cap["value"] is not None:
            found[labels] = min(cap["value"], found.get(labels, cap["value"]))
    yield from found.items()
