"""Any BMS over Bluetooth LE that the library aiobmsble reads (Python 3.12 or later): one of its plug-ins speaks.

Source: the library's own words on its samples (aiobmsble/__init__.py: BMSSample, TempSensor, BMSInfo).  Current:
+ = charging, there as here.  A sample comes as a line of text, `sample {...}`, what it says of itself as `about {...}`:
so it is recorded, replayed and decoded like any answer, on machines without the library, too.

Only what the BMS told is taken: the library's derived values (power, runtime, a voltage from the cells) are not asked
for.  Its `problem_code` is another one for each family, with warnings and plain states among the faults, so it says no
more than that there is something: internal_failure as a warning.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bms_drivers import kit
from bms_drivers.kit import plugins
from gateway.model import BadLength, ConfigError, Implausible, Reading, WrongDevice
from gateway.model.words import meant

SAMPLE, ABOUT = "sample", "about"
KINDS: Final = {SAMPLE: 1, ABOUT: 2}
LINE: Final = re.compile(rb"(sample|about) (\{.*\})\Z", re.DOTALL)
ANSWERS: Final = 20.0  # s; the library asks again by itself, up to 10 s for each of its questions

Sample = Mapping[str, Any]


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take lines off the front."""
    while (end := buffer.find(b"\n")) >= 0:
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        found = LINE.search(line)
        if noise := line[: found.start()] if found else line:
            yield kit.Dropped("noise", noise)
        if found:
            yield kit.Frame(kind=KINDS[found[1].decode()], payload=found[2], raw=found[0] + b"\n")


def ask(what: str) -> kit.Ask:
    """Ask the plug-in for a sample, or for what the device says of itself."""
    return kit.Ask(f"{what}\n".encode(), split, lambda frame: frame.kind == KINDS[what], timeout=ANSWERS)


# ---- the table


def number(value: object) -> float | None:
    """As it is; None for what is no number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def count(value: object) -> int | None:
    """A whole number."""
    return None if (found := number(value)) is None else int(found)


def flag(value: object) -> bool | None:
    """True, False; of a mask of bits whether any is set."""
    return bool(value) if isinstance(value, int) else None


VALUES: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {  # in a sample -> here; unit
    "voltage": ("voltage", number),  # V
    "current": ("current", number),  # A, + = charging
    "battery_level": ("soc", number),  # %
    "battery_health": ("soh", number),  # %
    "design_capacity": ("capacity", number),  # Ah
    "cycle_charge": ("remaining_capacity", number),  # Ah
    "cycles": ("charge_cycles", count),
    "cell_count": ("cell_count", count),
    "chrg_mosfet": ("charge_allowed", flag),
    "dischrg_mosfet": ("discharge_allowed", flag),
    "balancer": ("balancing", flag),
    "heater": ("heating", flag),
}
CELL_SENSORS: Final = ("CELL", "CELL_MAX", "CELL_MIN", "GENERIC")
TEXTS: Final = {
    "manufacturer": ("manufacturer",),
    "model": ("model", "model_id"),
    "serial_number": ("serial_number",),
    "hardware_version": ("hw_version",),
    "firmware_version": ("sw_version", "fw_version"),
    "custom_name": ("name",),
}
OF_PACKS: Final = frozenset(
    ("battery_level", "battery_health", "cell_count", "cell_voltages", "current", "cycles", "cycle_charge",
     "design_capacity", "temp_values", "temperature", "voltage")
)  # fmt: skip
"""What is a pack's own where a sample has packs; the rest is said of all."""


def values_of(sample: Sample) -> kit.Values:
    """Canonical values of a sample, or of one pack in it; what it lacks is None."""
    found = {name: convert(sample.get(key)) for key, (name, convert) in VALUES.items()}
    return {**found, **temperatures(sample), "cell_voltages": cells(sample), "alarms": alarms(sample)}


def cells(sample: Sample) -> tuple[float | None, ...]:
    """In order.  The library leaves out a cell of 0 V: where fewer came than there are, nobody knows which."""
    volts = [number(volts) for volts in listed(sample, "cell_voltages")]
    missing = max(0, (count(sample.get("cell_count")) or 0) - len(volts)) if volts else 0
    return (*volts, *([None] * min(missing, 64)))


def temperatures(sample: Sample) -> kit.Values:
    """By kind of sensor; of several at the switches the hottest."""
    sensors = [(number(value), kind) for value, kind in map(sensor, listed(sample, "temp_values"))]
    if not sensors:
        sensors = [(number(value), "GENERIC") for value in (sample.get("temperature"),) if value is not None]
    hottest = [value for value, kind in sensors if kind == "MOSFET" and value is not None]
    ambient = [value for value, kind in sensors if kind == "AMBIENT"]
    return {
        "temperatures": tuple(value for value, kind in sensors if kind in CELL_SENSORS),
        "mosfet_temperature": max(hottest, default=None),
        "ambient_temperature": ambient[0] if ambient else None,
    }


def sensor(entry: object) -> tuple[object, object]:
    """Value and kind of an entry of temp_values."""
    return (entry[0], entry[1]) if isinstance(entry, list) and len(entry) == 2 else (entry, "GENERIC")


def alarms(sample: Sample) -> dict[str, int]:
    """One for whatever the library calls a problem; none at all where the BMS tells nothing of the kind."""
    said = [sample[key] for key in ("problem", "problem_code") if key in sample]
    return {"internal_failure": int(any(said))} if said else {}


def listed(sample: Sample, key: str) -> list[Any]:
    """A list of the sample; [] where it has none."""
    found = sample.get(key)
    return found if isinstance(found, list) else []


# ---- what is asked


def content(frames: Sequence[kit.Frame]) -> dict[str, Any]:
    """The text's object.  Raises BadLength for what is none."""
    try:
        found = json.loads(frames[0].payload, parse_constant=lambda word: None)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadLength("a sample that is no text of one")
    return found


def sample(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """The battery's values, and those of its packs.  Raises as content; Implausible for packs that are not told."""
    told = content(frames)
    packs = [pack for pack in listed(told, "packs") if isinstance(pack, dict)]
    there = count(told.get("pack_count")) or 0
    if packs and len(packs) < there:
        raise Implausible("packs", len(packs), f"{there}, as many as there are behind this one; read each by itself")
    common = {key: value for key, value in told.items() if key not in OF_PACKS}
    return {**values_of(told), "_packs": [values_of({**common, **pack}) for pack in packs]}


def about(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """What the device says of itself, else the plug-in of its kind.  Raises as content."""
    told = content(frames)
    found = {name: next((str(told[key]) for key in keys if told.get(key)), None) for name, keys in TEXTS.items()}
    return {**found, "_plugin": told.get("plugin")}


def assemble(values: kit.Values, setup: kit.Setup) -> Mapping[str, Reading]:
    """The battery, or each of the packs that it speaks for."""
    own = {name: value for name, value in values.items() if name[0] != "_"}
    packs = values.get("_packs", ())
    return {str(n): Reading(**{**own, **pack}) for n, pack in enumerate(packs, 1)} or {"": Reading(**own)}


def proof(values: kit.Values) -> str:
    """A voltage, and cells that make it where they are told."""
    first = next(iter(values.get("_packs", ())), values)
    voltage, volts = first.get("voltage"), [cell for cell in first.get("cell_voltages", ()) if cell is not None]
    if not voltage or (volts and abs(sum(volts) - voltage) > 0.05 * voltage):
        raise WrongDevice(f"no battery: {voltage} V, and {len(volts)} cells make {sum(volts):.2f} V")
    who = " ".join(filter(None, (values.get("manufacturer"), values.get("model")))) or "a BMS"
    return f"{who}, read by the library {plugins.LIBRARY} ({values.get('_plugin') or 'by its advertisement'})"


# ---- which plug-in


def made_of(setup: kit.Setup, read: None = None) -> kit.Driver:
    """The driver with the plug-in that is named.  Raises ConfigError for one that there is not."""
    model, known = setup["model"] or "", plugins.names()
    if model and known and model not in known:
        hint = meant(model, known, f"one of {', '.join(known)}")
        raise ConfigError(f"model: {plugins.LIBRARY} has no plug-in {model!r}, {hint}")
    return replace(DRIVER, ble=kit.BleLine((), plugin=kit.Plugin(model, setup["password"] or "")), made_of=None)


def advice(setup: kit.Setup) -> str:
    """Our own driver, where there is one for the same BMS."""
    own = plugins.OURS.get(setup["model"] or "")
    return f"driver {own} reads the same BMS and knows its alarms and switches; expected driver: {own}" if own else ""


DRIVER: Final = kit.Driver(
    name="aiobmsble",
    title="any BMS over Bluetooth that the library aiobmsble reads, some fifty families; Python 3.12 or later",
    transports=("ble",),
    ble=kit.BleLine(ways=(), plugin=kit.Plugin()),
    options=(
        kit.Option("model", None, "its plug-in, such as vatrer_bms; left out: by the device's advertisement", kind=str),
        kit.Option("password", None, "what the device wants to be told first, in quotes", kind=str),
    ),
    plan=(
        kit.Poll(
            "sample", kit.simple(ask(SAMPLE), sample), essential=True,
            gives=(
                *(name for name, _ in VALUES.values()), "cell_voltages", "temperatures", "mosfet_temperature",
                "ambient_temperature", "alarms",
            ),
        ),
        kit.Poll("about", kit.simple(ask(ABOUT), about), every=kit.ONCE, gives=tuple(TEXTS)),
    ),
    secrets=(kit.secrets.pattern(rb'"(?:serial_number|name)": "([^"]+)"'),),
    assemble=assemble,
    detection=kit.Detection(polls=("sample", "about"), proof=proof, rank=99, never_auto=True),
    standing="as good as the library",
    made_of=made_of,
    advice=advice,
)  # fmt: skip
