"""Reads a dialect from its DBC file, ours or a user's own.

Everything that differs between dialects is in the file; signals bear the names of `keys`.  What the file may say:

on a message
    sender               a message sent by the node `Inverter` is one we receive (keep-alive); all others are ours
    length               the native length; frames may be padded to 8 bytes with zeros
    GenMsgCycleTime      ms between two frames; default 1000
    SendOrder            frames are sent in ascending order, default order of the file
    SendWhen             `always`, or `known`: only when one of its values is given
on a signal
    range                values are clamped to it, never wrapped
    GenSigStartValue     raw value sent while the value is not known; default 0
    WhenUnknown          what happens while the value is not known:
                         `start_value`: that is sent
                         `absent`: as start_value, and a reader takes the start value for "not known"
                         `cut`: as absent, and the native frame ends before this signal
                         `withhold`: the frame is not sent
                         A number of which the file says neither this nor a start value: `withhold`; except limits and
                         what is always known (start value 0), and `keys.STAND_INS`
    Rounding             `nearest`, `down` (limits that must not be exceeded) or `up`
    Coding               `by_name`, or number, flag, text, hex_version (two bytes read as hex digits, "1.17" = 01 17),
                         constant (always the start value)
    Raised               raw value of a raised flag; default 1.  Not raised is the start value
    TextPad, TextOffset  fill byte of a text, and which character the signal begins with (texts over several frames)
    Default              value that the gateway uses when it has none of its own
    Fallback             name of the value that is taken when this one is not given
    FlagGroup            "flags_35a.alarm.contactor": the entry of a group of flags that raises this one too

Sheet: can-inverter-protocols.md sections 1 and 14.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import cantools
from cantools.database.can import Message, Signal

import dbc
from gateway.model import GatewayError
from outputs.can_bms.coder import TINY, Coder
from outputs.can_bms.dialect import Dialect, Layout
from outputs.can_bms.keys import KINDS, LIMITS, REQUIRED, STAND_INS, Value, suggest

INVERTER: Final = "Inverter"
PURPOSE: Final = "inverter dialect"
NEEDED: Final = ("charge_voltage_limit", "charge_current_limit", "discharge_current_limit")
CODINGS: Final = {"number": "number", "flag": "flag", "text": "text", "version": "hex_version"}


def load(name: str, file: Path | None = None) -> Dialect:
    """The dialect called `name`, or that of the user's own DBC `file`.  Raises GatewayError."""
    if file is None:
        if name not in names():
            raise GatewayError(f"dialect {name}: there is none of that name; {suggest(name, names())}")
        file = dbc.path(name)
    try:
        database: Any = cantools.database.load_file(str(file), database_format="dbc")
    except OSError as problem:
        raise GatewayError(f"{file}: {problem.strerror}") from None
    except (cantools.Error, UnicodeDecodeError, ValueError) as problem:
        raise GatewayError(f"{file}: not a DBC file that can be used: {_one_line(problem)}") from None
    return _Reader(file, database).dialect(name if file.parent == Path(dbc.__file__).parent else file.stem)


def names() -> list[str]:
    """Dialects that we ship: the DBC files that call themselves inverter dialects."""
    mark = f'BA_ "Purpose" "{PURPOSE}"'
    return [name for name in dbc.names() if mark in dbc.path(name).read_text(encoding="cp1252")]


class _Reader:
    """Turns a loaded DBC into a Dialect, or names what is wrong with it."""

    def __init__(self, file: Path, database: Any) -> None:
        self.file, self.database = file, database

    def dialect(self, name: str) -> Dialect:
        ours = [message for message in self.database.messages if INVERTER not in message.senders]
        layouts = [self.layout(message, place) for place, message in enumerate(ours)]
        present = {coder.key for layout in layouts for coder in layout.coders}
        missing = [key for key in NEEDED if key not in present]
        if missing:
            raise GatewayError(f"{self.file}: lacks {', '.join(missing)}: an inverter must be told its limits")
        received = frozenset(m.frame_id for m in self.database.messages if INVERTER in m.senders)
        return Dialect(name, layouts, received, self.defaults(ours))

    def layout(self, message: Message, place: int) -> Layout:
        if message.is_multiplexed() or message.length > 8 or (not message.signals and message.length):
            self.refuse(message, "expected plain signals in at most 8 bytes")
        coders = tuple(self.coder(message, signal) for signal in message.signals)
        cuts = {s.name: s.start // 8 for s in message.signals if self.of(s, "WhenUnknown", "start_value") == "cut"}
        return Layout(
            message, coders, int(self.of(message, "SendOrder", place)),
            max(10, int(self.of(message, "GenMsgCycleTime", 1000) or 1000)),
            self.of(message, "SendWhen", "always") == "known", cuts,
        )  # fmt: skip

    def coder(self, message: Message, signal: Signal) -> Coder:
        coding = str(self.of(signal, "Coding", "by_name"))
        group = tuple(filter(None, str(self.of(signal, "FlagGroup", "")).split(".")))
        if coding == "by_name":
            if signal.name not in KINDS and not group:
                self.refuse(message, f"signal {signal.name}: no value of that name; {suggest(signal.name, KINDS)}")
            coding = CODINGS.get(KINDS.get(signal.name, "flag"), "flag")
        if signal.is_float or (coding in ("text", "hex_version") and (signal.length % 8 or _start_bit(signal) % 8)):
            self.refuse(message, f"signal {signal.name}: expected whole numbers, and texts of whole bytes")
        low, high = _raw_range(signal)
        return Coder(
            signal.name, coding, float(signal.scale), float(signal.offset), _decimals(signal.scale, signal.offset), low,
            high, str(self.of(signal, "Rounding", "nearest")), self.start(signal),
            str(self.of(signal, "WhenUnknown", self.when_unknown(signal, coding))), int(self.of(signal, "Raised", 1)),
            signal.length // 8,
            signal.byte_order == "little_endian", int(self.of(signal, "TextPad", 0)),
            int(self.of(signal, "TextOffset", 0)), str(self.of(signal, "Fallback", "")), group,
        )  # fmt: skip

    def start(self, signal: Signal) -> int:
        """The raw value that is sent while the value is not known."""
        usual = STAND_INS.get(signal.name)
        raw = 0 if usual is None else round((usual - signal.offset) / signal.scale)
        return int(self.of(signal, "GenSigStartValue", raw))

    def when_unknown(self, signal: Signal, coding: str) -> str:
        """What happens while a value is not known of which the file does not say so."""
        if coding != "number" or signal.name in (*REQUIRED, *LIMITS, *STAND_INS):
            return "start_value"
        return "start_value" if self.of(signal, "GenSigStartValue", None) is not None else "withhold"

    def defaults(self, messages: Iterable[Message]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for signal in (signal for message in messages for signal in message.signals):
            text = str(self.of(signal, "Default", ""))
            if text:
                found[signal.name] = text if KINDS.get(signal.name) in ("text", "version") else float(text)
        return found

    def of(self, owner: Any, attribute: str, default: object) -> Any:
        """An attribute of a message or signal, enumerations by their word."""
        definition = self.database.dbc.attribute_definitions.get(attribute) if self.database.dbc else None
        if definition is None or attribute not in owner.dbc.attributes:
            return default
        value = owner.dbc.attributes[attribute].value
        return definition.choices[value] if definition.type_name == "ENUM" and isinstance(value, int) else value

    def refuse(self, message: Message, why: str) -> NoReturn:
        raise GatewayError(f"{self.file}: message {message.name} (0x{message.frame_id:X}): {why}")


def _raw_range(signal: Signal) -> tuple[int, int]:
    """The raw integers between the signal's minimum and maximum that its bits can hold."""
    bits = signal.length - 1 if signal.is_signed else signal.length
    low, high = (-(1 << bits) if signal.is_signed else 0), (1 << bits) - 1
    ends = [(limit - signal.offset) / signal.scale for limit in (signal.minimum, signal.maximum) if limit is not None]
    if len(ends) < 2:
        return low, high
    return max(low, math.ceil(min(ends) - TINY)), min(high, math.floor(max(ends) + TINY))


def _decimals(*numbers: float) -> int:
    """Digits after the point that the finest of `numbers` has."""
    return max(0, *(-int(Decimal(str(number)).normalize().as_tuple().exponent) for number in numbers))


def _start_bit(signal: Signal) -> int:
    """The first bit in sending order."""
    return signal.start if signal.byte_order == "little_endian" else 7 - signal.start % 8


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())
