"""Packs as they were met in the field, in a whole gateway: recording, driver, battery, bank, limits, guard.

The recordings lie in tests/cases; each stands for a kind of fault.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bms_drivers.kit import registry
from bms_drivers.links import Link
from bms_drivers.links.replay import ReplayLink
from gateway.app import Gateway, Plan
from gateway.battery import Battery, Watch
from gateway.guard import Bounds
from gateway.limits import LimitSettings, Site
from gateway.model import BatteryState, LinkClosed, Snapshot

CASES = Path(__file__).parent.parent / "cases"
NAMES = ("one", "two")


class Shelf:
    """A port on which a recorded pack lies; it may be changed for another recording, or taken away."""

    def __init__(self, recording: str) -> None:
        self.put(recording)

    def put(self, recording: str) -> None:
        self.device: Link | None = ReplayLink(json.loads((CASES / f"{recording}.json").read_text()))

    def take(self) -> None:
        self.device = None

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Link]:
        if self.device is None:
            raise LinkClosed("no such device")
        yield self.device

    def leave(self, name: str) -> None: ...

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        return poll_interval


class House:
    """A gateway with a pack on each shelf, by a clock that the test moves."""

    def __init__(self, *recordings: str) -> None:
        self.now = 1000.0
        self.shelves = [Shelf(recording) for recording in recordings]
        names = NAMES[: len(recordings)]
        self.batteries = [
            Battery(Watch(name), registry.load("jbd"), shelf, lambda: None, lambda: self.now)
            for name, shelf in zip(names, self.shelves, strict=True)
        ]
        bounds = Bounds(
            dict.fromkeys(names, 3.45), 0.0, dict.fromkeys(names, 50.0), dict.fromkeys(names, 60.0),
            dict.fromkeys(names, 1800.0), float_voltage=dict.fromkeys(names, 3.375), cable_alarm=frozenset(names),
        )  # fmt: skip
        plan = Plan(self.batteries, Site(LimitSettings()), bounds, {})
        self.gateway = Gateway(plan, clock=lambda: self.now, wall=lambda: 1.79e9 + self.now)

    def run(self, seconds: int) -> Snapshot:
        """Poll each pack and decide once a second."""

        async def polls() -> Snapshot:
            for _ in range(seconds):
                self.now += 1.0
                for battery in self.batteries:
                    await battery.poll()
                snapshot = self.gateway.decide()
            return snapshot

        return asyncio.run(polls())

    def state(self, name: str) -> BatteryState:
        return next(state for state in self.gateway.states if state.name == name)


def test_two_sound_packs_are_one_bank() -> None:
    found = House("jbd_16s_good", "jbd_16s_good").run(5)
    assert found.bank.voltage == pytest.approx(53.0)
    assert (found.decision.ccl, found.decision.dcl, found.guard) == (100.0, 120.0, "")


@pytest.mark.parametrize("order", [1, -1], ids=["second", "first"])
def test_a_pack_voltage_of_zero_beside_its_own_cells(order: int, caplog: pytest.LogCaptureFixture) -> None:
    """It happens to a member, it is so from the start: the bank never shows 26.5 V, and nobody is kept out."""
    caplog.set_level(logging.INFO)
    house = House(*("jbd_16s_good", "jbd_16s_good")[::order])
    house.run(5)
    faulty = house.batteries[order % 2].watch.name
    house.shelves[order % 2].put("jbd_16s_pack_voltage_zero")
    found = house.run(5)
    assert found.bank.voltage == pytest.approx(53.0, abs=0.01)
    assert (found.decision.ccl, found.decision.dcl, found.decision.cvl, found.guard) == (100.0, 120.0, 55.2, "")
    assert found.decision.alarms.get("internal_failure", 0) == 0
    state = house.state(faulty)
    assert state.reading is not None and state.reading.voltage == pytest.approx(52.992)
    assert state.remark == "pack voltage 0.00 V, but its cells add up to 52.99 V, which stands in"
    assert state.counters["rejected"] == 5
    said = [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]
    assert said == [f"{faulty}: rejected: {state.remark}"], "once, not each second"
    house.shelves[order % 2].put("jbd_16s_good")
    house.run(1)
    assert caplog.records[-1].getMessage() == f"{faulty}: its values agree again"


def test_the_same_from_the_start() -> None:
    found = House("jbd_16s_pack_voltage_zero", "jbd_16s_good").run(5)
    assert found.bank.voltage == pytest.approx(53.0, abs=0.01)
    assert (found.decision.ccl, found.guard) == (100.0, "")


@pytest.mark.parametrize("order", [1, -1], ids=["last", "first"])
def test_a_bare_board_gives_no_usable_voltage_and_a_healthy_pack_beside_it_goes_on(order: int) -> None:
    house = House(*("jbd_16s_good", "jbd_16s_bare_board")[::order])
    found = house.run(5)
    good, bare = (house.state(name) for name in NAMES[::order])
    assert (good.joined, bare.joined) == (True, False)
    assert bare.reading is not None and bare.reading.voltage is None
    assert bare.remark.startswith(
        "kept out of the bank: it gives no usable voltage; pack voltage 0.00 V, but its cells"
    )
    assert found.bank.voltage == pytest.approx(53.0)
    assert (found.decision.cvl, found.decision.ccl, found.decision.dcl) == (55.2, 50.0, 60.0)
    assert found.decision.alarms["internal_failure"] == 1
    assert f"{bare.name}: kept out of the bank" in str(found.decision.waiting)
    assert found.guard == ""


def test_a_bare_board_alone_may_do_nothing() -> None:
    found = House("jbd_16s_bare_board").run(5)
    assert (found.decision.ccl, found.decision.dcl, found.guard) == (0.0, 0.0, "")
    assert found.bank.voltage is None


def test_a_pack_without_any_sensor_has_no_temperature_and_is_limited_by_the_rest() -> None:
    found = House("jbd_16s_no_sensors").run(5)
    assert (found.bank.temperature, found.bank.max_temperature, found.bank.mosfet_temperature) == (None, None, None)
    assert (found.decision.ccl, found.guard) == (50.0, "")
    assert not any(cap.rule == "temperature" for cap in found.decision.ccl_caps)


def test_another_pack_on_the_same_port_after_a_loss_is_said_and_not_blocked_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Three sensors before, none now: missing at first, and taken as it is with the third good read."""
    house = House("jbd_16s_good")
    house.run(5)
    house.shelves[0].take()
    assert house.run(70).decision.alarms["bms_cable"] == 1
    house.shelves[0].put("jbd_16s_no_sensors")
    assert house.run(2).decision.ccl == 0.0
    house.run(1)
    assert "one: it was lost and is taken as it is now: 0 cell sensors instead of 2" in caplog.text
    assert house.run(45).decision.ccl == 50.0


def test_one_of_two_is_lost_and_the_survivor_has_its_own_maximum() -> None:
    house = House("jbd_16s_good", "jbd_16s_good")
    assert house.run(5).decision.ccl == 100.0
    house.shelves[1].take()
    for seconds in (9, 6, 50, 600):  # 9, 15, 65, 665 s after its last answer
        found = house.run(seconds)
        assert found.decision.ccl == (100.0 if seconds == 9 else 50.0)
        assert found.guard == ""
    assert (found.decision.cvl, found.decision.alarms["bms_cable"]) == (54.0, 1)
