"""A link that plays a recording: the vector format, so that replay in the field, tests and demos share one path."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bms_drivers.declare import Ask, Frame, Question, Registers
from bms_drivers.framing import Answer
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
        self._registers: Mapping[str, Mapping[str, int]] = recording.get("registers", {})

    async def open(self) -> None:
        """A recording is always there."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """The recorded answer.  Raises LinkTimeout when the recording has none."""
        self.counters["requests"] += 1
        frames = self._read(question) if isinstance(question, Registers) else self._play(question)
        self.counters["replies"] += 1
        return frames

    def _play(self, ask: Ask) -> Sequence[Frame]:
        recorded = self._byte_answers.get(ask.request)
        if recorded is None:
            raise self._missing(ask.request.hex())
        answer = Answer(ask)
        whole = False
        for part in recorded.next():
            whole = answer.feed(part) or whole
        for dropped in answer.dropped:
            self.counters[dropped.reason] += 1
        self.counters["foreign"] += answer.foreign
        if whole or (ask.partial and answer.frames):
            return answer.frames
        raise self._missing(ask.request.hex())

    def _read(self, ask: Registers) -> Sequence[Frame]:
        image = self._registers.get(str(ask.unit), {})
        wanted = [image.get(str(ask.address + n)) for n in range(ask.count)]
        if any(value is None for value in wanted):
            raise self._missing(f"unit {ask.unit} registers {ask.address}..{ask.address + ask.count - 1}")
        payload = b"".join((value or 0).to_bytes(2, "big") for value in wanted)
        return [Frame(kind=ask.address, payload=payload, address=ask.unit)]

    def _missing(self, what: str) -> LinkTimeout:
        self.counters["timeout"] += 1
        if what not in self.unanswered:
            self.unanswered.append(what)
        return LinkTimeout(f"the recording has no answer to {what or 'listening'}")
