"""What of a DBC file cannot serve as a dialect, and what in it was perhaps not meant; each with message and signal."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cantools.database.can import Message, Signal

from dbc import read
from gateway.model import GatewayError, Placed
from gateway.model.words import meant
from outputs.can_bms.dbc_attributes import ATTRIBUTES, OF_TOOLS, value_of, wrong_values
from outputs.inverter.coder import TINY
from outputs.inverter.keys import BOUNDS, ENABLES, KINDS, LEVELS, LIMITS, REQUIRED, suggest

INVERTER: Final = "Inverter"
NEEDED: Final = ("charge_voltage_limit", "charge_current_limit", "discharge_current_limit")
EXPECTED: Final = (("soc", "soc_high_resolution"), ("voltage", "voltage_0p1V"), ("current",))
CODINGS: Final = {"number": "number", "flag": "flag", "text": "text", "version": "hex_version"}
SLOWEST: Final = 1000  # ms, of the limits; inverters' time-outs are mostly not known.  Sheet: section 10


class Unusable(GatewayError):
    """A file that is no dialect; `problems` has a line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = [Placed(problem) for problem in problems]


def coding_of(database: Any, signal: Signal) -> str:
    """How a signal's value becomes its raw integer."""
    coding = str(value_of(database, signal, "Coding", "by_name"))
    return CODINGS.get(KINDS.get(signal.name, "flag"), "flag") if coding == "by_name" else coding


def raw_bounds(signal: Signal) -> tuple[int, int]:
    """The lowest and the highest raw integer that the signal's bits hold."""
    bits = signal.length - 1 if signal.is_signed else signal.length
    return (-(1 << bits) if signal.is_signed else 0), (1 << bits) - 1


def raw_range(signal: Signal) -> tuple[int, int]:
    """The raw integers between the signal's minimum and maximum that its bits can hold."""
    low, high = raw_bounds(signal)
    if signal.minimum is None or signal.maximum is None:
        return low, high
    ends = sorted((limit - signal.offset) / signal.scale for limit in (signal.minimum, signal.maximum))
    return max(low, math.ceil(ends[0] - TINY)), min(high, math.floor(ends[1] + TINY))


class Checker:
    """Looks through one loaded file."""

    def __init__(self, file: Path, text: str, database: Any) -> None:
        self.file, self.database = file, database
        self.lines = _lines(text)
        self.ours: list[Message] = [m for m in database.messages if INVERTER not in m.senders]

    def mistakes(self) -> Iterator[str]:
        """Each reason not to use it."""
        ids = Counter((m.frame_id, m.is_extended_frame) for m in self.database.messages)
        for message in self.database.messages:
            if ids[message.frame_id, message.is_extended_frame] > 1:
                yield self.at(message, "another message has the same id")
        for message in self.ours:
            yield from self._message(message)
        missing = [key for key in NEEDED if key not in self._carried()]
        if missing:
            yield f"{self.file}: lacks {', '.join(missing)}: an inverter must be told its limits"

    def doubts(self) -> Iterator[str]:
        """What can be used and was perhaps not meant."""
        carried = self._carried()
        for names in EXPECTED:
            if not carried.intersection(names):
                yield f"{self.file}: no signal {names[0]}: most inverters want to be told it"
        for message in self.ours:
            cycle = value_of(self.database, message, "GenMsgCycleTime", SLOWEST)
            if cycle > SLOWEST and any(signal.name in NEEDED for signal in message.signals):
                yield self.at(message, f"the limits are sent every {cycle} ms only, expected {SLOWEST} or less")
        for name in self.database.dbc.attribute_definitions if self.database.dbc else ():
            if name not in ATTRIBUTES and name not in OF_TOOLS:
                hint = meant(name, ATTRIBUTES, "")
                yield f"{self.file}: attribute {name}: there is none of that name, it is not used{hint and f'; {hint}'}"

    def at(self, message: Message, why: str, signal: Signal | None = None) -> str:
        """`why`, with the place in the file."""
        line = self.lines.get((message.name, signal.name if signal else ""))
        place = f"message {message.name} (0x{message.frame_id:X})" + (f": signal {signal.name}" if signal else "")
        return f"{self.file}{f':{line}' if line else ''}: {place}: {why}"

    def _carried(self) -> set[str]:
        return {signal.name for message in self.ours for signal in message.signals}

    def _message(self, message: Message) -> Iterator[str]:
        if message.is_multiplexed() or message.length > 8 or (not message.signals and message.length):
            yield self.at(message, "expected plain signals in at most 8 bytes")
            return
        for why in (*wrong_values(self.database, message), *self._of_message(message)):
            yield self.at(message, why)
        taken: dict[int, str] = {}
        for signal in message.signals:
            for why in (*self._place(message, signal, taken), *self._signal(signal)):
                yield self.at(message, why, signal)

    def _of_message(self, message: Message) -> Iterator[str]:
        for name, count in Counter(signal.name for signal in message.signals).items():
            if count > 1:
                yield f"there are {count} signals {name}, expected one"
        cycle = value_of(self.database, message, "GenMsgCycleTime", 0)
        if isinstance(cycle, int | float) and cycle < 0:
            yield f"GenMsgCycleTime is {cycle}, expected ms between two frames"

    def _place(self, message: Message, signal: Signal, taken: dict[int, str]) -> Iterator[str]:
        bits = read.signal(signal).bits
        if not bits or max(bits) >= 8 * message.length or min(bits) < 0:
            yield f"does not fit into the {message.length} bytes of its message"
        if others := sorted({taken[bit] for bit in bits if bit in taken}):
            yield f"shares bits with {', '.join(others)}"
        taken.update(dict.fromkeys(bits, signal.name))

    def _signal(self, signal: Signal) -> Iterator[str]:
        group = str(value_of(self.database, signal, "FlagGroup", ""))
        coding = coding_of(self.database, signal)
        if signal.name not in KINDS and not group and coding != "constant":
            yield f"no value of that name; {suggest(signal.name, KINDS)}"
        if signal.is_float or not 0 < signal.scale < math.inf or not math.isfinite(signal.offset):
            yield "expected whole numbers, each worth more than 0"
        if coding in ("text", "hex_version") and (signal.length % 8 or read.signal(signal).first % 8):
            yield "expected texts of whole bytes"
        elif coding == "hex_version" and signal.length != 16:
            yield "expected a version of two bytes"
        yield from wrong_values(self.database, signal)
        yield from self._raws(signal)
        yield from self._more_than_decided(signal, coding)
        if group and not _is_group(group):
            yield f"FlagGroup is {group!r}, expected as flags_35a.alarm.contactor, or .warning."

    def _more_than_decided(self, signal: Signal, coding: str) -> Iterator[str]:
        """What would have an inverter told what nobody decided."""
        rounding = value_of(self.database, signal, "Rounding", "down")
        if signal.name in BOUNDS and rounding in ("nearest", "up"):
            yield f"Rounding is {rounding!r}, expected down: the inverter would be told more than was decided"
        if signal.name in (*BOUNDS, *ENABLES) and coding != CODINGS[KINDS[signal.name]]:
            yield f"Coding is {coding!r}, expected by_name: the gateway decides it"
        for name in ("Default", "Fallback") if signal.name in (*REQUIRED, *LIMITS, *ENABLES) else ():
            if value := value_of(self.database, signal, name, ""):
                yield f"{name} is {value!r}, expected none: the gateway knows it, or says so"
        if (
            signal.name in LIMITS
            and signal.scale
            and (least := raw_range(signal)[0] * signal.scale + signal.offset) > 0
        ):
            yield f"it says {least:g} A at least, expected 0: a stop could not be told"
        start = value_of(self.database, signal, "GenSigStartValue", 0)
        if signal.name in LIMITS and isinstance(start, int | float) and (amps := start * signal.scale) > 0:
            yield f"GenSigStartValue is {amps + signal.offset:g} A, expected 0: what nobody knows allows nothing"
        if coding == "flag" and start == value_of(self.database, signal, "Raised", 1):
            yield f"{start} says both that it is raised and that it is not (Raised, GenSigStartValue)"

    def _raws(self, signal: Signal) -> Iterator[str]:
        low, high = raw_bounds(signal)
        for name in ("GenSigStartValue", "Raised"):
            value = value_of(self.database, signal, name, 0)
            if isinstance(value, int | float) and not low <= value <= high:
                yield f"{name} is {value}, its bits hold {low} to {high}"
        if signal.scale and (ends := raw_range(signal))[0] > ends[1]:
            yield f"of its range {signal.minimum} to {signal.maximum} its bits hold nothing"
        default = str(value_of(self.database, signal, "Default", ""))
        if default and KINDS.get(signal.name) in ("number", "flag") and not re.fullmatch(r"-?\d+(\.\d+)?", default):
            yield f"Default is {default!r}, expected a number"


def _is_group(group: str) -> bool:
    name, _, rest = group.partition(".")
    level, _, entry = rest.partition(".")
    return KINDS.get(name) == "group" and level in LEVELS and bool(entry)


def _lines(text: str) -> Mapping[tuple[str, str], int]:
    """(message, signal or "") -> line of the file."""
    found: dict[tuple[str, str], int] = {}
    message = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*(BO_|SG_)\s+(?:\d+\s+)?(\w+)", line):
            message = head[2] if head[1] == "BO_" else message
            found.setdefault((message, head[2] if head[1] == "SG_" else ""), number)
    return found
