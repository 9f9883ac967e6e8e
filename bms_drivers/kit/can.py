"""BMSs on a CAN bus: a DBC file says where the values are, and everything it can say is not said again in Python.

Signals are named as the values of a Reading are (`voltage`, `soc`, `charge_allowed`), and besides

    cell_voltage_3, cell_balancing_3, temperature_2    the third cell, the second sensor, counted from 1
    alarm_high_voltage, warning_high_voltage           raised when not 0: level 2, level 1
    level_high_voltage                                 0, 1 or 2 as it is
    alarm_high_voltage_2                               another bit that raises the same alarm
    _anything                                          the driver's own, or of no interest

A value outside the range that the file gives its signal is not known; so is one that a short frame does not hold, or of
another than the multiplexed part.  A cell that shows exactly 0 does not exist.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from bms_drivers.kit.declare import EXTENDED, CanAsk, CanId, Driver, Frame, Poll, Setup, Talk, Values, alone, text
from gateway.extras import needed
from gateway.model import ALARMS, BadLength, GatewayError, Implausible, Reading, worst

ENCODING: Final = "cp1252"  # of DBC files
MISSED: Final = 3  # frames in a row that may be missing before a value is not known
SHORTEST: Final = 1.0  # s that a value lives at least
TEXT: Final = 24  # bits; what names or versions have of them is text, and a number with fewer
SLOW: Final = 2.0  # s between two frames; what comes less often is not old for that
NUMBERED: Final = re.compile(r"(cell_voltage|cell_balancing|temperature)_([1-9]\d?)")
ALARM: Final = re.compile(rf"(alarm|warning|level)_({'|'.join(ALARMS)})(_\d+)?")
LISTS: Final = {"cell_voltage": "cell_voltages", "cell_balancing": "cell_balancing", "temperature": "temperatures"}
STRUCTURED: Final = {*LISTS.values(), "alarms", "rejected", "held", "untold"}
KINDS: Final = {
    name: next(kind for kind in ("float", "int", "bool", "str") if kind in str(described.type))
    for name, described in Reading.__dataclass_fields__.items() if name not in STRUCTURED
}  # fmt: skip
"""Values that a signal may bear the name of, and what they are."""

_MESSAGE: Final = re.compile(r"^\s*BO_\s+(\d+)\s+(\w+)\s*:", re.M)
_SIGNAL: Final = re.compile(r"^\s*SG_\s+(\w+)\s*(M|m\d+M?)?\s*:\s*(\d+)\|(\d+)@([01])", re.M)
_CYCLE: Final = re.compile(r'^\s*BA_\s+"GenMsgCycleTime"\s+BO_\s+(\d+)\s+(\d+)\s*;', re.M)

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
        extended = bool(self.kind & EXTENDED)
        return CanId((self.kind & ~EXTENDED) + plus, extended, mask, self.selects)


class Dbc:
    """A DBC file of what a BMS sends.  Its messages are known at once; cantools is loaded for the first frame."""

    def __init__(self, file: Path) -> None:
        """Raises OSError."""
        self.file = file
        self.text = file.read_bytes().decode(ENCODING, "replace")
        self.messages = {message.name: message for message in _messages(self.text)}

    @cached_property
    def database(self) -> Any:
        """What cantools makes of it.  Raises MissingPart, cantools.Error."""
        with needed("a BMS on a CAN bus"):
            import cantools
        return cantools.database.load_string(self.text, database_format="dbc", strict=False)

    def values(self, message: str, data: bytes) -> Values:
        """Signals of a frame by their names; None = not known.  Raises BadLength, Implausible."""
        declared = self.database.get_message_by_name(message)
        with needed("a BMS on a CAN bus"):
            from cantools.database.errors import DecodeError
        try:
            found = declared.decode(data, decode_choices=False, allow_truncated=True)
        except DecodeError as problem:
            raise Implausible(message, data.hex(" "), " ".join(str(problem).split())) from None
        if not found:
            raise BadLength(f"{message}: {len(data)} bytes hold none of its signals")
        told = {name: self._ways[message, name](value) for name, value in found.items()}
        return told if self.messages[message].selects else {**dict.fromkeys(self.messages[message].signals), **told}

    @cached_property
    def _ways(self) -> dict[tuple[str, str], Callable[[Any], Any]]:
        """How what cantools tells of each signal becomes what is told on."""
        return {(m.name, s.name): _way(s) for m in self.database.messages for s in m.signals}


def canonical(signal: str) -> str:
    """The name in a Reading of what the signal tells; "" for the driver's own, and for a name that is none."""
    if found := NUMBERED.fullmatch(signal):
        return LISTS[found[1]]
    return "alarms" if ALARM.fullmatch(signal) else signal if signal in KINDS else ""


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

    def talk(setup: Setup, known: Values) -> Talk:
        ids = tuple(message.at(shift(setup)) for message in told)
        wait = max(SHORTEST, 1.5 * cycle) if settle is None else settle
        every = any(message.selects for message in told)
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
                values |= {_key(name): _typed(name, value) for name, value in signals.items()}
    return values


def assemble(
    dbc: Dbc, finish: Callable[[Values, Setup], Values] = lambda values, setup: values, **always: Any
) -> Callable[[Values, Setup], Mapping[str, Reading]]:
    """A battery by itself; `finish` is given lists and alarms already put together."""
    signals = [signal for message in dbc.messages.values() for signal in message.signals]
    return alone(lambda values, setup: finish(gathered(values, signals), setup), **always)


def gathered(values: Values, signals: Sequence[str]) -> Values:
    """Lists and alarms put together of their parts; of `signals`, a cell or sensor that is not told now is None."""
    for part, name in LISTS.items():
        count = max(
            (int(found[2]) for s in signals if (found := NUMBERED.fullmatch(s)) and found[1] == part), default=0
        )
        if count:
            values[name] = _listed([values.get(f"_{part}_{n}") for n in range(1, count + 1)], part)
    raised = [_raised(name[1:], value) for name, value in values.items() if name[0] == "_" and value is not None]
    if alarms := worst(filter(None, raised)):
        values["alarms"] = worst((values.get("alarms", {}), alarms))
    return values


def identifiers(driver: Driver, setup: Setup) -> list[CanId]:
    """All that a driver listens to and sends on its bus, as far as its plan tells beforehand."""
    found: list[CanId] = []
    for poll in driver.plan:
        with suppress(GatewayError):  # it waits for what an earlier answer tells
            question = next(poll.talk(setup, {}), None)
            if isinstance(question, CanAsk):
                found += (*question.hears, *(wanted for wanted, _ in question.sends))
    return found


def _listed(parts: list[Any], name: str) -> tuple[Any, ...]:
    if name == "cell_balancing":
        return tuple(map(bool, parts)) if None not in parts else ()
    while parts and parts[-1] == 0 and name == "cell_voltage":
        parts.pop()
    return tuple(part or None for part in parts) if name == "cell_voltage" else tuple(parts)


def _raised(signal: str, value: float) -> dict[str, int]:
    """The alarm that the signal is about, with its level."""
    found = ALARM.fullmatch(signal)
    if not found:
        return {}
    level = {"alarm": 2, "warning": 1}.get(found[1], min(2, int(value)))
    return {found[2]: level if value else 0}


def _key(signal: str) -> str:
    return signal if signal in KINDS or signal[0] == "_" else f"_{signal}"


def _typed(signal: str, value: Any) -> Any:
    kind = KINDS.get(signal, "float")
    if value is None or kind == "float":
        return value
    return bool(value) if kind == "bool" else int(value) if kind == "int" else str(value)


def _way(signal: Any) -> Callable[[Any], Any]:
    """From cantools' number to the value; numbers outside the range are None."""
    if KINDS.get(signal.name) == "str" and signal.length >= TEXT:
        order: Literal["little", "big"] = "little" if signal.byte_order == "little_endian" else "big"
        return lambda value: text(int(value).to_bytes(signal.length // 8, order))
    low, high, digits = signal.minimum, signal.maximum, _decimals(signal.scale, signal.offset)
    if low is None or high is None or low >= high:
        low, high = -float("inf"), float("inf")
    slot = signal.name.startswith("cell_voltage_")  # one without a cell shows 0

    def checked(value: float) -> float | None:
        shown = round(value, digits) + 0  # + 0: no negative zero
        return shown if low <= shown <= high or (slot and shown == 0) else None

    return checked


def _never(frames: Sequence[Frame]) -> bool:
    return False


def _messages(text: str) -> list[Message]:
    cycles = {int(found[1]): int(found[2]) / 1000 for found in _CYCLE.finditer(text)}
    heads = [*_MESSAGE.finditer(text)]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [
        _message(head, [*_SIGNAL.finditer(text, head.end(), end)], cycles)
        for head, end in zip(heads, ends, strict=True)
    ]


def _message(head: re.Match[str], signals: Sequence[re.Match[str]], cycles: Mapping[int, float]) -> Message:
    selects = sum(_bits(int(s[3]), int(s[4]), s[5] == "1") for s in signals if s[2] == "M")
    return Message(head[2], int(head[1]), cycles.get(int(head[1])), [signal[1] for signal in signals], selects)


def _bits(start: int, length: int, intel: bool) -> int:
    """The bits of a signal in the data read as one little-endian number."""
    if intel:
        return ((1 << length) - 1) << start
    mask = 0
    for _ in range(length):
        mask |= 1 << start
        start += -1 if start % 8 else 15
    return mask


def _decimals(*numbers: float) -> int:
    """Digits after the point that the finest of `numbers` has."""
    return max(0, *(-int(Decimal(str(number)).normalize().as_tuple().exponent) for number in numbers))
