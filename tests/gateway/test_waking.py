"""Waits that end at once: the task goes on within the callback, and nothing of what a future promises is lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from gateway.waking import Wait, pause

Scene = Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, Any]]


@pytest.fixture(params=[False, True], ids=["", "debug"])
def played(request: pytest.FixtureRequest) -> Callable[[Scene], Any]:
    """What comes of a scene, in asyncio's debug mode too."""

    def play(scene: Scene) -> Any:
        async def run() -> Any:
            return await scene(asyncio.get_running_loop())

        return asyncio.run(run(), debug=request.param)

    return play


async def noting(wait: Awaitable[None], log: list[str], name: str = "task") -> None:
    """Notes how it got on with waiting."""
    try:
        await wait
        log.append(f"{name} goes on")
    except asyncio.CancelledError:
        log.append(f"{name} is cancelled")
        raise
    except TimeoutError:
        log.append(f"{name} is late")


async def turns(number: int) -> None:
    """So many turns of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


def test_the_task_goes_on_within_the_callback_as_often_as_it_waits(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        log: list[str] = []
        waits: list[Wait] = []

        async def work() -> None:
            for number in range(3):
                waits.append(Wait(loop=loop))
                await waits[-1]
                log.append(f"task {number}")

        def over(number: int) -> None:
            log.append(f"callback {number}")
            waits[-1].over()
            log.append("returns")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        for number in range(3):
            loop.call_soon(over, number)
        await task
        return log

    log = played(scene)
    assert log == [word for n in range(3) for word in (f"callback {n}", f"task {n}", "returns")]


def test_from_within_another_task_it_goes_on_in_the_next_turn(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        wait, log = Wait(loop=loop), list[str]()
        task = asyncio.create_task(noting(wait, log))
        await asyncio.sleep(0)
        wait.over()
        log.append("other")
        await task
        return log

    assert played(scene) == ["other", "task goes on"]


def test_one_that_is_over_before_it_is_awaited_does_not_wait(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        wait, log = Wait(loop=loop), list[str]()
        loop.call_soon(wait.over)
        await asyncio.sleep(0)
        loop.call_soon(log.append, "a turn")
        await noting(wait, log)
        return list(log)

    assert played(scene) == ["task goes on"]


@pytest.mark.parametrize("before", [True, False], ids=["cancelled before", "cancelled after"])
def test_in_one_turn_what_comes_first_holds(played: Callable[[Scene], Any], before: bool) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        wait, log = Wait(loop=loop), list[str]()

        async def work() -> None:
            await noting(wait, log)
            await noting(asyncio.sleep(60.0), log, "what follows")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        for call in (task.cancel, wait.over) if before else (wait.over, task.cancel):
            loop.call_soon(call)
        await asyncio.wait([task])
        assert task.cancelled()
        wait.over()
        return log

    expected = ["task is cancelled"] if before else ["task goes on", "what follows is cancelled"]
    assert played(scene) == expected


def test_one_that_is_cancelled_before_its_first_step_never_waits(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> bool:
        wait, log = Wait(loop=loop), list[str]()
        task = asyncio.create_task(noting(wait, log))
        task.cancel()
        await asyncio.wait([task])
        wait.over()
        await turns(2)
        return task.cancelled() and log == []

    assert played(scene)


def timed(wait: Wait) -> Coroutine[Any, Any, None]:
    """Waits with asyncio.timeout."""

    async def work() -> None:
        async with asyncio.timeout(0.02):
            await wait

    return work()


LATE: dict[str, Callable[[Wait], Awaitable[None]]] = {
    "timeout": timed,
    "wait_for": lambda wait: asyncio.wait_for(wait, 0.02),
    "wait_for shield": lambda wait: asyncio.wait_for(asyncio.shield(wait), 0.02),
    "wait_for task": lambda wait: asyncio.wait_for(timed(wait), 0.5),
}


@pytest.mark.parametrize("how", LATE)
@pytest.mark.parametrize("comes", [True, False], ids=["it comes", "it does not come"])
def test_it_can_be_waited_for_in_every_way_that_a_future_can(
    played: Callable[[Scene], Any], how: str, comes: bool
) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        wait, log = Wait(loop=loop), list[str]()
        if comes:
            loop.call_later(0.005, wait.over)
        await noting(LATE[how](wait), log)
        wait.over()
        await turns(2)
        return log

    assert played(scene) == ["task goes on" if comes else "task is late"]


def test_all_who_wait_for_the_same_go_on_once_each(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        wait, log = Wait(loop=loop), list[str]()
        wait.add_done_callback(lambda wait: log.append("callback"))
        tasks = [asyncio.create_task(noting(wait, log, name)) for name in "abc"]
        tasks.append(asyncio.create_task(noting(asyncio.wait([wait]), log, "d")))  # type: ignore[arg-type]
        await turns(2)
        loop.call_soon(wait.over)
        await asyncio.gather(*tasks)
        return sorted(log)

    assert played(scene) == ["a goes on", "b goes on", "c goes on", "callback", "d goes on"]


def test_each_task_goes_on_in_its_own_context(played: Callable[[Scene], Any]) -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")

    async def scene(loop: asyncio.AbstractEventLoop) -> list[str]:
        seen: list[str] = []
        wait = Wait(loop=loop)

        async def work() -> None:
            name.set("task")
            await wait
            seen.append(name.get())
            name.set("task, later")

        def over() -> None:
            wait.over()
            seen.append(name.get())

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        loop.call_soon(over)
        await task
        return seen

    assert played(scene) == ["task", "nobody"]


def test_what_the_task_raises_is_the_task_s_and_not_the_callback_s(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> tuple[list[str], str]:
        wait, log = Wait(loop=loop), list[str]()

        async def work() -> None:
            await wait
            raise ValueError("the task's own")

        def over() -> None:
            wait.over()
            log.append("returned")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        loop.call_soon(over)
        await asyncio.wait([task])
        return log, str(task.exception())

    assert played(scene) == (["returned"], "the task's own")


# ---- pauses


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.02])
def test_a_pause_lasts_as_long_as_it_should_and_lets_others_in(played: Callable[[Scene], Any], seconds: float) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> tuple[list[str], float]:
        log: list[str] = []
        loop.call_soon(log.append, "others")
        began = time.monotonic()
        await pause(seconds)
        return log, time.monotonic() - began

    log, took = played(scene)
    assert log == ["others"] and seconds <= took < 0.5


def test_a_pause_that_is_cancelled_leaves_no_timer(played: Callable[[Scene], Any]) -> None:
    async def scene(loop: asyncio.AbstractEventLoop) -> list[bool]:
        task = asyncio.create_task(pause(3600.0))
        await asyncio.sleep(0)
        (timer,) = loop._scheduled  # type: ignore[attr-defined]
        task.cancel()
        await asyncio.wait([task])
        return [task.cancelled(), timer.cancelled()]

    assert played(scene) == [True, True]
