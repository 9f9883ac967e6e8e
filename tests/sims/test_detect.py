"""Detection against simulated devices on real ptys."""

import asyncio
import os
import termios
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import pytest

from bms_drivers import kit
from bms_drivers.kit import registry, talkers
from bms_drivers.kit.detect import Found, detect, in_order, recognised, steps
from bms_drivers.links import rtu
from bms_drivers.links.factory import reaches
from bms_drivers.sims import sim
from bms_drivers.sims.can_bus import CanDevice
from bms_drivers.sims.eg4_ll import build
from bms_drivers.sims.host import simulated
from bms_drivers.sims.modbus import ModbusDevice
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.pty import PtyDevice
from bms_drivers.sims.sim import build as build_sim
from bms_drivers.sims.sim import cells_of
from gateway.model import ConfigError, LinkTimeout
from tests.sims.wire import Wire


def found(name: str, setup: dict[str, Any], names: tuple[str, ...] = ()) -> list[Found]:
    async def run() -> list[Found]:
        device = await simulated(name, setup, seed=2)
        try:
            async for one in _looked_for(device, names):
                return [one]  # the first is enough; silent addresses would cost their time-outs
            return []
        finally:
            await device.close()

    return asyncio.run(run())


async def _looked_for(device: Any, names: tuple[str, ...]) -> AsyncIterator[Found]:
    """As `detect` on its port; a bus that is within this process has no name that could be opened."""
    if not isinstance(device, CanDevice):
        async for one in detect(str(device.path), names):
            yield one
        return
    link = device.link()
    await link.open()
    for name in names:
        async for one in recognised(link, registry.load(name), thorough=True):
            yield one
    await link.close()


RATED = {
    name: [option.choices[-1] for option in registry.load(name).options if option.name == "baud"]
    for name in registry.names()
}
TWO_RATES = [(name, int(rate)) for name, rates in RATED.items() for rate in rates if name in registry.simulated()]


class AtOneRate(PtyDevice):
    """Hears nothing but what is said at its own rate."""

    rate = 0

    def _heard(self) -> None:
        set_to: int = termios.tcgetattr(self._slave)[4]
        if set_to == getattr(termios, f"B{self.rate}"):
            super()._heard()
        else:
            os.read(self._master, 4096)


@pytest.mark.parametrize(("name", "rate"), TWO_RATES)
def test_one_that_speaks_at_the_other_rate_of_its_kind_is_found(name: str, rate: int) -> None:
    async def run() -> list[Found]:
        device = AtOneRate(build_sim(name, Pack.of(2, cells=cells_of(name))))
        device.rate = rate
        await device.start()
        try:
            async for one in detect(str(device.path), (name,)):
                return [one]
            return []
        finally:
            await device.close()

    (one,) = asyncio.run(run())
    assert (one.driver.name, one.setup["baud"]) == (name, rate)


def test_rare_rates_are_tried_when_nobody_answered_at_the_usual_ones_and_none_on_a_network() -> None:
    drivers = [registry.load(name) for name in ("seplos", "jbd", "pace")]

    def order(where: str, *, thorough: bool = False) -> list[Any]:
        found = steps(where, drivers, thorough=thorough)
        return [(driver.name, *(rate.get("baud") for _, rate in rates)) for driver, rates in found]

    usual = [("seplos", None), ("jbd", None), ("pace", None)]
    assert order("/dev/ttyUSB0") == [*usual, ("seplos", 9600), ("pace", 115200)]
    assert order("/dev/ttyUSB0", thorough=True) == [("seplos", None, 9600), ("jbd", None), ("pace", None, 115200)]
    assert order("socket://192.0.2.7:8899") == order("tcp:192.0.2.7") == usual


DETECTABLE = [driver.name for driver in map(registry.load, registry.names()) if driver.detection.polls]
SIMULATED = [name for name in DETECTABLE if name in registry.simulated()]


@pytest.mark.parametrize("name", SIMULATED)
def test_each_bms_is_recognised(name: str) -> None:
    devices = found(name, {}, (name,))
    assert [device.driver.name for device in devices][:1] == [name]
    counted = name not in ("jk_can", "jbd_can", "rvc_can", "ubms_can")
    assert f"{cells_of(name)} cells" in devices[0].what or not counted


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


@pytest.mark.parametrize("name", sorted({*registry.names()} - {*DETECTABLE}))
def test_what_cannot_be_recognised_is_not_looked_for(name: str) -> None:
    assert name not in [driver.name for driver in in_order()]
    with pytest.raises(ConfigError, match=f"{name}: cannot be found out by asking"):
        in_order((name,))


@pytest.mark.parametrize("driver", SIMULATED)
def test_no_driver_takes_another_simulator_for_its_own(driver: str) -> None:
    """Every other device, asked every question of the detection, whatever its baud rate."""

    async def found(device: str) -> list[Found]:
        simulator = sim.build(device, Pack.of(3, cells=cells_of(device)), {})
        return [one async for one in recognised(Wire(simulator), registry.load(driver))]

    others = [name for name in registry.simulated() if name != driver]
    assert [name for name in others if asyncio.run(found(name))] == []
    assert asyncio.run(found(driver)), "and its own it does"


# ---- one device, one finding


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("name", SIMULATED)
def test_a_device_is_found_once_whatever_ways_there_are_to_ask_it(name: str, thorough: bool) -> None:
    driver = registry.load(name)
    setups = [{}, *driver.detection.setups, *(driver.detection.siblings[:1] if thorough else ())]

    async def found(setup: Mapping[str, Any]) -> list[Any]:
        simulator = sim.build(name, Pack.of(3, cells=cells_of(name)), dict(setup))
        return [one.setup async for one in recognised(Wire(simulator), driver, thorough=thorough)]

    for setup in setups:
        devices = asyncio.run(found(setup))
        assert len(devices) <= 1, setup
        assert devices or not (thorough or setup == {})
        if devices and "address" in setup:
            assert driver.setup(devices[0])["address"] == setup["address"], "its own address, not one that is anybody's"


@pytest.mark.parametrize(
    ("name", "first", "second"), [("jk_pb", 1, 2), ("seplos", 0, 1), ("pace", 1, 2), ("daren_485", 1, 2)]
)
def test_two_devices_on_one_line_stay_two(name: str, first: int, second: int) -> None:
    async def run() -> list[int]:
        device = await simulated(name, {}, seed=2, addresses=[first, second])
        addresses = []
        try:
            async for one in detect(str(device.path), (name,)):
                addresses.append(one.driver.setup(one.setup)["address"])
                if len(addresses) == 2:
                    return addresses
            return addresses
        finally:
            await device.close()

    assert asyncio.run(run()) == [first, second]


# ---- how long a port takes on which nobody is


class Nobody:
    """A line on which nobody is; adds up what asking there costs."""

    def __init__(self, driver: kit.Driver) -> None:
        self.line = driver.line or kit.SerialLine(9600)
        self.counters: Counter[str] = Counter()
        self.seconds = 0.0

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def exchange(self, question: kit.Question) -> list[kit.Frame]:
        ask = rtu.question(question) if isinstance(question, kit.Registers) else question
        waited = min(ask.silent, ask.timeout + ask.size * 10 / self.line.baud) if ask.silent else ask.timeout
        self.seconds += max(1, ask.tries) * (len(ask.request) * 10 / self.line.baud + max(ask.quiet, waited))
        raise LinkTimeout("nobody")


def test_a_silent_port_is_done_within_24_s() -> None:
    """Measured 22.8 s on a pty beside other work; 32 s before each question waited for an answer to begin only."""
    costs = {}
    for driver in filter(partial(reaches, "serial"), in_order()):
        nobody = Nobody(driver)

        async def ask(link: Nobody = nobody, of: kit.Driver = driver) -> list[Found]:
            return [one async for one in recognised(link, of)]

        assert asyncio.run(ask()) == []
        costs[driver.name] = nobody.seconds
    opening = 0.02 * len(costs)
    print(costs)
    assert talkers.LISTEN + sum(costs.values()) + opening <= 24.0
    assert min(costs.values()) > 0.09, "everybody is asked"


def test_a_port_with_an_unknown_talker_is_done_within_29_s() -> None:
    """Measured 29.0 s on a pty beside other work; 34.4 s before drivers that listen alike listened together."""
    said, seconds = talkers.Said(), talkers.LISTEN + talkers.AGAIN * (len(talkers.RATES) - 1)
    for driver in filter(partial(reaches, "serial"), in_order()):
        nobody = Nobody(driver)

        async def listen(link: Nobody = nobody, to: kit.Driver = driver) -> list[Found]:
            return [one async for one in recognised(link, to, said)]

        assert asyncio.run(listen()) == []
        seconds += nobody.seconds
    assert 20.0 < seconds <= 29.0
