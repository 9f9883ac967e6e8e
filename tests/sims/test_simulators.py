"""Every simulator answers its driver over a real pty, as a serial port sees it, or over the SPI link."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bms_drivers import kit
from bms_drivers.kit import registry
from bms_drivers.kit.declare import ONCE
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.can import CanLink
from bms_drivers.links.port import OneTry
from bms_drivers.sims.host import simulated
from bms_drivers.sims.pack import Pack, rest_voltage
from bms_drivers.sims.sim import Device, build
from gateway.model import FrameError, LinkTimeout, Reading

PLUGGED = Callable[[Device, Session, Any], Awaitable[Any]]


def plugged(name: str, work: PLUGGED, setup: dict[str, Any] | None = None, **pack: Any) -> Any:
    """Do `work` with a simulated device, a session and a link to it."""

    async def run() -> Any:
        device = await simulated(name, setup or {}, seed=7, **pack)
        link = device.link(registry.load(name))
        await link.open()
        try:
            return await work(device, Session(registry.load(name), setup), link)
        finally:
            await link.close()
            await device.close()

    return asyncio.run(run())


async def poll(session: Session, link: Any, once: bool = True) -> Reading:
    for step in session.due(0.0):
        if once or step.every != ONCE:
            session.learnt(step, await told(step, session, link), 0.0)
    return session.readings()[""]


async def told(step: kit.Poll, session: Session, link: Any) -> kit.Values:
    """What a step tells; on a CAN bus, where nobody waits for what is not there, as soon as it is."""
    async with asyncio.timeout(8.0):
        while True:
            try:
                return await converse(link, step.talk(session.setup, session.known))
            except LinkTimeout:
                if not isinstance(link, CanLink) or step.name == "alarms":
                    raise
                await asyncio.sleep(0.1)


COARSE_CURRENT = {"ubms_can": 0.6}  # A
NO_CELLS = {"jbd_can", "rvc_can"}  # which the protocol does not tell
COARSE_CELLS = {"renogy": 0.051}  # V; steps of the protocol, where they are more than a millivolt
NO_START_MARK = {"sinowealth", "mnb"}  # nothing tells where a reply begins, so that noise before it costs it


def gives(name: str) -> set[str]:
    """Canonical names that a driver declares."""
    return {given for step in registry.load(name).plan for given in step.gives}


@pytest.mark.parametrize("name", registry.simulated())
def test_a_driver_reads_what_the_pack_has(name: str) -> None:
    async def work(device: Device, session: Session, link: Any) -> None:
        got, pack = await poll(session, link), device.simulator.pack
        wanted = {
            "voltage": pytest.approx(pack.voltage, abs=0.2),
            "current": pytest.approx(-12.5, abs=COARSE_CURRENT.get(name, 0.11)),
            "soc": pytest.approx(pack.soc, abs=0.6), "capacity": pytest.approx(280.0, abs=0.1),
            "cell_voltages": pytest.approx(pack.cells, abs=COARSE_CELLS.get(name, 0.002)),
            "charge_allowed": True, "discharge_allowed": True, "charge_cycles": 12,
        }  # fmt: skip
        told = wanted.keys() & gives(name)
        assert ({"voltage"} if name in NO_CELLS else {"voltage", "cell_voltages"}) <= told
        assert {key: getattr(got, key) for key in told} == {key: wanted[key] for key in told}
        if "temperatures" in gives(name):
            assert min(abs(t - pack.temperatures[0]) for t in got.temperatures if t is not None) <= 0.6
        assert not any(got.alarms.values())

    plugged(name, work, current=-12.5, capacity=280.0)


@pytest.mark.parametrize("name", [name for name in registry.simulated() if "charge" in registry.load(name).controls])
def test_switches_are_written_and_read_back(name: str) -> None:
    async def work(device: Device, session: Session, link: Any) -> None:
        await poll(session, link, once=False)
        for action in ("charge", "discharge"):
            control = session.driver.controls[action]
            for value in (0.0, 1.0):
                session.told(await converse(link, control.talk(value, session.setup, session.known)))
                assert getattr(device.simulator.pack, f"{action}_switch") == bool(value)
                assert control.confirmed(value, await poll(session, link, once=False)) is True

    plugged(name, work, current=0.0)  # a board may refuse to open a switch under load


TWO_ALARMS = {  # of BMSs that have no alarm for a cell
    "ecs": {"low_voltage", "high_charge_current"},
    "hlpdata_bms4s": {"low_voltage"},  # one at a time
    "mnb": {"low_cell_voltage", "high_charge_temperature"},
    "rvc_can": {"low_voltage", "high_temperature"},
    "sinowealth": {"low_voltage", "high_charge_current"},
    "ubms_can": {"low_cell_voltage", "high_temperature"},
}


@pytest.mark.parametrize("name", [name for name in registry.simulated() if "alarms" in gives(name)])
def test_alarms_arrive(name: str) -> None:
    async def work(device: Device, session: Session, link: Any) -> None:
        assert not any((await poll(session, link, once=False)).alarms.values())
        raised = TWO_ALARMS.get(name, {"low_cell_voltage", "high_charge_current"})
        device.simulator.pack.alarms = set(raised)
        if isinstance(link, CanLink):
            await asyncio.sleep(3.2 if name == "rvc_can" else 1.1)  # they are told when their frame comes
        alarms = (await poll(session, link, once=False)).alarms
        assert {n for n, level in alarms.items() if level} == raised

    plugged(name, work)


@pytest.mark.parametrize("fault", ["silent", "torn", "checksum"])
@pytest.mark.parametrize("name", registry.simulated())
def test_a_spoilt_answer_is_no_answer(name: str, fault: str) -> None:
    async def work(device: Device, session: Session, link: Any) -> None:
        device.faults.set(fault)
        await link.close()  # a bus may hold frames that were sent before
        await link.open()
        essential = next(step for step in session.driver.plan if step.essential)
        with pytest.raises((LinkTimeout, FrameError)):
            await converse(OneTry(link), essential.talk(session.setup, session.known))
        device.faults.clear(fault)
        await poll(session, link, once=False)

    plugged(name, work)


@pytest.mark.parametrize("name", registry.simulated())
def test_noise_round_an_answer_does_no_harm(name: str) -> None:
    async def work(device: Device, session: Session, link: Any) -> None:
        device.faults.set("noise")
        if name in NO_START_MARK:
            with pytest.raises(LinkTimeout):
                await poll(session, OneTry(link), once=False)
            return
        assert (await poll(session, link, once=False)).voltage == pytest.approx(device.simulator.pack.voltage, abs=0.2)

    plugged(name, work)


@pytest.mark.parametrize("name", [name for name in registry.simulated() if registry.load(name).daisy_chain])
def test_only_the_address_asked_answers(name: str) -> None:
    async def work(device: Device, session: Session, link: Any) -> None:
        assert (await poll(session, link, once=False)).voltage
        other = Session(session.driver, {"address": 4})
        with pytest.raises(LinkTimeout):
            await poll(other, OneTry(link), once=False)

    plugged(name, work, {"address": 3})


def answers(name: str, request: str, **pack: Any) -> bytes:
    """What a device says to one request, in one piece."""
    return b"".join(build(name, Pack.of(7, **pack)).answer(bytearray.fromhex(request)))


@pytest.mark.parametrize(("cells", "length"), [(8, 267), (13, 282), (14, 285), (16, 291), (20, 303), (24, 315)])
def test_a_jk_says_as_many_bytes_as_the_captures(cells: int, length: int) -> None:
    request = "4E5700130000000006030000000000006800000129"
    assert len(answers("jk", request, cells=cells)) == length


@pytest.mark.parametrize(("identifier", "frames"), [(0x57, 5), (0x62, 2), (0x63, 2), (0x95, 6), (0x5A, 1), (0x5B, 1)])
def test_a_daly_sends_as_many_frames_as_its_sheet_says(identifier: int, frames: int) -> None:
    body = bytes((0xA5, 0x40, identifier, 8)) + bytes(8)
    assert len(answers("daly", (body + bytes((sum(body) & 0xFF,))).hex())) == 13 * frames


@pytest.mark.parametrize("register", [0x11, 0x15, 0x20, 0x28, 0x29, 0x2F, 0x32, 0x46, 0xA0, 0xA2, 0xAA])
def test_a_jbd_answers_every_register_of_its_sheet(register: int) -> None:
    request = bytes((0xDD, 0xA5, register, 0)) + (0x10000 - register).to_bytes(2, "big") + b"\x77"
    assert answers("jbd", request.hex())[:3] == bytes((0xDD, register, 0))


def test_a_pack_charges_and_discharges() -> None:
    pack = Pack.of(3, soc=50.0, capacity=100.0, current=50.0)
    pack.advance(3600)
    assert pack.soc == pytest.approx(100.0, abs=3.0)
    pack.current = -25.0
    pack.advance(3600)
    assert pack.soc == pytest.approx(75.0, abs=3.0)


def test_an_open_switch_stops_the_flow() -> None:
    pack = Pack.of(3, current=50.0)
    pack.charge_switch = False
    before = pack.soc
    pack.advance(3600)
    assert pack.flow == 0.0
    assert pack.soc == pytest.approx(before, abs=0.01)


def test_the_same_seed_is_the_same_pack() -> None:
    one, other = Pack.of(5), Pack.of(5)
    assert (one.cells, one.temperatures) == (other.cells, other.temperatures)


def test_the_rest_voltage_rises_with_the_charge() -> None:
    volts = [rest_voltage(soc) for soc in range(101)]
    assert volts == sorted(volts)


def test_a_stable_name_points_to_the_device_while_it_lives(tmp_path: Path) -> None:
    async def run() -> tuple[bool, bool]:
        link = tmp_path / "battery"
        device = await simulated("jbd", {}, seed=1, link=link)
        there = link.resolve() == device.path
        await device.close()
        return there, link.exists()

    assert asyncio.run(run()) == (True, False)
