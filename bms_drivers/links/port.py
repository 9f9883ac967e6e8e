"""A port: one link, the batteries that share it, and its schedule.

Batteries take turns in the order in which they came.  A port that went is tried again after 0.5 s, 1 s, ... 10 s;
meanwhile turns fail at once, so nobody waits for a cable.  A silent battery on a shared port is asked less often.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from bms_drivers.kit.declare import CanId, Frame, Question
from bms_drivers.links.link import Around, Counters, Expecting, FrameTapped, Link, Tapped
from bms_drivers.links.overhear import Overhear
from bms_drivers.links.ring import Ring
from gateway.model import LinkBusy, LinkClosed, LinkError

log = logging.getLogger("bms_gateway.port")

REOPEN_FIRST: Final = 0.5  # s
REOPEN_MOST: Final = 10.0  # s
SILENT_MOST: Final = 10.0  # s between tries of a silent battery that shares its port


def retry_delay(poll_interval: float, misses: int, *, shared: bool) -> float:
    """s until the next try of a battery after `misses` unanswered polls in a row.

    Alone on its port it is asked at its poll interval, come what may; where others wait for their turns, each
    miss doubles the pause, up to 10 s (or the poll interval, if that is longer).
    """
    if not shared or misses <= 0:
        return poll_interval
    return max(poll_interval, min(SILENT_MOST, poll_interval * 2.0 ** min(misses, 16)))


def reopen_delay(failures: int, most: float = REOPEN_MOST) -> float:
    """s until a port is opened again after `failures` (>= 1) failed attempts in a row, `most` at most."""
    return min(most, REOPEN_FIRST * 2.0 ** min(failures - 1, 16))


class Port:
    """Owns a link; `turn` lends it to one battery at a time."""

    def __init__(
        self,
        name: str,
        link: Link,
        *,
        clock: Callable[[], float] = time.monotonic,
        reopen_most: float = REOPEN_MOST,
    ) -> None:
        """`name` is what users call it, a device path mostly; `clock` is monotonic, in s; as reopen_delay."""
        self.name, self.link = name, link
        self._reopen_most = reopen_most
        self._clock = clock
        self._lock = asyncio.Lock()  # lets waiters in first come, first served
        self._batteries: set[str] = set()
        self._silent: set[str] = set()
        self._closed = False
        self._failures = 0
        self._away_since: float | None = None
        self._next_try = float("-inf")
        self._problem: LinkError = LinkClosed(f"{name}: not open")
        self.ring = Ring(clock=clock)
        self._listen(link)

    @property
    def counters(self) -> Counters:
        """Those of the link."""
        return self.link.counters

    @property
    def away(self) -> bool:
        """The port was lost, or has not been there yet, and is being tried again."""
        return self._away_since is not None

    def turn(self, name: str) -> "Turn":
        """The open link, for the battery `name` alone; where all only listen, for as many as want to hear.

        Entered, raises LinkClosed or LinkBusy: at once while the port waits to be tried again, else when opening fails.
        """
        self._batteries.add(name)
        return Turn(self, name)

    async def take(self, name: str) -> Link:
        """Begin a turn.  Raises as `turn`."""
        self._refuse_while_away()
        await self._lock.acquire()
        alone = False
        try:
            self._refuse_while_away()  # the turn before this one may have found it gone
            await self._open()
            link = self.link
            alone = not isinstance(link, Overhear)
        finally:
            if not alone:
                self._lock.release()
        return OneTry(link) if alone and name in self._silent and self.shared else link

    def give_back(self, link: Link, problem: BaseException | None) -> None:
        """End the turn on `link`; one that has gone meanwhile is tried again later."""
        if not isinstance(link, Overhear):
            self._lock.release()
        if isinstance(problem, LinkClosed | LinkBusy):
            self._lost(problem)

    def expect(self, hears: Iterable[CanId]) -> None:
        """Batteries will want these frames, and take their turns later."""
        if isinstance(self.link, Expecting):
            with suppress(LinkClosed):  # a bus that went is opened with them
                self.link.expect(hears)

    async def adopt(self, link: Link) -> None:
        """Speak over `link` from the next turn on: another line for another kind of device.  The old one is closed."""
        async with self._lock:
            old, self.link = self.link, link
            self._listen(link)
            await old.close()

    def _listen(self, link: Link) -> None:
        """Keep every byte that goes over it."""
        if isinstance(link, FrameTapped):
            link.frame_tap = self.ring.add_frame
        elif isinstance(link, Tapped):
            link.tap = self._show if log.isEnabledFor(logging.DEBUG) else self.ring.add

    @property
    def shared(self) -> bool:
        """More than one battery takes turns here."""
        return len(self._batteries) > 1

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        """s until the battery `name` should take its next turn after `misses` unanswered polls in a row."""
        if not misses:
            self._silent.discard(name)
            return poll_interval
        self._silent.add(name)
        return retry_delay(poll_interval, 0 if self.away else misses, shared=self.shared)

    def leave(self, name: str) -> None:
        """The battery `name` takes no more turns here."""
        self._batteries.discard(name)
        self._silent.discard(name)

    async def close(self) -> None:
        """Let go of the device for good."""
        self._closed = True
        await self.link.close()

    def _show(self, way: Literal["tx", "rx"], data: bytes) -> None:
        """What goes over the link, for `run --log debug`, too."""
        self.ring.add(way, data)
        log.debug("%s: %s %s", self.name, way, data.hex(" "))

    def _refuse_while_away(self) -> None:
        if self._closed:
            raise LinkClosed(f"{self.name}: closed")
        if self._away_since is not None and self._clock() < self._next_try:
            raise type(self._problem)(str(self._problem))

    async def _open(self) -> None:
        try:
            await self.link.open()
        except (LinkClosed, LinkBusy) as problem:
            self._lost(problem)
            raise
        if self._away_since is not None:
            log.info("%s: back after %.1f s", self.name, self._clock() - self._away_since)
            self._away_since, self._failures = None, 0

    def _lost(self, problem: LinkError) -> None:
        """Note when to try again; says so once, not at each failed try."""
        if self._closed:
            return
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
            log.warning("%s (tried again until it is back)", problem)
        self._failures += 1
        self._problem = problem
        self._next_try = now + reopen_delay(self._failures, self._reopen_most)


class Turn:
    """One battery's turn on a port, from the moment on in which it is entered."""

    __slots__ = ("_link", "_name", "_port")

    def __init__(self, port: Port, name: str) -> None:
        self._port, self._name = port, name

    async def __aenter__(self) -> Link:
        self._link = await self._port.take(self._name)
        return self._link

    async def __aexit__(self, kind: object, problem: BaseException | None, _: object) -> None:
        self._port.give_back(self._link, problem)


class OneTry(Around):
    """A link that asks each question only once: a silent battery costs those that share its port one time-out."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As the link, but without repeating the question."""
        return await self._link.exchange(replace(question, tries=1) if question.tries > 1 else question)
