"""How far Venus OS discharges the bank: heard from its settings, not known once those are gone or do not answer."""

import asyncio
import signal

import dbus
import pytest

from outputs.venus_dbus.floor import ESS, STALE_AFTER, Floor, floor_of
from tests.venus_dbus.bus import Daemon, gateway, off_loop, send, until, value
from tests.venus_dbus.localsettings import running

SETTINGS = "com.victronenergy.settings"
LIFE = f"{ESS}/BatteryLife"


def add(address: str, **life: float) -> None:
    """As the GX has them where ESS is installed."""
    bus = dbus.bus.BusConnection(address)
    settings = {f"{ESS}/Hub4Mode": 1, **{f"{LIFE}/{name}": number for name, number in life.items()}}
    wanted = [{"path": path, "default": number} for path, number in settings.items()]
    root = bus.get_object(SETTINGS, "/", introspect=False)
    root.AddSettings(dbus.Array(wanted, signature="a{sv}"), dbus_interface="com.victronenergy.Settings")
    bus.close()


def told(address: str, path: str, number: str) -> None:
    """A setting is changed on the GX."""
    assert "int32 0" in send(address, path, "SetValue", f"variant:{number}", service=SETTINGS)


def test_a_change_is_heard_without_a_question_and_what_is_gone_is_not_known(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address):
            add(daemon.address, State=10, MinimumSocLimit=12.5, SocLimit=40)
            async with gateway(daemon.address) as (output, _):
                await until(lambda: output.discharge_floor() == 12.5)
                await off_loop(told, daemon.address, f"{LIFE}/MinimumSocLimit", "double:20")
                await until(lambda: output.discharge_floor() == 20)
                await off_loop(told, daemon.address, f"{LIFE}/State", "int32:5")
                await until(lambda: output.discharge_floor() == 40)
                for nonsense in ("double:101", "double:nan", "string:low"):
                    await off_loop(told, daemon.address, f"{LIFE}/SocLimit", nonsense)
                    await until(lambda: output.discharge_floor() is None)
                    await off_loop(told, daemon.address, f"{LIFE}/SocLimit", "double:40")
                    await until(lambda: output.discharge_floor() == 40)
                assert await off_loop(value, daemon.address, "/Asked", service=SETTINGS) == "int32 1"
                daemon.kill()
                await until(lambda: output.discharge_floor() is None, within=1.0)

    asyncio.run(scenario())


def test_settings_that_go_are_not_known_at_once_and_those_that_come_are_asked(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            for floor in (15, 25):
                with running(daemon.address):
                    await off_loop(add, daemon.address, State=10, MinimumSocLimit=floor, SocLimit=40)
                    for path, number in ((f"{ESS}/Hub4Mode", "int32:1"), (f"{LIFE}/State", "int32:10"),
                                         (f"{LIFE}/MinimumSocLimit", f"int32:{floor}")):  # fmt: skip
                        await off_loop(told, daemon.address, path, number)
                    await until(lambda floor=floor: output.discharge_floor() == floor)
                await until(lambda: output.discharge_floor() is None, within=1.0)

    asyncio.run(scenario())


def test_settings_that_hang_are_not_known_and_asked_again_until_they_answer(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AGAIN", "SOON", "PATIENCE"):
        monkeypatch.setattr(f"outputs.venus_dbus.floor.{name}", 0.2)

    async def scenario() -> None:
        with running(daemon.address) as settings:
            add(daemon.address, State=10, MinimumSocLimit=15, SocLimit=40)
            async with gateway(daemon.address) as (output, _):
                await until(lambda: output.discharge_floor() == 15)
                settings.send_signal(signal.SIGSTOP)
                await until(lambda: output.discharge_floor() is None, within=2.0)
                settings.send_signal(signal.SIGCONT)
                await until(lambda: output.discharge_floor() == 15, within=2.0)

    asyncio.run(scenario())


def test_what_was_told_long_ago_is_not_known_even_if_nobody_asked_since() -> None:
    now = 5000.0
    floor = Floor(lambda: now, lambda after, action: None)
    floor._known = {"hub": 1, "state": 10, "minimum": 15}, now
    assert floor.soc() == 15
    now += STALE_AFTER
    assert floor.soc() is None


@pytest.mark.parametrize(
    ("known", "floor"),
    [
        ({"hub": 1, "state": 10, "minimum": 15, "limit": 35}, 15),
        ({"hub": 1, "state": 4, "minimum": 15, "limit": 35}, 35),
        ({"hub": 1, "state": 9, "minimum": 15, "limit": 35}, None),
        ({"hub": 3, "state": 10, "minimum": 15, "limit": 35}, None),
        ({"hub": 1, "minimum": 15, "limit": 35}, None),
        ({"hub": 1, "state": 4, "minimum": 15}, None),
        ({}, None),
    ],
)
def test_chapter_6_how_far_ess_discharges(known: dict[str, float], floor: float | None) -> None:
    assert floor_of(known) == floor
