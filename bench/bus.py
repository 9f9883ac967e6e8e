"""A line with sixteen addresses, asked as fast as it goes: how much of its time is spent on nothing.

The line's time goes into bytes, into what the device takes before it answers, and into the silence that its sheet wants
before each request; the rest is ours.  A pty takes a request at once, so the bytes of requests count for nothing here.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.table import Row
from bms_drivers.links.serial import SerialLink
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.pty import BITS_PER_BYTE
from bms_drivers.sims.sim import build as simulator
from gateway.app import Gateway
from gateway.config.load import load
from gateway.wiring import build
from tests.e2e.house import house

PACKS: Final = 16
WARM: Final = 5.0  # s: identity questions, sizes of answers
LEAST: Final = 20.0  # s that are measured
BUDGET: Final = "< 5 %"


@dataclass(slots=True)
class Meter:
    """What went over the line from the first request that was seen to the last."""

    first: float = 0.0  # s, monotonic
    last: float = 0.0
    requests: int = 0  # the last of them ends the time that is looked at
    answered: int = 0  # requests; a silent one takes a time-out, which is no idleness
    received: int = 0  # bytes
    waiting: bool = False

    def tap(self, way: str, data: bytes) -> None:
        """As a link's tap."""
        if way == "tx":
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.requests += 1
            self.waiting = True
        elif self.first:
            self.received += len(data)
            self.answered += self.waiting
            self.waiting = False

    def idle(self, *, baud: int, gap: float) -> float:
        """Share of the time that went neither into bytes nor into a `gap` [s] a request."""
        whole = self.last - self.first
        return 1 - (self.received * BITS_PER_BYTE / baud + (self.requests - 1) * gap) / whole


def bus(folder: Path, seconds: float) -> Iterator[Row]:
    """Two kinds of line: a fast one with one long answer a poll, and a slow one with many short ones."""
    for driver in ("jk_pb", "daly"):
        (inside := folder / driver).mkdir()
        with house(inside) as home:
            addresses = [word for n in range(1, PACKS + 1) for word in ("--address", str(n))]
            port = home.pack("line", driver, *addresses[: 2 * highest(driver)])
            meter, link = asyncio.run(_measure(inside, driver, port, max(seconds, LEAST)))
        device = simulator(driver, Pack.of(1))
        share = meter.idle(baud=link.baud, gap=link.quiet + device.turnaround)
        took = (meter.last - meter.first) / (meter.requests - 1)
        yield f"{highest(driver)} {driver} on one line: idle beyond the sheet's gaps", f"{100 * share:.1f} %", BUDGET
        yield f"{highest(driver)} {driver} on one line: a question", (
            f"{1000 * took:.1f} ms, {meter.requests - 1 - meter.answered} of {meter.requests - 1} unanswered"
        ), ""  # fmt: skip


def highest(driver: str) -> int:
    """How many addresses fit on the line: a jk_pb has four DIP switches, and 0 is the master."""
    return min(PACKS, {"jk_pb": 15}.get(driver, PACKS))


async def _measure(folder: Path, driver: str, port: Path, seconds: float) -> tuple[Meter, SerialLink]:
    file = folder / "gateway.yaml"
    file.write_text("".join((
        f"state_dir: {folder}/state\nbatteries:\n",
        *(f"  - {{name: pack-{n}, driver: {driver}, port: {port}, address: {n}, poll_interval: 0.1}}\n"
          for n in range(1, highest(driver) + 1)),
    )))  # fmt: skip
    gateway = await build(load(file))
    stop = asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    link, meter = _link(gateway), Meter()
    await asyncio.sleep(WARM)
    link.tap = meter.tap
    await asyncio.sleep(seconds)
    link.tap = None
    stop.set()
    await running
    return meter, link


def _link(gateway: Gateway) -> SerialLink:
    """That of the only port."""
    ((_, plug),) = gateway.plan.parts.plugs.values()
    assert isinstance(plug.port.link, SerialLink)
    return plug.port.link
