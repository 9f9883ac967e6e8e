"""What is not used any more is freed, in the process that stays and after another configuration."""

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gateway import garbage
from tests.gateway.until import until


class Part:
    """Refers to itself: no reference count frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every 20 ms, beginning at once, and never by Python itself; its usual way afterwards."""
    monkeypatch.setattr(garbage, "SETTLED", 0.01)
    monkeypatch.setattr(garbage, "EVERY", 0.02)
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@asynccontextmanager
async def looked_for() -> AsyncIterator[None]:
    task = asyncio.create_task(garbage.kept_small())
    yield
    task.cancel()


PATIENCE = 30.0  # s; how long it may take to look through all that this process of tests holds


def all_is_frozen() -> bool:
    return gc.get_freeze_count() > 0


def test_what_the_start_left_is_freed_once_and_from_then_on_what_came_later_alone() -> None:
    async def run() -> None:
        early, built = weakref.ref(Part()), Part()
        async with looked_for():
            await until(all_is_frozen, PATIENCE)
            assert early() is None
            kept, late = weakref.ref(built), weakref.ref(Part())
            del built
            await until(lambda: late() is None, PATIENCE)
            assert kept() is not None

    asyncio.run(run())


def test_what_another_configuration_replaced_is_freed_though_it_was_there_from_the_start() -> None:
    async def run() -> None:
        part = Part()
        old = weakref.ref(part)
        async with looked_for():
            await until(all_is_frozen, PATIENCE)
        del part
        assert old() is not None
        garbage.replaced()
        assert old() is None
        assert all_is_frozen()

    asyncio.run(run())


def test_what_another_configuration_replaced_during_the_start_is_freed_and_nothing_frozen_early() -> None:
    part = weakref.ref(Part())
    garbage.replaced()
    assert part() is None
    assert not all_is_frozen()


def test_the_spare_tuples_of_a_running_process_are_given_back() -> None:
    """Each tuple of a generator leaves one more: the growth of a gateway's first days, before it was known."""

    async def run() -> None:
        async with looked_for():
            await until(all_is_frozen, PATIENCE)
            many = [tuple(number for number in range(17)) for _ in range(1500)]
            blocks = sys.getallocatedblocks()
            del many
            assert sys.getallocatedblocks() > blocks - 500
            await until(lambda: sys.getallocatedblocks() < blocks - 1000, PATIENCE)

    asyncio.run(run())
