"""What of a user's own DBC file cannot make a Reading, each with its line."""

import re
from collections.abc import Iterator

from bms_drivers.kit.can import Dbc, Message
from bms_drivers.kit.named import canonical, lacking, suggestion
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
    return [*_signals(dbc), *_messages(dbc, long), *_essentials(dbc)]


def _signals(dbc: Dbc) -> Iterator[str]:
    for message in dbc.messages.values():
        for signal in message.signals:
            if signal[0] != "_" and not canonical(signal):
                hint = suggestion(signal)
                where = _place(dbc, rf"SG_\s+{signal}\b", after=rf"BO_\s+\d+\s+{message.name}\b")
                yield f"{where}: signal {signal}: no value of that name, {hint} (with _ before it, it is not read)"


def _messages(dbc: Dbc, long: list[str]) -> Iterator[str]:
    kinds: dict[int, str] = {}
    for message in filter(_told, dbc.messages.values()):
        where = _place(dbc, rf"BO_\s+\d+\s+{message.name}\b")
        if message.cycle is None or message.cycle <= 0:
            yield (
                f"{where}: message {message.name}: no cycle time, so nobody knows when its values are old; expected"
                f' BA_ "GenMsgCycleTime" BO_ {message.kind} 1000; with the ms between two of it'
            )
        if message.name in long:
            yield f"{where}: message {message.name}: expected 8 bytes at most"
        if (first := kinds.setdefault(message.kind, message.name)) != message.name:
            yield f"{where}: message {message.name}: {first} has the same identifier"


def _essentials(dbc: Dbc) -> Iterator[str]:
    for names in lacking(signal for message in dbc.messages.values() for signal in message.signals):
        yield f"{dbc.file}: no signal {names}: a battery without it cannot be watched"


def _told(message: Message) -> bool:
    """Something of it is read."""
    return bool(message.gives)


def _place(dbc: Dbc, what: str, after: str = "") -> str:
    """The file and the line that holds this."""
    begin = re.search(after, dbc.text) if after else None
    found = re.compile(what).search(dbc.text, begin.end() if begin else 0)
    return f"{dbc.file}:{dbc.text.count(chr(10), 0, found.start()) + 1}" if found else str(dbc.file)
