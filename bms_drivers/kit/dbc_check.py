"""What of a user's own DBC file cannot make a Reading, or would make one that is wrong or older than it looks."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers.kit.can import TEXT, Dbc, Message
from bms_drivers.kit.fitting import too_seldom, wrong_unit
from bms_drivers.kit.named import KINDS, canonical, lacking, numbered, suggestion
from dbc import read, table
from gateway.extras import needed

LONGEST: Final = 8  # bytes of a message


def mistakes(dbc: Dbc) -> list[str]:
    """Why the file is of no use, each with its line; [] = it is.  Raises MissingPart."""
    with needed("driver: dbc"):
        import cantools
    try:
        _ = dbc.tables
    except (cantools.Error, ValueError, LookupError, TypeError, AttributeError) as problem:
        return [read.fault(dbc.file, problem)]
    whole = [*_names(dbc), *_messages(dbc), *_twice(dbc), *_essentials(dbc)]
    return whole or [*_signals(dbc)]


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
        if message.selected and not message.selects:
            name = message.selected[0]
            yield f"{where}: message {message.name}: {name} is multiplexed, but no signal of it selects (M)"
        if message.cycle is None or message.cycle <= 0:
            yield (
                f"{where}: message {message.name}: no cycle time, so nobody knows when its values are old; expected"
                f' BA_ "GenMsgCycleTime" BO_ {message.kind} 1000; with the ms between two of it'
            )
        if message.name in long:
            yield f"{where}: message {message.name}: expected {LONGEST} bytes at most"
        if (first := kinds.setdefault(message.kind, message.name)) != message.name:
            yield f"{where}: message {message.name}: {first} has the same identifier"


def _twice(dbc: Dbc) -> Iterator[str]:
    """What is called the same, so that one of it would hide the other."""
    for name, count in Counter(dbc.declared).items():
        if count > 1:
            yield f"{dbc.file}: message {name}: there are {count} of that name, expected one"
    first: dict[str, str] = {}
    for message in dbc.messages.values():
        for signal in filter(canonical, message.signals):
            if signal in first:
                yield f"{_signal(dbc, message.name, signal)}: message {first[signal]} tells it, too; keep one of them"
            first[signal] = message.name


def _essentials(dbc: Dbc) -> Iterator[str]:
    for names in lacking(signal for message in dbc.messages.values() for signal in message.signals):
        yield f"{dbc.file}: no signal {names}: a battery without it cannot be watched"


def _told(message: Message) -> bool:
    """Something of it is read."""
    return bool(message.gives)


# ---- signals that are read


def _signals(dbc: Dbc) -> Iterator[str]:
    for message in dbc.tables.values():
        told = [signal for signal in message.signals if canonical(signal.name) or signal.selects]
        known = dbc.messages.get(message.name)
        cycle = (known.cycle if known is not None else None) or 0.0
        for number, signal in enumerate(told):
            for why in (*_bits(message, signal, told[:number]), *_number(signal), *too_seldom(signal.name, cycle)):
                yield f"{_signal(dbc, message.name, signal.name)}: {why}"


def _bits(message: table.Message, signal: table.Signal, before: Sequence[table.Signal]) -> Iterator[str]:
    """Where it is not, or something else is, too."""
    if signal.within > message.length:
        yield f"does not fit into the {message.length} bytes of its message"
    if others := [other.name for other in before if signal.bits & other.bits and not _agree(signal, other)]:
        yield f"shares bits with {', '.join(others)}"


def _agree(one: table.Signal, other: table.Signal) -> bool:
    """No frame holds both; or they are the same bits with two meanings, as one limit for both directions."""
    if one.selected_by == other.selected_by != "" and not {*one.when} & {*other.when}:
        return True
    part = numbered(one.name)[0]
    return one.bits == other.bits and (not part or part != numbered(other.name)[0])


def _number(signal: table.Signal) -> Iterator[str]:
    """Why its number cannot be the value of that name."""
    if signal.scale == 0:
        yield "(0, ...) makes every value the same; expected what one count is worth"
    if signal.floating and signal.length not in table.FLOATS:
        yield f"{signal.length} bits are no floating-point number, expected {', '.join(map(str, table.FLOATS))}"
    if signal.minimum is not None and signal.maximum is not None and signal.minimum > signal.maximum:
        yield f"its range [{signal.minimum:g}|{signal.maximum:g}] is written backwards: no value is within it"
    if signal.unit and canonical(signal.name) and (why := wrong_unit(signal.name, signal.unit)):
        yield f"{why}; choose scale and offset so, and the unit"
    whole = not (signal.signed or signal.floating or signal.length % 8) and (signal.scale, signal.offset) == (1, 0)
    if KINDS.get(signal.name) == "str" and signal.length >= TEXT and not whole:
        yield f"expected a text of whole bytes, as {signal.start}|64@1+ (1,0)"


# ---- places


def _signal(dbc: Dbc, message: str, signal: str) -> str:
    where = _place(dbc, rf"SG_\s+{signal}\b", after=rf"BO_\s+\d+\s+{message}\b")
    return f"{where}: signal {signal}"


def _place(dbc: Dbc, what: str, after: str = "") -> str:
    """The file and the line that holds this."""
    begin = re.search(after, dbc.text) if after else None
    found = re.compile(what).search(dbc.text, begin.end() if begin else 0)
    return f"{dbc.file}:{dbc.text.count(chr(10), 0, found.start()) + 1}" if found else str(dbc.file)
