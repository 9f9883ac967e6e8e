"""From a gateway.yaml to a running gateway: every battery's own settings arrive where they count."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config.load import parse
from gateway.model import Command
from gateway.store import Store
from gateway.wiring import build

CONFIG = """
batteries:
  - {name: plain, driver: jbd, port: simulated}
  - name: special
    driver: jbd
    port: simulated
    limits:
      cell_voltage: {max: 3.40, float: 3.35}
      charge_current: {max: 20}
      on_loss: {block: true}
      soc: {current_map: {reported: [-100, 100], measured: [-50, 50]}}
      temperature_adjust: {sensor_1: [10, 1]}
bank:
  charge_current_limit: 33
outputs:
  can_bms: {interface: virtual, channel: wiring}
"""


def during(folder: Path, look: Callable[[Gateway], object]) -> None:
    """Run the gateway until both batteries have answered, then look."""

    async def scenario() -> None:
        gateway = await build(parse(CONFIG), store=Store(folder))
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        try:
            async with asyncio.timeout(15):
                while gateway.snapshot is None or not gateway.snapshot.bank.complete:
                    await asyncio.sleep(0.05)
            found = look(gateway)
            if asyncio.iscoroutine(found):
                await found
        finally:
            stop.set()
            await running

    asyncio.run(scenario())


def test_each_battery_has_its_own_settings_in_rules_guard_and_readings(tmp_path: Path) -> None:
    def look(gateway: Gateway) -> None:
        bounds, snapshot = gateway.plan.bounds, gateway.snapshot
        assert bounds.cell_voltage == {"plain": 3.45, "special": 3.40}
        assert bounds.charge_current == {"plain": 50.0, "special": 20.0}
        assert bounds.silence == {"plain": 1800.0, "special": 10.0}
        assert bounds.float_voltage == {"plain": 3.375, "special": 3.35}
        assert bounds.cable_alarm == {"plain", "special"}
        assert snapshot is not None
        assert snapshot.guard == ""
        assert snapshot.decision.cvl == pytest.approx(54.4), "the lower of both"
        assert snapshot.decision.ccl == 33.0
        plain, special = (state.reading for state in snapshot.bank.batteries)
        assert plain is not None and special is not None
        assert plain.current == pytest.approx(10.0, abs=0.2)
        assert special.current == pytest.approx(5.0, abs=0.1), "by its current map"
        assert special.temperatures[0] is not None and plain.temperatures[0] is not None
        assert special.temperatures[0] > plain.temperatures[0] + 5
        assert snapshot.bank.current == pytest.approx(15.0, abs=0.3)

    during(tmp_path, look)


def test_the_whole_state_is_plain_data_with_history(tmp_path: Path) -> None:
    def look(gateway: Gateway) -> None:
        state = json.loads(json.dumps(gateway.state()))
        assert state["history"]["minimum_voltage"] > 40
        assert state["bank"]["external"] is None
        assert state["decision"]["soc_source"] == "bms"
        assert state["decision"]["remaining_capacity"] == state["bank"]["remaining_capacity"]

    during(tmp_path, look)


def test_the_history_is_cleared_on_request_and_nonsense_is_refused(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        assert gateway.snapshot is not None and gateway.snapshot.life is not None
        before = gateway.snapshot.life.minimum_voltage
        assert before is not None
        (refused,) = await gateway.command(Command("clear_history", 9.0))
        assert (refused.accepted, refused.note) == (False, "history: 9 is no group of figures, expected 1 (all) to 7")
        (done,) = await gateway.command(Command("clear_history", 3.0))
        assert (done.accepted, done.confirmed, done.note) == (True, True, "history: voltages cleared")
        answer = await gateway.answer({"ask": "command", "action": "clear_history", "value": 1})
        assert answer == {"outcomes": [{"accepted": True, "confirmed": True, "note": "history: all cleared"}]}

    during(tmp_path, look)


def test_set_points_that_do_not_fit_each_other_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    during(tmp_path, lambda gateway: [gateway.decide() for _ in range(3)])
    said = [r.getMessage() for r in caplog.records if "never gets full" in r.getMessage()]
    assert said == [
        "bank: cell_voltage.max: special is full at 54.40 V and plain at 55.20 V; the bank is charged to the lower, so"
        " plain never gets full"
    ]
