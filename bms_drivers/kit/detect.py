"""Which BMS is at the other end of a port: each driver asks its own harmless question and proves what it finds, twice.

Only ports that were offered are touched.  The quick 115200-baud questions come first (sheets jk.md and jk_pb.md,
section 8).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Detection, Driver
from bms_drivers.kit.session import Session
from bms_drivers.links import Link, converse
from bms_drivers.links.factory import open_link, port_kind, reaches
from gateway.model import DeviceRefused, FrameError, LinkTimeout

ORDER: Final = ("jk", "jk_pb", "jbd", "daly")  # the rest follow by name
PROOFS: Final = 2  # readings in a row that must prove it


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
    for name in names or sorted(registry.names(), key=_place):
        driver = registry.load(name)
        if not names and not reaches(port_kind(where), driver):
            continue
        link = open_link(where, driver)
        await link.open()
        try:
            for setup in driver.detection.setups:
                what = await _proven(link, driver, setup)
                if what:
                    yield Found(driver, setup, what)
        finally:
            await link.close()


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


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
