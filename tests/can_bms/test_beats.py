"""When a beat goes out: with a decision that comes about then, else by its own timer; the loop's time is the test's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import can
import pytest

from outputs.can_bms.build import build
from outputs.can_bms.prepare import prepare
from outputs.can_bms.settings import Settings
from outputs.output import Output
from tests import make
from tests.can_bms.inverter import refused, until

PERIOD = 1.0  # s, of pylontech


class Beats:
    """An output that has just sent its first beat, and a loop whose time jumps."""

    def __init__(self, output: Output, bus: can.BusABC) -> None:
        self._output, self._bus = output, bus
        self._loop, self._ahead = asyncio.get_running_loop(), 0.0
        self._clock = self._loop.time

    def begin(self) -> None:
        """From now on time jumps only."""
        frozen = self._clock()
        self._loop.time = lambda: frozen + self._ahead  # type: ignore[method-assign]

    def end(self) -> None:
        """Time runs on by itself."""
        self._loop.time = self._clock  # type: ignore[method-assign]

    def decided(self) -> bool:
        """A decision is published: is it told there and then?"""
        self._output.publish(make.snapshot(1000.0))
        return self.sent()

    async def after(self, seconds: float) -> bool:
        """So much later, was something sent by the timer?"""
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)
        return self.sent()

    def sent(self) -> bool:
        """Did frames go out since the last look?"""
        found = False
        while self._bus.recv(0) is not None:
            found = True
        return found


@asynccontextmanager
async def beating(channel: str) -> AsyncIterator[Beats]:
    output = build(prepare(Settings(interface="virtual", channel=channel)), lambda: 1000.0, refused, "test")
    with can.Bus(interface="virtual", channel=channel) as bus:
        beats = Beats(output, bus)
        await output.start()
        await until(lambda: output.status()["connected"])
        beats.begin()
        try:
            assert not beats.decided()
            assert await beats.after(0.0), "the first complete Snapshot is told at once"
            yield beats
        finally:
            beats.end()
            await output.stop()


def test_a_decision_shortly_before_a_beat_is_told_at_once_and_the_next_beat_is_a_period_later() -> None:
    async def scenario() -> None:
        async with beating("early") as beats:
            assert not await beats.after(0.96 * PERIOD)
            assert beats.decided()
            assert not await beats.after(0.9 * PERIOD)
            assert not beats.decided(), "a second decision within a period is told by the next beat"
            assert not await beats.after(0.14 * PERIOD)
            assert beats.decided(), "a beat waits a moment for its decision"

    asyncio.run(scenario())


def test_without_a_decision_the_timer_beats_within_a_twentieth_and_then_on_time() -> None:
    async def scenario() -> None:
        async with beating("alone") as beats:
            await beats.after(0.97 * PERIOD)
            assert beats.decided()
            assert not await beats.after(1.04 * PERIOD)
            assert await beats.after(0.011 * PERIOD)
            assert not await beats.after(0.94 * PERIOD)
            assert await beats.after(0.011 * PERIOD)
            for _ in range(3):
                assert not await beats.after(0.99 * PERIOD)
                assert await beats.after(0.01 * PERIOD)

    asyncio.run(scenario())


@pytest.mark.parametrize("hung", [1.5, 1.94, 1.99, 3.99])
def test_after_the_loop_hung_beats_go_on_a_period_apart(hung: float) -> None:
    async def scenario() -> None:
        async with beating(f"hung {hung}") as beats:
            await beats.after(0.5 * PERIOD)
            assert not beats.decided()
            assert await beats.after((hung - 0.5) * PERIOD)
            assert not await beats.after(0.9 * PERIOD)
            assert await beats.after(0.15 * PERIOD)

    asyncio.run(scenario())


@pytest.mark.parametrize("phase", [0.3, 0.8])
def test_beats_move_to_where_decisions_come_and_no_gap_is_longer_than_a_period_and_a_twentieth(phase: float) -> None:
    async def scenario() -> None:
        async with beating(f"phase {phase}") as beats:
            gap, gaps, led = 0.0, [], 0
            for tick in range(1, 150 * 100):  # of 10 ms
                told = await beats.after(PERIOD / 100)
                gap += PERIOD / 100
                if tick % 100 == int(phase * 100):
                    led = led + 1 if (now := beats.decided()) else 0
                    told = told or now
                if told:
                    gaps.append(gap)
                    gap = 0.0
            assert 0.94 * PERIOD < min(gaps) <= max(gaps) < 1.06 * PERIOD
            assert led > 40, "at last every decision is told at once"
            assert len(gaps) == pytest.approx(150, abs=3)

    asyncio.run(scenario())
