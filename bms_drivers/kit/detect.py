"""Which BMS is at the other end of a port: each driver asks its own harmless question and proves what it finds, twice.

Only ports that were offered are touched.  A port is listened to first; where something else talks, nothing is asked.
Then come the questions, the quick and harmless ones before the rest (Detection.rank).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from bms_drivers.kit import registry, talkers
from bms_drivers.kit.declare import BAUD, Ask, CanAsk, Detection, Driver, Frame, Question, Registers, SerialLine
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import Counters, Link, converse, rtu
from bms_drivers.links.factory import missing_plugins, only_heard, open_link, port_kind, reaches
from bms_drivers.links.link import Around
from bms_drivers.links.port import OneTry, Port
from gateway.model import ConfigError, DeviceRefused, FrameError, LinkError, LinkTimeout, TalksByItself

SIGNS: Final = ("replies", "late", "torn", "checksum", "length", "noise", "foreign")  # counters of a link
PROOFS: Final = 2  # readings in a row that must prove it
PIECE: Final = 32  # bytes that are looked at in one go, less than a frame
USUAL: Final = 2  # of a driver's settings, those that are tried at once; the rest take minutes

LISTEN_CAN: Final = 1.5  # s
SHOWN_MOST: Final = 16  # identifiers

UNKNOWN: Final = Driver(
    name="auto",
    title="not found out yet",
    plan=(),
    assemble=lambda values, setup: {},
    detection=Detection((), lambda values: ""),
)
"""Stands in for the driver of a battery that is still being looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that proved what it is."""

    driver: Driver
    setup: Mapping[str, Any]  # driver settings that differ from the defaults
    what: str  # for people: "JBD with 16 cells"


Progress = Callable[[str, int, int], None]
"""Is told what is done now, its number and how many there are."""


async def detect(
    where: str,
    names: Sequence[str] = (),
    *,
    thorough: bool = False,
    progress: Progress = lambda what, number, total: None,
) -> AsyncIterator[Found]:
    """The devices on the port `where` that one of the drivers (default: all that may be tried) recognises.

    Ends with the first driver that recognises one, and its siblings on the bus; `thorough` asks as every driver, with
    every address, as is done for drivers that are named.  Raises LinkClosed, LinkBusy when the port cannot be used,
    LinkError where no driver can find out anything, TalksByItself when something else talks there, ConfigError for
    what is no port.
    """
    kind = port_kind(where)
    drivers = [
        driver for driver in in_order(names)
        if names or (reaches(kind, driver) and not missing_plugins(where, driver))
    ]  # fmt: skip
    if not drivers:
        raise LinkError(f"{where}: no driver finds out what is there; name it in gateway.yaml: {_there(kind)}")
    progress("listening", 0, len(drivers))
    heard = await _listened(where) if kind == "serial" else b""
    talking, said = talkers.too_much(heard), talkers.Said()
    bus = await _traffic(where) if kind == "can" else Traffic()
    drivers = [driver for driver in drivers if names or bus.harmless or not driver.detection.wary]
    patient = thorough or bool(names)
    order = steps(where, drivers, thorough=patient)
    for number, (driver, rates) in enumerate(order, 1):
        there = False
        progress(" at ".join([driver.name, *_words(rates)]), number, len(order))
        for rated, rate in rates if talking else await _answered(where, rates):
            async with _opened(where, rated) as link:
                async for found in recognised(link, rated, said if talking else None, thorough=patient):
                    there = True
                    yield Found(driver, {**found.setup, **rate}, found.what)
            if there:
                break  # a bus has one rate
        if there and not thorough:
            return
    talkers.refuse(where, heard)
    bus.refuse(where)


Rates = list[tuple[Driver, dict[str, Any]]]
"""A driver at some rates, each with the setting that says so."""


def steps(where: str, drivers: Sequence[Driver], *, thorough: bool) -> list[tuple[Driver, Rates]]:
    """Who asks one after the other: each at all its rates, or all at their usual ones before the rare ones."""
    each = [(driver, _at_rates(where, driver)) for driver in drivers]
    if thorough:
        return each
    rare = [(driver, [rate]) for driver, rates in each for rate in rates[1:]]
    return [*((driver, rates[:1]) for driver, rates in each), *rare]


def _at_rates(where: str, driver: Driver) -> Rates:
    """The driver as it is, and at the other rates that its boards may have; a network connection has none."""
    cable = port_kind(where) == "serial" and "://" not in where
    rated = [option for option in driver.options if cable and option.name == BAUD]
    others = [{BAUD: rate} for option in rated for rate in option.choices if rate != option.default]
    return [(driver, {}), *((driver.made_for(rate), rate) for rate in others)]


def _words(rates: Rates) -> list[str]:
    """The rate, where it is a rare one."""
    return [f"{rate[BAUD]} baud" for _, rate in rates if rate and len(rates) == 1]


async def _answered(where: str, rates: Rates) -> Rates:
    """Of several rates the one at which somebody answers a usual question; all of them where nobody does."""
    for rated, rate in rates if len(rates) > 1 else ():
        async with _opened(where, rated) as link:
            async for _ in recognised(link, rated):
                return [(rated, rate)]
    return rates


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was heard on a CAN bus."""

    ids: frozenset[tuple[int, bool]] = frozenset()  # and whether they have 29 bits
    errors: int = 0

    @property
    def harmless(self) -> bool:
        """Nobody takes a question of 29 bits for a message of RV-C or J1939, and the bit rate is not wrong."""
        return not self.errors and not any(extended for _, extended in self.ids)

    def refuse(self, where: str) -> None:
        """Raises TalksByItself where frames were heard, none of which proved a BMS."""
        if not self.ids:
            return
        ids = sorted(f"{id_:08X}" if extended else f"{id_:03X}" for id_, extended in self.ids)
        shown = " ".join(ids[:SHOWN_MOST]) + " ..." * (len(ids) > SHOWN_MOST)
        raise TalksByItself(
            f"{where}: {len(ids)} identifiers are heard ({shown}) and prove no BMS that is known; expected the driver's"
            " name (--driver), or a DBC file of your own (driver: dbc)"
        )


async def _traffic(where: str) -> Traffic:
    """Listen for a while.  Raises LinkClosed."""
    from bms_drivers.links.can import CanLink  # only where a bus is looked at

    bus = CanLink(where)
    await bus.open()
    await asyncio.sleep(LISTEN_CAN)
    await bus.close()
    return Traffic(frozenset(bus.newest), bus.counters["error_frames"])


async def recognised(
    link: Link, driver: Driver, said: talkers.Said | None = None, *, thorough: bool = False
) -> AsyncIterator[Found]:
    """Every device on an open link that `driver` recognises, once; where one is there, others on the bus are tried.

    Where somebody talks by itself (`said`) nothing is asked: only settings with which it listens are tried.
    """
    detection, census = driver.detection, Census(driver)
    if said is not None:
        for setup, what in await _overheard(link, driver, detection.overheard, said):
            yield Found(driver, setup, what)
        return
    setups = detection.setups
    usual, rest = (setups, ()) if thorough else (setups[:USUAL], setups[USUAL:])
    asked = link if thorough else Impatient(link if detection.wakes else OneTry(link), detection)
    for setup in usual:
        if (found := await census.ask(asked, setup)) is not None:
            yield found
    others = (*rest, *detection.siblings) if census.any else detection.siblings if thorough else ()
    for setup in others:
        quick = OneTry(link) if thorough else Impatient(OneTry(link), detection)
        if (found := await census.ask(quick, setup)) is not None:
            yield found
    if (found := census.left_over) is not None:
        yield found


class Census:
    """The devices of one driver on a bus, each once: one that answers in several ways is one.

    Settings that bear the same address mean the same device, which is not asked again; one that answers an address that
    is anybody's counts only where no other was found.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._addresses: set[Any] = set()
        self._anybody: Found | None = None

    @property
    def any(self) -> bool:
        """Somebody was found."""
        return bool(self._addresses) or self._anybody is not None

    @property
    def left_over(self) -> Found | None:
        """Who answered an address that is anybody's, and no other."""
        return None if self._addresses else self._anybody

    async def ask(self, link: Link, setup: Mapping[str, Any]) -> Found | None:
        """The device that these settings find, unless it is known already; then it is not even asked."""
        address = self._driver.setup(setup).get("address")
        if address in self._addresses:
            return None
        what = await _proven(link, self._driver, setup)
        if not what:
            return None
        found = Found(self._driver, setup, what)
        if address in self._driver.detection.anybody:
            self._anybody = self._anybody or found
            return None
        self._addresses.add(address)
        return found


class Impatient(Around):
    """A link on which nobody was heard so far: it waits for an answer to begin, and asks nothing twice in vain.

    As soon as one byte has answered, everybody gets all the time that its driver wants.
    """

    def __init__(self, link: Link, detection: Detection) -> None:
        super().__init__(link)
        self._detection = detection
        self._vain: set[bytes] = set()
        self._heard = False

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As the link.  Raises LinkTimeout at once for a question that was asked in vain just now."""
        asked = (rtu.question(question) if isinstance(question, Registers) else question).request
        if not self._heard and not self._detection.wakes and asked in self._vain:
            raise LinkTimeout("asked a moment ago, and not answered")
        before = self._noticed()
        try:
            return await self._link.exchange(self._hasty(question))
        except LinkTimeout:
            self._vain.add(asked)
            raise
        finally:
            self._heard = self._heard or self._noticed() > before

    def _hasty(self, question: Question) -> Question:
        return question if self._heard else replace(question, silent=self._detection.begins)

    def _noticed(self) -> int:
        """Signs of somebody: answers, and what was no good one."""
        return sum(self._link.counters[name] for name in SIGNS)


def in_order(names: Sequence[str] = ()) -> list[Driver]:
    """The drivers called so, in that order; default: all that can be recognised, by their rank.

    Raises ConfigError for a name that is none, and for a driver that cannot recognise anything.
    """
    if names:
        return [_able(registry.load(name)) for name in names]
    drivers = [registry.load(name) for name in registry.names()]
    able = [driver for driver in drivers if driver.detection.polls]
    return sorted(able, key=lambda driver: (driver.detection.rank, driver.name))


def _there(kind: str) -> str:
    """The drivers whose BMSs a port of this kind reaches."""
    return " or ".join(name for name in registry.names() if reaches(kind, registry.load(name)))


def _able(driver: Driver) -> Driver:
    if not driver.detection.polls:
        raise ConfigError(f"{driver.name}: cannot be found out by asking, expected its name and port in gateway.yaml")
    return driver


class Search:
    """Finds out the drivers of batteries on one port, a question a turn, so that others on it are polled meanwhile.

    Where a known BMS shares the port, only drivers that speak on its line can be there, and its line stays as it is.
    """

    def __init__(self, where: str, known: Sequence[tuple[Driver, Mapping[str, Any]]]) -> None:
        """`known` are the drivers and settings of the port's other batteries.

        Raises ConfigError for what is no port, or one on which no driver can be found out.
        """
        self._serial = port_kind(where) == "serial"
        self.where = where
        self._known = [driver for driver, _ in known]
        self._taken = {_identity(driver, setup) for driver, setup in known}
        self._one_at_a_time = asyncio.Lock()
        self._listener: Driver | None = None  # the driver with which a master's bus is listened to
        if not self.candidates:
            raise ConfigError(f"{where}: no driver finds out what is there; name the driver")

    @property
    def candidates(self) -> list[Driver]:
        """Drivers that can be there, those with the quickest questions first."""
        able = [driver for driver in in_order() if not driver.detection.never_auto]
        return [driver for driver in able if _suits(self.where, driver, self._known)]

    async def find(self, port: Port, name: str, given: Mapping[str, Any]) -> Found | None:
        """Ask once as each candidate, for the battery `name` with the settings `given`; None when none proves itself.

        Raises LinkClosed, LinkBusy while the port cannot be used, TalksByItself where something else talks.
        """
        async with self._one_at_a_time:
            heard = b"" if self._listener else await self._listen(port, name)
            if self._listener or talkers.too_much(heard):
                return await self._overhear(port, name, given, heard)
            for driver, setup in self._questions(given, talking=False):
                if not self._known:
                    await port.adopt(open_link(self.where, driver))
                async with port.turn(name) as link:
                    what = await _proven(Brief(link) if self._known else link, driver, setup)
                if what:
                    await self._settle(port, driver, setup)
                    return Found(driver, setup, what)
        return None

    async def _overhear(self, port: Port, name: str, given: Mapping[str, Any], heard: bytes) -> Found | None:
        """Who is told of where somebody talks already; nothing is asked, from then on for ever once one is found.

        Raises TalksByItself where it is nobody's.
        """
        questions = self._questions(given, talking=True)
        able, said = {driver.name: driver for driver, _ in questions}, talkers.Said()
        for driver in able.values() if self._listener is None else [self._listener]:
            if self._listener is None:
                await port.adopt(only_heard(open_link(self.where, driver)))
            async with port.turn(name) as link:
                setups = [setup for other, setup in questions if other is driver]
                found = await _overheard(link, driver, setups, said)
            if found:
                self._listener = driver
                self._taken.add(_identity(driver, found[0][0]))
                return Found(driver, *found[0])
        talkers.refuse(self.where, heard)
        return None

    async def _listen(self, port: Port, name: str) -> bytes:
        """What is heard before anything is asked; nothing where others are asked here already."""
        if self._known or not self._serial:
            return b""
        heard = b""
        for rate in talkers.RATES:
            await port.adopt(open_link(self.where, _listener(rate)))
            async with port.turn(name) as link:
                heard += await talkers.listen(link, talkers.AGAIN if heard else talkers.LISTEN)
            if not heard:
                return b""
            if talkers.named(heard):
                talkers.refuse(self.where, heard)
        return heard

    def _questions(self, given: Mapping[str, Any], talking: bool) -> list[tuple[Driver, dict[str, Any]]]:
        """Each driver with its likeliest settings first, then the rest: an address that is rare must not keep others
        waiting.  Devices that are somebody's already are left out; where something talks, drivers that only listen."""
        each = [(driver, _setups(driver, given, talking)) for driver in self.candidates]
        first = [(driver, setups[0]) for driver, setups in each if setups]
        rest = [(driver, setup) for driver, setups in each for setup in setups[1:]]
        return [question for question in (*first, *rest) if _identity(*question) not in self._taken]

    async def _settle(self, port: Port, driver: Driver, setup: Mapping[str, Any]) -> None:
        """From now on the port's line suits this driver, too."""
        self._taken.add(_identity(driver, setup))
        if any(known.line != driver.line for known in self._known):
            await port.adopt(open_link(self.where, *self._known, driver))
        self._known.append(driver)


class Brief(OneTry):
    """A link that others wait for: each question is asked once, and nobody just listens."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As the link.  Raises LinkTimeout at once for a question that says nothing."""
        if isinstance(question, Ask) and not question.request:
            raise LinkTimeout("a device that only talks by itself does not share its port")
        return await super().exchange(question)


@asynccontextmanager
async def _opened(where: str, driver: Driver) -> AsyncIterator[Link]:
    link = open_link(where, driver)
    await link.open()
    try:
        yield link
    finally:
        await link.close()


def _listener(rate: int) -> Driver:
    """A driver that has nothing to ask."""
    return replace(UNKNOWN, line=SerialLine(baud=rate))


async def _listened(where: str) -> bytes:
    """What talks on a serial port by itself.  Raises TalksByItself for a talker that is no BMS."""
    heard = b""
    for rate in talkers.RATES:
        async with _opened(where, _listener(rate)) as link:
            heard += await talkers.listen(link, talkers.AGAIN if heard else talkers.LISTEN)
        if not heard:
            return b""
        if talkers.named(heard):
            talkers.refuse(where, heard)
    return heard


def _suits(where: str, driver: Driver, known: Sequence[Driver]) -> bool:
    """Can the driver use such a port, beside those who are there?"""
    try:
        open_link(where, *known, driver)
    except ConfigError:
        return False
    return True


def _setups(driver: Driver, given: Mapping[str, Any], talking: bool) -> list[dict[str, Any]]:
    """The driver's settings to try, each with what the user gave; none where that cannot be."""
    mine = {option.name: given[option.name] for option in driver.options if option.name in given}
    if not all(option.allows(mine[option.name]) for option in driver.options if option.name in mine):
        return []
    found: list[dict[str, Any]] = []
    for setup in driver.detection.overheard if talking else driver.detection.setups:
        if (merged := {**setup, **mine}) not in found and _listens(driver, merged) is talking:
            found.append(merged)
    return found


def _listens(driver: Driver, setup: Mapping[str, Any]) -> bool:
    """With these settings the driver asks nothing, it waits for what is said."""
    return driver.listens(driver.setup(setup))


def _identity(driver: Driver, setup: Mapping[str, Any]) -> tuple[str, Any]:
    """What tells one device on a port from another."""
    return driver.name, driver.setup(setup).get("address")


class Anew(OneTry):
    """A link on which what was heard before proves nothing; questions are repeated as ever."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As the link, but of a CAN bus only frames that come from now on."""
        return await self._link.exchange(replace(question, anew=True) if isinstance(question, CanAsk) else question)


class Heard:
    """What was heard on a bus, as a link on which nothing more is said."""

    def __init__(self, heard: bytes) -> None:
        self._left = heard
        self.counters: Counters = Counter()

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to close."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """The frames that a question without a request waits for.  Raises LinkTimeout."""
        if isinstance(question, Ask) and not question.request:
            answer = Answer(question)
            while self._left:
                piece, self._left = self._left[:PIECE], self._left[PIECE:]
                if answer.feed(piece):
                    return answer.frames
        raise LinkTimeout("it was not heard")


async def _overheard(
    link: Link, driver: Driver, setups: Sequence[Mapping[str, Any]], said: talkers.Said
) -> list[tuple[Mapping[str, Any], str]]:
    """Those settings whose device is heard twice on a bus where somebody else asks, and what each is."""
    found = [(setup, "") for setup in setups]
    for once in [said, *(talkers.Said() for _ in range(PROOFS - 1))]:
        heard = await once.heard(link, driver) if found else b""
        told = [(setup, await _asked(Heard(heard), Session(driver, setup), driver.detection)) for setup, _ in found]
        found = [(setup, what) for setup, what in told if what]
    return found


async def _proven(link: Link, driver: Driver, setup: Mapping[str, Any]) -> str:
    """What the device says it is, when it says so twice; "" otherwise."""
    what = ""
    for _ in range(PROOFS):
        what = await _asked(Anew(link), Session(driver, setup), driver.detection)
        if not what:
            return ""
    return what


async def _asked(link: Link, session: Session, detection: Detection) -> str:
    for number, name in enumerate(detection.polls):
        poll = session.driver.poll(name)
        try:
            session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), 0.0)
        except (LinkTimeout, FrameError, DeviceRefused):
            if number == 0:
                return ""
    try:
        return detection.proof(session.known)
    except FrameError:
        return ""
