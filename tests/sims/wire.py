"""A simulated device without a line between: what a driver asks is answered at once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.kit.declare import CanAsk, Frame, Question, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import Counters, converse, rtu
from bms_drivers.sims.can_bus import OnCan, at_once
from bms_drivers.sims.sim import Simulator
from gateway.model import DeviceRefused, FrameError, LinkTimeout, Reading


class Wire:
    """A link to a simulator in this very process; notes every request."""

    def __init__(self, device: Simulator) -> None:
        self.device = device
        self.counters: Counters = Counter()
        self.asked: list[bytes] = []

    async def open(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As a link; what does not come at once does not come at all."""
        if isinstance(question, CanAsk):
            return self._heard(question)
        ask = rtu.on_line(question)
        self.asked.append(ask.request)
        answer, whole = Answer(ask), False
        for reply in self.device.answer(bytearray(ask.request)):
            whole = answer.feed(reply) or whole
        self.counters["foreign"] += answer.foreign
        if not whole and not (ask.partial and answer.frames):
            raise LinkTimeout(f"no answer to {ask.request.hex()}")
        return rtu.checked(question, answer.frames) if isinstance(question, Registers) else answer.frames

    def _heard(self, question: CanAsk) -> Sequence[Frame]:
        self.asked.append(question.request)
        frames = at_once(self.device, question) if isinstance(self.device, OnCan) else None
        if frames is None:
            raise LinkTimeout(f"{question}: not heard")
        return frames


def session(name: str, **setup: Any) -> Session:
    """The plan of the driver called `name`."""
    return Session(registry.load(name), setup)


def poll(session: Session, device: Simulator) -> Reading:
    """One whole round; as in a battery, a step that is not essential may fail."""

    async def run() -> Reading:
        wire = Wire(device)
        for step in session.due(0.0):
            try:
                session.learnt(step, await converse(wire, step.talk(session.setup, session.known)), 0.0)
            except (LinkTimeout, FrameError, DeviceRefused):
                session.missed(step, 0.0)
                if step.essential:
                    raise
        return session.readings()[""]

    return asyncio.run(run())


def command(session: Session, device: Simulator, action: str, value: float) -> list[bytes]:
    """Perform a control write; returns the requests that were sent.  Raises what the talk raises."""
    wire = Wire(device)
    talk = session.driver.controls[action].talk(value, session.setup, session.known)
    session.told(asyncio.run(converse(wire, talk)))
    return wire.asked


def raised(reading: Reading) -> dict[str, int]:
    """The alarms that are not 0."""
    return {name: level for name, level in reading.alarms.items() if level}
