"""A battery that gets another name while it is silent goes on bounding the bank, by a reload and by a restart."""

from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.battery import Battery, Watch
from gateway.renamed import connections, renamed
from gateway.store import Store
from tests.gateway.device import Device, driver
from tests.gateway.test_app import lived, plan


def test_who_left_a_connection_is_who_came_to_it() -> None:
    assert renamed({"a": "1", "b": "2"}, {"a": "1", "c": "2"}) == {"b": "c"}
    assert renamed({"a": "1", "b": "2"}, {"a": "2", "b": "1"}) == {}, "both are there"
    assert renamed({"a": "1", "b": "2"}, {"a": "1", "c": "3"}) == {}, "another place"
    assert renamed({"a": "1", "b": "1"}, {"c": "1", "d": "1"}) == {}, "which is which?"
    one_before = {"new": "3", "b": "1", "c": "2"}
    assert renamed({"a": "1", "b": "2"}, {"b": "1", "c": "2"}) == {"a": "b", "b": "c"}, "numbered anew"
    assert renamed({"new": "1", "b": "2"}, one_before) == {"new": "b", "b": "c"}, "with another one before them"
    assert connections({"a": "1", "b": 2}) == {"a": "1"}
    assert connections(["a"]) == {}


def on(device: Device, name: str, at: str) -> Battery:
    return Battery(Watch(name, connection=at), driver(), device, lambda: None, device.clock)


def bound(gateway: Gateway) -> bool:
    """Does the silent one still bound the bank?"""
    found = gateway.decide()
    return found.guard == "" and any("it last allowed" in cap.why for cap in found.decision.ccl_caps)


async def silenced(gateway: Gateway, alive: Battery, dead: Battery, devices: tuple[Device, Device]) -> None:
    """Both have answered; then the second one's device says nothing for 70 s."""
    for _ in range(4):
        await alive.poll()
        await dead.poll()
        gateway.decide()
    devices[1].silent = {"*"}
    for device in devices:
        device.now += 70
    for _ in range(4):
        await alive.poll()
        await dead.poll()
    assert bound(gateway)


@pytest.mark.parametrize("reloaded", [True, False])
def test_a_new_name_ends_no_outage(reloaded: bool, tmp_path: Path) -> None:
    device, dead, store = Device(), Device(), Store(tmp_path)
    alive, old, new = on(device, "a", "tty1"), on(dead, "b", "tty2"), on(dead, "c", "tty2")

    async def look(gateway: Gateway) -> None:
        await silenced(gateway, alive, old, (device, dead))
        if reloaded:
            await gateway.adopt(plan(alive, new))
            await alive.poll()
            assert bound(gateway)
        store.save(gateway._persisted())

    lived(plan(alive, old), look=look)
    again = Gateway(plan(alive, new, store=store))
    assert bound(again)


def test_a_house_numbered_anew_ends_no_outage() -> None:
    device, dead = Device(), Device()
    alive, old = on(device, "a", "tty1"), on(dead, "b", "tty2")
    first, second = on(device, "b", "tty1"), on(dead, "c", "tty2")

    async def look(gateway: Gateway) -> None:
        await silenced(gateway, alive, old, (device, dead))
        await gateway.adopt(plan(first, second))
        for _ in range(4):
            await first.poll()
            assert bound(gateway)

    lived(plan(alive, old), look=look)
