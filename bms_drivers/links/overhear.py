"""A bus on which a master already talks: many may listen at once, and nobody ever sends.

    master --asks--> slave --answers--> bus --hear()--> every listener that waits

What was said while nobody listened is old, and is dropped.  A question that says something is refused here, below all
drivers: whatever a driver or a command may want, not one byte goes out.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from bms_drivers.kit.declare import Ask, Frame, Question
from bms_drivers.kit.framing import Answer
from bms_drivers.links.link import Counters, Link, Tap
from gateway.model import DeviceRefused, LinkTimeout

STEP: Final = 0.5  # s that one listener hears for all before another may


@runtime_checkable
class Hearing(Link, Protocol):
    """A link that can be listened to without a gap."""

    tap: Tap | None

    async def hear(self, seconds: float) -> bytes:
        """What comes within so long, as soon as something does; b"" = nothing.  Raises LinkClosed."""

    async def forget(self) -> None:
        """Drop what has come so far.  Raises LinkClosed."""


class Overhear:
    """Listens on `link` for all who wait; sends nothing."""

    def __init__(self, link: Hearing) -> None:
        self._link = link
        self._waiting: list[Answer] = []
        self._hearing = asyncio.Lock()  # lets waiters in first come, first served

    @property
    def counters(self) -> Counters:
        """Those of the link."""
        return self._link.counters

    @property
    def tap(self) -> Tap | None:
        """That of the link."""
        return self._link.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._link.tap = tap

    async def open(self) -> None:
        """Open the link."""
        await self._link.open()

    async def close(self) -> None:
        """Close the link."""
        await self._link.close()

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """The frames that a question without a request waits for.

        Raises DeviceRefused for any other question, LinkTimeout, LinkClosed.
        """
        if not isinstance(question, Ask) or question.request:
            raise DeviceRefused("a master talks on this bus: it is only listened to, nothing may be sent")
        answer = Answer(question)
        if not self._waiting:
            await self._link.forget()
        self._waiting.append(answer)
        try:
            return await self._heard(question, answer)
        finally:
            self._waiting.remove(answer)
            self._count(answer)

    async def _heard(self, ask: Ask, answer: Answer) -> Sequence[Frame]:
        """Wait until `answer` is whole.  Raises LinkTimeout, LinkClosed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ask.timeout
        while not ask.complete(answer.frames):
            async with self._hearing:
                left = until - loop.time()
                if left > 0 and not ask.complete(answer.frames):
                    self._tell(await self._link.hear(min(left, STEP)))
            if loop.time() >= until and not ask.complete(answer.frames):
                if ask.partial and answer.frames:
                    break
                raise LinkTimeout(f"listening only: nothing whole was heard within {ask.timeout:g} s")
        return answer.frames

    def _tell(self, chunk: bytes) -> None:
        """To all whose answer is not whole yet."""
        for answer in self._waiting:
            if chunk and not answer.ask.complete(answer.frames):
                answer.feed(chunk)

    def _count(self, answer: Answer) -> None:
        counters = self._link.counters
        for dropped in answer.dropped:
            counters[dropped.reason] += 1
        counters["foreign"] += answer.foreign
        whole = bool(answer.frames)
        counters["replies" if whole else "timeout"] += 1
        counters["torn"] += bool(answer.torn and not whole)
