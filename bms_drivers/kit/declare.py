"""The few words in which a driver is written.  Nothing here does I/O or reads a clock.

A driver is data: a splitter that takes frames off a byte stream, tables of fields, a polling plan, and a few talks.
A *talk* is a generator that yields an `Ask`, is sent the frames that answer it, and returns what it learnt: polls,
control writes and detection are all talks, so one small function (`links.converse`) drives them over any link,
a recording included.
"""

import math
import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress, repeat
from operator import add, mul
from typing import Any, Final, Literal, NamedTuple

from gateway.model import BadLength, Reading
from gateway.model.reading import NOTHING_TOLD
from gateway.model.records import replace

Values = dict[str, Any]  # canonical names of Reading -> value; names that begin with "_" are the driver's own
Setup = Mapping[str, Any]  # the battery's driver settings, defaults filled in


class Frame(NamedTuple):
    """One whole frame whose checksum was right; a tuple, as many come each second."""

    kind: int  # what it is about: register, data id, record type, arbitration id
    payload: bytes  # the data alone
    address: int | None = None  # who sent it, where the bus has addresses
    status: int = 0  # the device's own result code; 0 = fine
    raw: bytes = b""
    at: float | None = None  # s, monotonic; when it came, where it may have come before it was asked for


@dataclass(frozen=True, slots=True)
class Dropped:
    """Bytes that were no good frame; `reason` is the name under which they are counted."""

    reason: str  # "checksum", "length", "noise"
    raw: bytes


Splitter = Callable[[bytearray], Iterator[Frame | Dropped]]
"""Takes whole frames off the front of the buffer, leaves an incomplete one in it, yields noise as Dropped."""


def one_frame(frames: Sequence[Frame]) -> bool:
    """The usual end of an answer: its first frame."""
    return bool(frames)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question put to a byte-stream bus, and how its answer is recognised."""

    request: bytes  # b"" = say nothing, listen
    split: Splitter
    answers: Callable[[Frame], bool] = lambda frame: True  # frames it does not accept are counted as foreign
    complete: Callable[[Sequence[Frame]], bool] = one_frame  # are these frames the whole answer?
    size: int = 0  # bytes the whole answer is expected to have, so that the link can sleep until then; 0 = not known
    timeout: float = 0.5  # s from the end of the request to the end of the answer
    tries: int = 1  # how often it may be asked before the answer counts as missing
    partial: bool = False  # at the time-out, accept the frames that did come
    quiet: float = 0.0  # s of silence the bus needs before this request, when more than the port's own gap
    silent: float = 0.0  # s without a single byte after which no answer will come; 0 = only after `timeout`


@dataclass(frozen=True, slots=True)
class Registers:
    """One Modbus read; its answer is a Frame whose payload holds the registers, big endian, kind = first register."""

    unit: int
    address: int
    count: int
    function: int = 3
    timeout: float = 0.5
    tries: int = 1
    also: tuple[int, ...] = ()  # further units that may answer; the frame's address says which did
    silent: float = 0.0  # as in Ask


EXTENDED: Final = 1 << 31  # added to a 29-bit identifier in Frame.kind, as DBC files do


@dataclass(frozen=True, slots=True)
class CanId:
    """CAN identifiers: one, or all that agree with it in the bits of `mask`."""

    id: int
    extended: bool = False
    mask: int | None = None  # None = this very one
    selects: int = 0  # bits of the data, byte 0 lowest, that tell frames of this identifier apart: the multiplexor

    @property
    def kind(self) -> int:
        """The identifier as in `Frame.kind`."""
        return self.id | EXTENDED if self.extended else self.id

    @property
    def bits(self) -> int:
        """The bits of the identifier that matter."""
        every = 0x1FFFFFFF if self.extended else 0x7FF
        return every if self.mask is None else self.mask & every

    def fits(self, kind: int) -> bool:
        """Is it this one's?  `kind` as Frame.kind."""
        return bool(kind & EXTENDED) is self.extended and not (kind ^ self.id) & self.bits

    def which(self, data: bytes) -> int:
        """Which of the frames of this identifier this one is."""
        return int.from_bytes(data, "little") & self.selects

    def __str__(self) -> str:
        return f"{self.id:08X}" if self.extended else f"{self.id:03X}"


def each_heard(frames: Sequence[Frame], hears: Sequence[CanId]) -> bool:
    """The usual end of listening on a CAN bus: a frame of each identifier."""
    return all(any(wanted.fits(frame.kind) for frame in frames) for wanted in hears)


@dataclass(frozen=True, slots=True)
class CanAsk:
    """What is to be heard on a CAN bus: the newest frame of each identifier, and what is sent so that they come.

    Nobody waits for frames that are not there: what was not heard within `settle` is missing.
    """

    hears: tuple[CanId, ...]
    life: float = 5.0  # s; an older frame is none
    settle: float = 2.0  # s from listening, or from `sends`, until all frames that there are have come
    complete: Callable[[Sequence[Frame]], bool] | None = None  # are these all?  None = one of each identifier
    partial: bool = False  # what was heard by then is the answer
    sends: tuple[tuple[CanId, bytes], ...] = ()  # requests
    awaits: bool = True  # only what comes after `sends` answers them
    anew: bool = False  # only what comes from now on counts
    tries: int = 1
    silent: float = 0.0  # as in Ask

    @property
    def timeout(self) -> float:
        """s until it is certain that no answer comes."""
        return self.settle

    @property
    def request(self) -> bytes:
        """What tells this question from others."""
        return b"".join(
            id_.id.to_bytes(4, "big") + data for id_, data in self.sends or ((id_, b"") for id_ in self.hears)
        )

    def whole(self, frames: Sequence[Frame]) -> bool:
        """Are these frames the whole answer?"""
        return each_heard(frames, self.hears) if self.complete is None else self.complete(frames)

    def __str__(self) -> str:
        return "CAN " + " ".join(map(str, self.hears))


Question = Ask | Registers | CanAsk
Talk = Generator[Question, Sequence[Frame], Values]


@dataclass(frozen=True, slots=True)
class Poll:
    """One step of the polling plan."""

    name: str
    talk: Callable[[Setup, Values], Talk]  # given settings and all values known so far
    gives: tuple[str, ...] = ()  # canonical names it may deliver: for the feature table, and to date a reading
    every: float = 0.0  # s; 0 = at each poll, math.inf = once
    essential: bool = False  # a live poll has failed without it
    keep: int = 1  # how many missed answers its values outlive
    give_up: int = 0  # after so many missed answers in a row it is asked once an hour only; 0 = never
    slow: float = 0.0  # s that what it tells may be old without counting as such: the BMS sends it so seldom


ONCE: Final = math.inf


Decode = Callable[[Sequence[Frame], Setup, Values], Values]
"""From the frames of one answer to values; raises FrameError or DeviceRefused."""


def simple(
    ask: Callable[[Setup, Values], Question] | Question,
    decode: Decode,
) -> Callable[[Setup, Values], Talk]:
    """The talk of one question and one answer."""

    def talk(setup: Setup, known: Values) -> Talk:
        frames = yield ask(setup, known) if callable(ask) else ask
        return decode(frames, setup, known)

    return talk


@dataclass(frozen=True, slots=True)
class Control:
    """A control write: the talk that performs it, and how a later Reading confirms it (None = it cannot tell)."""

    talk: Callable[[float, Setup, Values], Talk]
    confirmed: Callable[[float, Reading], bool | None]
    note: str = ""  # what a user should know before using it
    recorded: Callable[[bytes], tuple[float, Values] | None] | None = None  # value and inputs of a recorded request
    by_hand: bool = False  # only when a person asks, never by itself


def shown_by(name: str) -> Callable[[float, Reading], bool | None]:
    """Confirms a switch by the Reading's field `name`; None while that is not known."""

    def confirmed(value: float, reading: Reading) -> bool | None:
        state: bool | None = getattr(reading, name)
        return None if state is None else state == bool(value)

    return confirmed


@dataclass(frozen=True, slots=True)
class Option:
    """A driver's own setting, the same name in gateway.yaml, in recordings and in --set."""

    name: str
    default: Any
    help: str
    kind: type = int
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] = ()  # the only values there are; () = any
    file: bool = False  # names a file; in gateway.yaml a relative one is beside it

    def allows(self, value: Any) -> bool:
        """Can the setting be this?  None stands for the driver's own choice."""
        if value is None:
            return True
        if self.choices:
            return value in self.choices
        kind: Any = type(value)
        if kind is not self.kind and not (self.kind is float and kind is int):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def expected(self) -> str:
        """What it can be, for people."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        bounds = [f"{bound:g}" for bound in (self.least, self.most) if bound is not None]
        return " ".join((self.kind.__name__, "..".join(bounds))).strip()


BAUD: Final = "baud"


def rates(usual: int, *others: int) -> Option:
    """The setting of a BMS whose ports, or boards, do not all speak at the same rate [bit/s]."""
    others_said = " or ".join(map(str, others))
    said = f"bit/s; {others_said} on some boards or ports, which must be set: `scan` tries it, `auto` does not"
    return Option(BAUD, usual, said, choices=(usual, *others))


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How the protocol uses a serial port; the gaps are kept by the port, for all batteries on it."""

    baud: int
    quiet: float = 0.02  # s of silence before each request
    turnaround: float = 0.03  # s the device usually takes before it answers
    parity: Literal["N", "E"] = "N"  # none, even


@dataclass(frozen=True, slots=True)
class SpiLine:
    """How a chip on the computer's own SPI bus is spoken to: each word of a request is one transfer.

    What comes in meanwhile is the answer: it has exactly as many bytes as the request.
    """

    hertz: int  # clock
    word: int = 4  # bytes of one transfer
    mode: int = 0  # clock polarity and phase, 0..3
    pause: float = 0.01  # s after each transfer


@dataclass(frozen=True, slots=True)
class Gatt:
    """Where a device is spoken to over Bluetooth LE: UUIDs of 16 bits ("ffe1") or whole ones."""

    service: str
    notify: str
    write: str  # "" = it is only listened to
    write_service: str = ""  # "" = in `service`, too


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in of the library aiobmsble, which speaks to the device in our place."""

    name: str = ""  # such as vatrer_bms; "" = the one that knows the device by its advertisement
    password: str = ""  # what the device wants to be told first


@dataclass(frozen=True, slots=True)
class BleLine:
    """How the protocol uses Bluetooth LE."""

    ways: tuple[Gatt, ...]  # the first whose characteristics the device has is taken
    names: str = ""  # pattern of advertised names; they order the candidates, the answer decides
    makers: tuple[int, ...] = ()  # company identifiers in advertisements, likewise
    greeting: tuple[str, bytes] | None = None  # what must be written first, and the characteristic
    response: bool = False  # writes are acknowledged, where the characteristic has both
    settle: float = 0.2  # s between subscribing and the first request
    quiet: float = 0.0  # s of silence before each request
    patience: float = 3.0  # s that an answer is waited for at least: over the air it takes longer than on a wire
    plugin: Plugin | None = None  # it speaks, then nothing of the above counts


@dataclass(frozen=True, slots=True)
class Detection:
    """How the driver proves that the device is its own."""

    polls: tuple[str, ...]  # steps of the plan that are asked, the first must answer
    proof: Callable[[Values], str]  # returns what it found, for people; raises WrongDevice
    setups: tuple[Mapping[str, Any], ...] = ({},)  # settings to try in turn
    siblings: tuple[Mapping[str, Any], ...] = ()  # tried, too, once one of `setups` was found: others on the same bus
    overheard: tuple[Mapping[str, Any], ...] = ()  # tried where somebody talks already: settings that only listen
    anybody: tuple[int, ...] = ()  # addresses that a device answers beside its own: one is believed if no other is
    begins: float = 0.8  # s within which the slowest device begins to answer; longest in any sheet: 0.6 s
    cycle: float = 6.0  # s within which a master there has asked everybody once
    rank: int = 50  # the lower, the earlier it is tried: quick questions and unmistakable answers first
    wakes: bool = False  # the first question may only wake it, and is asked twice
    never_auto: bool = False  # `driver: auto` does not try it, somebody should look at what `scan` says
    wary: bool = False  # nor does `scan`, unless it is named, where others may take its questions for their own:
    #                     on a CAN bus with 29-bit identifiers, or with errors


Mask = Callable[[bytes, bytes], bytes]
"""From a request and its answer to the same answer without its secrets; see kit.secrets."""

UNDETECTABLE: Final = Detection(polls=(), proof=lambda values: "", setups=())
"""Nothing proves such a device: it is read only where the configuration names it."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What one BMS family is."""

    name: str
    title: str
    plan: tuple[Poll, ...]
    assemble: Callable[[Values, Setup], Mapping[str, Reading]]  # "" = the battery itself, else packs behind it
    detection: Detection
    transports: tuple[str, ...] = ("serial",)
    line: SerialLine | None = None
    intervals: tuple[float, float] = (0.0, math.inf)  # s between two rounds at least and at most, whatever is set
    spi: SpiLine | None = None
    ble: BleLine | None = None
    options: tuple[Option, ...] = ()
    controls: Mapping[str, Control] = field(default_factory=dict)  # by model.Action
    standing: str = "decoded from captures"  # or "proven on hardware (who, firmware)", "from documentation only"
    unseen: tuple[str, ...] = ()  # what no capture shows yet: names of values, "set charge" ..., words for the rest
    daisy_chain: bool = False
    limits_from_bms: bool = False  # max_charge_current and max_discharge_current are limits, not protection values
    asked_with: Callable[[bytes], Values] = lambda request: {}  # the settings that a recorded request tells
    secrets: tuple[Mask, ...] = ()  # bytes of its answers that no report may hold
    listens: Callable[[Setup], bool] = lambda setup: False  # so set up it asks nothing: a master talks on its bus
    made_of: "Callable[[Setup, Any], Driver] | None" = None  # where a setting decides what the BMS is: its driver
    reads: Callable[[Setup], Any] | None = None  # where that is a file: what stands in it, plain data for `made_of`
    frames: Any = None  # kit.can.Dbc: the file that describes what it hears on a CAN bus
    described: str = ""  # the text of the file that it was made of
    advice: Callable[[Setup], str] = lambda setup: ""  # what who configures it so should know; "" = nothing

    def setup(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Settings with defaults; names this driver does not have are left out."""
        given = given or {}
        return {option.name: given.get(option.name, option.default) for option in self.options}

    def read(self, given: Mapping[str, Any] | None = None) -> Any:
        """What stands in the file that these settings name, or in that of its frames; None where there is none to read.

        Raises ConfigError for a file that makes no driver, MissingPart.
        """
        if self.reads is not None:
            return self.reads(self.setup(given))
        return None if self.frames is None else self.frames.tables

    def made_for(self, given: Mapping[str, Any] | None = None, read: Any = None) -> "Driver":
        """The driver for these settings: itself, mostly; `read` is what was read for them before.

        Raises ConfigError for settings that make none, MissingPart.
        """
        if self.frames is not None and read is not None:
            self.frames.tables = read
        setup, made = self.setup(given), self
        if self.made_of is not None:
            made = self.made_of(setup, self.read(given) if read is None else read)
        baud = setup.get(BAUD)
        if baud is None or made.line is None or made.line.baud == baud:
            return made
        return replace(made, line=replace(made.line, baud=baud))

    def poll(self, name: str) -> Poll:
        """A step of the plan by its name.  Raises KeyError."""
        for poll in self.plan:
            if poll.name == name:
                return poll
        raise KeyError(name)


FORMATS: Final = {
    "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A number at a fixed place: value = (raw + plus) * scale, in `unit`."""

    name: str
    offset: int
    type: str  # u8 i8 u16 i16 u32 i32
    scale: float = 1
    unit: str = ""
    plus: int = 0


class Table:
    """Fields that are read from one payload; byte order is one for all of them."""

    def __init__(self, order: str, *fields: Field) -> None:
        """`order` is ">" for big endian, "<" for little endian."""
        self.fields = fields
        self._parts = _parts(order, fields)
        self.size = max((part.at + part.form.size for part in self._parts), default=0)

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names the table delivers."""
        return tuple(f.name for f in self.fields if not f.name.startswith("_"))

    def read(self, payload: bytes) -> Values:
        """All fields of `payload`.  Raises BadLength when it is too short."""
        if len(payload) < self.size:
            raise BadLength(f"{len(payload)} bytes where {self.size} are needed")
        values: Values = {}
        for part in self._parts:
            raws = map(add, part.form.unpack_from(payload, part.at), part.plus)
            numbers = map(round, map(mul, raws, part.scale), part.digits)
            values.update(zip(part.names, map(add, numbers, repeat(0)), strict=True))  # + 0: no negative zero
        return values


@dataclass(frozen=True, slots=True)
class _Part:
    """Fields of a payload that are read in one step: how they are laid out, and what their numbers are."""

    form: struct.Struct
    at: int  # where it begins
    names: tuple[str, ...]
    plus: tuple[int, ...]
    scale: tuple[float, ...]
    digits: tuple[int, ...]


def _parts(order: str, fields: Sequence[Field]) -> list[_Part]:
    """One for each run of fields that follow each other, gaps included; one field may lie within another."""
    runs: list[tuple[str, list[Field]]] = []
    for field_ in fields:
        form, run = runs[-1] if runs else ("", [])
        gap = field_.offset - run[0].offset - struct.calcsize(order + form) if run else -1
        if gap >= 0:
            runs[-1] = f"{form}{gap}x{FORMATS[field_.type]}", [*run, field_]
        else:
            runs.append((FORMATS[field_.type], [field_]))
    return [_part(struct.Struct(order + form), run) for form, run in runs]


def _part(form: struct.Struct, run: Sequence[Field]) -> _Part:
    return _Part(
        form,
        run[0].offset,
        names=tuple(field_.name for field_ in run),
        plus=tuple(field_.plus for field_ in run),
        scale=tuple(1 if field_.scale == 1 else field_.scale for field_ in run),  # what is whole stays whole
        digits=tuple(digits_of(field_.scale) for field_ in run),
    )


def digits_of(scale: float) -> int:
    """Decimals that a multiple of `scale` can have; rounding to them removes binary noise (0.1 * 3)."""
    return max(0, math.ceil(-math.log10(abs(scale)) - 1e-9))


def alarm_bits(word: int, bits: Mapping[int, tuple[str, int]], supported: Iterable[str]) -> dict[str, int]:
    """Levels of all `supported` alarms from a bit field; `bits` maps bit number -> (alarm, level)."""
    levels = dict.fromkeys(supported, 0)
    if not word:
        return levels
    for bit, (name, level) in bits.items():
        if word >> bit & 1 and levels[name] < level:
            levels[name] = level
    return levels


def alarm_rows(rows: Mapping[int, Mapping[int, tuple[str, int]]], width: int = 8) -> dict[int, tuple[str, int]]:
    """One table for `alarm_bits` from a table a byte (or a word of `width` bits): bit n of row r is r * width + n."""
    return {row * width + bit: alarm for row, bits in rows.items() for bit, alarm in bits.items()}


def two_levels(*names: str) -> dict[int, tuple[str, int]]:
    """Bits in pairs, from bit 0 on: the first of a pair is the warning, the second the alarm."""
    return {2 * n + level - 1: (name, level) for n, name in enumerate(names) for level in (1, 2)}


def alarm_names(bits: Mapping[int, tuple[str, int]], *more: str) -> tuple[str, ...]:
    """The alarms a bit table can raise, each once, and `more`."""
    return tuple(dict.fromkeys([name for name, _ in bits.values()] + list(more)))


def alone(
    finish: Callable[[Values, Setup], Values] | None = None, **always: Any
) -> Callable[[Values, Setup], Mapping[str, Reading]]:
    """Assemble for a BMS that speaks for one battery.

    `finish` derives what takes more than one answer; `always` is what need not be asked, such as manufacturer="EG4".
    """

    def assemble(values: Values, setup: Setup) -> Mapping[str, Reading]:
        done = {**always, **(values if finish is None else finish(dict(values), setup))}
        return {"": replace(NOTHING_TOLD, **dict(compress(done.items(), _readable(tuple(done)))))}

    return assemble


@lru_cache(maxsize=256)
def _readable(names: tuple[str, ...]) -> tuple[bool, ...]:
    """Which of `names` are for everybody to read: not a driver's own."""
    return tuple(name[0] != "_" for name in names)


def text(raw: bytes) -> str | None:
    """ASCII text of a fixed-width field: cut at the first NUL, unprintable bytes left out, trimmed; "" -> None."""
    cut = raw.split(b"\0", 1)[0].decode("ascii", "ignore")
    return "".join(c for c in cut if c.isprintable()).strip() or None


def date(year: int, month: int, day: int) -> str | None:
    """YYYY-MM-DD, or None when there is no such day."""
    if not (1 <= month <= 12 and 1 <= day <= 31 and year > 2000):
        return None
    return f"{year:04d}-{month:02d}-{day:02d}"
