"""A link that plays a recording: the vector format, so that replay in the field, tests and demos share one path."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bms_drivers.kit.declare import EXTENDED, Ask, CanAsk, Frame, Question, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.link import Counters
from gateway.model import LinkTimeout


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What came to one request, and what had come to the request before."""

    parts: list[bytes]
    before: list[bytes]


@dataclass(slots=True)
class _Recorded:
    """All answers that were recorded to one request, played in order; the last one repeats."""

    answers: list[_Exchange] = field(default_factory=list)
    played: int = 0

    def next(self) -> _Exchange:
        answer = self.answers[min(self.played, len(self.answers) - 1)]
        self.played += 1
        return answer


@dataclass(frozen=True, slots=True)
class Torn:
    """A request that was answered, but not with a whole answer: what came."""

    request: str  # as in `unanswered`
    bytes: int
    frames: int  # good ones of the answer, which are not enough
    dropped: Mapping[str, int]  # by reason
    foreign: int  # good frames that answer something else
    begun: int  # bytes of a frame that does not end

    def __str__(self) -> str:
        parts = [f"{count} {reason}" for reason, count in self.dropped.items()]
        parts += [f"{self.foreign} foreign"] if self.foreign else []
        parts += [f"{self.begun} bytes begun"] if self.begun else []
        good = f"{self.frames} good {'frame' if self.frames == 1 else 'frames'} of it"
        return f"{self.request or 'listening'}: {self.bytes} bytes came, {', '.join([good, *parts])}"


class ReplayLink:
    """Answers each request with what was recorded for the same bytes; notes those it has no (whole) answer to."""

    def __init__(self, recording: Mapping[str, Any]) -> None:
        """`recording` is a case of the vector format: "exchanges" [{"tx", "rx": [hex]}], perhaps "registers"."""
        self.counters: Counters = Counter()
        self.unanswered: list[str] = []
        self.torn: dict[str, Torn] = {}  # by request
        self._byte_answers: dict[bytes, _Recorded] = {}
        before: list[bytes] = []
        for exchange in recording.get("exchanges", ()):
            recorded = self._byte_answers.setdefault(bytes.fromhex(exchange["tx"]), _Recorded())
            parts = [bytes.fromhex(part) for part in exchange["rx"]]
            recorded.answers.append(_Exchange(parts, before))
            before = parts
        self._image = _image(recording, self._byte_answers)
        self._frames = [can_frame(frame) for frame in recording.get("frames", ())]

    @property
    def image(self) -> "Image":
        """All registers and bits that the recording holds."""
        return self._image

    async def open(self) -> None:
        """A recording is always there."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """The recorded answer.

        Raises LinkTimeout when the recording has no whole one, DeviceRefused when it holds a Modbus exception.
        """
        self.counters["requests"] += 1
        if isinstance(question, CanAsk):
            frames = self.heard(question)
        else:
            frames = self._read(question) if isinstance(question, Registers) else self._play(question, _words(question))
        if frames is None:
            raise self._missing(_words(question))
        self.counters["replies"] += 1
        return frames

    def _play(self, ask: Ask, what: str) -> Sequence[Frame] | None:
        """The answer to these very bytes; a question that was repeated when it was recorded is repeated here.

        Where two questions were asked at once, what came last to the first may begin the answer to the second.
        """
        recorded = self._byte_answers.get(ask.request)
        if recorded is None:
            return None
        for _ in range(max(1, ask.tries)):
            exchange = recorded.next()
            answer, whole = _fed(ask, exchange.parts)
            if not whole and (begun := _fed(ask, exchange.before)[0].rest):
                answer, whole = _fed(ask, [begun, *exchange.parts])
            dropped = Counter(item.reason for item in answer.dropped)
            self.counters.update(dropped)
            self.counters["foreign"] += answer.foreign
            if whole or (ask.partial and answer.frames):
                self.torn.pop(what, None)
                return answer.frames
            if came := sum(map(len, exchange.parts)):
                self.torn[what] = Torn(what, came, len(answer.frames), dict(dropped), answer.foreign, answer.torn)
        return None

    def _read(self, read: Registers) -> Sequence[Frame] | None:
        """The answer to the same request, else the registers as far as other requests recorded them."""
        frames = self._play(rtu.question(read), _words(read))
        if frames is not None:
            return rtu.checked(read, frames)
        values = [self._image.get((read.unit, read.function, read.address + n)) for n in range(read.count)]
        if None in values:
            return None
        self.torn.pop(_words(read), None)
        payload = rtu.data_of(read, [value for value in values if value is not None])
        return [Frame(kind=read.address, payload=payload, address=read.unit)]

    def heard(self, ask: CanAsk) -> Sequence[Frame] | None:
        """The last frame of each kind, as on a bus that was listened to as long as the recording is."""
        newest = {
            (wanted, frame.kind, wanted.which(frame.payload)): frame
            for wanted in ask.hears for frame in self._frames if wanted.fits(frame.kind)
        }  # fmt: skip
        frames = list(newest.values())
        return frames if frames and (ask.partial or ask.whole(frames)) else None

    def _missing(self, what: str) -> LinkTimeout:
        self.counters["timeout"] += 1
        if what in self.torn:
            return LinkTimeout(f"the recorded answer is torn: {self.torn[what]}")
        if what not in self.unanswered:
            self.unanswered.append(what)
        return LinkTimeout(f"the recording has no answer to {what or 'listening'}")


def _fed(ask: Ask, parts: Sequence[bytes]) -> tuple[Answer, bool]:
    """What came, and was it whole?"""
    answer, whole = Answer(ask), False
    for part in parts:
        whole = answer.feed(part) or whole
    return answer, whole


def _words(question: Question) -> str:
    """A request as it is reported: its bytes, or for Modbus the registers."""
    if isinstance(question, CanAsk):
        return str(question)
    return rtu.described(question) if isinstance(question, Registers) else question.request.hex()


def can_frame(recorded: Mapping[str, Any]) -> Frame:
    """A frame of the vector format: {"id": "0x2F4", "ext": false, "data": hex}."""
    number, data = int(str(recorded["id"]), 0), bytes.fromhex(recorded["data"])
    return Frame(number | EXTENDED if recorded.get("ext") else number, data, raw=data)


Image = dict[tuple[int, int, int], int]  # (unit, function, register or bit) -> value


def _image(recording: Mapping[str, Any], exchanges: Mapping[bytes, _Recorded]) -> Image:
    """All registers that a recording holds: what its exchanges amount to, and its "registers" (function 03)."""
    image: Image = {}
    for request, recorded in exchanges.items():
        read = rtu.parsed(request)
        if read is None:
            continue
        for exchange in recorded.answers:
            answer = Answer(rtu.question(read))
            if answer.feed(b"".join(exchange.parts)) and not answer.frames[0].status:
                items = rtu.items(read, answer.frames[0].payload)
                image |= {(read.unit, read.function, read.address + n): item for n, item in enumerate(items)}
    for unit, registers in recording.get("registers", {}).items():
        image |= {(int(unit), 3, int(register)): value for register, value in registers.items()}
    return image
