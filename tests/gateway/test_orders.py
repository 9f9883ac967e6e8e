"""What becomes of a command: performed once, confirmed by a newer reading, or settled in time with a reason."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers import kit
from gateway.battery import Battery
from gateway.model import Command, DeviceRefused, LinkClosed, Outcome
from tests.gateway.device import PLAN, Device, battery, driver, step, write

CONTROLS = {"charge": write("charge", "soh"), "soc": write("soc", "soc")}
WITH_SOC = (*PLAN, step("soc", "soc"))


def pack(device: Device, **more: Any) -> Battery:
    return battery(device, driver(*WITH_SOC, controls=CONTROLS), **more)


def told(work: Callable[[Battery, Device], Awaitable[Any]], **more: Any) -> Any:
    async def run() -> Any:
        device = Device()
        device.fields = {"soc": 22.0}
        return await work(pack(device, **more), device)

    return asyncio.run(run())


def writes(device: Device) -> list[str]:
    return [heard for heard in device.heard if heard.startswith(("soc ", "charge "))]


async def go_on(battery: Battery, device: Device, seconds: float, *, poll: bool = True) -> None:
    """Heartbeats, and polls between them."""
    for _ in range(int(seconds)):
        device.now += 1.0
        battery.states()
        if poll:
            await battery.poll()
    await asyncio.sleep(0)


def test_a_command_to_a_battery_that_is_away_expires_and_is_never_written_later() -> None:
    async def work(battery: Battery, device: Device) -> None:
        await battery.poll()
        device.plugged = False
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 29)
        assert not done.done()
        await go_on(battery, device, 1)
        assert done.result() == Outcome(False, False, "pack: soc 100 % expired before it could be sent (30 s)")
        device.plugged = True
        await go_on(battery, device, 10)
        assert writes(device) == []

    told(work)


def test_a_command_expires_even_while_no_poll_ends() -> None:
    async def work(battery: Battery, device: Device) -> None:
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 31, poll=False)
        assert not done.result().accepted

    told(work)


def test_a_battery_that_is_asked_seldom_has_three_polls_to_take_a_command() -> None:
    async def work(battery: Battery, device: Device) -> None:
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 59, poll=False)
        assert not done.done()
        await go_on(battery, device, 2, poll=False)
        assert done.result().note == "pack: soc 100 % expired before it could be sent (60 s)"

    told(work, poll_interval=20.0)


def test_a_poll_interval_that_is_changed_while_it_runs_counts_for_commands_too() -> None:
    async def work(battery: Battery, device: Device) -> None:
        battery.watch = replace(battery.watch, poll_interval=20.0)
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 59, poll=False)
        assert not done.done()
        await go_on(battery, device, 2, poll=False)
        assert done.done()

    told(work)


def test_a_newer_command_of_its_kind_replaces_the_one_that_waits() -> None:
    async def work(battery: Battery, device: Device) -> None:
        first, other = battery.command(Command("soc", 90.0)), battery.command(Command("charge", 1.0))
        second = battery.command(Command("soc", 95.0))
        assert first.result() == Outcome(False, False, "pack: soc 90 % replaced by a newer one")
        assert not other.done()
        device.fields = {"soc": 95.0}
        await go_on(battery, device, 1)
        assert writes(device) == ["charge 1", "soc 95"]
        assert second.result().confirmed

    told(work)


def test_a_thousand_commands_are_one_write_each_kind() -> None:
    async def work(battery: Battery, device: Device) -> None:
        asked = [battery.command(Command("soc", n % 100)) for n in range(1000)]
        asked += [battery.command(Command("charge", n % 2)) for n in range(1000)]
        await go_on(battery, device, 60)
        assert writes(device) == ["soc 99", "charge 1"]
        assert all(done.done() for done in asked)

    told(work)


def test_a_command_replaced_while_it_is_on_its_way_has_one_outcome_and_the_newer_follows() -> None:
    async def work(battery: Battery, device: Device) -> None:
        newer: list[Any] = []
        device.during = lambda heard: newer.append(battery.command(Command("soc", 50.0))) if heard == "soc 90" else None
        first = battery.command(Command("soc", 90.0))
        device.fields = {"soc": 50.0}
        await go_on(battery, device, 2)
        assert first.result().note == "pack: soc 90 % replaced by a newer one"
        assert writes(device) == ["soc 90", "soc 50"]
        assert newer[0].result().confirmed

    told(work)


def test_only_a_reading_that_came_after_the_write_confirms_it() -> None:
    async def work(battery: Battery, device: Device) -> None:
        device.fields = {"soc": 100.0}
        await battery.poll()  # it says 100 % before anything is written
        device.silent = {"volts"}
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 3)
        assert writes(device) == ["soc 100"]
        assert not done.done(), "no reading has come since"
        device.silent = set()
        await go_on(battery, device, 1)
        assert done.result().confirmed

    told(work)


def test_after_a_write_what_is_asked_seldom_is_asked_at_once() -> None:
    async def work() -> None:
        device = Device()
        slow = step("settings", "capacity", every=180.0)
        pack = battery(device, driver(*WITH_SOC, slow, controls=CONTROLS))
        await go_on(pack, device, 2)
        assert device.heard.count("settings") == 1
        pack.command(Command("soc", 90.0))
        await go_on(pack, device, 2)
        assert device.heard.count("settings") == 2
        assert device.heard.index("soc 90") < len(device.heard) - 1 - device.heard[::-1].index("settings")

    asyncio.run(work())


def test_a_value_kept_from_before_the_write_confirms_nothing() -> None:
    async def work() -> None:
        device = Device()
        opened = kit.Control(CONTROLS["charge"].talk, lambda value, reading: reading.charge_allowed == bool(value))
        pack = battery(device, driver(*PLAN, controls={"charge": opened}))
        await pack.poll()  # the switch is closed already, before anything is written
        device.silent = {"switches"}
        done = pack.command(Command("charge", 1.0))
        await go_on(pack, device, 1)
        assert writes(device) == ["charge 1"]
        assert not done.done(), "the switches were not told since"
        device.silent = set()
        await go_on(pack, device, 1)
        assert done.result().confirmed

    asyncio.run(work())


def test_a_command_that_expires_while_the_battery_waits_for_its_turn_is_not_written() -> None:
    async def work(battery: Battery, device: Device) -> None:
        turn = device.turn

        @asynccontextmanager
        async def late(name: str) -> AsyncIterator[Any]:
            device.now += 31.0
            async with turn(name) as link:
                yield link

        device.turn = late  # type: ignore[method-assign]
        done = battery.command(Command("soc", 100.0))
        await battery.poll()
        assert not done.result().accepted
        assert writes(device) == []

    told(work)


def test_a_command_that_expires_while_another_is_written_is_not_written() -> None:
    async def work(battery: Battery, device: Device) -> None:
        def slowly(question: str) -> None:
            if question == "soc 90":
                device.now += 31.0
                battery.states()

        device.during = slowly
        first, second = battery.command(Command("soc", 90.0)), battery.command(Command("charge", 1.0))
        await battery.poll()
        assert writes(device) == ["soc 90"]
        assert first.done() and second.done()

    told(work)


def test_what_is_written_but_does_not_show_in_three_readings_is_said() -> None:
    async def work(battery: Battery, device: Device) -> None:
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 2)
        assert not done.done()
        await go_on(battery, device, 1)
        assert done.result() == Outcome(True, False, "pack: soc 100 % accepted, but the readings do not show it")
        assert writes(device) == ["soc 100"]

    told(work)


def test_what_is_written_to_a_device_that_then_falls_silent_is_said_as_unconfirmed() -> None:
    async def work(battery: Battery, device: Device) -> None:
        done = battery.command(Command("soc", 100.0))
        device.silent = {"volts"}
        await go_on(battery, device, 31)
        note = "pack: soc 100 % accepted, but no reading came that could show it (30 s)"
        assert done.result() == Outcome(True, False, note)

    told(work)


@pytest.mark.parametrize(
    "fault",
    [OverflowError("can't convert negative int to unsigned"), ValueError("year -30 is out of range"), KeyError("x"),
     UnicodeError("label empty"), DeviceRefused("0x21: the board answers 0")],
)  # fmt: skip
def test_a_command_whose_talk_fails_with_anything_is_refused_at_once_and_polling_goes_on(fault: Exception) -> None:
    async def work(battery: Battery, device: Device) -> None:
        device.broken = {"soc 100": fault}
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 3)
        outcome = done.result()
        assert not outcome.accepted
        assert outcome.note.startswith("pack: soc 100 % refused: ")
        assert str(fault) in outcome.note
        assert battery.states()[0].counters["good"] == 3

    told(work)


def test_a_command_waits_on_when_the_cable_goes_at_its_turn() -> None:
    async def work(battery: Battery, device: Device) -> None:
        device.broken = {"soc 100": LinkClosed("gone")}
        done = battery.command(Command("soc", 100.0))
        await go_on(battery, device, 2)
        assert not done.done()
        device.broken, device.fields = {}, {"soc": 100.0}
        await go_on(battery, device, 1)
        assert done.result().confirmed

    told(work)


def test_a_defect_while_confirming_settles_the_command() -> None:
    def shows(value: float, reading: object) -> bool:
        raise ZeroDivisionError("division by zero")

    async def work() -> None:
        device = Device()
        broken = kit.Control(CONTROLS["soc"].talk, shows)
        pack = battery(device, driver(*WITH_SOC, controls={"soc": broken}))
        done = pack.command(Command("soc", 100.0))
        await go_on(pack, device, 2)
        assert "division by zero" in done.result().note
        assert pack.states()[0].counters["good"] == 2

    asyncio.run(work())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["soc", "charge", "poll", "silent", "awake", "out", "in", "wait"]), min_size=1, max_size=60
    )
)
def test_every_command_has_an_outcome_within_its_time_and_none_is_written_twice(happenings: list[str]) -> None:
    async def work(battery: Battery, device: Device) -> None:
        asked: list[tuple[float, asyncio.Future[Outcome]]] = []
        for number, happens in enumerate(happenings):
            device.now += 0.7
            if happens in ("soc", "charge"):
                value = number % 2 if happens == "charge" else number + 1.0
                asked.append((device.now, battery.command(Command(happens, value))))  # type: ignore[arg-type]
            elif happens == "poll":
                await battery.poll()
            elif happens == "wait":
                device.now += 8.0
            device.silent = {"silent": {"volts"}, "awake": set[str]()}.get(happens, device.silent)
            device.plugged = {"out": False, "in": True}.get(happens, device.plugged)
            battery.states()
            assert all(done.done() for at, done in asked if device.now - at >= 30.0)
        numbers = [written for written in writes(device) if written.startswith("soc")]
        assert len(numbers) == len(set(numbers)), "each has another value"
        device.now += 30.0
        battery.states()
        assert all(done.done() for _, done in asked)

    told(work)
