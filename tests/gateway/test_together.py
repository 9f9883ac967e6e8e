"""A bank is decided on once its batteries have answered; what cannot wait is decided on before the others have.

A battery that is alone is decided on within the turn of the loop in which it answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from bms_drivers import kit
from gateway import app
from gateway.app import Gateway
from gateway.battery import Battery, Watch
from gateway.model import LinkTimeout, Snapshot
from tests.gateway.device import Device, driver
from tests.gateway.device import battery as on
from tests.gateway.test_app import Witness, plan

ROUNDS = 3  # a second each


def told(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    frames = yield kit.Ask(b"all", lambda buffer: iter(()))
    round_, opens = frames[0].payload
    return {"voltage": 50.0 + round_ / 10, "charge_allowed": not opens}


class Slow(Device):
    """Answers after a while, with the number of the round; `opens` its charge switch in that round."""

    def __init__(self, after: float, opens: int = 0) -> None:
        super().__init__()
        self._after, self._opens, self._round = after, opens, 0

    async def exchange(self, question: kit.Question) -> Sequence[kit.Frame]:
        await asyncio.sleep(self._after)
        self._round += 1
        return [kit.Frame(kind=0, payload=bytes((self._round, self._round == self._opens)))]


class Mute(Slow):
    """Takes its time, and says nothing."""

    async def exchange(self, question: kit.Question) -> Sequence[kit.Frame]:
        await asyncio.sleep(self._after)
        raise LinkTimeout("nothing came")


def lived(*devices: Slow) -> list[Snapshot]:
    """The Snapshots of a bank that is read ROUNDS times."""

    async def run() -> list[Snapshot]:
        output, stop = Witness("all", []), asyncio.Event()
        gateways: list[Gateway] = []
        batteries = [
            Battery(
                Watch(name),
                driver(kit.Poll("all", told, gives=("voltage", "charge_allowed"), essential=True)),
                device,
                lambda: gateways[0].changed(),
            )
            for name, device in zip("abc", devices, strict=False)
        ]
        gateways.append(Gateway(plan(*batteries, outputs={"all": output})))
        life = asyncio.create_task(gateways[0].run(stop))
        await asyncio.sleep(ROUNDS - 0.3)
        stop.set()
        await life
        return output.snapshots

    return asyncio.run(run())


def rounds(snapshot: Snapshot) -> list[int]:
    """Of which round each battery's reading is; 0 = it has none."""
    readings = [state.reading for state in snapshot.bank.batteries]
    return [round(10 * (reading.voltage - 50.0)) if reading and reading.voltage else 0 for reading in readings]


def test_batteries_that_are_asked_together_make_one_snapshot_except_for_what_cannot_wait() -> None:
    found = [rounds(snapshot) for snapshot in lived(Slow(0.02, opens=3), Slow(0.1), Slow(0.2))]
    later = found[found.index([1, 1, 1]) + 1 :]
    assert later == [[2, 2, 2], [3, 2, 2], [3, 3, 3]]


def test_for_one_that_did_not_answer_last_time_nobody_waits() -> None:
    found = lived(Slow(0.02), Mute(0.9))
    ages = [snapshot.bank.batteries[0].age for snapshot in found if rounds(snapshot)[0] == ROUNDS]
    assert ages and ages[0] is not None and ages[0] < 0.4


# ---- within the turn


class Deciding:
    """A gateway whose batteries the test polls by hand, and its decisions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *devices: Device) -> None:
        self.output, self.fails = Witness("all", []), False
        evaluate = app.evaluate

        def evaluated(*words: Any) -> Any:
            if self.fails:
                raise ZeroDivisionError("division by zero")
            return evaluate(*words)

        monkeypatch.setattr(app, "evaluate", evaluated)
        self.batteries = [on(device, news=lambda: self.gateway.changed()) for device in devices]
        for battery, name in zip(self.batteries, "abc", strict=False):
            battery.watch.name = name
        self.gateway = Gateway(plan(*self.batteries, outputs={"all": self.output}), clock=devices[0].clock)

    def told(self) -> list[list[float | None]]:
        """The voltages in each Snapshot since the last look."""
        states = [snapshot.bank.batteries for snapshot in self.output.snapshots]
        self.output.snapshots.clear()
        return [[state.reading.voltage if state.reading else None for state in those] for those in states]


def played(scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene()

    asyncio.run(run())


def test_one_that_is_alone_is_decided_on_before_its_poll_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    house = Deciding(monkeypatch, device)

    async def scene() -> None:
        for _ in range(2):
            await house.batteries[0].poll()
            (now,) = house.batteries[0].states()
            assert now.reading is not None
            assert house.told() == [[now.reading.voltage]]
            await asyncio.sleep(0)
            assert house.told() == [], "the same news is not decided on twice"

    played(scene)


def test_readings_that_arrive_together_make_one_snapshot_though_nobody_waited_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices = [Device(), Device()]
    house = Deciding(monkeypatch, *devices)

    async def scene() -> None:
        for device, silent in [(devices[0], {"*"}), (devices[1], {"*"})]:
            device.silent = silent
        for battery in house.batteries:
            await battery.poll()
        await asyncio.sleep(0)
        house.told()
        for device in devices:
            device.silent = set()
        for battery in house.batteries:
            await battery.poll()
        assert house.told() == []
        await asyncio.sleep(0)
        assert [None not in voltages for voltages in house.told()] == [True]

    played(scene)


def test_a_fault_in_deciding_spoils_no_poll_and_the_next_decision_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    house = Deciding(monkeypatch, device)
    (battery,) = house.batteries

    async def scene() -> None:
        house.fails = True
        for _ in range(3):
            await battery.poll()
            await asyncio.sleep(0)
        assert (battery.counters["good"], battery.counters["failures"]) == (3, 0)
        assert house.told() == []
        house.fails = False
        await battery.poll()
        await asyncio.sleep(0)
        assert len(house.told()) == 1
        await battery.poll()
        assert len(house.told()) == 1, "and within the turn again"

    played(scene)


def test_what_a_decision_finds_out_itself_is_decided_on_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    house = Deciding(monkeypatch, device)

    async def scene() -> None:
        await house.batteries[0].poll()
        house.told()
        device.now += 30.0  # it is stale now, which whoever asks it notices
        house.gateway.decide()
        assert len(house.told()) == 1
        await asyncio.sleep(0)
        assert len(house.told()) == 1

    played(scene)
