"""HLPdata BMS4S: four cells, text commands over a serial line; no checksum, no address.

Sheet: hlpdata_bms4s.md.  A command is letters and LF; the answer holds its echo and lines of ASCII.
Current: + = charging.  Since nothing protects the text, every field that is used must be a number in its range.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, Implausible, LinkTimeout, WrongDevice

CELLS: Final = 4
CELL_RANGE: Final = (1.0, 5.0)  # V
FIELDS: Final = 13  # of a measurement, sensors come after them

VERSION: Final = re.compile(rb"(BMS4S[^\r\n]*)[\r\n]")
SETTING: Final = re.compile(rb"(\w+= \S+) ")
MEASURED: Final = re.compile(rb"m1.*?([-+]?\d+\.\d[^\r\n]*)[\r\n]", re.DOTALL)  # from the first decimal fraction on
NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?")
SENSOR: Final = re.compile(r"b\w*\s+([-+]?\d+(\.\d+)?)")  # others are none of the battery's

WANTED: Final = {  # setting: canonical name, factor
    "BatterySize": ("capacity", 1),
    "VoltHigh": ("max_battery_voltage", CELLS),
    "VoltLow": ("min_battery_voltage", CELLS),
}
BEEPS: Final = {  # code of the beeper -> alarm; sheet section 6
    2: ("low_charge_temperature", 1),
    3: ("high_charge_temperature", 1),
    4: ("low_voltage", 2),
    5: ("high_voltage", 2),
}


@functools.cache
def splitter(pattern: re.Pattern[bytes]) -> kit.Splitter:
    """Takes what `pattern` finds; its first group is the payload.  Other text is an echo, or of no interest."""

    def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
        while (found := pattern.search(buffer)) is not None:
            payload, raw = bytes(found[1]), bytes(found[0])
            del buffer[: found.end()]
            yield kit.Frame(kind=0, payload=payload, raw=raw)

    return split


WAKE: Final = kit.Ask(b"\n", splitter(VERSION), timeout=0.2)  # clears the command line, is not answered
ASK_VERSION: Final = kit.Ask(b"pv\n", splitter(VERSION), timeout=1.0, tries=3)
ASK_MEASURED: Final = kit.Ask(b"m1\n", splitter(MEASURED), timeout=1.0, tries=3)
ASK_SETTINGS: Final = kit.Ask(  # nothing marks the end of some 700 bytes: all that comes in time
    b"ps\n", splitter(SETTING), complete=lambda settings: False, partial=True, timeout=2.0, tries=3
)


def version(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """The version line, after the command line was cleared."""
    with suppress(LinkTimeout):
        yield WAKE
    frames = yield ASK_VERSION
    return {"hardware_version": kit.text(frames[0].payload)}


def settings(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Name= value pairs; some firmware prints decimal commas."""
    found: kit.Values = {}
    for frame in frames:
        name, _, text = frame.payload.decode("ascii", "replace").partition("= ")
        if name in WANTED:
            canonical, factor = WANTED[name]
            found[canonical] = round(decimal(name, text.replace(",", ".")) * factor, 3)
    return found


def measured(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Everything that changes, in one line.  Raises BadLength or Implausible for a line that is not whole."""
    fields = [field.strip() for field in frames[0].payload.decode("ascii", "replace").split(",")]
    if len(fields) < FIELDS:
        raise BadLength(f"a line of {len(fields)} fields, {FIELDS} are needed; decimal commas?")
    volts = tuple(within(f"cell {n + 1}", decimal(f"cell {n + 1}", fields[n]), *CELL_RANGE) for n in range(CELLS))
    return {
        "cell_voltages": volts,
        "voltage": round(sum(volts), 3),
        "current": decimal("current", fields[4]),
        "soc": within("soc", decimal("soc", fields[5]), 0, 100),
        "charge_allowed": switch("charge output", fields[6]),
        "discharge_allowed": switch("load output", fields[7]),
        "alarms": alarms(int(decimal("beep code", fields[11]))),
        "temperatures": temperatures(fields[FIELDS:]),
    }


def decimal(name: str, text: str) -> float:
    """A plain number.  Raises Implausible."""
    if not NUMBER.fullmatch(text):
        raise Implausible(name, repr(text), "what is a number")
    return float(text)


def within(name: str, value: float, least: float, most: float) -> float:
    """`value`, if it is in its range.  Raises Implausible."""
    if not least <= value <= most:
        raise Implausible(name, value, f"{least:g}..{most:g}")
    return value


def switch(name: str, text: str) -> bool:
    """1 = allowed, as a later correction of the older reader has it (sheet section 5)."""
    if text not in ("0", "1"):
        raise Implausible(name, repr(text), "0 or 1")
    return text == "1"


def alarms(code: int) -> dict[str, int]:
    """One at a time."""
    levels = {name: 0 for name, _ in BEEPS.values()}
    if code in BEEPS:
        name, level = BEEPS[code]
        levels[name] = level
    return levels


def temperatures(fields: Sequence[str]) -> tuple[float, ...]:
    """Of the battery's sensors: the one, or the highest and the lowest of several (sheet section 5)."""
    found = [float(sensor[1]) for field in fields if (sensor := SENSOR.fullmatch(field))]
    return tuple(found) if len(found) < 2 else (max(found), min(found))


def proof(values: kit.Values) -> str:
    """Its name in the version line."""
    version = values.get("hardware_version") or ""
    if not version.startswith("BMS4S"):
        raise WrongDevice(f"a BMS4S says so, this device says {version!r}")
    return f"HLPdata {version} with {CELLS} cells"


DRIVER: Final = kit.Driver(
    name="hlpdata_bms4s",
    title="HLPdata BMS4S",
    line=kit.SerialLine(baud=9600, quiet=0.05, turnaround=0.1),
    plan=(
        kit.Poll(
            "measured", kit.simple(ASK_MEASURED, measured), essential=True,
            gives=(
                "voltage", "cell_voltages", "current", "soc", "charge_allowed", "discharge_allowed", "alarms",
                "temperatures",
            ),
        ),
        kit.Poll("version", version, gives=("hardware_version",), every=kit.ONCE),
        kit.Poll(
            "settings", kit.simple(ASK_SETTINGS, settings), gives=tuple(name for name, _ in WANTED.values()),
            every=kit.ONCE,
        ),
    ),
    assemble=kit.alone(manufacturer="HLPdata"),
    detection=kit.Detection(rank=90, polls=("version",), proof=proof),
    standing=(
        "from documentation only; no capture is public: line ends, the echo and how sensors are spelt are a guess"
    ),
)  # fmt: skip
