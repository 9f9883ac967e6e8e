"""Batteries on a CAN bus: each value has the age of its own frame, and is not known any more after its life."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.can import listens_to
from bms_drivers.kit.declare import CanAsk, CanId
from bms_drivers.links.can import CanFrame, CanLink
from bms_drivers.links.port import Port
from bms_drivers.sims.host import simulated
from gateway.battery import Battery, Watch
from gateway.model import Health, LinkTimeout, Reading
from tests.vectors import cases

FRAMES = next(case for case in cases("jk_can") if "constructed" in case.name).data["frames"]
STATE, CELLS, SWITCHES = "0x2F4", "0x18E", "0x18F528F4"


class Clock:
    """Seconds that the test moves; they pass by themselves, too, so that waiting ends."""

    def __init__(self) -> None:
        self.ahead = 1000.0

    def __call__(self) -> float:
        return self.ahead + asyncio.get_running_loop().time()


class Bench:
    """A jk_can battery, and a BMS that says what it is told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.link = CanLink("bench", interface="virtual", clock=self.clock)
        self.bms = CanLink("bench", interface="virtual")
        port = Port("bench", self.link, clock=self.clock)
        self.battery = Battery(Watch("a"), registry.load("jk_can"), port, lambda: None, self.clock)

    async def say(self, *without: str) -> None:
        """One of each frame but those whose identifiers begin so, and wait until they have arrived."""
        before, count = self.link.counters["replies"], 0
        for frame in FRAMES:
            if not frame["id"].startswith(without or ("none",)):
                await self.bms.send(CanFrame(int(frame["id"], 16), bytes.fromhex(frame["data"]), frame["ext"]))
                count += 1
        async with asyncio.timeout(2.0):
            while self.link.counters["replies"] < before + count:
                await asyncio.sleep(0.005)

    async def later(self, seconds: float, *without: str) -> Reading | None:
        """The battery after so long, in which all but those frames came each second."""
        for _ in range(int(seconds)):
            self.clock.ahead += 1.0
            await self.say(*without)
            await self.battery.poll()
        return self.battery.states()[0].reading

    async def begin(self) -> None:
        """Until the first reading."""
        await self.bms.open()
        await self.link.open()
        poll = asyncio.create_task(self.battery.poll())
        while not poll.done():
            await self.say()
            await asyncio.sleep(0.1)
        await self.later(3)


def with_bench(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench = Bench()
        await bench.begin()
        try:
            await test(bench)
        finally:
            await bench.link.close()
            await bench.bms.close()

    asyncio.run(run())


def known(reading: Reading | None) -> Reading:
    assert reading is not None
    return reading


def test_a_frame_that_stops_takes_its_own_values_along_and_no_others() -> None:
    async def test(bench: Bench) -> None:
        reading = known(await bench.later(2))
        assert (len(reading.cell_voltages), reading.charge_allowed, reading.soc) == (16, True, 67)
        reading = known(await bench.later(5, SWITCHES))
        assert (len(reading.cell_voltages), reading.charge_allowed, reading.soc) == (16, None, 67)
        reading = known(await bench.later(5, CELLS))
        assert (reading.cell_voltages, reading.charge_allowed, reading.voltage) == ((), True, 53.2)

    with_bench(test)


@pytest.mark.parametrize("missing", ["0x18E328F4", "0x18E128F4"])
def test_one_frame_of_cells_that_stops_leaves_no_cells_rather_than_fewer(missing: str) -> None:
    async def test(bench: Bench) -> None:
        assert len(known(await bench.later(1)).cell_voltages) == 16
        reading = known(await bench.later(5, missing))
        assert reading.cell_voltages == ()
        assert reading.highest_cell_voltage == 3.331

    with_bench(test)


def test_a_reading_ages_by_its_oldest_frame_and_is_stale_without_its_state() -> None:
    async def test(bench: Bench) -> None:
        await bench.later(1)
        for _ in range(2):
            bench.clock.ahead += 1.0
            await bench.say(CELLS)
            await bench.battery.poll()
        assert 1.9 <= (bench.battery.states()[0].age or 0.0) <= 2.9, "as old as the cells"
        await bench.later(12, STATE)
        assert bench.battery.states()[0].health is Health.STALE

    with_bench(test)


def ask(bus: CanLink, question: CanAsk) -> Any:
    return asyncio.wait_for(bus.exchange(question), 3.0)


def test_nobody_waits_for_what_is_not_there() -> None:
    async def run() -> float:
        bus = CanLink("nobody", interface="virtual", ids=())
        await bus.open()
        question = CanAsk((CanId(0x123),), settle=0.2)
        with pytest.raises(LinkTimeout, match="CAN 123 not heard"):
            await ask(bus, question)
        began = asyncio.get_running_loop().time()
        for _ in range(50):
            with pytest.raises(LinkTimeout):
                await ask(bus, question)
        await bus.close()
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(run()) < 0.15


def test_parts_of_one_identifier_are_kept_apart() -> None:
    async def run() -> list[bytes]:
        bus, bms = CanLink("parts", interface="virtual", ids=()), CanLink("parts", interface="virtual")
        await bus.open()
        await bms.open()
        asking = asyncio.create_task(ask(bus, CanAsk((CanId(0x300, selects=0xFF),), settle=0.3, partial=True,
                                                     complete=lambda got: len(got) == 3)))  # fmt: skip
        await asyncio.sleep(0.02)
        for data in (b"\x01a", b"\x02b", b"\x01c", b"\x03d"):
            await bms.send(CanFrame(0x300, data))
        frames = await asking
        await bus.close()
        await bms.close()
        return sorted(frame.payload for frame in frames)

    assert asyncio.run(run()) == [b"\x01c", b"\x02b", b"\x03d"]


def test_batteries_on_one_bus_wait_for_their_frames_side_by_side() -> None:
    """Each step used to listen from its own turn on, so that two JKs needed 7 s for their first reading."""

    async def run() -> tuple[float, list[Health]]:
        setups = [{"address": 0}, {"address": 2}]
        device = await simulated("jk_can", {}, seed=1, addresses=(0, 2))
        driver, port = registry.load("jk_can"), Port("bus", device.link())
        batteries = [
            Battery(Watch(f"b{n}", settings=setup), driver, port, lambda: None, time.monotonic)
            for n, setup in enumerate(setups)
        ]
        for setup in setups:
            port.expect(listens_to(driver, driver.setup(setup)))
        began = time.monotonic()
        await asyncio.gather(*(battery.poll() for battery in batteries))
        took = time.monotonic() - began
        await port.close()
        await device.close()
        return took, [battery.states()[0].health for battery in batteries]

    took, healths = asyncio.run(run())
    assert healths == [Health.ONLINE] * 2
    assert took < 3.5
