"""Each battery may have a service: under who it is, on a connection of its own, and never as a BMS."""

import asyncio
from dataclasses import replace

import pytest

from gateway.model import BatteryState, Health
from tests import make
from tests.venus_dbus.bus import BANK, Daemon, gateway, names, now, off_loop, owner, until, value
from tests.venus_dbus.localsettings import running

ONE, TWO = f"{BANK}_one", f"{BANK}_two"


def pair(first: str, second: str) -> tuple[BatteryState, BatteryState]:
    return make.battery("one", identity=first), make.battery("two", identity=second)


def test_twins_are_refused_with_a_sentence_and_taken_once_they_differ(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, each_battery=True) as (output, _):
            for _ in range(3):
                output.publish(now(bank=make.bank(*pair("SN 1", "SN-1"))))  # the same one to localsettings
                await asyncio.sleep(0.05)
            await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            assert await off_loop(names, daemon.address) == [BANK, ONE]
            assert "two: not on D-Bus by itself, for it says to be 'SN-1' as one does" in output.status()["problem"]
            output.publish(now(bank=make.bank(*pair("SN 1", "SN 2"))))
            await until(lambda: len(output.status()["services"]) == 3)  # type: ignore[arg-type]
            assert output.status()["problem"] == ""

    asyncio.run(scenario())
    assert len([line for line in caplog.messages if "identity of its own in gateway.yaml" in line]) == 1


def test_who_is_not_known_yet_waits_and_another_device_gets_another_instance(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address):
            async with gateway(daemon.address, each_battery=True) as (output, _):
                output.publish(now(bank=make.bank(*pair("", "B"))))
                await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
                assert await off_loop(names, daemon.address) == [BANK, TWO]
                output.publish(now(bank=make.bank(*pair("A", ""))))  # it does not answer for its number just now
                await until(lambda: len(output.status()["services"]) == 3)  # type: ignore[arg-type]
                before = await off_loop(owner, daemon.address, TWO)
                instance = await off_loop(value, daemon.address, "/DeviceInstance", service=TWO)
                output.publish(now(bank=make.bank(*pair("A", "C"))))
                await until(lambda: len(output.status()["services"]) == 3 and _other(before))  # type: ignore[arg-type]
                assert await off_loop(value, daemon.address, "/DeviceInstance", service=TWO) != instance

    def _other(before: str) -> bool:
        return owner(daemon.address, TWO) not in ("", before)

    asyncio.run(scenario())


def test_a_battery_that_was_made_anew_does_not_live_on_with_the_values_of_the_one_before(daemon: Daemon) -> None:
    one, two = pair("A", "B")

    async def scenario() -> None:
        async with gateway(daemon.address, each_battery=True) as (output, _):
            output.publish(now(bank=make.bank(one, two)))
            await until(lambda: len(output.status()["services"]) == 3)  # type: ignore[arg-type]
            unknown = replace(two, reading=None, identity="", health=Health.STARTING)
            output.publish(now(bank=make.bank(one, unknown)))
            await until(lambda: output.status()["services"] == [BANK, ONE])
            output.publish(now(bank=make.bank(one, two)))
            await until(lambda: len(output.status()["services"]) == 3)  # type: ignore[arg-type]

    asyncio.run(scenario())
