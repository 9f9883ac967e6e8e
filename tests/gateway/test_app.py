"""The roof: one output's defect is its own, the end is orderly, commands come through any door, 100 % is earned."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway, Plan
from gateway.battery import Battery, Watch
from gateway.control import ControlServer
from gateway.full import FullCharge
from gateway.guard import Bounds
from gateway.limits import LimitSettings, Site, evaluate
from gateway.limits.charge_state import ABSORPTION, BULK, FLOAT, TRANSITION
from gateway.model import Command, GatewayError, Health, Snapshot
from gateway.model.validation import validated
from gateway.store import Store
from tests.gateway.device import PLAN, Device, driver, step, write
from tests.gateway.device import battery as on
from tests.make import battery as state
from tests.make import reading


class Witness:
    """An output that notes what it is given, and fails where it is told to."""

    def __init__(self, name: str, order: list[str], fails: str = "") -> None:
        self.name, self.order, self.fails = name, order, fails
        self.snapshots: list[Snapshot] = []

    def _did(self, what: str) -> None:
        self.order.append(f"{self.name} {what}")
        if what == self.fails:
            raise ZeroDivisionError("division by zero")

    async def start(self) -> None:
        self._did("start")
        if self.fails == "start for ever":
            await asyncio.Event().wait()

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)
        if self.fails == "publish":
            raise ZeroDivisionError("division by zero")

    async def stop(self) -> None:
        self._did("stop")
        if self.fails == "stop for ever":
            await asyncio.Event().wait()

    def status(self) -> Mapping[str, object]:
        if self.fails == "status":
            raise ZeroDivisionError("division by zero")
        return {"connected": True, "problem": ""}


class Disk(Store):
    """A store that notes when it is saved to."""

    def __init__(self, folder: Path, order: list[str]) -> None:
        super().__init__(folder)
        self.order = order

    def due(self, data: Mapping[str, Any], now: float) -> bool:
        return False

    def save(self, data: Mapping[str, Any], *, last: bool = False) -> bool:
        self.order.append("saved")
        return super().save(data)


def plan(*batteries: Battery, outputs: Mapping[str, Any] | None = None, **more: Any) -> Plan:
    names = [battery.watch.name for battery in batteries]
    bounds = Bounds(
        dict.fromkeys(names, 3.45), 0.0, dict.fromkeys(names, 50.0), dict.fromkeys(names, 60.0),
        dict.fromkeys(names, 1800.0),
    )  # fmt: skip
    site = more.pop("site", Site(limits=LimitSettings()))
    return Plan(list(batteries), site, bounds, outputs or {}, **more)


def lived(made: Plan, seconds: float = 0.05, look: Callable[[Gateway], Any] = lambda gateway: None) -> Any:
    """Run a gateway for a moment, look, and stop it."""

    async def run() -> Any:
        gateway, stop = Gateway(made), asyncio.Event()
        life = asyncio.create_task(gateway.run(stop))
        await asyncio.sleep(seconds)
        found = look(gateway)
        if asyncio.iscoroutine(found):
            found = await found
        stop.set()
        await life
        return found

    return asyncio.run(run())


# ---- what an inverter says of itself


class Reporting(Witness):
    """An output whose inverter says which current flows."""

    def reported_current(self) -> float | None:
        if self.fails == "report":
            raise ZeroDivisionError("division by zero")
        return {"a": 12.5, "b": None, "c": -3.0}[self.name]


def test_the_currents_that_inverters_report_reach_the_limits() -> None:
    outputs: dict[str, Witness] = {name: Reporting(name, []) for name in "abc"}
    outputs["c"].fails, outputs["d"] = "report", Witness("d", [])
    lived(plan(outputs=outputs))
    assert outputs["d"].snapshots[-1].bank.inverter_currents == (12.5,)


class Telling(Witness):
    """An output whose system says how far it discharges."""

    def discharge_floor(self) -> float | None:
        if self.fails == "floor":
            raise ZeroDivisionError("division by zero")
        return 12.5


def test_how_far_the_bank_is_discharged_reaches_the_limits_where_they_tell_a_time_to_go() -> None:
    outputs: dict[str, Witness] = {"a": Telling("a", [], "floor"), "b": Telling("b", [])}
    lived(plan(outputs=outputs))
    assert outputs["b"].snapshots[-1].bank.discharge_floor == 12.5
    without = Site(limits=validated(LimitSettings, {"time_to_go": {"enabled": False}}))
    lived(plan(outputs=outputs, site=without))
    assert outputs["b"].snapshots[-1].bank.discharge_floor is None


class Threaded(Witness):
    """An output with a thread of its own, which a Snapshot wakes."""

    apart = True

    def publish(self, snapshot: Snapshot) -> None:
        self.order.append(f"{self.name} woken")
        super().publish(snapshot)


def test_a_thread_is_woken_when_the_decision_has_nothing_left_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(Store, "looks", lambda store, now: order.append("disk"))
    monkeypatch.setattr("gateway.app.story", lambda snapshot: order.append("noted") or ())
    outputs = {"a": Threaded("a", order), "b": Witness("b", order)}
    outputs["b"].publish = lambda snapshot: order.append("b told")  # type: ignore[method-assign]
    gateway = Gateway(plan(outputs=outputs, store=Store(tmp_path)))
    gateway.decide()
    assert order == ["b told", "noted", "disk", "a woken"]


# ---- another configuration, while the rest runs on


def weak_and_strong(device: Device, name: str, **watch: Any) -> Battery:
    """A battery of this name on this device; see `mixed`."""
    return Battery(Watch(name, **watch), driver(), device, lambda: None, device.clock)


def mixed(*batteries: Battery) -> Plan:
    """A bank in which "weak" may be charged with 5 A only."""
    weak = validated(LimitSettings, {"charge_current": {"max": 5}})
    return plan(*batteries, site=Site(limits=LimitSettings(), per_battery={"weak": weak}))


def test_a_battery_whose_settings_change_goes_on_bounding_the_bank_until_it_has_proven_itself() -> None:
    device, other = Device(), Device()
    strong, weak, again = (weak_and_strong(d, n) for d, n in ((device, "strong"), (device, "weak"), (other, "weak")))
    other.silent = {"*"}

    async def look(gateway: Gateway) -> list[float]:
        found = []

        async def decided(*polled: Battery) -> None:
            for battery in polled:
                await battery.poll()
            decision = gateway.decide().decision
            found.append(decision.ccl)
            assert gateway.snapshot is not None and gateway.snapshot.guard == ""

        for _ in range(4):
            await decided(strong, weak)
        await gateway.adopt(replace(gateway.plan, batteries=[strong, again]))
        other.now = device.now
        await decided(strong)
        await decided(strong, again)
        assert gateway.snapshot is not None and gateway.snapshot.decision.alarms["bms_cable"] == 1
        other.silent = set()
        for _ in range(4):
            await decided(strong, again)
        assert gateway.states[1].health is Health.ONLINE
        return found

    found = lived(mixed(strong, weak), look=look)
    assert max(found) <= 5.0 and found[-1] == 5.0


def test_a_bank_whose_only_battery_is_made_anew_is_waited_for_although_a_watched_one_runs_on() -> None:
    device, other = Device(), Device()
    watched, own, again = (
        weak_and_strong(device, "watched", control=False),
        weak_and_strong(device, "own"),
        weak_and_strong(other, "own"),
    )
    other.silent = {"*"}

    async def look(gateway: Gateway) -> list[bool]:
        before = gateway.decide().bank.complete
        await gateway.adopt(replace(gateway.plan, batteries=[watched, again]))
        return [before, gateway.decide().bank.complete]

    assert lived(plan(watched, own), look=look) == [True, False]


# ---- one output's defect is its own


@pytest.mark.parametrize("fails", ["start", "publish", "status", "stop"])
def test_one_output_that_fails_neither_starves_nor_skips_the_others(
    fails: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []
    outputs = {name: Witness(name, order, fails if name == "b" else "") for name in "abc"}
    device = Device()

    async def close() -> None:
        order.append("port closed")

    def look(gateway: Gateway) -> Any:
        for _ in range(3):
            gateway.decide()
        return gateway.state()["outputs"]

    made = plan(on(device), outputs=outputs, store=Disk(tmp_path, order), closing=[close])
    status = lived(made, look=look)
    assert [len(output.snapshots) for output in outputs.values()].count(len(outputs["a"].snapshots)) == 3
    assert [done for done in order if done.endswith("start")] == ["a start", "b start", "c start"]
    after = order[order.index("saved") :]
    assert after == ["saved", "a stop", "b stop", "c stop", "port closed"], "the state first, then each in its own"
    assert status["a"] == status["c"] == {"connected": True, "problem": ""}
    if fails != "stop":
        assert status["b"]["problem"] == f"a defect ({fails}): division by zero"
    assert sum("output b: a defect" in record.message for record in caplog.records) == 1, "said once"


def test_outputs_that_run_on_are_fed_while_others_take_long_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []
    leaving, new, staying = Witness("leaving", order), Witness("new", order), Witness("staying", order)

    async def look(gateway: Gateway) -> tuple[list[str], Any]:
        async def slowly() -> None:
            gateway.decide()
            order.append("decided")
            found.update(gateway.state()["outputs"])
            await asyncio.sleep(0)

        found: dict[str, Any] = {}
        leaving.stop = slowly  # type: ignore[method-assign]
        fed = len(staying.snapshots)
        await gateway.adopt(replace(gateway.plan, outputs={"new": new, "staying": staying}))
        return [snapshot.bank.health.value for snapshot in staying.snapshots[fed:]], found

    fed, status = lived(plan(outputs={"leaving": leaving, "staying": staying}), look=look)
    assert fed, "nothing was told to it while another one stopped"
    assert status["staying"] == {"connected": True, "problem": ""}
    assert order.index("decided") < order.index("new start")
    assert "a defect" not in caplog.text


def test_an_output_that_says_why_it_cannot_start_is_quoted_and_the_others_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Lacking(Witness):
        async def start(self) -> None:
            raise GatewayError("mqtt: a library is missing; install it with: pip install 'bms-gateway[mqtt]'")

    outputs = {"mqtt": Lacking("mqtt", []), "a": Witness("a", [])}
    status = lived(plan(on(Device()), outputs=outputs), look=lambda gateway: gateway.state()["outputs"])
    assert status["mqtt"]["problem"].startswith("mqtt: a library is missing")
    assert status["a"]["problem"] == "" and outputs["a"].snapshots
    assert "a defect" not in caplog.text


def test_a_control_socket_may_say_that_this_gateway_must_not_run(tmp_path: Path) -> None:
    order: list[str] = []

    class Taken(ControlServer):
        async def start(self) -> None:
            raise GatewayError("another gateway is running here")

    async def run() -> None:
        gateway = Gateway(plan(on(Device()), outputs={"a": Witness("a", order)}))
        with pytest.raises(GatewayError, match="another gateway is running here"):
            await gateway.run(asyncio.Event(), Taken(tmp_path / "control", gateway.answer))

    asyncio.run(run())
    assert order == ["a start", "a stop"], "it leaves in order"


def test_a_fault_that_is_over_is_no_longer_shown(tmp_path: Path) -> None:
    output = Witness("a", [], "publish")

    def look(gateway: Gateway) -> tuple[str, str]:
        before = gateway.state()["outputs"]["a"]["problem"]
        output.fails = ""
        gateway.decide()
        return before, gateway.state()["outputs"]["a"]["problem"]

    assert lived(plan(on(Device()), outputs={"a": output}), look=look) == ("a defect (publish): division by zero", "")


@pytest.mark.parametrize("fails", ["start for ever", "stop for ever"])
def test_an_output_that_never_comes_back_holds_nobody_up_for_long(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.outlets.PATIENCE", 0.05)
    order: list[str] = []
    outputs = {name: Witness(name, order, fails if name == "b" else "") for name in "abc"}
    lived(plan(on(Device()), outputs=outputs, store=Disk(tmp_path, order)), 0.2)
    assert order[-4:] == ["saved", "a stop", "b stop", "c stop"]
    assert outputs["c"].snapshots


def test_a_port_that_cannot_be_closed_keeps_no_other_open() -> None:
    closed: list[str] = []

    async def fails() -> None:
        raise OSError("gone")

    async def closes() -> None:
        closed.append("second")

    lived(plan(on(Device()), closing=[fails, closes]))
    assert closed == ["second"]


def test_a_disk_that_hangs_at_the_end_keeps_no_output_from_its_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.app.PATIENCE", 0.05)
    order: list[str] = []
    released = threading.Event()

    class Hanging(Disk):
        def save(self, data: Mapping[str, Any], *, last: bool = False) -> bool:
            return released.wait(5.0)

    async def close() -> None:
        released.set()

    made = plan(on(Device()), outputs={"a": Witness("a", order)}, store=Hanging(tmp_path, order), closing=[close])
    lived(made)
    assert order[-1] == "a stop"
    assert "the last state is not saved yet" in caplog.text


def test_a_save_that_a_defect_ends_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Disk):
        def looks(self, now: float) -> bool:
            return True

        def due(self, data: Mapping[str, Any], now: float) -> bool:
            return True

        def save(self, data: Mapping[str, Any], *, last: bool = False) -> bool:
            self.order.append("tried")
            raise RuntimeError("can't start new thread")

    order: list[str] = []
    store = Faulty(tmp_path, order)

    async def decide_twice(gateway: Gateway) -> None:
        for _ in range(2):
            gateway.decide()
            await asyncio.sleep(0.05)

    lived(plan(on(Device()), store=store), look=decide_twice)
    assert order.count("tried") >= 3
    assert ["can't start new thread" in line for line in caplog.messages if "a defect" in line] == [True]


def test_once_it_leaves_nothing_more_is_decided() -> None:
    gateways: list[Gateway] = []
    output = Witness("a", [])

    async def close() -> None:
        output.snapshots.clear()
        gateways[0].changed()
        await asyncio.sleep(0.05)

    lived(plan(on(Device()), outputs={"a": output}, closing=[close]), look=gateways.append)
    assert output.snapshots == []


# ---- defects at the roof


def test_a_decision_that_fails_is_said_once_and_the_heartbeat_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.app.HEARTBEAT", 0.01)
    failing, calls = [True], [0]

    def evaluated(*words: Any) -> Any:
        calls[0] += 1
        if failing[0]:
            raise ZeroDivisionError("division by zero")
        return evaluate(*words)

    monkeypatch.setattr("gateway.app.evaluate", evaluated)

    async def look(gateway: Gateway) -> None:
        while calls[0] < 5:
            await asyncio.sleep(0.01)
        assert gateway.snapshot is None
        failing[0] = False
        while gateway.snapshot is None:
            await asyncio.sleep(0.01)

    lived(plan(on(Device())), look=look)
    assert sum("gateway: a defect" in record.message for record in caplog.records) == 1


def test_a_supervisor_that_a_defect_ends_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    delays = iter([ZeroDivisionError("division by zero")])

    def delay(name: str, poll_interval: float, misses: int) -> float:
        for fault in delays:
            raise fault
        return 0.01

    device.delay = delay  # type: ignore[method-assign]

    async def look(gateway: Gateway) -> None:
        async with asyncio.timeout(5):
            while gateway.plan.batteries[0].counters["good"] < 3:
                await asyncio.sleep(0.02)

    lived(plan(on(device)), look=look)
    assert sum("pack: a defect" in record.message for record in caplog.records) == 1


def test_a_question_at_the_socket_that_fails_has_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(gateway: Gateway) -> None:
        monkeypatch.setattr(gateway, "state", lambda: 1 / 0)
        answer = await gateway.answer({"ask": "state"})
        assert answer == {"error": "the gateway failed at this request; its log says why"}

    lived(plan(on(Device())), look=look)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"action": "soc", "value": -5}, "soc -5 cannot be commanded, expected 0..100 %"),
        ({"action": "soc", "value": float("nan")}, "soc nan cannot be commanded, expected 0..100 %"),
        ({"action": "soc", "value": 10**400}, "cannot be commanded"),
        ({"action": "soc", "value": "100"}, "soc 100 cannot be commanded, expected 0..100 %"),
        ({"action": "charge", "value": 2}, "charge 2 cannot be commanded, expected 0 (off) or 1 (on)"),
        ({"action": ["charge"], "value": 1}, "no command is called ['charge'], expected one of charge"),
        ({"action": "charge", "value": 1, "battery": "x"}, "no battery is called 'x'"),
        ({"action": "charge", "value": 1, "battery": {"a": []}}, "no battery is called"),
    ],
)
def test_nonsense_at_the_socket_is_refused_with_what_would_be_right(request_: dict[str, Any], says: str) -> None:
    async def look(gateway: Gateway) -> None:
        answer = await gateway.answer({"ask": "command", **request_})
        (outcome,) = answer["outcomes"]
        assert not outcome["accepted"]
        assert says in outcome["note"]

    lived(plan(on(Device())), look=look)


# ---- only who was full himself is told 100 %

CONTROLS = {"soc": write("soc", "soc")}
SITE = Site(limits=validated(LimitSettings, {"absorption": {"time": 25}}))
FULL = {"voltage": 55.25, "cell_voltages": tuple([3.453] * 16)}
LOW = {"voltage": 54.0, "cell_voltages": tuple([3.375] * 16)}


def full_after(*looks: tuple[str, dict[str, Any]]) -> bool:
    """Is the pack told, after these phases in which its state was so?"""
    charge, told = FullCharge(), frozenset[str]()
    for phase, changes in looks:
        of = reading(**{**FULL, **changes.pop("of", {})})
        told = charge.look([state("pack", of=of, **changes)], phase, SITE)
    return "pack" in told


def test_a_battery_that_was_full_from_the_beginning_of_absorption_to_its_end_is_told() -> None:
    assert full_after((BULK, {}), (ABSORPTION, {}), (ABSORPTION, {}), (TRANSITION, {}))
    assert full_after((BULK, {"of": LOW}), (ABSORPTION, {}), (TRANSITION, {})), "bulk is of no concern"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"health": Health.STALE}, {"health": Health.LOST}, {"joined": False}, {"control": False}, {"of": LOW},
        {"of": {"charge_allowed": False}}, {"of": {"voltage": None, "cell_voltages": ()}},
        {"of": {"voltage": 54.0, "cell_voltages": (*[3.453] * 15, None)}},
    ],
)  # fmt: skip
def test_one_that_was_away_kept_out_switched_off_or_lower_at_any_time_of_absorption_is_not(
    spoilt: dict[str, Any],
) -> None:
    for bad in range(4):
        looks = [(phase, dict(spoilt) if n == bad else {}) for n, phase in enumerate([ABSORPTION] * 3 + [TRANSITION])]
        assert not full_after(*looks), f"look {bad}"


def test_every_absorption_is_judged_anew_and_float_without_one_tells_nobody() -> None:
    assert not full_after((FLOAT, {}))
    assert not full_after((ABSORPTION, {}), (BULK, {}), (TRANSITION, {}))
    assert full_after((ABSORPTION, {"joined": False}), (BULK, {}), (ABSORPTION, {}), (TRANSITION, {}))


def test_a_load_that_pulls_the_voltage_down_for_a_while_spoils_nothing() -> None:
    for changes, told in (({"of": reading(**{**FULL, **LOW})}, True), ({"health": Health.STALE}, False)):
        charge = FullCharge()
        charge.look([state("pack", of=reading(**FULL))], ABSORPTION, SITE)
        charge.look([state("pack", **{"of": reading(**FULL), **changes})], ABSORPTION, SITE, paused=True)
        charge.look([state("pack", of=reading(**FULL))], ABSORPTION, SITE)
        assert bool(charge.look([state("pack", of=reading(**FULL))], TRANSITION, SITE)) is told


def test_a_set_point_of_its_own_is_what_it_must_reach() -> None:
    own = validated(LimitSettings, {"cell_voltage": {"max": 3.55}})
    site = Site(limits=LimitSettings(), per_battery={"pack": own})
    charge = FullCharge()
    charge.look([state("pack", of=reading(**FULL))], ABSORPTION, site)
    assert charge.look([state("pack", of=reading(**FULL))], TRANSITION, site) == frozenset()


def test_where_the_bms_asks_for_less_and_is_listened_to_that_is_full() -> None:
    of = reading(**LOW, max_battery_voltage=54.0)
    for listens in (True, False):
        charge, site = FullCharge(), Site(limits=validated(LimitSettings, {"use_bms_values": listens}))
        charge.look([state("pack", of=of)], ABSORPTION, site)
        assert bool(charge.look([state("pack", of=of)], TRANSITION, site)) is listens


class House:
    """Two packs whose BMSs take an SoC, charged by hand on one clock."""

    def __init__(self) -> None:
        self.now = self.gone = 1000.0
        self.devices = {name: Device() for name in ("one", "two")}
        batteries = []
        for name, device in self.devices.items():
            device.clock = lambda: self.now  # type: ignore[method-assign]
            kind = driver(*PLAN, step("soc", "soc"), controls=CONTROLS)
            battery = on(device, kind, correct=self._cells(name))
            battery.watch.name = name
            battery._clock = device.clock
            batteries.append(battery)
        self.cells = dict.fromkeys(self.devices, 3.453)
        for device in self.devices.values():
            device.fields = {"soc": 90.0, "switches": 1.0, "sensors": 25.0, "mosfet": 25.0, "limits": 100.0}
        self.gateway = Gateway(plan(*batteries, site=SITE), clock=lambda: self.now, wall=lambda: 1.79e9 + self.now)

    def _cells(self, name: str) -> Callable[[Any], Any]:
        def with_cells(reading: Any) -> Any:
            volts = self.cells[name]
            return replace(reading, voltage=volts * 16, current=1.0, cell_voltages=(volts,) * 16, capacity=100.0)

        return with_cells

    async def second(self) -> None:
        self.now += 1.0
        for battery in self.gateway.plan.batteries:
            await battery.poll()
        self.gateway.decide()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def writes(self) -> dict[str, list[str]]:
        return {name: [h for h in device.heard if h.startswith("soc ")] for name, device in self.devices.items()}


def charge(trouble: Callable[[House, int], None]) -> tuple[House, dict[str, list[str]]]:
    """A minute at the end of a charge; `trouble` is called each second.  Then 20 s of everything well."""

    async def run() -> tuple[House, dict[str, list[str]]]:
        house = House()
        for second in range(60):
            trouble(house, second)
            await house.second()
        for device in house.devices.values():
            device.plugged = True
        for _ in range(20):
            await house.second()
        return house, house.writes()

    return asyncio.run(run())


def test_100_percent_is_written_to_both_packs_of_a_charge_that_both_completed() -> None:
    house, writes = charge(lambda house, second: None)
    assert house.gateway._memory.full_events == 1
    assert writes == {"one": ["soc 100"], "two": ["soc 100"]}


def test_a_pack_that_was_lost_during_the_charge_is_not_told_100_percent_however_much_later() -> None:
    def trouble(house: House, second: int) -> None:
        house.devices["two"].plugged = False

    house, writes = charge(trouble)
    assert house.gateway._memory.full_events == 1
    assert writes == {"one": ["soc 100"], "two": []}


def test_a_pack_that_joined_just_before_the_end_of_absorption_is_not_told_100_percent() -> None:
    def trouble(house: House, second: int) -> None:
        house.devices["two"].plugged = second < 2 or second >= 22

    house, writes = charge(trouble)
    assert house.gateway._memory.full_events == 1
    assert writes == {"one": ["soc 100"], "two": []}


def test_a_pack_that_goes_right_after_the_full_charge_is_not_told_when_it_comes_back_at_22_percent() -> None:
    def trouble(house: House, second: int) -> None:
        if house.gateway._memory.full_events and house.now < house.gone + 40:
            house.devices["two"].plugged = False
        else:
            house.gone = house.now

    _, writes = charge(trouble)
    assert writes == {"one": ["soc 100"], "two": []}


# ---- commands


def test_a_command_goes_to_every_battery_that_can_and_each_has_its_outcome() -> None:
    async def look(gateway: Gateway) -> None:
        asked = asyncio.create_task(gateway.command(Command("soc", 90.0)))
        await asyncio.sleep(0.01)
        for battery in gateway.plan.batteries:
            await battery.poll()
        (outcome,) = await asked
        assert outcome.confirmed

    device = Device()
    device.fields = {"soc": 90.0}
    lived(plan(on(device, driver(*PLAN, step("soc", "soc"), controls=CONTROLS))), look=look)
