"""Two inverters on two buses, each in its own dialect, are told one battery; a bus that fails is alone in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import can

from gateway.app import Gateway
from gateway.config.load import parse
from gateway.store import Store
from gateway.wiring import build, rebuild
from outputs.can_bms.dbc_file import load
from outputs.can_bms.dialect import Frame

CONFIG = """
batteries:
  - {name: pack, driver: jbd, port: simulated}
outputs:
  can_bms:
    - {interface: virtual, channel: left}
    - {interface: virtual, channel: right, dialect: pylontech_v13}
"""
SAME = ("charge_voltage_limit", "charge_current_limit", "discharge_current_limit", "soc", "voltage")


@asynccontextmanager
async def gateway_of(text: str, folder: Path) -> AsyncIterator[Gateway]:
    gateway = await build(parse(text), store=Store(folder))
    stop = asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    try:
        yield gateway
    finally:
        stop.set()
        await running


async def heard(channel: str, dialect: str) -> dict[str, object]:
    """What two seconds of one bus say in one dialect."""
    with can.Bus(channel=channel, interface="virtual") as bus:
        await asyncio.sleep(2.2)
        frames = []
        while (message := bus.recv(0)) is not None:
            frames.append(Frame(message.arbitration_id, bytes(message.data), message.is_extended_id))
    return dict(load(dialect).decode(frames))


def test_both_buses_carry_one_battery_each_in_its_dialect(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with gateway_of(CONFIG, tmp_path) as gateway:
            left, right = await asyncio.gather(heard("left", "pylontech"), heard("right", "pylontech_v13"))
            assert {key: left[key] for key in SAME} == {key: right[key] for key in SAME}
            assert "charge_enable" in left and "capacity_35f" in right
            states = gateway.state()["outputs"]
            assert [states[name]["dialect"] for name in ("can_bms:left", "can_bms:right")] == [
                "pylontech", "pylontech_v13",
            ]  # fmt: skip

    asyncio.run(scenario())


def test_one_more_bus_in_a_changed_file_leaves_the_others_running(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with gateway_of(CONFIG, tmp_path) as gateway:
            before = gateway.plan.outputs
            more = CONFIG + "    - {interface: virtual, channel: third}\n"
            await gateway.adopt(await rebuild(gateway, parse(more)))
            after = gateway.plan.outputs
            assert list(after) == ["can_bms:left", "can_bms:right", "can_bms:third"]
            assert all(after[name] is before[name] for name in before)

    asyncio.run(scenario())


def test_a_bus_that_is_not_there_does_not_silence_the_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        text = CONFIG.replace("virtual, channel: right", "socketcan, channel: canOfNobody")
        async with gateway_of(text, tmp_path) as gateway:
            left = await heard("left", "pylontech")
            assert left["charge_voltage_limit"] == 55.2
            state = gateway.state()["outputs"]["can_bms:canOfNobody"]
            assert not state["connected"] and "cannot open" in state["problem"]

    asyncio.run(scenario())
