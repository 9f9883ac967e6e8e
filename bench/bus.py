"""A line with sixteen addresses, asked as fast as it goes: how much of its time is spent on nothing.

The line's time goes into bytes, into what the device takes before it answers, and into the silence that its sheet wants
before each request; the rest is ours.  A pty takes a request at once, so the bytes of requests count for nothing here.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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
    """What went over the line: when each request went, and how many bytes came until the next."""

    requests: list[float] = field(default_factory=list)  # s, monotonic
    received: list[int] = field(default_factory=list)

    def tap(self, way: str, data: bytes) -> None:
        """As a link's tap."""
        if way == "tx":
            self.requests.append(time.monotonic())
            self.received.append(0)
        elif self.received:
            self.received[-1] += len(data)

    def idle(self, *, baud: int, gap: float) -> list[float]:
        """s of each question that went neither into bytes nor into its `gap` [s]; silent ones are left out."""
        return [
            after - at - gap - size * BITS_PER_BYTE / baud
            for at, after, size in zip(self.requests, self.requests[1:], self.received, strict=False)
            if size
        ]


def bus(folder: Path, seconds: float) -> Iterator[Row]:
    """Two kinds of line: a fast one with one long answer a poll, and a slow one with many short ones."""
    for driver in ("jk_pb", "daly"):
        (inside := folder / driver).mkdir()
        with house(inside) as home:
            addresses = [word for n in range(1, PACKS + 1) for word in ("--address", str(n))]
            port = home.pack("line", driver, *addresses[: 2 * highest(driver)])
            meter, link = asyncio.run(_measure(inside, driver, port, max(seconds, LEAST)))
        device = simulator(driver, Pack.of(1))
        lost = meter.idle(baud=link.baud, gap=link.quiet + device.turnaround)
        took = (meter.requests[-1] - meter.requests[0]) / (len(meter.requests) - 1)
        line = f"{highest(driver)} {driver} on one line"
        mean, median = (100 * average / took for average in (statistics.mean(lost), statistics.median(lost)))
        yield f"{line}: idle beyond the sheet's gaps", f"{mean:.1f} %, the median question {median:.1f} %", BUDGET
        yield f"{line}: a question", f"{1000 * took:.1f} ms, {meter.received[:-1].count(0)} unanswered", ""


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
