"""Supervises one battery: poll, age, retry, health.  One battery's fault never reaches another's.

    starting --good read--> online --silent 10 s (3 polls)--> stale --silent 60 s--> lost
                              ^------------------good read------'-----------------------'

A device may speak for several packs (a master); each becomes a battery of its own, named "<name>/<pack>".
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bms_drivers.kit.declare import ONCE, Driver, Poll, Talk, Values
from bms_drivers.kit.session import Session
from bms_drivers.links import Link, converse
from gateway.model import (
    BatteryState,
    Command,
    DeviceRefused,
    FrameError,
    Health,
    LinkClosed,
    LinkError,
    Outcome,
    Reading,
)
from gateway.plausible import plausible

log = logging.getLogger("bms_gateway.battery")

STALE_AFTER: Final = 10.0  # s since the last good read; limits.md 8.2
STALE_POLLS: Final = 3  # and at least so many poll intervals
LOST_AFTER: Final = 60.0  # s
FLAKY_WINDOW: Final = 300.0  # s
FLAKY_SHARE: Final = 0.2  # of the reads in the window
FLAKY_LEAST: Final = 20  # reads before a share means anything
CONFIRM_WITHIN: Final = 3  # polls after which a command must show in the reading


class Turns(Protocol):
    """What a battery needs of its port: turns on an open link, and how long to stay away after misses."""

    def turn(self, name: str) -> AbstractAsyncContextManager[Link]:
        """The link, for one battery alone.  Raises LinkClosed while the port is away."""

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        """s until this battery's next try after `misses` unanswered ones in a row."""


@dataclass(slots=True)
class _Pack:
    """The newest reading of one pack behind the device."""

    reading: Reading
    at: float  # s, monotonic


@dataclass(slots=True)
class _Asked:
    """A command on its way to the device."""

    command: Command
    done: asyncio.Future[Outcome]
    polls_left: int = CONFIRM_WITHIN
    sent: bool = False


@dataclass(slots=True)
class Watch:
    """How a battery is to be polled."""

    name: str
    poll_interval: float = 1.0  # s
    control: bool = True
    connection: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    correct: Callable[[Reading], Reading] = lambda reading: reading  # what the user knows better than the BMS


class Battery:
    """One device on a port, polled for ever by `run`."""

    def __init__(
        self,
        watch: Watch,
        driver: Driver,
        port: Turns,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watch, self.driver = watch, driver
        self.session = Session(driver, watch.settings)
        self.counters: Counter[str] = Counter()
        self._port, self._changed, self._clock = port, changed, clock
        self._packs: dict[str, _Pack] = {}
        self._misses = 0
        self._good_in_a_row = 0
        self._results: deque[tuple[float, bool]] = deque()
        self._health = Health.STARTING
        self._remark = "no answer yet"
        self._asked: deque[_Asked] = deque()

    # ---- what is known

    def states(self) -> tuple[BatteryState, ...]:
        """The battery, or each pack it speaks for, as of now."""
        self._watch_health()
        now = self._clock()
        packs: Mapping[str, _Pack | None] = self._packs or {"": None}
        return tuple(self._state(key, pack, now) for key, pack in packs.items())

    def health_at(self, last_good: float | None, now: float) -> Health:
        """By the age of the last good read, never by the errors since."""
        if last_good is None:
            return Health.STARTING
        age = now - last_good
        if age >= LOST_AFTER:
            return Health.LOST
        stale = age >= max(STALE_AFTER, STALE_POLLS * self.watch.poll_interval)
        return Health.STALE if stale else Health.ONLINE

    def _state(self, key: str, pack: _Pack | None, now: float) -> BatteryState:
        return BatteryState(
            name=f"{self.watch.name}/{key}" if key else self.watch.name,
            driver=self.driver.name,
            connection=self.watch.connection,
            control=self.watch.control,
            reading=pack.reading if pack else None,
            age=now - pack.at if pack else None,
            health=self.health_at(pack.at if pack else None, now),
            good_in_a_row=self._good_in_a_row,
            flaky=self._flaky(now),
            remark="; ".join(filter(None, (self._remark, pack.reading.rejections if pack else ""))),
            poll_interval=self.watch.poll_interval,
            counters=dict(self.counters),
        )

    def _flaky(self, now: float) -> bool:
        while self._results and self._results[0][0] < now - FLAKY_WINDOW:
            self._results.popleft()
        failed = sum(not good for _, good in self._results)
        return len(self._results) >= FLAKY_LEAST and failed > FLAKY_SHARE * len(self._results)

    # ---- polling

    async def run(self) -> None:
        """Poll until cancelled."""
        next_poll = self._clock()
        while True:
            await self.poll()
            pause = self._port.delay(self.watch.name, self.watch.poll_interval, self._misses)
            next_poll = max(next_poll + pause, self._clock())
            await asyncio.sleep(next_poll - self._clock())

    async def poll(self) -> None:
        """One round of the plan; a good one is published through `changed`, a bad one counted."""
        self.counters["polls"] += 1
        try:
            async with self._port.turn(self.watch.name) as link:
                await self._send_commands(link)
                await self._ask_plan(link, start_up=False)
                self._take()
                await self._ask_plan(link, start_up=True)
        except (LinkError, FrameError, DeviceRefused) as problem:
            self._failed(problem)
        self._settle_commands()
        self._watch_health()

    async def _ask_plan(self, link: Link, *, start_up: bool) -> None:
        """Ask what is due.  Start-up questions wait for the first reading, one a round, so that none delays it."""
        due = [poll for poll in self.session.due(self._clock()) if (poll.every == ONCE) is start_up]
        for poll in due[:1] if start_up else due:
            try:
                self.session.learnt(poll, await self._converse(link, poll), self._clock())
            except LinkClosed:
                raise
            except (LinkError, FrameError, DeviceRefused) as problem:
                self.counters[getattr(problem, "kind", "unanswered")] += 1
                self.session.missed(poll, self._clock())
                if poll.essential:
                    raise

    async def _converse(self, link: Link, poll: Poll) -> Values:
        return await converse(link, poll.talk(self.session.setup, self.session.known))

    def _take(self) -> None:
        """Turn what was learnt into readings.  Raises FrameError for what cannot be."""
        readings = {key: self.watch.correct(plausible(reading)) for key, reading in self.session.readings().items()}
        now = self._clock()
        for key, reading in readings.items():
            self._tell_rejected(key, reading)
            self._packs[key] = _Pack(reading, now)
        self._misses = 0
        self._good_in_a_row += 1
        self._remark = ""
        self._results.append((now, True))
        self.counters["good"] += 1
        self._changed()

    def _tell_rejected(self, key: str, reading: Reading) -> None:
        """Count readings of which a value cannot be; one log line when it is another value than before."""
        if reading.rejected:
            self.counters["rejected"] += 1
        before = self._packs[key].reading.rejected if key in self._packs else {}
        if reading.rejected.keys() == before.keys():
            return
        name = f"{self.watch.name}/{key}" if key else self.watch.name
        if reading.rejected:
            log.warning("%s: rejected: %s", name, reading.rejections)
        else:
            log.info("%s: its values agree again", name)

    def _failed(self, problem: Exception) -> None:
        self._misses += 1
        self._good_in_a_row = 0
        self._remark = str(problem)
        self._results.append((self._clock(), False))
        self.counters["failures"] += 1
        log.debug("%s: %s", self.watch.name, problem)

    def _watch_health(self) -> None:
        """One log line per change of state."""
        last = max((pack.at for pack in self._packs.values()), default=None)
        health = self.health_at(last, self._clock())
        if health is self._health:
            return
        say = log.info if health is Health.ONLINE else log.warning
        say(
            "%s: %s -> %s%s",
            self.watch.name,
            self._health.value,
            health.value,
            f" ({self._remark})" if self._remark else "",
        )
        self._health = health
        if health is Health.LOST:
            self.session.forget()  # when it is back, it may be another device
        if health is not Health.ONLINE:
            self._changed()

    # ---- commands

    def command(self, command: Command) -> "asyncio.Future[Outcome]":
        """Have `command` performed at the next turn, then confirmed by reading back."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if command.action not in self.driver.controls:
            done.set_result(
                Outcome(False, False, f"{self.watch.name}: a {self.driver.name} cannot do {command.action!r}")
            )
        else:
            self._asked.append(_Asked(command, done))
        return done

    async def _send_commands(self, link: Link) -> None:
        for asked in [asked for asked in self._asked if not asked.sent]:
            control = self.driver.controls[asked.command.action]
            self.session.known["_wall"] = time.time()  # a driver has no clock; some devices want the time with a write
            talk: Talk = control.talk(asked.command.value, self.session.setup, self.session.known)
            try:
                self.session.told(await converse(link, talk))
            except LinkClosed:
                raise
            except (LinkError, FrameError, DeviceRefused) as problem:
                self._settle(
                    asked, Outcome(False, False, f"{self.watch.name}: {asked.command.action} refused: {problem}")
                )
            else:
                asked.sent = True
                for poll in self.driver.plan:
                    if poll.every:
                        self.session.ask_again(poll.name)

    def _settle_commands(self) -> None:
        """Confirm what was sent by the newest reading; give up after a few polls."""
        pack = self._packs.get("")
        for asked in [asked for asked in self._asked if asked.sent and pack is not None]:
            confirmed = self.driver.controls[asked.command.action].confirmed(asked.command.value, pack.reading)  # type: ignore[union-attr]
            asked.polls_left -= 1
            what = f"{self.watch.name}: {asked.command.action} {asked.command.value:g}"
            if confirmed:
                self._settle(asked, Outcome(True, True, f"{what} confirmed by reading back"))
            elif asked.polls_left <= 0:
                self._settle(asked, Outcome(True, False, f"{what} accepted, but the readings do not show it"))

    def _settle(self, asked: _Asked, outcome: Outcome) -> None:
        self._asked.remove(asked)
        log.info("%s", outcome.note)
        if not asked.done.done():
            asked.done.set_result(outcome)
