"""Alarms and knocks on GLib's main loop: each in its time, and no memory for them."""

import asyncio
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from gi.repository import GLib
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.supervise import Supervisor
from outputs.venus_dbus.alarms import Alarms
from tests import make
from tests.venus_dbus.bus import Daemon, connected, gateway, now, until


class Bench:
    """Alarms on a main loop that runs in the test's own thread."""

    def __init__(self, knocked: Callable[[], object] = lambda: None) -> None:
        self.loop = GLib.MainLoop()
        self.alarms = Alarms(knocked, Supervisor("test"))
        self.alarms.begin()
        self.heard: list[str] = []

    def alarm(self, name: str, seconds: float) -> None:
        self.alarms.alarm(lambda: self.heard.append(name)).set(seconds)

    def run(self, seconds: float) -> None:
        self.alarms.alarm(self.loop.quit).set(seconds)
        self.loop.run()

    def end(self) -> None:
        self.alarms.end()
        self.alarms.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.end()


@given(due=st.lists(st.integers(0, 30), max_size=6))
@settings(max_examples=15, deadline=None)
def test_each_goes_off_once_in_its_time_and_in_the_order_in_which_they_are_due(due: list[int]) -> None:
    bench = Bench()
    try:
        went_off: list[tuple[float, float]] = []  # when each was due, and when it did
        for after in due:
            alarm = bench.alarms.alarm(lambda: None)
            alarm.set(after / 1000)
            alarm.action = partial(lambda at: went_off.append((at, time.monotonic())), alarm.due)
        bench.run(0.04)
    finally:
        bench.end()
    assert len(went_off) == len(due)
    assert went_off == sorted(went_off)
    assert all(at <= then for at, then in went_off)


def test_one_that_is_cleared_or_set_anew_by_another_that_goes_off_before_it_does_not_go_off(bench: Bench) -> None:
    cleared, later = bench.alarms.alarm(lambda: bench.heard.append("cleared")), bench.alarms.alarm(
        lambda: bench.heard.append("later")
    )  # fmt: skip

    def first() -> None:
        cleared.clear()
        later.set(0.05)
        time.sleep(0.02)  # all three are due

    bench.alarms.alarm(first).set(0.01)
    cleared.set(0.015)
    later.set(0.015)
    bench.run(0.04)
    assert bench.heard == []
    assert (cleared.is_set, later.is_set) == (False, True)
    bench.run(0.06)
    assert bench.heard == ["later"]


def test_one_can_be_set_again_by_itself_and_sooner_but_not_later_by_set_sooner(bench: Bench) -> None:
    count = 0

    def again() -> None:
        nonlocal count
        count += 1
        if count < 5:
            alarm.set(0.002)

    alarm = bench.alarms.alarm(again)
    alarm.set(0.5)
    alarm.set_sooner(0.002)
    alarm.set_sooner(0.5)
    bench.run(0.3)
    assert count == 5


def test_one_that_fails_is_a_defect_that_is_said_and_the_others_go_on(bench: Bench) -> None:
    def fails() -> None:
        raise KeyError("a defect")

    bench.alarms.alarm(fails).set(0.001)
    bench.alarm("next", 0.002)
    bench.run(0.02)
    assert bench.heard == ["next"]


class Mute(Exception):
    """Cannot even be said."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_one_whose_failure_cannot_be_said_does_not_make_the_thread_deaf(bench: Bench) -> None:
    def fails() -> None:
        raise Mute

    bench.alarms.alarm(fails).set(0.001)
    bench.run(0.01)
    bench.alarm("next", 0.001)
    bench.run(0.02)
    assert bench.heard == ["next"]


@pytest.mark.parametrize("seconds", [1e13, 1e300, math.inf, 0.0, -5.0, -math.inf])
def test_a_time_that_glib_cannot_take_does_not_make_the_thread_deaf(bench: Bench, seconds: float) -> None:
    bench.alarm("odd", seconds)
    bench.run(0.01)
    bench.alarm("next", 0.001)
    bench.run(0.02)
    assert bench.heard == [*(["odd"] if seconds <= 0 else []), "next"]


def test_who_knocks_when_it_has_ended_writes_to_nobody_elses_descriptor() -> None:
    bench = Bench()
    bench.end()
    others = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(8)]  # one of them has the number that the door had
    bench.alarms.knock()
    bench.alarms.close()
    for other in others:
        with pytest.raises(BlockingIOError):
            os.eventfd_read(other)
        os.close(other)


def test_a_knock_from_another_thread_wakes_at_once_and_leaves_the_alarms_as_they_are() -> None:
    heard: list[float] = []
    bench = Bench(lambda: heard.append(time.monotonic()))
    try:
        knocked: list[float] = []

        def knock() -> None:
            knocked.append(time.monotonic())
            bench.alarms.knock()

        threading.Timer(0.03, knock).start()
        bench.alarm("alarm", 0.4)
        bench.run(0.5)
    finally:
        bench.end()
    assert len(heard) == 2  # the first for those who had knocked before it began
    assert heard[1] - knocked[0] < 0.2
    assert bench.heard == ["alarm"]


def test_thousands_of_them_take_no_memory(bench: Bench) -> None:
    """What an older PyGObject makes for a callback is never given back; it lies in pages that may be executed."""
    left = 5000

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            alarm.set(0.0)
        else:
            bench.loop.quit()

    alarm = bench.alarms.alarm(again)
    alarm.set(0.0)
    before = executable()
    bench.loop.run()
    assert executable() == before


def test_a_thousand_snapshots_take_no_memory_for_their_deadlines_and_paces(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, min_interval=0.05) as (output, _):
            await until(connected(output), meanwhile=lambda: output.publish(now()))
            before = executable()
            for number in range(1000):
                output.publish(now(valid_for=1.0, bank=make.bank(soc=float(number % 100))))
                await asyncio.sleep(0.002)
            assert executable() == before
            assert output.status()["connected"]

    asyncio.run(scenario())


def executable() -> int:
    """Bytes of this process that hold code which was made while it ran."""
    maps = Path("/proc/self/maps").read_text()
    return sum(
        int(end, 16) - int(begin, 16)
        for begin, end in re.findall(r"^(\w+)-(\w+) rwxp \S+ \S+ 0 *$", maps, re.MULTILINE)
    )
