"""A link that plays a recording: the vector format, so that replay in the field, tests and demos share one path."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bms_drivers.kit.declare import Ask, Frame, Question, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.link import Counters
from gateway.model import LinkTimeout


@dataclass(slots=True)
class _Recorded:
    """All answers that were recorded to one request, played in order; the last one repeats."""

    answers: list[list[bytes]] = field(default_factory=list)
    played: int = 0

    def next(self) -> list[bytes]:
        answer = self.answers[min(self.played, len(self.answers) - 1)]
        self.played += 1
        return answer


class ReplayLink:
    """Answers each request with what was recorded for the same bytes; notes the requests it has no answer to."""

    def __init__(self, recording: Mapping[str, Any]) -> None:
        """`recording` is a case of the vector format: "exchanges" [{"tx", "rx": [hex]}], perhaps "registers"."""
        self.counters: Counters = Counter()
        self.unanswered: list[str] = []
        self._byte_answers: dict[bytes, _Recorded] = {}
        for exchange in recording.get("exchanges", ()):
            recorded = self._byte_answers.setdefault(bytes.fromhex(exchange["tx"]), _Recorded())
            recorded.answers.append([bytes.fromhex(part) for part in exchange["rx"]])
        self._image = _image(recording, self._byte_answers)

    async def open(self) -> None:
        """A recording is always there."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """The recorded answer.

        Raises LinkTimeout when the recording has none, DeviceRefused when it holds a Modbus exception.
        """
        self.counters["requests"] += 1
        frames = self._read(question) if isinstance(question, Registers) else self._play(question)
        if frames is None:
            raise self._missing(question)
        self.counters["replies"] += 1
        return frames

    def _play(self, ask: Ask) -> Sequence[Frame] | None:
        """The answer to these very bytes; a question that was repeated when it was recorded is repeated here."""
        recorded = self._byte_answers.get(ask.request)
        if recorded is None:
            return None
        for _ in range(max(1, ask.tries)):
            answer, whole = Answer(ask), False
            for part in recorded.next():
                whole = answer.feed(part) or whole
            for dropped in answer.dropped:
                self.counters[dropped.reason] += 1
            self.counters["foreign"] += answer.foreign
            if whole or (ask.partial and answer.frames):
                return answer.frames
        return None

    def _read(self, read: Registers) -> Sequence[Frame] | None:
        """The answer to the same request, else the registers as far as other requests recorded them."""
        frames = self._play(rtu.question(read))
        if frames is not None:
            return rtu.checked(read, frames)
        values = [self._image.get((read.unit, read.function, read.address + n)) for n in range(read.count)]
        if None in values:
            return None
        payload = rtu.data_of(read, [value for value in values if value is not None])
        return [Frame(kind=read.address, payload=payload, address=read.unit)]

    def _missing(self, question: Question) -> LinkTimeout:
        self.counters["timeout"] += 1
        what = rtu.described(question) if isinstance(question, Registers) else question.request.hex()
        if what not in self.unanswered:
            self.unanswered.append(what)
        return LinkTimeout(f"the recording has no answer to {what or 'listening'}")


Image = dict[tuple[int, int, int], int]  # (unit, function, register or bit) -> value


def _image(recording: Mapping[str, Any], exchanges: Mapping[bytes, _Recorded]) -> Image:
    """All registers that a recording holds: what its exchanges amount to, and its "registers" (function 03)."""
    image: Image = {}
    for request, recorded in exchanges.items():
        read = rtu.parsed(request)
        if read is None:
            continue
        for parts in recorded.answers:
            answer = Answer(rtu.question(read))
            if answer.feed(b"".join(parts)) and not answer.frames[0].status:
                items = rtu.items(read, answer.frames[0].payload)
                image |= {(read.unit, read.function, read.address + n): item for n, item in enumerate(items)}
    for unit, registers in recording.get("registers", {}).items():
        image |= {(int(unit), 3, int(register)): value for register, value in registers.items()}
    return image
