"""Device instance and custom name are Venus OS's to keep, where it is there."""

import asyncio
import signal

import dbus

from outputs.venus_dbus.claim import settings_id
from tests.venus_dbus.bus import Daemon, connected, gateway, now, off_loop, send, until, value
from tests.venus_dbus.localsettings import running

SETTINGS = "com.victronenergy.settings"
ROOT = "/Settings/Devices/bms_gateway"


def test_the_first_name_on_the_bus_already_has_the_instance_that_venus_gives(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address, "1", "2"):
            async with gateway(daemon.address, custom_name="Cellar") as (output, _):
                output.publish(now())
                await until(connected(output))
                assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 3"
                stored = await off_loop(value, daemon.address, f"{ROOT}/CustomName", service=SETTINGS)
                assert stored == "Cellar"

    asyncio.run(scenario())


def test_without_venus_settings_it_publishes_and_claims_when_they_appear(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(
            daemon.address,
        ) as (output, _):
            output.publish(now())
            await until(connected(output), within=1.0)
            assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 1"
            with running(daemon.address, "1"):
                await until(lambda: output.status()["device_instance"] == 2)
                await until(connected(output))
                assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 2"
            assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 2"  # they went, we stay

    asyncio.run(scenario())


def test_an_instance_changed_by_the_user_is_taken_over(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address):
            async with gateway(
                daemon.address,
            ) as (output, _):
                output.publish(now())
                await until(connected(output))
                path, wish = f"{ROOT}/ClassAndVrmInstance", "variant:string:battery:9"
                await off_loop(send, daemon.address, path, "SetValue", wish, service=SETTINGS)
                await until(lambda: output.status()["device_instance"] == 9 and output.status()["connected"])
                assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 9"

    asyncio.run(scenario())


def test_of_two_changes_at_once_the_last_one_counts(daemon: Daemon) -> None:
    def change(*instances: int) -> None:
        bus = dbus.bus.BusConnection(daemon.address)
        there = bus.get_object(SETTINGS, f"{ROOT}/ClassAndVrmInstance", introspect=False)
        setting = dbus.Interface(there, "com.victronenergy.BusItem")
        for instance in instances:
            setting.SetValue(f"battery:{instance}", ignore_reply=True)
        bus.flush()
        bus.close()

    async def scenario() -> None:
        with running(daemon.address):
            async with gateway(daemon.address) as (output, _):
                output.publish(now())
                await until(connected(output))
                await off_loop(change, 9, 7)
                await until(lambda: output.status()["device_instance"] != 1 and output.status()["connected"])
                assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 7"

    asyncio.run(scenario())


def test_the_custom_name_is_written_through_and_read_back(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address):
            async with gateway(
                daemon.address,
            ) as (output, _):
                output.publish(now())
                await until(connected(output))
                await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:string:Barn")
                stored = await off_loop(value, daemon.address, f"{ROOT}/CustomName", service=SETTINGS)
                assert stored == "Barn"
            async with gateway(daemon.address, custom_name="not this") as (output, _):
                output.publish(now())
                await until(connected(output))
                assert await off_loop(value, daemon.address, "/CustomName") == "Barn"
                await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:string:")
                assert await off_loop(value, daemon.address, "/CustomName") == ""

    asyncio.run(scenario())


def test_an_identity_becomes_a_legal_settings_id() -> None:
    assert settings_id("bms_gateway_rack 1/ü") == "bms_gateway_rack_1__"
    assert settings_id("__x") == "x"
    assert settings_id("___") == "bms_gateway"


def test_a_name_given_while_venus_settings_are_away_is_written_when_they_are_back(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            with running(daemon.address):
                output.publish(now())
                await until(connected(output))
                await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:string:Barn")
            await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:string:Attic")
            with running(daemon.address):  # it knows another name by then, as one that kept "Barn" would
                await off_loop(send, daemon.address, f"{ROOT}/CustomName", "GetValue", service=SETTINGS)
                await until(lambda: value(daemon.address, f"{ROOT}/CustomName", service=SETTINGS) == "Attic")
                assert await off_loop(value, daemon.address, "/CustomName") == "Attic"

    asyncio.run(scenario())


def test_a_name_that_venus_settings_refuse_to_keep_is_written_to_the_next_that_are_there(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            with running(daemon.address, "refuses"):
                output.publish(now())
                await until(connected(output))
                await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:string:Barn")
                assert await off_loop(value, daemon.address, f"{ROOT}/CustomName", service=SETTINGS) == ""
                assert await off_loop(value, daemon.address, "/CustomName") == "Barn"
            with running(daemon.address, "name=Shed"):
                await until(lambda: value(daemon.address, f"{ROOT}/CustomName", service=SETTINGS) == "Barn")
                assert await off_loop(value, daemon.address, "/CustomName") == "Barn"

    asyncio.run(scenario())


def test_venus_settings_that_hang_delay_nothing_for_long_and_are_heard_when_they_wake(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address, "1") as settings:
            settings.send_signal(signal.SIGSTOP)
            async with gateway(daemon.address) as (output, _):
                output.publish(now())
                await until(connected(output), within=2.0)
                assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 1"
                settings.send_signal(signal.SIGCONT)
                await until(lambda: output.status()["device_instance"] == 2 and output.status()["connected"])

    asyncio.run(scenario())
