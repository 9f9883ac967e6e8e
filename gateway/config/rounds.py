"""How long the batteries on one serial port take to be polled once each, before anything is opened.

What a driver asks is known, and how much its device answers: the simulator written from the same sheet tells.  To that
come the line's baud rate, its silence before each request and the time that a device usually takes before it answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from bms_drivers.kit import registry
from bms_drivers.kit.declare import ONCE, Frame, Poll, Question, Registers, SerialLine
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import rtu
from bms_drivers.links.factory import MODBUS_LINE, kind_of, place
from gateway.battery import LOST_AFTER, silent_after
from gateway.config.schema import AUTO, BatterySettings
from gateway.model import GatewayError, LinkTimeout

BITS: Final = 10  # of a byte: start, eight data, stop; a parity bit is one more
MARGIN: Final = 1.05  # a round that takes 95 % of the poll interval is none to rely on
LONGEST: Final = 20  # s; the longest poll interval there is
SHOWN: Final = 4  # batteries that are named one by one


def busy(batteries: Sequence[BatterySettings]) -> Iterator[tuple[str, list[BatterySettings], float]]:
    """Each serial port, its batteries whose drivers are known, and s that one round over all of them takes."""
    ports: dict[str, list[BatterySettings]] = {}
    for battery in batteries:
        if kind_of(battery.port) == "serial" and battery.driver != AUTO:
            ports.setdefault(place(battery.port), []).append(battery)
    for sharing in ports.values():
        yield sharing[0].port, sharing, sum(map(seconds, sharing))


def doubts(batteries: Sequence[BatterySettings]) -> Iterator[str]:
    """Ports on which the poll interval cannot be kept, with the numbers."""
    for where, sharing, taken in busy(batteries):
        shortest = min(battery.poll_interval for battery in sharing)
        kept = taken * MARGIN <= (shortest if len(sharing) > 1 else 2 * shortest)  # alone it is as fast as it can be
        if kept or taken >= LOST_AFTER:
            continue
        who, stale = _named(sharing), silent_after(shortest)
        then = f"readings would be stale at {stale:g} s; " if taken * MARGIN > stale else ""
        yield (
            f"poll_interval: a round on {where} ({who}) takes about {taken:.1f} s and poll_interval is"
            f" {shortest:g} s: {then}{_advice(sharing)}"
        )


def impossible(batteries: Sequence[BatterySettings]) -> Iterator[tuple[str, str]]:
    """The last battery of each port on which nobody could be read often enough whatever the interval, and why."""
    for where, sharing, taken in busy(batteries):
        if taken >= LOST_AFTER:
            yield (
                sharing[-1].name,
                f"a round of {len(sharing)} batteries on {where} takes about {taken:.0f} s, and each is lost after"
                f" {LOST_AFTER:g} s; expected fewer on this port, and a second adapter",
            )


def _named(sharing: Sequence[BatterySettings]) -> str:
    return ", ".join(battery.name for battery in sharing) if len(sharing) <= SHOWN else f"{len(sharing)} batteries"


def _advice(sharing: Sequence[BatterySettings]) -> str:
    """The shortest interval that can be kept; what is asked now and then is asked in more of its rounds."""
    for interval in range(1, LONGEST + 1):
        if sum(seconds(battery, interval) for battery in sharing) * MARGIN <= interval:
            return f"use poll_interval {interval} or a second adapter"
    return "use a second adapter"


def seconds(battery: BatterySettings, interval: float | None = None) -> float:
    """s that one poll of it takes on its line at its own or that interval; 0: nothing is asked, or nobody knows."""
    setup = tuple(sorted((name, value) for name, value in battery.setup.items()))
    return _seconds(battery.driver, setup, battery.poll_interval if interval is None else interval)


@lru_cache(maxsize=256)
def _seconds(name: str, given: tuple[tuple[str, Any], ...], interval: float) -> float:
    if name not in registry.simulated():
        return 0.0
    driver = registry.load(name)
    if driver.transports == ("can",):
        return 0.0  # what is sent by itself takes nobody's turn; a Daly that is asked answers all within 35 ms (sheet)
    session = Session(driver, dict(given))
    device = _Device(name, dict(given), session.driver.line or MODBUS_LINE)
    if driver.listens(session.setup):
        return 0.0
    return sum(_share(poll, interval) * device.asked(session, poll) for poll in driver.plan)


def _share(poll: Poll, interval: float) -> float:
    """In how many of the rounds it is asked."""
    return 0.0 if poll.every == ONCE else min(1.0, interval / poll.every) if poll.every else 1.0


class _Device:
    """The device on its line, without waiting: what is asked there costs time that is added up."""

    def __init__(self, name: str, setup: Mapping[str, Any], line: SerialLine) -> None:
        from bms_drivers.sims.pack import Pack  # only where a battery is on a serial port
        from bms_drivers.sims.sim import build, cells_of

        self._simulator = build(name, Pack.of(1, cells=cells_of(name)), setup)
        self._line = line
        self._spent = 0.0

    def asked(self, session: Session, poll: Poll) -> float:
        """s that this step of the plan takes; what it learns is known to the next."""
        self._spent = 0.0
        talk = poll.talk(session.setup, session.known)
        try:
            question = next(talk)
            while True:
                try:
                    frames = self._answer(question)
                except GatewayError as problem:
                    question = talk.throw(problem)
                else:
                    question = talk.send(frames)
        except StopIteration as end:
            session.learnt(poll, end.value, 0.0)
        except GatewayError:
            return self._spent
        return self._spent

    def _answer(self, question: Question) -> Sequence[Frame]:
        """As a link.  A question that the device does not know costs nothing: it is hardly ever asked again."""
        ask = rtu.on_line(question)
        answer, size, whole = Answer(ask), 0, False
        for reply in self._simulator.answer(bytearray(ask.request)):
            size += len(reply)
            whole = answer.feed(reply) or whole
        if not whole and not (ask.partial and answer.frames):
            raise LinkTimeout("not answered")
        line, bits = self._line, BITS + (self._line.parity != "N")
        on_line = (len(ask.request) + size) * bits / line.baud
        self._spent += max(line.quiet, ask.quiet) + on_line + line.turnaround
        return rtu.checked(question, answer.frames) if isinstance(question, Registers) else answer.frames
