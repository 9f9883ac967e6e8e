"""Supervises one battery: poll, age, retry, health.  One battery's fault never reaches another's.

    starting --good read--> online --silent 10 s (3 polls)--> stale --silent 60 s--> lost
                              ^------------------good read------'-----------------------'

Silent counts from the oldest answer that the reading's control values rest on, whatever has answered since.
A device may speak for several packs (a master); each becomes a battery of its own, named "<name>/<pack>".
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Final, Protocol

from bms_drivers.kit.declare import Driver, Frame, Poll
from bms_drivers.kit.detect import UNKNOWN, Found
from bms_drivers.kit.session import Session
from bms_drivers.links import Link, converse
from gateway.held import held
from gateway.identity import Identities
from gateway.model import (
    BatteryState,
    Command,
    GatewayError,
    Health,
    LinkClosed,
    LinkTimeout,
    Outcome,
    Reading,
)
from gateway.model.records import replace
from gateway.orders import Order, Orders
from gateway.outage import Tries, Trouble, dropped_by
from gateway.plausible import plausible
from gateway.supervise import Supervisor, words
from gateway.urgent import urgent
from gateway.waking import pause

log = logging.getLogger("bms_gateway.battery")

STALE_AFTER: Final = 10.0  # s since the last good read; limits.md 8.2
STALE_POLLS: Final = 3  # and at least so many poll intervals
LOST_AFTER: Final = 60.0  # s; no poll interval is so long that a battery would be lost before it is stale
SILENT_STEPS: Final = 2  # steps in a row that used to answer and time out: the link is dying
SEARCH_FIRST: Final = 2.0  # s from one search for a driver to the next
SEARCH_MOST: Final = 60.0  # s


def silent_after(poll_interval: float) -> float:
    """s without an answer after which a battery is stale, and its limits are withdrawn."""
    return max(STALE_AFTER, STALE_POLLS * poll_interval)


class Turns(Protocol):
    """What a battery needs of its port: turns on an open link, and how long to stay away after misses."""

    def turn(self, name: str) -> AbstractAsyncContextManager[Link]:
        """The link, for one battery alone.  Raises LinkClosed while the port is away."""

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        """s until this battery's next try after `misses` unanswered ones in a row."""

    def leave(self, name: str) -> None:
        """This battery takes no more turns."""


class Finder(Protocol):
    """Finds out what a battery whose driver is not known is."""

    async def __call__(self) -> Found | None:
        """Ask once as each driver; None when none proves itself.  Raises LinkError while the port is away."""

    def __str__(self) -> str:
        """What was tried, for people: "jk, jbd on /dev/ttyUSB0"."""


@dataclass(slots=True)
class _Pack:
    """The newest reading of one pack behind the device."""

    reading: Reading
    dated: float  # s, monotonic: its oldest control answer


DATED: Final = attrgetter("dated")


@dataclass(slots=True)
class Watch:
    """How a battery is to be polled."""

    name: str
    poll_interval: float = 1.0  # s
    control: bool = True
    connection: str = ""
    identity: str = ""  # the user's word for who it is; "" = find out
    place: Callable[[], str] = str  # where it is connected, the same at every start
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
        finder: Finder | None = None,
    ) -> None:
        """`finder` where the driver is UNKNOWN."""
        self.watch = watch
        self.session = Session(driver, watch.settings)
        self.driver = self.session.driver
        self.counters: Counter[str] = Counter()
        self.asked = False  # its answers are awaited now, or its turn is; in vain last time, and nobody waits for them
        self.pressing = False  # it has news that cannot wait for others; cleared by whoever has decided on it
        self._port, self._changed, self._clock, self._finder = port, changed, clock, finder
        self._supervisor = Supervisor(watch.name)
        self._trying = self._supervisor.trying(self._failed)
        self._problems: list[Exception] = []  # of the step that is asked
        self._answers: list[float] = []  # s, monotonic; when they came to it
        self._asking = self._supervisor.trying(self._problems.append, passing=(LinkClosed,))
        self._packs: dict[str, _Pack] = {}
        self._alarms: dict[str, Mapping[str, int]] = {}  # by pack, as last told since the link stands
        self._misses = 0
        self._good: dict[str, int] = {}  # by pack, good reads in a row
        self._former = False  # what is known was told by another one of this name
        self._forgot = False  # what was known before it was lost
        self._tries = Tries()
        self._trouble = Trouble()
        self._health = Health.STARTING
        self._fresh_until = -math.inf  # s, monotonic; before that it does not fall silent
        self._searches = 0  # in a row, the port being there
        self._signal: int | None = None  # dBm
        self._identities = Identities(watch.identity, watch.place)
        self._orders = Orders(watch.name, lambda: self.watch.poll_interval)

    # ---- what is known

    def states(self) -> tuple[BatteryState, ...]:
        """The battery, or each pack it speaks for, as of now."""
        self._look()
        now = self._clock()
        packs: Mapping[str, _Pack | None] = self._packs or {"": None}
        return tuple([self._state(key, pack, now) for key, pack in packs.items()])

    def health_at(self, dated: float | None, now: float) -> Health:
        """By the age of the oldest control answer, never by the errors since."""
        if dated is None:
            return Health.STARTING
        age = now - dated
        if age >= LOST_AFTER:
            return Health.LOST
        return Health.STALE if age >= silent_after(self.watch.poll_interval) else Health.ONLINE

    def _state(self, key: str, pack: _Pack | None, now: float) -> BatteryState:
        watch = self.watch
        reading, dated = (pack.reading, pack.dated) if pack else (None, None)
        return BatteryState(
            name=f"{watch.name}/{key}" if key else watch.name,
            driver=self.driver.name,
            connection=watch.connection,
            control=watch.control,
            reading=reading,
            age=None if dated is None else max(0.0, now - dated),
            health=self.health_at(dated, now),
            good_in_a_row=self._good.get(key, 0),
            flaky=self._tries.flaky(now),
            remark="; ".join(filter(None, (self._trouble.remark, reading.remarks if reading else ""))),
            poll_interval=watch.poll_interval,
            signal=self._signal,
            identity=self._identities.of(key, reading, self.session) if reading else "",
            counters=dict(self.counters),
            controls=() if key or self._listens else tuple(sorted(self.driver.controls)),
        )

    @property
    def _listens(self) -> bool:
        """Nothing is asked of it, so nothing can be written either."""
        return self.driver.listens(self.session.setup)

    def _last_dated(self) -> float | None:
        """s, monotonic, of the pack that answered last; None = it never answered."""
        return max(map(DATED, self._packs.values()), default=None)

    def _look(self) -> None:
        """What time alone changes: commands expire, and health falls, one log line per change."""
        now = self._clock()
        self._orders.expire(now)
        if self._health is Health.ONLINE and now < self._fresh_until:
            return
        health = self.health_at(self._last_dated(), now)
        if health is self._health:
            return
        before, self._health = self._health, health
        say = log.info if health is Health.ONLINE else log.warning
        why = f" ({self._trouble})" if self._trouble.remark else ""
        say("%s: %s -> %s%s", self.watch.name, before.value, health.value, why)
        if health is not Health.ONLINE:
            self._tries.outage()
            self._trouble.told(self._last_dated() or now, now)
            self.pressing = True
            self._changed()

    # ---- polling

    async def run(self) -> None:
        """Find out what it is, where that is not known; then poll until cancelled."""
        while self.driver is UNKNOWN and not await self.recognise():
            await asyncio.sleep(min(SEARCH_MOST, SEARCH_FIRST * 2.0 ** min(self._searches - 1, 16)))
        next_poll = self._clock()
        while True:
            await self.poll()
            least, most = self.driver.intervals
            interval = min(most, max(least, self.watch.poll_interval))
            delay, now = self._port.delay(self.watch.name, interval, self._misses), self._clock()
            next_poll = max(next_poll + delay, now)
            await pause(next_poll - now)

    def succeed(self, former: "Battery") -> None:
        """Stand in the place of one of this name that is polled no more, whose settings were others.

        It may still be connected, so what it told last counts as lost until this one has told its own.
        """
        lost = self._clock() - LOST_AFTER
        self._packs = {key: _Pack(pack.reading, min(pack.dated, lost)) for key, pack in former._packs.items()}
        self._former = True

    def leave(self) -> None:
        """It is not polled any more: others on its port need not make room for it."""
        self._port.leave(self.watch.name)

    async def poll(self) -> None:
        """One round of the plan; a good one is published through `changed`, a bad one counted."""
        self._look()
        self.counters["polls"] += 1
        self._trouble.asked(self._clock())
        self.asked = not self._misses
        with self._trying:
            try:
                async with self._port.turn(self.watch.name) as link:
                    await self._round(link)
            except GatewayError as problem:
                self._failed(problem)
        self.asked = False
        self._look()
        self._remind()

    async def _round(self, link: Link) -> None:
        """Commands, what is due, and one question of those that are asked once.  Raises what spoils the round."""
        self._signal = getattr(link, "signal", None)  # of a link over the air, see Rated
        if self._health is Health.LOST and not self._forgot:  # once, and not while a round is under way
            self.session.forget()
            self._identities.forget()
            self._forgot = True
            self._alarms.clear()
        before = dropped_by(link.counters)
        try:
            if self._orders:
                await self._send_commands(link)
            await self._ask_plan(link)
        finally:
            self._trouble.came(dropped_by(link.counters), before)
        self._take()
        if self._orders:
            self._compare_commands()
        await self._ask_once(link)

    async def _ask_plan(self, link: Link) -> None:
        """Ask what is due, in order.  Raises LinkError, FrameError, DeviceRefused when that makes no round.

        It makes none without an essential step, without any, or when the link is dying: then the rest of it would
        only cost time-outs.
        """
        answered, silent, problem = 0, 0, None
        for poll in self.session.due(self._clock(), once=False):
            used_to_answer = self.session.answers(poll)
            problem = await self._ask(link, poll)
            if problem is None:
                answered, silent = answered + 1, 0
                continue
            silent += used_to_answer and isinstance(problem, LinkTimeout)
            if poll.essential or silent >= SILENT_STEPS:
                raise problem
        if problem is not None and not answered:
            raise problem

    async def _ask_once(self, link: Link) -> None:
        """One question a round of those for which the first reading did not wait, so that none delays another."""
        for poll in self.session.due(self._clock(), once=True)[:1]:
            await self._ask(link, poll)

    async def _ask(self, link: Link, poll: Poll) -> GatewayError | None:
        """One step of the plan: None when it was answered, else why not.  Raises LinkClosed."""
        self._answers.clear()
        with self._asking:
            try:
                talk = poll.talk(self.session.setup, self.session.known)
                values = await converse(link, talk, self._came)
                self.session.learnt(poll, values, min(self._answers, default=self._clock()))
                return None
            except LinkClosed:
                raise
            except GatewayError as refusal:
                self._problems.append(refusal)
        problem = self._problems.pop()
        self.session.missed(poll, self._clock())
        if isinstance(problem, GatewayError):
            self.counters[getattr(problem, "kind", "unanswered")] += 1
            return problem
        self.counters["defect"] += 1
        return GatewayError(f"a defect: {poll.name}: {words(problem)}")

    def _came(self, frames: Sequence[Frame]) -> None:
        """An answer: as old as its oldest frame, which came now, unless it was there before it was asked for."""
        self._answers.append(min([frame.at for frame in frames if frame.at is not None], default=self._clock()))

    def _take(self) -> None:
        """Turn what was learnt into readings.  Raises FrameError for what cannot be, LinkTimeout for nothing."""
        now = self._clock()
        interval = self.watch.poll_interval
        self.session.expire(now - silent_after(interval) + interval)  # what would be too old before the next round
        dated = self.session.dated()
        if dated is None:
            raise LinkTimeout("nothing was told that limits could rest on")
        if untried := self.session.untried():
            raise LinkTimeout(f"not all was told yet: {', '.join(untried)} will be asked again")
        readings = {key: self.watch.correct(plausible(reading)) for key, reading in self.session.readings().items()}
        if self._former:
            self._packs, self._former = {}, False
        for key, told in readings.items():
            reading = held(self._with_cells(told), self._alarms.get(key, {}))
            before = self._packs[key].reading if key in self._packs else None
            self.pressing = self.pressing or urgent(before, reading)
            self._alarms[key] = reading.alarms
            if reading.rejected or (before is not None and before.rejected):
                self._tell_rejected(key, reading, before)
            self._packs[key] = _Pack(reading, min(dated, now))
        self._fresh_until = min(dated, now) + STALE_AFTER  # at least
        self._misses, self._forgot = 0, False
        self._good = {key: self._good.get(key, 0) + 1 for key in readings}  # a pack that was left out begins anew
        self._trouble.over()
        if self._health is Health.ONLINE:
            self._tries.good(now)
        self.counters["good"] += 1
        self.asked = False
        self._changed()

    def _with_cells(self, reading: Reading) -> Reading:
        """Every battery has cells: where the step that tells them is asked in vain they are untold, not lacking."""
        if reading.cells or reading.max_cell is not None or not self.session.in_vain("cell_voltages"):
            return reading
        return replace(reading, untold=(*reading.untold, "cell_voltages"))

    def _tell_rejected(self, key: str, reading: Reading, before: Reading | None) -> None:
        """Count readings of which a value cannot be; one log line when it is another value than before."""
        if reading.rejected:
            self.counters["rejected"] += 1
        if before is not None and reading.rejected.keys() == before.rejected.keys():
            return
        name = f"{self.watch.name}/{key}" if key else self.watch.name
        if reading.rejected:
            log.warning("%s: rejected: %s", name, reading.rejections)
        else:
            log.info("%s: its values agree again", name)

    def _failed(self, problem: Exception) -> None:
        """A round, or a search, that gave nothing."""
        self._misses += 1
        self._good.clear()
        self._trouble.failed(problem)
        self.counters["failures"] += 1
        if self._health is Health.ONLINE:
            self._tries.failed(self._clock())
        log.debug("%s: %s", self.watch.name, self._trouble.remark)

    def _remind(self) -> None:
        """While it does not answer, say so again now and then."""
        if self._health is Health.ONLINE or not self._misses:
            return
        seconds = self._trouble.due(self._clock())
        if seconds is not None:
            who = f"{self.watch.name} ({self.driver.name}, {self.watch.connection})"
            log.warning("%s: no good answer for %.0f s, %d tries: %s", who, seconds, self._misses, self._trouble)

    # ---- finding out what it is

    async def recognise(self) -> bool:
        """Search once for the driver that the device answers to; says whether it was found."""
        assert self._finder is not None
        self._trouble.asked(self._clock())
        self._searches += 1
        with self._trying:
            try:
                self._become(await self._finder())
            except GatewayError as problem:
                self._failed(problem)
                self._searches = 1
        self._remind()
        return self.driver is not UNKNOWN

    def _become(self, found: Found | None) -> None:
        """Go on as what was found."""
        if found is None:
            self._failed(LinkTimeout(f"looking for a BMS: nothing answers as {self._finder}"))
            return
        self.driver = found.driver
        self.watch = replace(self.watch, settings={**self.watch.settings, **found.setup})
        self.session = Session(found.driver, self.watch.settings)
        self._misses = 0
        shown = "".join(f", {name}: {value}" for name, value in found.setup.items())
        log.info("%s: found a %s on %s (driver: %s%s)",
                 self.watch.name, found.what, self.watch.connection, found.driver.name, shown)  # fmt: skip

    # ---- commands

    def command(self, command: Command) -> "asyncio.Future[Outcome]":
        """Have `command` performed at the next turn, then confirmed by reading back; it expires, see Orders."""
        if command.action in self.driver.controls and not self._listens:
            return self._orders.add(command, self._clock())
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        who = "its BMS is not found yet, so it" if self.driver is UNKNOWN else f"a {self.driver.name}"
        who += " that is only listened to" * self._listens
        done.set_result(Outcome(False, False, f"{self.watch.name}: {who} cannot do {command.action!r}"))
        return done

    async def _send_commands(self, link: Link) -> None:
        for order in self._orders.waiting(self._clock()):
            if not order.done.done():
                await self._send(link, order)

    async def _send(self, link: Link, order: Order) -> None:
        """Perform one command; a talk that fails, with whatever, is a refusal.  Raises LinkClosed: it waits on."""
        with self._supervisor.trying(partial(self._defect, order), passing=(LinkClosed,)):
            try:
                await self._perform(link, order)
            except LinkClosed:
                raise
            except GatewayError as problem:
                self._orders.refused(order, str(problem))

    async def _perform(self, link: Link, order: Order) -> None:
        command, session = order.command, self.session
        session.known["_wall"] = time.time()  # a driver has no clock; some devices want the time with a write
        talk = self.driver.controls[command.action].talk(command.value, session.setup, session.known)
        session.told(await converse(link, talk))
        self._orders.sent(order, self._clock())
        for poll in self.driver.plan:
            if poll.every:
                session.ask_again(poll.name)

    def _compare_commands(self) -> None:
        """Does the newest reading show what was sent?"""
        pack = self._packs.get("")
        if pack is None:
            return
        for order in self._orders.unconfirmed():
            with self._supervisor.trying(partial(self._defect, order)):
                control = self.driver.controls[order.command.action]
                self._orders.compare(order, control, pack.reading, pack.dated)

    def _defect(self, order: Order, fault: Exception) -> None:
        self._orders.refused(order, f"a defect: {words(fault)}")
