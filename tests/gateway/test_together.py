"""A bank is decided on once its batteries have answered; what cannot wait is decided on before the others have."""

import asyncio
from collections.abc import Sequence

from bms_drivers import kit
from gateway.app import Gateway
from gateway.battery import Battery, Watch
from gateway.model import LinkTimeout, Snapshot
from tests.gateway.device import Device, driver
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
