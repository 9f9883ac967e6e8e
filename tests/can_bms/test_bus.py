"""The way to a bus: adapters that hang on a real pty, interfaces that cannot be opened, and the way back."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import can
import pytest
from can.interfaces.serial.serial_can import SerialBus
from can.interfaces.slcan import slcanBus

from outputs.can_bms.build import build
from outputs.can_bms.bus import HANGS, Bus
from outputs.can_bms.dbc_file import load
from outputs.can_bms.others import Others
from outputs.can_bms.output import CanOutput
from outputs.can_bms.prepare import prepare
from outputs.can_bms.settings import Settings
from outputs.can_bms.trip import FRESH
from tests import make
from tests.can_bms.adapter import Adapter
from tests.can_bms.inverter import refused, until

DIALECT = load("pylontech")


class Life:
    """The output on an adapter, told ten times a second; the charge limit says when: 1 A each 0.1 s."""

    def __init__(self, adapter: Adapter, opener: Callable[[], can.BusABC]) -> None:
        self.adapter, self.began = adapter, time.monotonic()
        bus = Bus("adapter", opener, direct=False)
        self.output = CanOutput(Settings(), DIALECT, bus, Others("adapter", DIALECT.ids), time.monotonic)

    def age(self, at: float, limits: bytes) -> float:
        """How long before `at` [s] what this 0x351 says was decided."""
        return at - self.began - int.from_bytes(limits[2:4], "little") / 100

    async def go_on(self) -> None:
        while True:
            amps = float(int((time.monotonic() - self.began) * 10))
            self.output.publish(make.snapshot(time.monotonic(), decision=make.decision(ccl=amps)))
            await asyncio.sleep(0.1)


@asynccontextmanager
async def life(opener: Callable[[str], can.BusABC]) -> AsyncIterator[Life]:
    adapter = Adapter()
    lived = Life(adapter, lambda: opener(adapter.path))
    await lived.output.start()
    publishing = asyncio.create_task(lived.go_on())
    try:
        yield lived
        assert not publishing.done()
    finally:
        publishing.cancel()
        adapter.read_on()
        await lived.output.stop()
        adapter.close()


def slcan(path: str) -> can.BusABC:
    return slcanBus(path, bitrate=500_000, sleep_after_open=0.0)


def limits(adapter: Adapter) -> list[tuple[float, bytes]]:
    """Every 0x351 that an slcan adapter was told, and when."""
    return [(at, data) for at, can_id, data in adapter.lines() if can_id == 0x351]


def test_after_a_hang_no_frame_goes_out_that_was_decided_long_before(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with life(slcan) as lived:
            status = lived.output.status
            await until(lambda: limits(lived.adapter))
            assert status()["connected"]
            lived.adapter.stop_reading()
            before = len(limits(lived.adapter))
            await asyncio.sleep(2.5)  # less than the 3 s after which the bus is given up in any case
            assert not status()["connected"]
            assert status()["frames_dropped"]
            lived.adapter.read_on()
            await until(lambda: len(limits(lived.adapter)) > before + 1)
            await until(lambda: status()["connected"])
            ages = [lived.age(*told) for told in limits(lived.adapter)]
            assert max(ages) < FRESH + 0.3, "0.1 s from one Snapshot to the next, and some for a busy machine"

    asyncio.run(scenario())
    assert len([line for line in caplog.messages if "trying on" in line]) == 1


def raw(adapter: Adapter, since: float) -> list[tuple[float, bytes]]:
    """Every 0x351 that an adapter of python-can's `serial` was told since then, and when."""
    return [(at, data[found.end() :][:8]) for at, data in adapter.told if at > since
            for found in re.finditer(rb"\xaa....\x08\x51\x03\0\0", data, re.S)]  # fmt: skip


def test_an_adapter_that_takes_nothing_for_3_s_is_reopened_and_the_hung_one_never_sends_again() -> None:
    """python-can's `serial` knows no time-out for writing: it hangs for ever."""

    async def scenario() -> None:
        async with life(lambda path: SerialBus(path)) as lived:
            status = lived.output.status
            await until(lambda: status()["frames_sent"])
            lived.adapter.stop_reading()
            hangs = time.monotonic()
            await until(lambda: "3 s" in str(status()["problem"]), HANGS + 1.5)
            assert HANGS - 0.1 < time.monotonic() - hangs < HANGS + 1.3
            assert not status()["connected"]
            gone = time.monotonic()
            await until(lambda: status()["opened"] == 2)
            lived.adapter.read_on()
            await until(lambda: status()["connected"])
            await until(lambda: len(raw(lived.adapter, gone)) > 1)
            assert max(lived.age(*told) for told in raw(lived.adapter, gone)) < FRESH + 0.3

    asyncio.run(scenario())
    hung = [thread for thread in threading.enumerate() if thread.name == "adapter"]
    assert hung == [], "the thread that hung ended with the hang"


def test_a_hung_adapter_delays_neither_the_loop_nor_the_end() -> None:
    async def scenario() -> float:
        async with life(slcan) as lived:
            await until(lambda: limits(lived.adapter))
            lived.adapter.stop_reading()
            gap, last, end = 0.0, time.monotonic(), time.monotonic() + 1.5
            while last < end:
                await asyncio.sleep(0.01)
                gap, last = max(gap, time.monotonic() - last), time.monotonic()
            assert gap < 0.2
            await lived.output.stop()
            return time.monotonic() - last

    assert asyncio.run(scenario()) < 2.5


@pytest.mark.parametrize(
    ("interface", "channel"),
    [("socketcand", "can0"), ("socketcan", "none0"), ("slcan", "/dev/none"), ("nonsense", "x")],
)
def test_an_interface_that_cannot_be_opened_is_said_once_and_tried_on(
    interface: str, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        output = build(prepare(Settings(interface=interface, channel=channel)), time.monotonic, refused, "test")
        await output.start()
        await until(lambda: output.status()["opened"] == 2 and "cannot" in str(output.status()["problem"]))
        assert output.status()["connected"] is False
        assert str(output.status()["problem"]).startswith("cannot open: ")
        await output.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert len([line for line in caplog.messages if "cannot open" in line]) == 1
    assert "Traceback" not in caplog.text


def test_an_opener_with_a_defect_is_tried_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[float] = []

    def opener() -> can.BusABC:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise TypeError("missing 1 required positional argument: 'host'")
        return can.Bus(interface="virtual", channel="defect")

    async def scenario() -> None:
        bus = Bus("virtual defect", opener)
        bus.start()
        await until(lambda: bus.connected)
        await bus.stop()

    asyncio.run(scenario())
    assert [round(later - earlier, 1) for earlier, later in pairwise(tries)] == [0.5, 1.0]
    assert [line for line in caplog.messages if "a defect" in line] == [caplog.messages[0]]
    assert caplog.messages[-1] == "virtual defect: works again"


def test_a_defect_while_sending_reopens_the_bus() -> None:
    class Faulty(can.interfaces.virtual.VirtualBus):
        def send(self, msg: can.Message, timeout: float | None = None) -> None:
            raise RuntimeError("no such thing")

    opened: list[can.BusABC] = []

    def opener() -> can.BusABC:
        opened.append(Faulty("x") if not opened else can.Bus(interface="virtual", channel="faulty"))
        return opened[-1]

    async def scenario() -> None:
        bus = Bus("virtual faulty", opener)
        bus.start()
        await until(lambda: bus.connected)
        assert bus.beat(DIALECT.encode({})) is False
        assert bus.problem == "cannot send: no such thing"
        await until(lambda: len(opened) == 2 and bus.beat(DIALECT.encode({})))
        assert bus.connected
        await bus.stop()

    asyncio.run(scenario())
