"""Which BMS is at the other end of a port: each driver asks its own harmless question and proves what it finds, twice.

Only ports that were offered are touched.  The quick 115200-baud questions come first (sheets jk.md and jk_pb.md,
section 8).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Ask, Detection, Driver, Frame, Question
from bms_drivers.kit.session import Session
from bms_drivers.links import Link, converse
from bms_drivers.links.factory import open_link, port_kind, reaches
from bms_drivers.links.port import OneTry, Port
from gateway.model import ConfigError, DeviceRefused, FrameError, LinkTimeout

ORDER: Final = ("jk", "jk_pb", "jbd", "daly")  # the rest follow by name
PROOFS: Final = 2  # readings in a row that must prove it

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


async def detect(where: str, names: Sequence[str] = ()) -> AsyncIterator[Found]:
    """Every device on the port `where` that one of the drivers (default: all) recognises.

    Raises LinkClosed, LinkBusy when the port cannot be used, ConfigError for what is no port.
    """
    for driver in _in_order(names):
        if not names and not reaches(port_kind(where), driver):
            continue
        link = open_link(where, driver)
        await link.open()
        try:
            async for found in recognised(link, driver):
                yield found
        finally:
            await link.close()


class Search:
    """Finds out the drivers of batteries on one port, a question a turn, so that others on it are polled meanwhile.

    Where a known BMS shares the port, only drivers that speak on its line can be there, and its line stays as it is.
    """

    def __init__(self, where: str, known: Sequence[tuple[Driver, Mapping[str, Any]]]) -> None:
        """`known` are the drivers and settings of the port's other batteries.

        Raises ConfigError for what is no port, or one on which no driver can be found out.
        """
        port_kind(where)
        self.where = where
        self._known = [driver for driver, _ in known]
        self._taken = {_identity(driver, setup) for driver, setup in known}
        self._one_at_a_time = asyncio.Lock()
        if not self.candidates:
            raise ConfigError(f"{where}: no driver finds out what is there; name the driver")

    @property
    def candidates(self) -> list[Driver]:
        """Drivers that can be there, those with the quickest questions first."""
        able = [driver for driver in _in_order() if driver.detection.polls]
        return [driver for driver in able if _suits(self.where, driver, self._known)]

    async def find(self, port: Port, name: str, given: Mapping[str, Any]) -> Found | None:
        """Ask once as each candidate, for the battery `name` with the settings `given`; None when none proves itself.

        Raises LinkClosed, LinkBusy while the port cannot be used.
        """
        async with self._one_at_a_time:
            for driver, setup in self._questions(given):
                if not self._known:
                    await port.adopt(open_link(self.where, driver))
                async with port.turn(name) as link:
                    what = await _proven(Brief(link) if self._known else link, driver, setup)
                if what:
                    await self._settle(port, driver, setup)
                    return Found(driver, setup, what)
        return None

    def _questions(self, given: Mapping[str, Any]) -> list[tuple[Driver, dict[str, Any]]]:
        """Each driver with its likeliest settings first, then the rest: an address that is rare must not keep others
        waiting.  Devices that are somebody's already are left out."""
        each = [(driver, _setups(driver, given)) for driver in self.candidates]
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


def _in_order(names: Sequence[str] = ()) -> list[Driver]:
    return [registry.load(name) for name in names or sorted(registry.names(), key=_place)]


async def recognised(link: Link, driver: Driver) -> AsyncIterator[Found]:
    """Every device on an open link that `driver` recognises; its siblings are tried where it has one there at all."""
    there = False
    for setup in driver.detection.setups:
        if what := await _proven(link, driver, setup):
            there = True
            yield Found(driver, setup, what)
    for setup in driver.detection.siblings if there else ():
        if what := await _proven(link, driver, setup):
            yield Found(driver, setup, what)


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def _suits(where: str, driver: Driver, known: Sequence[Driver]) -> bool:
    """Can the driver use such a port, beside those who are there?"""
    try:
        open_link(where, *known, driver)
    except ConfigError:
        return False
    return True


def _setups(driver: Driver, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The driver's settings to try, each with what the user gave; none where that cannot be."""
    mine = {option.name: given[option.name] for option in driver.options if option.name in given}
    if not all(option.allows(mine[option.name]) for option in driver.options if option.name in mine):
        return []
    found: list[dict[str, Any]] = []
    for setup in driver.detection.setups:
        if (merged := {**setup, **mine}) not in found:
            found.append(merged)
    return found


def _identity(driver: Driver, setup: Mapping[str, Any]) -> tuple[str, Any]:
    """What tells one device on a port from another."""
    return driver.name, driver.setup(setup).get("address")


async def _proven(link: Link, driver: Driver, setup: Mapping[str, Any]) -> str:
    """What the device says it is, when it says so twice; "" otherwise."""
    what = ""
    for _ in range(PROOFS):
        what = await _asked(link, Session(driver, setup), driver.detection)
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
