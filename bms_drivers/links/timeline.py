"""A link that plays a recording by its clock: each answer comes when it came, and what was not answered is not.

Unlike links/replay.py it has a time: it waits, as the device did.  So a fault of an hour ago happens again, to the same
code; in a loop whose time jumps (gateway/replay.py) it takes a moment.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bms_drivers.kit.declare import Ask, CanAsk, Frame, Question, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.link import Counters
from bms_drivers.links.replay import can_frame
from gateway.model import LinkTimeout

BEHIND: Final = 2.0  # s that a recorded question may be older than now
AHEAD: Final = 3.0  # s that it may be waited for


@dataclass(slots=True)
class _Asked:
    """All times that one question was put, in their order."""

    at: list[float] = field(default_factory=list)  # s, monotonic as recorded
    until: list[float] = field(default_factory=list)  # s, when the answer had come
    answers: list[bytes] = field(default_factory=list)
    played: int = 0

    def next(self, now: float) -> int | None:
        """The first one that is not played and not too old; None = it is too far away, or there is none."""
        number = max(self.played, bisect_left(self.at, now - BEHIND))
        return number if number < len(self.at) and self.at[number] <= now + AHEAD else None


class TimelineLink:
    """Time is the event loop's, which begins at the recording's own."""

    def __init__(self, recording: Mapping[str, Any]) -> None:
        """A case of the vector format whose exchanges or frames have times, and perhaps "first" ones from long ago."""
        self.counters: Counters = Counter()
        self._asked: dict[bytes, _Asked] = {}
        self._first: dict[bytes, bytes] = {}  # what was asked once, at the start, and never since
        for one in recording.get("exchanges", ()):
            _note(self._asked.setdefault(bytes.fromhex(one["tx"]), _Asked()), one)
        heard = recording.get("frames", ())
        earlier = recording.get("first", ())
        if "exchanges" in recording:
            self._first = {bytes.fromhex(one["tx"]): _bytes(one) for one in earlier if one["rx"]}
        self._frames = [(one["at"], can_frame(one)) for one in (*earlier, *heard) if "id" in one and "sent" not in one]
        self._times = [at for at, _ in self._frames]

    async def open(self) -> None:
        """A recording is always there."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """What was answered at this time.  Raises LinkTimeout, and DeviceRefused as recorded."""
        self.counters["requests"] += 1
        if isinstance(question, CanAsk):
            frames = await self._hear(question)
        else:
            ask = rtu.on_line(question)
            frames = await (self._ask(ask) if ask.request else self._listen(ask))
            if isinstance(question, Registers):
                frames = rtu.checked(question, frames)
        self.counters["replies"] += 1
        return frames

    async def _ask(self, ask: Ask) -> Sequence[Frame]:
        asked = self._asked.get(ask.request)
        if asked is None and ask.request in self._first:
            answer = Answer(ask)
            if answer.feed(self._first[ask.request]):
                return answer.frames
        for _ in range(max(1, ask.tries)):
            frames = await self._try(ask, asked)
            if frames is not None:
                return frames
        raise self._silent(ask.request.hex())

    async def _try(self, ask: Ask, asked: _Asked | None) -> Sequence[Frame] | None:
        loop = asyncio.get_running_loop()
        number = asked.next(loop.time()) if asked is not None else None
        if asked is None or number is None:
            await asyncio.sleep(ask.timeout)
            return None
        asked.played = number + 1
        answer = Answer(ask)
        whole = answer.feed(asked.answers[number])
        for dropped in answer.dropped:
            self.counters[dropped.reason] += 1
        self.counters["foreign"] += answer.foreign
        good = whole or (ask.partial and bool(answer.frames))
        await _until(asked.until[number] if good else asked.at[number] + ask.timeout)
        return answer.frames if good else None

    async def _listen(self, ask: Ask) -> Sequence[Frame]:
        """What others said, from now on."""
        loop = asyncio.get_running_loop()
        heard, answer, end = self._asked.get(b"", _Asked()), Answer(ask), loop.time() + ask.timeout
        number = bisect_left(heard.at, loop.time())
        while number < len(heard.at) and heard.at[number] <= end:
            await _until(heard.at[number])
            if answer.feed(heard.answers[number]):
                return answer.frames
            number += 1
        await _until(end)
        if ask.partial and answer.frames:
            return answer.frames
        raise self._silent("listening")

    async def _hear(self, ask: CanAsk) -> Sequence[Frame]:
        """The newest frame of each kind, as a bus that was listened to all the time has them."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ask.settle
        while True:
            now = loop.time()
            found = self._newest(ask, now)
            if ask.whole(found):
                return found
            following = bisect_left(self._times, now + 1e-6)
            if now >= end or following >= len(self._times):
                break
            await _until(min(end, self._times[following]))
        if found and ask.partial:
            return found
        await _until(end)
        raise self._silent(str(ask))

    def _newest(self, ask: CanAsk, now: float) -> list[Frame]:
        newest: dict[Any, Frame] = {}
        for at, frame in self._frames[bisect_left(self._times, now - ask.life) : bisect_left(self._times, now + 1e-6)]:
            for wanted in ask.hears:
                if wanted.fits(frame.kind):
                    told = Frame(frame.kind, frame.payload, raw=frame.raw, at=at)
                    newest[wanted, frame.kind, wanted.which(frame.payload)] = told
        return list(newest.values())

    def _silent(self, what: str) -> LinkTimeout:
        self.counters["timeout"] += 1
        return LinkTimeout(f"the recording has no whole answer to {what} at this time")


def _note(asked: _Asked, one: Mapping[str, Any]) -> None:
    asked.at.append(one["at"])
    asked.until.append(one["until"])
    asked.answers.append(_bytes(one))


def _bytes(one: Mapping[str, Any]) -> bytes:
    return b"".join(map(bytes.fromhex, one["rx"]))


async def _until(when: float) -> None:
    """s of the loop's time."""
    left = when - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)
