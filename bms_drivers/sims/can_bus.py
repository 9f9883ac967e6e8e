"""Simulated devices on a CAN bus: SocketCAN where a channel is named, else a bus within this very process."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bms_drivers.kit.declare import CanAsk, CanId, Driver, Frame
from bms_drivers.links.can import CanFrame, CanLink
from bms_drivers.links.link import Link
from bms_drivers.links.replay import ReplayLink
from bms_drivers.sims.faults import Faults
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import Simulator
from gateway.model import LinkClosed
from gateway.supervise import Supervisor

TICK: Final = 0.05  # s; what is sent more often is sent so often
NOISE: Final = CanFrame(0x5A5, b"\x12\x34", extended=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that the device sends by itself, or as an answer."""

    id: int
    data: bytes
    extended: bool = False
    every: float = 1.0  # s

    def recorded(self) -> Mapping[str, Any]:
        """As in the vector format."""
        return {"id": self.id, "ext": self.extended, "data": self.data.hex()}


class OnCan:
    """A device that speaks as the BMS does.  Written from the sheet alone: it must not share the driver's DBC file.

    What it has of a simulator on a line: nothing to say there.
    """

    baud = 250_000  # bit/s
    turnaround = 0.005  # s

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def answer(self, received: bytearray) -> list[bytes]:
        """Nothing: it is on no line of bytes."""
        received.clear()
        return []

    def frames(self) -> list[Sent]:
        """Nothing by itself."""
        return []

    def asked(self, wanted: CanId, data: bytes) -> list[Sent]:
        """Nothing."""
        return []


def at_once(device: OnCan, question: CanAsk) -> Sequence[Frame] | None:
    """What answers the question, all frames being there already; None = not all of it."""
    sent = [*device.frames(), *(reply for wanted, data in question.sends for reply in device.asked(wanted, data))]
    return ReplayLink({"frames": [frame.recorded() for frame in sent]}).heard(question)


class CanDevice:
    """Sends what its simulators send, and answers.  The packs live between two ticks."""

    def __init__(
        self, simulator: Simulator, faults: Faults | None = None, channel: str = "", *others: Simulator
    ) -> None:
        """`channel` is a SocketCAN interface."""
        self.simulators = (simulator, *others)
        self.faults = faults or Faults()
        self.path = Path(channel or f"simulated-can-{id(self):x}")
        self._speaking = [one for one in self.simulators if isinstance(one, OnCan)]
        self._interface = "socketcan" if channel else "virtual"
        self._link = CanLink(str(self.path), interface=self._interface)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def simulator(self) -> Simulator:
        """The first of them."""
        return self.simulators[0]

    async def start(self) -> None:
        """Plug it in.  Raises LinkClosed."""
        await self._link.open()
        supervisor = Supervisor(f"simulator on {self.path}")
        self._tasks = [asyncio.create_task(supervisor.keep(work)) for work in (self._send_all, self._answer_all)]

    async def close(self) -> None:
        """Unplug it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()

    def wake(self) -> None:
        """It was off: what was asked meanwhile nobody heard.  The bus is opened again within a tick."""
        self._link.drop()

    def link(self, *drivers: Driver) -> Link:
        """A link to it."""
        return CanLink(str(self.path), interface=self._interface, ids=())

    async def _send_all(self) -> None:
        loop, due = asyncio.get_running_loop(), dict[tuple[int, int], float]()
        lived = loop.time()
        while True:
            now = loop.time()
            with suppress(LinkClosed):  # an interface that went is waited for
                await self._link.open()
            for number, simulator in enumerate(self._speaking):
                simulator.pack.advance(now - lived)
                for frame in simulator.frames():
                    key = number, frame.id
                    if due.get(key, 0.0) <= now:
                        due[key] = now + frame.every - TICK / 2
                        await self._say(frame)
            lived = now
            await asyncio.sleep(TICK)

    async def _answer_all(self) -> None:
        while True:
            with suppress(LinkClosed):
                async for heard in self._link.frames():
                    for simulator in self._speaking:
                        for frame in simulator.asked(CanId(heard.id, heard.extended), heard.data):
                            await self._say(frame)
            await asyncio.sleep(TICK)

    async def _say(self, frame: Sent) -> None:
        """What is spoilt on the way is no frame: each has a checksum."""
        with suppress(LinkClosed):
            if "noise" in self.faults.on:
                await self._link.send(NOISE)
            if not self.faults.on.keys() & {"silent", "torn", "checksum", "address"}:
                await asyncio.sleep(self.faults.on.get("late", 0.0) or 0.0)
                await self._link.send(CanFrame(frame.id, frame.data, frame.extended))
