"""From a gateway.yaml to a running gateway: every battery's own settings arrive where they count."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bms_drivers.links.port import Port
from bms_drivers.links.serial import SerialLink
from bms_drivers.sims.host import simulated
from gateway.app import Gateway
from gateway.battery import LOST_AFTER
from gateway.config.load import parse
from gateway.model import Command, ConfigError, GatewayError, Health
from gateway.store import Store
from gateway.wiring import build, rebuild

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
        refused = await gateway.answer({"ask": "command", "action": "clear_history", "value": 9})
        note = "clear_history 9 cannot be commanded, expected 1 (all) to 7 (energy)"
        assert refused == {"outcomes": [{"accepted": False, "confirmed": False, "note": note}]}
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


@pytest.mark.parametrize("interval", [0.1, 1.0, 3.4, 15.0, 20.0])
def test_the_guard_takes_a_blocking_battery_for_silent_just_when_its_supervisor_does(
    tmp_path: Path, interval: float
) -> None:
    text = f"""
batteries:
  - {{name: pack, driver: jbd, port: /dev/ttyUSB0, poll_interval: {interval}}}
limits:
  on_loss: {{block: true}}
outputs:
  can_bms: {{interface: virtual, channel: wiring}}
"""
    gateway = asyncio.run(build(parse(text), store=Store(tmp_path)))
    (battery,) = gateway.plan.batteries
    silence = gateway.plan.bounds.silence["pack"]
    assert silence == max(10.0, 3 * interval)
    assert battery.health_at(0.0, silence - 0.01) is Health.ONLINE
    assert battery.health_at(0.0, silence) in (Health.STALE, Health.LOST)
    assert silence <= LOST_AFTER, "no battery is lost before it is stale"


def test_a_poll_interval_that_would_make_a_battery_lost_between_two_polls_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"poll_interval: 20\.1 is out of range, expected a number 0\.1\.\.20 s"):
        parse("batteries:\n  - {name: pack, driver: jbd, port: /dev/ttyUSB0, poll_interval: 20.1}\n")


def pts() -> int:
    """How many pseudo-terminals this process has open."""
    return sum(str(path.resolve()).endswith("ptmx") for path in Path("/proc/self/fd").iterdir())


def test_what_stays_the_same_is_taken_over_and_what_differs_is_made_anew(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        old = gateway.plan
        changed = CONFIG.replace("33", "22").replace(
            "name: special\n    driver: jbd", "name: special\n    driver: jk_pb"
        )
        plan = await rebuild(gateway, parse(changed.replace("{max: 20}", "{max: 10}")))
        await gateway.adopt(plan)
        assert gateway.plan is plan
        assert plan.outputs["can_bms"] is old.outputs["can_bms"]
        assert [new is before for new, before in zip(plan.batteries, old.batteries, strict=True)] == [True, False]
        assert plan.bounds.charge_current == {"plain": 50.0, "special": 10.0}
        async with asyncio.timeout(10):
            while [state.reading is not None for state in gateway.states] != [True, True]:
                await asyncio.sleep(0.05)
        snapshot = gateway.decide()
        assert snapshot.bank.complete and snapshot.decision.ccl <= 22.0

    during(tmp_path, look)


def test_a_battery_that_is_removed_leaves_its_port_to_the_others(tmp_path: Path) -> None:
    two = (
        "batteries:\n  - {name: one, driver: jk_pb, port: PORT, address: 1}\n"
        "  - {name: two, driver: jk_pb, port: PORT, address: 2}\noutputs: {}\n"
    )

    async def look() -> None:
        device = await simulated("jk_pb", {}, seed=1, addresses=[1, 2])
        text = two.replace("PORT", str(device.path))
        gateway, stop = await build(parse(text), store=Store(tmp_path)), asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        async with asyncio.timeout(10):
            while [state.reading is not None for state in gateway.states] != [True, True]:
                await asyncio.sleep(0.05)
        port = gateway.plan.batteries[0]._port
        assert isinstance(port, Port) and port.shared
        alone = "\n".join(line for line in text.splitlines() if "name: two" not in line)
        await gateway.adopt(await rebuild(gateway, parse(alone)))
        assert gateway.plan.batteries[0]._port is port and not port.shared
        stop.set()
        await running
        await device.close()

    asyncio.run(look())


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_battery_whose_adapter_is_unplugged_is_not_forgotten_when_the_file_is_read_again(
    tmp_path: Path, comes_back: bool
) -> None:
    """A by-id name leads nowhere then, and perhaps elsewhere when it is back."""
    by_id, other = tmp_path / "by-id", tmp_path / "ttyUSB7"

    async def look() -> None:
        device = await simulated("jbd", {}, seed=1)
        by_id.symlink_to(device.path)
        text = f"batteries:\n  - {{name: one, driver: jbd, port: {by_id}}}\noutputs: {{}}\n"
        gateway, stop = await build(parse(text), store=Store(tmp_path)), asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        async with asyncio.timeout(10):
            while [state.reading is not None for state in gateway.states] != [True]:
                await asyncio.sleep(0.05)
        before = gateway.plan.batteries[0]
        by_id.unlink()
        if comes_back:
            other.touch()
            by_id.symlink_to(other)
        await gateway.adopt(await rebuild(gateway, parse(text)))
        assert gateway.plan.batteries == [before] and gateway.decide().bank.complete
        stop.set()
        await running
        await device.close()

    asyncio.run(look())


def test_a_changed_limit_holds_for_a_battery_that_runs_on(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        special = gateway.plan.batteries[1]
        await gateway.adopt(await rebuild(gateway, parse(CONFIG.replace("sensor_1: [10, 1]", "sensor_1: [20, 1]"))))
        assert gateway.plan.batteries[1] is special
        before = gateway.states[1].reading
        async with asyncio.timeout(10):
            while (now := gateway.states[1].reading) is None or before is None or now is before:
                await asyncio.sleep(0.05)
        assert now.temperatures[0] == pytest.approx((before.temperatures[0] or 0) + 10, abs=0.5)

    during(tmp_path, look)


def test_what_cannot_be_built_changes_nothing(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        plan, watches, open_before = gateway.plan, [b.watch for b in gateway.plan.batteries], pts()
        wrong = CONFIG.replace("- {name: plain,", "- {name: another, driver: jbd, port: simulated}\n  - {name: plain,")
        wrong += "  venus_dbus: {}\n"
        settings = parse(wrong)
        settings.outputs["can_bms"] = settings.outputs["can_bms"].changed(dialect="nonsense")
        with pytest.raises(GatewayError, match="nonsense"):
            await rebuild(gateway, settings)
        assert gateway.plan is plan
        assert [battery.watch for battery in plan.batteries] == watches
        assert pts() == open_before, "the simulator of the new battery was closed again"

    during(tmp_path, look)


def test_batteries_that_are_all_new_are_waited_for_before_anything_is_sent(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        renamed = CONFIG.replace("plain", "first").replace("special", "second")
        await gateway.adopt(await rebuild(gateway, parse(renamed)))
        assert gateway.decide().bank.complete is False
        async with asyncio.timeout(10):
            while gateway.snapshot is None or not gateway.snapshot.bank.complete:
                await asyncio.sleep(0.05)
        assert [state.name for state in gateway.states] == ["first", "second"]

    during(tmp_path, look)


MAP = Path(__file__).parents[1] / "vectors" / "modbus_map" / "acme.yaml"
DESCRIBED = """
batteries:
  - {{name: own, driver: modbus_map, map: {folder}/own.yaml, port: /dev/none-1}}
  - {{name: other, driver: modbus_map, map: {folder}/other.yaml, port: /dev/none-2}}
  - {{name: beside, driver: modbus_map, map: {folder}/other.yaml, port: /dev/none-1, address: 2}}
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("scale: 0.01,", "scale: 0.02,", {"other", "beside"}),
        ("scale: 0.01,", "scale: 0.01,", {"own", "other", "beside"}),
    ],
)
def test_a_file_of_the_users_own_that_was_edited_counts_after_a_reload(
    old: str, new: str, same: set[str], tmp_path: Path
) -> None:
    async def scenario() -> set[str]:
        text = DESCRIBED.format(folder=tmp_path)
        for name in ("own", "other"):
            (tmp_path / f"{name}.yaml").write_text(MAP.read_text())
        gateway = await build(parse(text), store=Store(tmp_path))
        (tmp_path / "own.yaml").write_text(MAP.read_text().replace(old, new))
        plan = await rebuild(gateway, parse(text))
        before = {battery.watch.name: battery for battery in gateway.plan.batteries}
        return {battery.watch.name for battery in plan.batteries if before[battery.watch.name] is battery}

    assert asyncio.run(scenario()) == same


def test_the_line_of_a_port_is_as_the_map_says(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, str]:
        (tmp_path / "own.yaml").write_text(MAP.read_text().replace("baud: 9600", "baud: 19200\nparity: E"))
        text = f"batteries: [{{name: own, driver: modbus_map, map: {tmp_path}/own.yaml, port: /dev/none-1}}]"
        gateway = await build(parse(text), store=Store(tmp_path))
        ((_, plug),) = gateway.plan.parts.plugs.values()
        assert isinstance(plug.port.link, SerialLink)
        return plug.port.link.baud, plug.port.link.parity

    assert asyncio.run(scenario()) == (19200, "E")
