"""What of a user's own DBC file cannot make a Reading, or would make a wrong one; each with its line."""

import re
from collections import Counter
from collections.abc import Iterator

from bms_drivers.kit.can import TEXT, Dbc, Message
from bms_drivers.kit.named import KINDS, SLOWEST, canonical, lacking, numbered, suggestion
from dbc import table
from gateway.extras import needed


def mistakes(dbc: Dbc) -> list[str]:
    """Why the file is of no use; [] = it is.  Raises MissingPart."""
    with needed("driver: dbc"):
        import cantools
    try:
        tables = dbc.tables
    except (cantools.Error, ValueError, LookupError, TypeError, AttributeError) as problem:
        return [f"{dbc.file}: not a DBC file that can be used: {' '.join(str(problem).split())}"]
    long = [message.name for message in tables.values() if message.length > 8]
    return [*_signals(dbc), *_places(dbc), *_messages(dbc, long), *_twice(dbc), *_essentials(dbc)]


def _signals(dbc: Dbc) -> Iterator[str]:
    for message in dbc.messages.values():
        for signal in message.signals:
            if signal[0] != "_" and not canonical(signal):
                why = f"no value of that name, {suggestion(signal)} (with _ before it, it is not read)"
                yield _of(dbc, message.name, signal, why)


def _places(dbc: Dbc) -> Iterator[str]:
    """What is read where it cannot be, or as what it cannot be."""
    for message in dbc.tables.values():
        told = [signal for signal in message.signals if canonical(signal.name) or signal.selects]
        for number, signal in enumerate(told):
            if signal.within > message.length:
                yield _of(
                    dbc, message.name, signal.name, f"does not fit into the {message.length} bytes of its message"
                )
            for why in (*_shared(signal, told[:number]), *_meaning(signal)):
                yield _of(dbc, message.name, signal.name, why)


def _shared(signal: table.Signal, before: list[table.Signal]) -> Iterator[str]:
    """Bits that are read as two things; a whole signal may have two meanings, as one limit for both directions."""
    for other in before:
        apart = signal.selected_by == other.selected_by != "" and not set(signal.when) & set(other.when)
        alike = signal.bits == other.bits and (not (of := numbered(signal.name)[0]) or of != numbered(other.name)[0])
        if signal.bits & other.bits and not apart and not alike:
            yield f"shares bits with {other.name}"


def _meaning(signal: table.Signal) -> Iterator[str]:
    """What no number, or no text, can be made of."""
    if signal.scale == 0:
        yield "its factor is 0, so that it always says the same"
    if signal.floating and signal.length not in table.FLOATS:
        yield f"{signal.length} bits are no floating-point number, expected {', '.join(map(str, table.FLOATS))}"
    low, high = signal.minimum, signal.maximum
    if low is not None and high is not None and low > high:
        yield f"its range begins at {low:g} and ends at {high:g}, expected the lower end first"
    whole = not (signal.signed or signal.floating or signal.length % 8) and (signal.scale, signal.offset) == (1, 0)
    if KINDS.get(signal.name) == "str" and signal.length >= TEXT and not whole:
        yield f"expected a text of whole bytes, as {signal.start}|64@1+ (1,0)"


def _messages(dbc: Dbc, long: list[str]) -> Iterator[str]:
    kinds: dict[int, str] = {}
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
        elif slow := _slowest(message):
            yield f"{where}: message {message.name}: {slow}"
        if message.name in long:
            yield f"{where}: message {message.name}: expected 8 bytes at most"
        if (first := kinds.setdefault(message.kind, message.name)) != message.name:
            yield f"{where}: message {message.name}: {first} has the same identifier"


def _slowest(message: Message) -> str:
    """Why it is sent too seldom; "" = it is not."""
    most, name = min([(SLOWEST[name], name) for name in message.gives if name in SLOWEST], default=(0, ""))
    late = name and (message.cycle or 0.0) > most
    return f"each {message.cycle:g} s, but limits rest on {name}: expected {most} s at most" if late else ""


def _twice(dbc: Dbc) -> Iterator[str]:
    """What is called the same, so that one of it would hide the other."""
    for name, count in Counter(dbc.declared).items():
        if count > 1:
            yield f"{dbc.file}: message {name}: there are {count} of that name, expected one"
    first: dict[str, str] = {}
    for message in dbc.messages.values():
        for signal in filter(canonical, message.signals):
            if signal in first:
                yield _of(dbc, message.name, signal, f"message {first[signal]} tells it, too; keep one of them")
            first[signal] = message.name


def _essentials(dbc: Dbc) -> Iterator[str]:
    for names in lacking(signal for message in dbc.messages.values() for signal in message.signals):
        yield f"{dbc.file}: no signal {names}: a battery without it cannot be watched"


def _told(message: Message) -> bool:
    """Something of it is read."""
    return bool(message.gives)


def _of(dbc: Dbc, message: str, signal: str, why: str) -> str:
    """`why`, of one signal, with its line."""
    where = _place(dbc, rf"SG_\s+{signal}\b", after=rf"BO_\s+\d+\s+{message}\b")
    return f"{where}: signal {signal}: {why}"


def _place(dbc: Dbc, what: str, after: str = "") -> str:
    """The file and the line that holds this."""
    begin = re.search(after, dbc.text) if after else None
    found = re.compile(what).search(dbc.text, begin.end() if begin else 0)
    return f"{dbc.file}:{dbc.text.count(chr(10), 0, found.start()) + 1}" if found else str(dbc.file)
