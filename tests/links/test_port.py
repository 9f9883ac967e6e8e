"""Ports: turns are fair, a lost port is tried again with patience, a silent battery does not starve the others."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers.kit.declare import Ask, Frame, Question
from bms_drivers.links.link import Counters
from bms_drivers.links.port import Port, reopen_delay, retry_delay
from bms_drivers.links.serial import SerialLink
from gateway.model import LinkBusy, LinkClosed, LinkTimeout
from tests.links.device import BASIC, BASIC_REPLY, Pieces, PtyDevice, jbd, on_pty


class Cable:
    """A link that is there or not, as the test wants."""

    def __init__(self) -> None:
        self.counters: Counters = Counter()
        self.plugged = True
        self.is_open = False
        self.asked: list[Question] = []

    async def open(self) -> None:
        if self.is_open:
            return
        self.counters["opened"] += 1
        if not self.plugged:
            raise LinkClosed("/dev/ttyUSB0: no such device; is the adapter plugged in?")
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def exchange(self, question: Question) -> Sequence[Frame]:
        self.asked.append(question)
        if not self.plugged:
            self.is_open = False
            raise LinkClosed("/dev/ttyUSB0: gone")
        return []


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Port, Cable, Clock]:
    cable, clock = Cable(), Clock()
    return Port("/dev/ttyUSB0", cable, clock=clock), cable, clock


async def ask(port: Port, name: str = "rack-1") -> None:
    async with port.turn(name) as link:
        await link.exchange(BASIC)


# ---- the schedule


@given(st.floats(0.1, 60.0), st.integers(0, 2000), st.booleans())
def test_the_pause_after_misses_is_never_shorter_than_the_interval_nor_much_longer(
    interval: float, misses: int, shared: bool
) -> None:
    pause = retry_delay(interval, misses, shared=shared)
    assert interval <= pause <= max(interval, 10.0)
    assert pause <= retry_delay(interval, misses + 1, shared=shared)
    if not shared:
        assert pause == interval


def test_a_silent_battery_on_a_shared_port_is_asked_ever_less_often() -> None:
    assert [retry_delay(1.0, misses, shared=True) for misses in range(6)] == [1, 2, 4, 8, 10, 10]


def test_a_lost_port_is_tried_after_half_a_second_and_ever_less_often() -> None:
    assert [reopen_delay(failures) for failures in (1, 2, 3, 4, 5, 6, 999)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_turns_come_in_the_order_of_asking() -> None:
    async def run() -> None:
        port, _, _ = make()
        order: list[str] = []

        async def battery(name: str) -> None:
            for _ in range(3):
                async with port.turn(name):
                    order.append(name)
                    await asyncio.sleep(0)

        await asyncio.gather(*(battery(name) for name in "abc"))
        assert order == list("abcabcabc")

    asyncio.run(run())


def test_a_turn_that_fails_lets_the_next_one_in() -> None:
    async def run() -> None:
        port, _, _ = make()
        with pytest.raises(LinkTimeout):
            async with port.turn("a"):
                raise LinkTimeout("no answer")
        await asyncio.wait_for(ask(port, "b"), 1.0)
        assert not port.away

    asyncio.run(run())


# ---- lost and found


def test_while_a_lost_port_waits_turns_fail_at_once_and_nothing_is_opened() -> None:
    async def run() -> None:
        port, cable, clock = make()
        await ask(port)
        cable.plugged = False
        with pytest.raises(LinkClosed, match="gone"):
            await ask(port)
        opened = cable.counters["opened"]
        clock.now += 0.49
        with pytest.raises(LinkClosed, match="gone"):
            await ask(port)
        assert cable.counters["opened"] == opened
        clock.now += 0.02
        with pytest.raises(LinkClosed, match="no such device"):
            await ask(port)
        assert cable.counters["opened"] == opened + 1

    asyncio.run(run())


def test_those_who_waited_for_their_turn_when_the_port_went_do_not_each_try_it() -> None:
    async def run() -> None:
        port, cable, _ = make()
        cable.plugged = False
        results = await asyncio.gather(*(ask(port, name) for name in "abcd"), return_exceptions=True)
        assert [type(result) for result in results] == [LinkClosed] * 4
        assert cable.counters["opened"] == 1

    asyncio.run(run())


def test_going_and_coming_back_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        port, cable, clock = make()
        await ask(port)
        cable.plugged = False
        for _ in range(100):
            clock.now += 1.0
            with pytest.raises(LinkClosed):
                await ask(port)
        cable.plugged = True
        clock.now += 10.0
        for _ in range(5):
            await ask(port)

    with caplog.at_level(logging.INFO, logger="bms_gateway.port"):
        asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        "/dev/ttyUSB0: gone (tried again until it is back)",
        "/dev/ttyUSB0: back after 109.0 s",
    ]


def test_a_port_that_comes_back_is_tried_quickly_the_next_time_it_goes() -> None:
    async def run() -> None:
        port, cable, clock = make()
        for _ in range(2):
            cable.plugged = False
            for _ in range(8):
                clock.now += 10.0
                with pytest.raises(LinkClosed):
                    await ask(port)
            cable.plugged = True
            clock.now += 10.0
            await ask(port)
        cable.plugged = False
        with pytest.raises(LinkClosed):
            await ask(port)
        cable.plugged = True
        clock.now += 0.5
        await ask(port)

    asyncio.run(run())


def test_a_lost_port_does_not_make_its_batteries_wait_longer_once_it_is_back() -> None:
    port, cable, _ = make()

    async def run() -> None:
        await ask(port, "a")
        await ask(port, "b")
        cable.plugged = False
        with pytest.raises(LinkClosed):
            await ask(port, "a")

    asyncio.run(run())
    assert port.delay("a", 1.0, 5) == 1.0


def test_a_busy_port_is_a_lost_port_too() -> None:
    async def run() -> None:
        async with on_pty(jbd) as device:
            owner = SerialLink(device.path, 9600)
            await owner.open()
            clock = Clock()
            port = Port(device.path, SerialLink(device.path, 9600), clock=clock)
            for _ in range(2):
                with pytest.raises(LinkBusy, match="another program owns the port"):
                    await ask(port)
            await owner.close()
            clock.now += 0.5
            await ask(port)
            await port.close()

    asyncio.run(run())


# ---- sharing


def test_a_silent_battery_is_asked_once_a_turn_when_others_wait() -> None:
    async def run() -> None:
        port, cable, _ = make()
        twice = Ask(request=b"?", split=BASIC.split, tries=2)
        for name, misses in (("a", 0), ("b", 3)):
            port.delay(name, 1.0, misses)
            async with port.turn(name):
                pass
        for name in "ab":
            async with port.turn(name) as link:
                await link.exchange(twice)
        assert [question.tries for question in cable.asked] == [2, 1]
        port.delay("b", 1.0, 0)
        async with port.turn("b") as link:
            await link.exchange(twice)
        assert cable.asked[-1].tries == 2

    asyncio.run(run())


def test_a_silent_address_costs_its_neighbours_little() -> None:
    """Three batteries every 50 ms on one bus, one of them silent with a time-out of 200 ms."""
    polls: Counter[str] = Counter()

    def bus(request: bytes) -> Pieces:
        return [] if request == b"b" else [(0.002, BASIC_REPLY)]

    async def battery(port: Port, name: str, until: float) -> None:
        misses, loop = 0, asyncio.get_running_loop()
        while loop.time() < until:
            try:
                async with port.turn(name) as link:
                    await link.exchange(Ask(request=name.encode(), split=BASIC.split, timeout=0.2, tries=2))
                polls[name] += 1
                misses = 0
            except LinkTimeout:
                misses += 1
            await asyncio.sleep(port.delay(name, 0.05, misses))

    async def run() -> None:
        async with on_pty(bus) as device:
            port = Port(device.path, SerialLink(device.path, 115200, quiet=0.001))
            until = asyncio.get_running_loop().time() + 2.5
            await asyncio.gather(*(battery(port, name, until) for name in "abc"))
            await port.close()

    asyncio.run(run())
    assert polls["b"] == 0
    assert polls["a"] > 15
    assert math.isclose(polls["a"], polls["c"], abs_tol=2)


def test_unplugged_and_replugged_under_way(tmp_path: Path) -> None:
    """The real thing: a pty that goes, another that comes under the same name."""

    async def run() -> None:
        name = tmp_path / "bms"
        first, clock = PtyDevice(jbd), Clock()
        name.symlink_to(first.path)
        port = Port(str(name), SerialLink(str(name), 9600), clock=clock)
        await ask(port)
        first.unplug()
        await asyncio.sleep(0.01)
        with pytest.raises(LinkClosed, match="gone"):
            await ask(port)
        name.unlink()
        clock.now += 0.6
        with pytest.raises(LinkClosed, match="no such device"):
            await ask(port)
        second = PtyDevice(jbd)
        name.symlink_to(second.path)
        clock.now += 1.1
        await ask(port)
        assert not port.away
        await port.close()
        second.unplug()

    asyncio.run(run())
