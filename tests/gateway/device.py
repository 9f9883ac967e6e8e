"""A device by a clock that the test moves, and a driver that asks it: each answer holds the time at which it came."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bms_drivers import kit
from bms_drivers.links import Link
from gateway.battery import Battery, Watch
from gateway.model import LinkClosed, LinkTimeout, Reading

TIMEOUT, TRIES, ANSWER = 0.5, 3, 0.05  # s, times, s


def step(name: str, *gives: str, tries: int = TRIES, **more: Any) -> kit.Poll:
    """A step that asks for `name`; what it gives is when it was answered, as a number that can be: 20 + t / 1000."""

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        frames = yield kit.Ask(name.encode(), lambda buffer: iter(()), timeout=TIMEOUT, tries=tries)
        value = float(frames[0].payload)
        return {given: shaped(given, value) for given in gives}

    return kit.Poll(name, talk, gives=gives, **more)


def shaped(name: str, value: float) -> Any:
    """A value as Reading wants it."""
    if name.endswith("_allowed"):
        return True
    return (value,) if name == "temperatures" else value


def write(name: str, field: str) -> kit.Control:
    """A control that asks for `name` and shows in `field`."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        yield kit.Ask(f"{name} {value:g}".encode(), lambda buffer: iter(()), timeout=TIMEOUT)
        return {}

    return kit.Control(talk, lambda value, reading: getattr(reading, field) == value)


PLAN = (
    step("volts", "voltage", essential=True),
    step("switches", "charge_allowed", "discharge_allowed"),
    step("limits", "max_charge_current"),
    step("sensors", "temperatures"),
    step("mosfet", "mosfet_temperature"),
    step("alarms", "soh"),
)


def driver(*plan: kit.Poll, controls: Mapping[str, kit.Control] | None = None) -> kit.Driver:
    return kit.Driver(
        name="fake",
        title="a fake",
        plan=plan or PLAN,
        assemble=kit.alone(lambda values, setup: values),
        detection=kit.Detection((), lambda values: ""),
        controls=controls or {},
    )


class Device:
    """Answers every question but the silent ones; also the port and the clock.

    silent   what is asked in vain
    broken   what raises this instead
    fields   what a question is answered with instead of the time
    heard    every question, in order
    during   called at each question, before it is answered
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.plugged = True
        self.silent: set[str] = set()
        self.broken: dict[str, Exception] = {}
        self.fields: dict[str, float] = {}
        self.heard: list[str] = []
        self.during: Callable[[str], None] = lambda question: None
        self.garbage = 0
        self.counters: Counter[str] = Counter()

    def clock(self) -> float:
        return self.now

    # ---- a port

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Link]:
        if not self.plugged:
            raise LinkClosed("/dev/ttyUSB0: no such device")
        yield self

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        return poll_interval

    def leave(self, name: str) -> None:
        pass

    # ---- a link

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def exchange(self, question: kit.Question) -> Sequence[kit.Frame]:
        assert isinstance(question, kit.Ask)
        name = question.request.decode()
        self.heard.append(name)
        self.during(name)
        if name in self.broken:
            raise self.broken[name]
        if name in self.silent or "*" in self.silent:
            self.now += question.timeout * question.tries
            self.counters["noise"] += self.garbage
            raise LinkTimeout(f"/dev/ttyUSB0: no whole answer to {name}")
        self.now += ANSWER
        return [kit.Frame(kind=0, payload=str(self.fields.get(name, stamp(self.now))).encode())]


def stamp(at: float) -> float:
    """What an answer of that time holds."""
    return 20.0 + (at - 1000.0) / 1000.0


def time_of(value: float) -> float:
    """When the answer came that holds this."""
    return 1000.0 + (value - 20.0) * 1000.0


def times_in(reading: Reading) -> list[float]:
    """When the answers came that a reading's control values rest on."""
    held = [reading.voltage, reading.max_charge_current, *reading.temperatures, reading.mosfet_temperature]
    return [time_of(value) for value in held if value is not None]


def battery(
    device: Device, of: kit.Driver | None = None, *, news: Callable[[], None] = lambda: None, **more: Any
) -> Battery:
    """A battery on this device; `more` of its Watch."""
    return Battery(Watch("pack", **more), of or driver(), device, news, device.clock)
