"""A battery whose BMS is a chip on the SPI bus, from gateway.yaml to the bank: the gateway counts its SoC."""

import asyncio
from pathlib import Path

import pytest

from gateway.config.load import parse
from gateway.store import Store
from gateway.wiring import build

CONFIG = """
batteries:
  - {name: board, driver: mnb, port: simulated, cell_count: 4, poll_interval: 0.2}
  - {name: pack, driver: jbd, port: simulated}
limits: {soc: {source: counter, capacity: 130}}
"""


def test_a_simulated_chip_is_polled_beside_a_pack_on_a_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        gateway = await build(parse(CONFIG), store=Store(tmp_path))
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        try:
            async with asyncio.timeout(15):
                while gateway.snapshot is None or not gateway.snapshot.bank.complete:
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await running
        board = gateway.snapshot.bank.batteries[0].reading
        assert board is not None
        assert board.voltage == pytest.approx(13.2, abs=0.3)
        assert board.current == pytest.approx(10.0, abs=0.1)
        assert len(board.cell_voltages) == 4
        assert board.capacity == 130

    asyncio.run(scenario())
