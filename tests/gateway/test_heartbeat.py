"""When Snapshots are made: upon news at once, by a heartbeat where none comes, and never just before a reading."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from gateway.app import AFTER_NEWS, HEARTBEAT, Gateway, Plan
from gateway.guard import Bounds
from gateway.limits import LimitSettings, Site
from gateway.model import Snapshot


class QuickLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to what is due next instead of waiting for it."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        due = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if due and not self._ready:  # type: ignore[attr-defined]
            self.now = max(self.now, min(due))
        super()._run_once()  # type: ignore[misc]


class Clock:
    """An output that notes when it is told."""

    name = "clock"

    def __init__(self) -> None:
        self.told: list[float] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def publish(self, snapshot: Snapshot) -> None:
        self.told.append(snapshot.at)

    def status(self) -> Mapping[str, object]:
        return {}


def told(news: Sequence[float], until: float) -> list[float]:
    """When Snapshots are published if a battery has news at these times [s]."""
    output = Clock()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        plan = Plan((), Site(LimitSettings()), Bounds({}, 0.0, {}, {}, {}), {"clock": output})
        gateway, stop = Gateway(plan, clock=loop.time), asyncio.Event()
        for at in news:
            loop.call_at(at, gateway.changed)
        loop.call_at(until, stop.set)
        await gateway.run(stop)

    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        runner.run(scenario())
    return [round(at, 6) for at in output.told]


@pytest.mark.parametrize("late", [0.0, 0.001, -0.001, 0.1, 0.24])
def test_a_battery_that_is_polled_each_second_makes_the_only_snapshots(late: float) -> None:
    polls = [1.0 + number + (late if number % 2 else 0.0) for number in range(20)]
    assert told([0.001, *polls], 20.5) == [0.0, 0.001, *(round(at, 6) for at in polls)]


def test_without_news_there_is_a_snapshot_each_second() -> None:
    assert told([], 4.5) == [0.0, HEARTBEAT, 2 * HEARTBEAT, 3 * HEARTBEAT, 4 * HEARTBEAT]


def test_between_rare_polls_the_heartbeat_goes_on_and_stays_away_from_them() -> None:
    moments = told([5.0, 10.0], 14.0)
    assert moments[:7] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0 + AFTER_NEWS]
    assert [at for at in moments if 9.0 <= at <= 12.0] == [9.25, 10.0, 10.0 + AFTER_NEWS]


def test_when_a_battery_falls_silent_the_heartbeat_takes_over() -> None:
    assert told([0.001, 1.0, 2.0], 5.0) == [0.0, 0.001, 1.0, 2.0, 3.25, 4.25]
