"""The computer's own SPI bus: each word of a request is one transfer, and what comes back is the answer.

A transfer of four bytes lasts less than a tenth of a millisecond, so it is made in the loop itself.
"""

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from bms_drivers.kit.declare import Ask, Frame, Question, SpiLine
from bms_drivers.kit.framing import Answer
from bms_drivers.links.link import Counters, Tap
from gateway.model import LinkBusy, LinkClosed, LinkTimeout


class SpiBus(Protocol):
    """What is used of spidev.SpiDev; simulated chips have it, too."""

    def xfer2(self, values: list[int]) -> list[int]:
        """Clock these bytes out with the chip selected, and return those that came in.  Raises OSError."""

    def close(self) -> None:
        """Let go of the bus."""


Opener = Callable[[str, SpiLine], SpiBus]
"""Opens the bus and chip that a port's name means (spi_bus.py, or a simulated chip).  Raises OSError."""


class SpiLink:
    """One chip on an SPI bus."""

    def __init__(self, where: str, line: SpiLine, opener: Opener) -> None:
        """`where` is what users call it."""
        self.where = where
        self.counters: Counters = Counter()
        self.tap: Tap | None = None
        self._line, self._opener = line, opener
        self._bus: SpiBus | None = None
        self._opened = 0

    async def open(self) -> None:
        """Open the bus, if it is not open.  Raises LinkClosed or LinkBusy."""
        if self._bus is not None:
            return
        try:
            self._bus = self._opener(self.where, self._line)
        except OSError as problem:
            self._refuse(problem)
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1

    async def close(self) -> None:
        """Let go of the bus; may be called at any time."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """The frames that came in while the request went out.

        Raises LinkTimeout when they are no whole answer, LinkClosed when the bus is gone.
        """
        if not isinstance(question, Ask):
            raise TypeError(f"{self.where}: a {type(question).__name__} cannot be asked on an SPI bus")
        for _ in range(max(1, question.tries)):
            answer = Answer(question)
            self.counters["requests"] += 1
            whole = answer.feed(await self._transfer(question.request))
            self.counters.update(dropped.reason for dropped in answer.dropped)
            if whole:
                self.counters["replies"] += 1
                return answer.frames
        self.counters["timeout"] += 1
        raise LinkTimeout(f"{self.where}: no sound answer to {question.request[:4].hex()}; is the board there?")

    async def _transfer(self, request: bytes) -> bytes:
        """Word after word, with the pause that the chip needs.  Raises LinkClosed."""
        came = bytearray()
        for start in range(0, len(request), self._line.word):
            came += self._word(request[start : start + self._line.word])
            await asyncio.sleep(self._line.pause)
        if self.tap is not None:
            self.tap("tx", request)
            self.tap("rx", bytes(came))
        return bytes(came)

    def _word(self, word: bytes) -> bytes:
        if self._bus is None:
            raise LinkClosed(f"{self.where}: the SPI bus is not open")
        try:
            return bytes(self._bus.xfer2(list(word)))
        except OSError as problem:
            self._bus.close()
            self._bus = None
            self._refuse(problem)

    def _refuse(self, problem: OSError) -> NoReturn:
        device = f"/dev/spidev{self.where.removeprefix('spi:')}"
        if problem.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            advice = "switch SPI on with: sudo raspi-config nonint do_spi 0"
            raise LinkClosed(f"{self.where}: {device} is not there; on a Raspberry Pi {advice}") from None
        if problem.errno in (errno.EACCES, errno.EPERM):
            raise LinkClosed(f"{self.where}: {device} may not be used; add the user to the group spi") from None
        if problem.errno == errno.EBUSY:
            raise LinkBusy(f"{self.where}: {device} is in use by another program") from None
        raise LinkClosed(f"{self.where}: {problem.strerror or problem}") from None
