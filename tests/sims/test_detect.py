"""Detection against simulated devices on real ptys."""

import asyncio
from typing import Any

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.detect import Found, detect, recognised
from bms_drivers.sims import sim
from bms_drivers.sims.eg4_ll import build
from bms_drivers.sims.host import simulated
from bms_drivers.sims.modbus import ModbusDevice
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import cells_of
from tests.sims.wire import Wire


def found(name: str, setup: dict[str, Any], names: tuple[str, ...] = ()) -> list[Found]:
    async def run() -> list[Found]:
        device = await simulated(name, setup, seed=2)
        try:
            async for one in detect(str(device.path), names):
                return [one]  # the first is enough; silent addresses would cost their time-outs
            return []
        finally:
            await device.close()

    return asyncio.run(run())


@pytest.mark.parametrize("name", registry.names())
def test_each_bms_is_recognised(name: str) -> None:
    devices = found(name, {}, (name,))
    assert [device.driver.name for device in devices][:1] == [name]
    assert f"{cells_of(name)} cells" in devices[0].what


def test_an_address_is_found() -> None:
    assert [dict(device.setup) for device in found("jk_pb", {"address": 3}, ("jk_pb",))] == [{"address": 3}]


def on_one_bus(*units: int) -> list[dict[str, Any]]:
    """Settings of all EG4 LL packs that are found on a bus with these units."""
    packs = {unit: build(Pack.of(unit), {"address": unit}) for unit in units}

    class Bus(ModbusDevice):
        def answer(self, received: bytearray) -> list[bytes]:
            return packs[received[0]].answer(received) if received[0] in packs else []

    async def run() -> list[dict[str, Any]]:
        wire = Wire(Bus(packs[units[0]].pack, lambda unit: None))
        return [dict(found.setup) async for found in recognised(wire, registry.load("eg4_ll"))]

    return asyncio.run(run())


def test_others_on_the_bus_are_looked_for_where_one_was_found() -> None:
    assert on_one_bus(1, 3, 15) == [{"address": 1}, {"address": 3}, {"address": 15}]
    assert on_one_bus(16, 2) == [{"address": 16}, {"address": 2}]
    assert on_one_bus(3) == [], "a bus without any of the usual addresses costs two time-outs, not sixteen"


@pytest.mark.parametrize(("device", "driver"), [("jbd", "daly"), ("daly", "jbd"), ("jbd", "jk"), ("jk", "jbd")])
def test_no_driver_takes_another_bms_for_its_own(device: str, driver: str) -> None:
    assert found(device, {}, (driver,)) == []


@pytest.mark.parametrize("driver", registry.names())
def test_no_driver_takes_another_simulator_for_its_own(driver: str) -> None:
    """Every other device, asked every question of the detection, whatever its baud rate."""

    async def found(device: str) -> list[Found]:
        simulator = sim.build(device, Pack.of(3, cells=cells_of(device)), {})
        return [one async for one in recognised(Wire(simulator), registry.load(driver))]

    others = [name for name in registry.simulated() if name != driver]
    assert [name for name in others if asyncio.run(found(name))] == []
    assert asyncio.run(found(driver)), "and its own it does"
