"""Detection against simulated devices on real ptys."""

import asyncio
from typing import Any

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.detect import Found, detect
from bms_drivers.sims.host import simulated
from bms_drivers.sims.sim import cells_of


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


@pytest.mark.parametrize(("device", "driver"), [("jbd", "daly"), ("daly", "jbd"), ("jbd", "jk"), ("jk", "jbd")])
def test_no_driver_takes_another_bms_for_its_own(device: str, driver: str) -> None:
    assert found(device, {}, (driver,)) == []
