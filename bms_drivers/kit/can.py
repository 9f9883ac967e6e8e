"""BMSs on a CAN bus: a DBC file says where the values are, and everything it can say is not said again in Python.

Signals are named as in `kit.named`.  A value outside the range that the file gives its signal is not known; so is one
that a short frame does not hold, or of another than the multiplexed part.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bms_drivers.kit.declare import EXTENDED, CanAsk, CanId, Driver, Frame, Poll, Setup, Talk, Values, alone, text
from bms_drivers.kit.named import KINDS, canonical, decimals, gathered, key, typed
from dbc import read, table
from gateway.extras import needed
from gateway.model import BadLength, ConfigError, GatewayError, Implausible, Reading

MISSED: Final = 3  # frames in a row that may be missing before a value is not known
SHORTEST: Final = 1.0  # s that a value lives at least
TEXT: Final = 24  # bits; what names or versions have of them is text, and a number with fewer
FLOAT_MOST: Final = sys.float_info.max
SLOW: Final = 2.0  # s between two frames; what comes less often is not old for that

_MESSAGE: Final = re.compile(r"^\s*BO_\s+(\d+)\s+(\w+)\s*:", re.M)
_SIGNAL: Final = re.compile(r"^\s*SG_\s+(\w+)\s*(M|m\d+M?)?\s*:\s*(\d+)\|(\d+)@([01])", re.M)
_CYCLE: Final = re.compile(r'^\s*BA_\s+"GenMsgCycleTime"\s+BO_\s+(\d+)\s+(\d+)\s*;', re.M)

Way = Callable[[Any], Any]
"""From a signal's number to the value that is told on."""
Shift = Callable[[Setup], int]
"""What the settings add to every identifier, the address mostly."""


def unmoved(setup: Setup) -> int:
    """Identifiers are as the file says."""
    return 0


@dataclass(slots=True)
class Message:
    """A message as the file declares it."""

    name: str
    kind: int  # identifier, as in Frame.kind
    cycle: float | None = None  # s between two of it
    signals: list[str] = field(default_factory=list)
    selects: int = 0  # as in CanId
    selected: tuple[str, ...] = ()  # signals that a multiplexor selects

    @property
    def gives(self) -> tuple[str, ...]:
        """Canonical names of what it tells."""
        return tuple(dict.fromkeys(name for signal in self.signals if (name := canonical(signal))))

    @property
    def life(self) -> float:
        """s that its values are good for."""
        return max(SHORTEST, MISSED * (self.cycle or SHORTEST))

    def at(self, plus: int = 0, *, mask: int | None = None) -> CanId:
        """The identifier, moved by so much."""
        return _identifier(self.kind, plus, mask, self.selects)


@functools.cache
def _identifier(kind: int, plus: int, mask: int | None, selects: int) -> CanId:
    return CanId((kind & ~EXTENDED) + plus, bool(kind & EXTENDED), mask, selects)


class Dbc:
    """A DBC file of what a BMS sends.  Its messages are known at once, their bits when they are needed."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigError for a file that cannot be read."""
        self.file = file
        try:
            self.text = read.text(file)
        except OSError as problem:
            raise ConfigError(f"{file}: {problem.strerror}") from None
        found = _messages(self.text)
        self.declared = tuple(message.name for message in found)
        self.messages = {message.name: message for message in found}

    @cached_property
    def tables(self) -> Mapping[str, table.Message]:
        """What cantools makes of it, by the messages' names.  Raises MissingPart, cantools.Error."""
        with needed("a BMS on a CAN bus"):
            import cantools
        database: Any = cantools.database.load_string(self.text, database_format="dbc", strict=False)
        return {message.name: read.message(message) for message in database.messages}

    def values(self, message: str, data: bytes) -> Values:
        """Signals of a frame by their names, as what they are; None = not known.  Raises BadLength, Implausible."""
        declared, ways, unknown = self._readers[message]
        try:
            found = declared.values(data)
        except table.Undecodable as problem:
            raise Implausible(message, data.hex(" "), str(problem)) from None
        if not found:
            raise BadLength(f"{message}: {len(data)} bytes hold none of its signals")
        told = {name: value if (way := ways[name]) is None else way(value) for name, value in found.items()}
        return told if len(told) >= len(unknown) else {**unknown, **told}

    @cached_property
    def _readers(self) -> dict[str, tuple[table.Message, dict[str, Way | None], Values]]:
        """By message: its table, how what it tells becomes what is told on, and what a short frame lacks."""
        return {
            m.name: (
                m,
                {s.name: _way(s) for s in m.signals},
                {} if self.messages[m.name].selects else dict.fromkeys(self.messages[m.name].signals),
            )
            for m in self.tables.values()
            if m.name in self.messages
        }


def heard(
    dbc: Dbc,
    name: str,
    *messages: str,
    shift: Shift = unmoved,
    essential: bool = False,
    life: float | None = None,
    settle: float | None = None,
    gives: Sequence[str] = (),
) -> Poll:
    """A step of the plan: what these messages tell, each of which must be heard; default: the one called as the step.

    They live as long as the file's cycle times say: three frames in a row may be missing.  `gives`: what is made of
    signals that bear no name of a Reading.
    """
    told = [dbc.messages[message] for message in messages or (name,)]
    lives = max(message.life for message in told) if life is None else life
    cycle = max(message.cycle or 0.0 for message in told)
    wait = max(SHORTEST, 1.5 * cycle) if settle is None else settle
    every = any(message.selects for message in told)

    def talk(setup: Setup, known: Values) -> Talk:
        ids = tuple(message.at(shift(setup)) for message in told)
        frames = yield CanAsk(ids, lives, wait, complete=_never if every else None, partial=every)
        return values_of(dbc, told, ids, frames)

    names = tuple(dict.fromkeys((*(given for message in told for given in message.gives), *gives)))
    return Poll(name, talk, names, essential=essential, keep=0, slow=lives if cycle > SLOW else 0.0)


def values_of(dbc: Dbc, told: Sequence[Message], ids: Sequence[CanId], frames: Iterable[Frame]) -> Values:
    """What frames tell: plain values by their names, parts of lists and alarms with "_" before them.

    Raises FrameError for one that cannot be read at all.
    """
    values: Values = {}
    for frame in frames:
        for message, wanted in zip(told, ids, strict=True):
            if wanted.fits(frame.kind):
                signals = dbc.values(message.name, frame.payload)
                values |= {key(name): value for name, value in signals.items()}
    return values


def assemble(
    dbc: Dbc, finish: Callable[[Values, Setup], Values] = lambda values, setup: values, **always: Any
) -> Callable[[Values, Setup], Mapping[str, Reading]]:
    """A battery by itself; `finish` is given lists and alarms already put together."""
    signals = tuple(signal for message in dbc.messages.values() for signal in message.signals)
    return alone(lambda values, setup: finish(gathered(values, signals), setup), **always)


def identifiers(driver: Driver, setup: Setup) -> list[CanId]:
    """All that a driver listens to and sends on its bus, as far as its plan tells beforehand."""
    return [wanted for ask in _asked(driver, setup) for wanted in (*ask.hears, *(sent for sent, _ in ask.sends))]


def listens_to(driver: Driver, setup: Setup) -> list[CanId]:
    """What it will want to hear on its bus, likewise."""
    return [wanted for ask in _asked(driver, setup) for wanted in ask.hears]


def _asked(driver: Driver, setup: Setup) -> Iterator[CanAsk]:
    for poll in driver.plan if "can" in driver.transports else ():
        with suppress(GatewayError):  # it waits for what an earlier answer tells
            question = next(poll.talk(setup, {}), None)
            if isinstance(question, CanAsk):
                yield question


def _way(signal: table.Signal) -> Way | None:
    """From the signal's number to the value; numbers outside the range are None.  None = the number as it is."""
    name = signal.name
    if KINDS.get(name) == "str" and signal.length >= TEXT:
        return lambda value: text(int(value).to_bytes(signal.length // 8, signal.order))
    checked = _checked(signal)
    if KINDS.get(name, "float") == "float":
        return None if _is_always_right(signal) else checked
    return lambda value: typed(name, checked(value))


def _is_always_right(signal: table.Signal) -> bool:
    """It has no number that is outside its range, or that would be rounded."""
    if signal.floating or not isinstance(signal.scale, int) or not isinstance(signal.offset, int):
        return False
    low, high = signal.minimum, signal.maximum
    if low is None or high is None or low >= high:
        return True
    least = -(1 << signal.length - 1) if signal.signed else 0
    ends = [raw * signal.scale + signal.offset for raw in (least, least + (1 << signal.length) - 1)]
    return low <= min(ends) and max(ends) <= high


def _checked(signal: table.Signal) -> Callable[[float], float | None]:
    """To the digits that the file gives, without a negative zero; None outside the range."""
    low, high, digits = signal.minimum, signal.maximum, decimals(signal.scale, signal.offset)
    if low is None or high is None or low >= high:
        low, high = -FLOAT_MOST, FLOAT_MOST  # infinity is no number that anybody measured
    slot = signal.name.startswith("cell_voltage_")  # one without a cell shows 0

    def whole(value: float) -> float | None:
        return value if low <= value <= high or (slot and value == 0) else None

    def checked(value: float) -> float | None:
        shown = round(value, digits) + 0
        return shown if low <= shown <= high or (slot and shown == 0) else None

    return whole if isinstance(signal.scale, int) and isinstance(signal.offset, int) else checked


def _never(frames: Sequence[Frame]) -> bool:
    return False


def _messages(text: str) -> list[Message]:
    cycles = {int(found[1]): int(found[2]) / 1000 for found in _CYCLE.finditer(text)}
    heads = [*_MESSAGE.finditer(text)]
    starts = [*(head.start() for head in heads), len(text)]
    return [
        _message(head, [*_SIGNAL.finditer(text, head.end(), end)], cycles)
        for head, end in zip(heads, starts[1:], strict=True)
    ]


def _message(head: re.Match[str], signals: Sequence[re.Match[str]], cycles: Mapping[int, float]) -> Message:
    selects = sum(_bits(int(s[3]), int(s[4]), s[5] == "1") for s in signals if s[2] == "M")
    selected = tuple(s[1] for s in signals if s[2] and s[2] != "M")
    return Message(head[2], int(head[1]), cycles.get(int(head[1])), [s[1] for s in signals], selects, selected)


def _bits(start: int, length: int, intel: bool) -> int:
    """The bits of a signal in the data read as one little-endian number."""
    if intel:
        return ((1 << length) - 1) << start
    mask = 0
    for _ in range(length):
        mask |= 1 << start
        start += -1 if start % 8 else 15
    return mask
