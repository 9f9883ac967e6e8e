"""What of a user's own DBC file cannot make a Reading, or would make one that is older than it looks; with its line."""

import re
from collections.abc import Iterator
from typing import Final

from bms_drivers.kit.can import Dbc, Message
from bms_drivers.kit.named import canonical, lacking, suggestion, too_seldom, wrong_unit
from dbc import read, table
from gateway.extras import needed

LONGEST: Final = 8  # bytes of a message


def mistakes(dbc: Dbc) -> list[str]:
    """Why the file is of no use; [] = it is.  Raises MissingPart."""
    with needed("driver: dbc"):
        import cantools
    try:
        tables = dbc.tables.values()
    except (cantools.Error, ValueError, LookupError, TypeError, AttributeError) as problem:
        return [read.fault(dbc.file, problem)]
    return [*_names(dbc), *_messages(dbc), *_essentials(dbc)] or [
        f"{_signal(dbc, message.name, signal.name)}: {why}"
        for message in tables
        for signal in message.signals
        if canonical(signal.name)
        for why in (*_bits(message, signal), *_number(signal), *too_seldom(signal.name, _cycle(dbc, message)))
    ]


# ---- names, messages


def _names(dbc: Dbc) -> Iterator[str]:
    for message in dbc.messages.values():
        for signal in message.signals:
            if signal[0] != "_" and not canonical(signal):
                where, hint = _signal(dbc, message.name, signal), suggestion(signal)
                yield f"{where}: no value of that name, {hint} (with _ before it, it is not read)"


def _messages(dbc: Dbc) -> Iterator[str]:
    kinds: dict[int, str] = {}
    long = [message.name for message in dbc.tables.values() if message.length > LONGEST]
    for message in filter(_told, dbc.messages.values()):
        where = _place(dbc, rf"BO_\s+\d+\s+{message.name}\b")
        if message.cycle is None or message.cycle <= 0:
            yield (
                f"{where}: message {message.name}: no cycle time, so nobody knows when its values are old; expected"
                f' BA_ "GenMsgCycleTime" BO_ {message.kind} 1000; with the ms between two of it'
            )
        if message.name in long:
            yield f"{where}: message {message.name}: expected {LONGEST} bytes at most"
        if (first := kinds.setdefault(message.kind, message.name)) != message.name:
            yield f"{where}: message {message.name}: {first} has the same identifier"


def _essentials(dbc: Dbc) -> Iterator[str]:
    for names in lacking(signal for message in dbc.messages.values() for signal in message.signals):
        yield f"{dbc.file}: no signal {names}: a battery without it cannot be watched"


def _told(message: Message) -> bool:
    """Something of it is read."""
    return bool(message.gives)


# ---- signals that are read


def _bits(message: table.Message, signal: table.Signal) -> Iterator[str]:
    """Where it is not."""
    if signal.within > message.length:
        yield f"does not fit into the {message.length} bytes of its message"
    before = message.signals[: message.signals.index(signal)]
    read_too = [other for other in before if canonical(other.name) and _meet(signal, other)]
    if others := [other.name for other in read_too if _mask(message, other) & _mask(message, signal)]:
        yield f"shares bits with {', '.join(others)}"


def _mask(message: table.Message, signal: table.Signal) -> int:
    """Its bits in a frame that is read in Intel order."""
    size = max(message.length, signal.within)
    bits = signal.placed(-1, size)
    return int.from_bytes(bits.to_bytes(size, signal.order), "little")


def _meet(one: table.Signal, other: table.Signal) -> bool:
    """Are there frames that hold both?"""
    return not (one.selected_by and one.selected_by == other.selected_by and not {*one.when} & {*other.when})


def _number(signal: table.Signal) -> Iterator[str]:
    """Why its number cannot be the value of that name."""
    if signal.scale == 0:
        yield "(0, ...) makes every value the same; expected what one count is worth"
    if signal.minimum is not None and signal.maximum is not None and signal.minimum > signal.maximum:
        yield f"its range [{signal.minimum:g}|{signal.maximum:g}] is written backwards: no value is within it"
    if signal.unit and (why := wrong_unit(signal.name, signal.unit)):
        yield f"{why}; choose scale and offset so, and the unit"


def _cycle(dbc: Dbc, message: table.Message) -> float:
    """s between two of that message; 0 = not known, which is said elsewhere."""
    known = dbc.messages.get(message.name)
    return 0.0 if known is None or known.cycle is None else known.cycle


# ---- places


def _signal(dbc: Dbc, message: str, signal: str) -> str:
    where = _place(dbc, rf"SG_\s+{signal}\b", after=rf"BO_\s+\d+\s+{message}\b")
    return f"{where}: signal {signal}"


def _place(dbc: Dbc, what: str, after: str = "") -> str:
    """The file and the line that holds this."""
    begin = re.search(after, dbc.text) if after else None
    found = re.compile(what).search(dbc.text, begin.end() if begin else 0)
    return f"{dbc.file}:{dbc.text.count(chr(10), 0, found.start()) + 1}" if found else str(dbc.file)
