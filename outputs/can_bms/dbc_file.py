"""Reads a dialect from its DBC file, ours or a user's own.

Everything that differs between dialects is in the file; signals bear the names of `keys`.  What the file may say:

on the file
    Purpose              `inverter dialect`: it is one of those that `dialect:` chooses from
    RefusedNames         the gateway takes no name that holds one of these words: an inverter that takes it for one of
                         these brands changes the limits
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
                         `absent`: as start_value, and a reader takes the start value for "not known" (a mark)
                         `cut`: as absent, and the native frame ends before this signal
                         `withhold`: the frame is not sent
                         A number of which the file says neither this nor a start value: `withhold`; except limits and
                         what is always known (start value 0), and `keys.STAND_INS`
    Rounding             `nearest`, `down` or `up`; limits, which must not be exceeded, only `down`, also where the file
                         says nothing
    Coding               `by_name`, or number, flag, text, hex_version (two bytes read as hex digits, "1.17" = 01 17),
                         constant (always the start value)
    Raised               raw value of a raised flag; default 1.  Not raised is the start value
    TextPad, TextOffset  fill byte of a text, and which character the signal begins with (texts over several frames)
    Default              value that the gateway uses when it has none of its own; never of limits, of enable bits, and
                         of what must be known
    Fallback             name of the value that is taken when this one is not given; a flag is raised by either
    FlagGroup            "flags_35a.alarm.contactor": the entry of a group of flags that raises this one too

Sheet: can-inverter-protocols.md sections 1 and 14.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import cantools
from cantools.database.can import Message, Signal

import dbc
from dbc import read
from gateway.model import GatewayError
from outputs.can_bms.dbc_attributes import value_of
from outputs.can_bms.dbc_check import INVERTER, Checker, Unusable, coding_of, raw_bounds, raw_range
from outputs.can_bms.dialect import About, Dialect, Layout
from outputs.inverter.coder import Coder
from outputs.inverter.keys import BOUNDS, KINDS, LIMITS, REQUIRED, STAND_INS, Value, suggest

PURPOSE: Final = "inverter dialect"
ROUNDING: Final = {**dict.fromkeys(BOUNDS, "down"), "discharge_voltage_limit": "up"}
"""Where the file does not say it: never to the loose side."""


def load(name: str, file: Path | None = None) -> Dialect:
    """The dialect called `name`, or that of the user's own DBC `file`.  Raises GatewayError, Unusable."""
    if file is None:
        if name not in names():
            raise GatewayError(f"dialect {name}: there is none of that name; {suggest(name, names())}")
        file = dbc.path(name)
    text, database = _opened(file)
    if problems := list(Checker(file, text, database).mistakes()):
        raise Unusable(problems)
    remark = re.search(r'^CM_ "(.*?)";$', text, re.M | re.S)
    reader = _Reader(database)
    about = About(
        database.version or "", remark[1] if remark else "", tuple(str(reader.of(database, "RefusedNames", "")).split())
    )
    return reader.dialect(name if file.parent == Path(dbc.__file__).parent else file.stem, about)


def doubts(file: Path) -> list[str]:
    """What of a user's own DBC can be used and was perhaps not meant.  Raises GatewayError."""
    return list(Checker(file, *_opened(file)).doubts())


def names() -> list[str]:
    """Dialects that we ship: the DBC files that call themselves inverter dialects."""
    mark = f'BA_ "Purpose" "{PURPOSE}"'
    return [name for name in dbc.names() if mark in read.text(dbc.path(name))]


def _opened(file: Path) -> tuple[str, Any]:
    """The file's text and what cantools makes of it."""
    try:
        text = read.text(file)
        return text, cantools.database.load_string(text, database_format="dbc", strict=False)
    except OSError as problem:
        raise GatewayError(f"{file}: {problem.strerror}") from None
    except (cantools.Error, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise GatewayError(read.fault(file, problem)) from None


class _Reader:
    """Turns a DBC that was found good into a Dialect."""

    def __init__(self, database: Any) -> None:
        self.database = database

    def dialect(self, name: str, about: About) -> Dialect:
        ours = [message for message in self.database.messages if INVERTER not in message.senders]
        layouts = [self.layout(message, place) for place, message in enumerate(ours)]
        received = [message for message in self.database.messages if INVERTER in message.senders]
        ids = frozenset(message.frame_id for message in received)
        reports = [read.message(message) for message in received if message.signals and not message.is_multiplexed()]
        return Dialect(name, layouts, ids, self.defaults(ours), about, reports)

    def layout(self, message: Message, place: int) -> Layout:
        coders = tuple(self.coder(signal) for signal in message.signals)
        cuts = {s.name: s.start // 8 for s in message.signals if self.of(s, "WhenUnknown", "start_value") == "cut"}
        return Layout(
            read.message(message), coders, int(self.of(message, "SendOrder", place)),
            max(10, int(self.of(message, "GenMsgCycleTime", 1000) or 1000)),
            self.of(message, "SendWhen", "always") == "known", cuts,
        )  # fmt: skip

    def coder(self, signal: Signal) -> Coder:
        coding = coding_of(self.database, signal)
        low, high = raw_range(signal)
        return Coder(
            signal.name, coding, float(signal.scale), float(signal.offset), _decimals(signal.scale, signal.offset), low,
            high, str(self.of(signal, "Rounding", ROUNDING.get(signal.name, "nearest"))), self.start(signal),
            str(self.of(signal, "WhenUnknown", self.when_unknown(signal, coding))), int(self.of(signal, "Raised", 1)),
            signal.length // 8,
            signal.byte_order == "little_endian", int(self.of(signal, "TextPad", 0)),
            int(self.of(signal, "TextOffset", 0)), str(self.of(signal, "Fallback", "")),
            tuple(filter(None, str(self.of(signal, "FlagGroup", "")).split(".", 2))), signal.comment or "",
        )  # fmt: skip

    def start(self, signal: Signal) -> int:
        """The raw value that is sent while the value is not known."""
        usual = STAND_INS.get(signal.name)
        raw = 0 if usual is None else round((usual - signal.offset) / signal.scale)
        low, high = raw_bounds(signal)
        return min(max(int(self.of(signal, "GenSigStartValue", raw)), low), high)

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
        """An attribute of a message, a signal or the file, enumerations by their word."""
        return value_of(self.database, owner, attribute, default)


def _decimals(*numbers: float) -> int:
    """Digits after the point that the finest of `numbers` has."""
    return max(0, *(-int(Decimal(str(number)).normalize().as_tuple().exponent) for number in numbers))
