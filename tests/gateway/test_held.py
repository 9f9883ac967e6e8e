"""What holds something back does not vanish because a group of answers does: a law over all drivers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bms_drivers import kit
from bms_drivers.kit import registry
from bms_drivers.links import Link
from bms_drivers.sims import sim
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import cells_of
from gateway.bank import aggregate
from gateway.battery import LOST_AFTER, Battery, Watch
from gateway.held import held
from gateway.limits import LimitSettings, Memory, Site, evaluate
from gateway.model import ALARMS, BankState, Decision, LinkTimeout, Reading
from tests.sims.wire import Wire

SITE = Site(limits=LimitSettings())
PAUSES = (1.0,) * 6 + (8.0,) * 9  # s between rounds; all together longer than missing data may be used


class Bench:
    """A battery on a simulator, by a clock that the test moves; `silent` are steps of its plan that do not answer."""

    def __init__(self, name: str) -> None:
        self.silent: set[str] = set()
        self.now = 1000.0
        self.pack = Pack.of(3, cells=cells_of(name), current=5.0)
        driver = registry.load(name)
        plan = tuple(replace(poll, talk=self._muffled(poll)) for poll in driver.plan)
        self.steps = [poll.name for poll in plan if poll.every != kit.ONCE]
        self.wire = Wire(sim.build(name, self.pack, {}))
        self.battery = Battery(Watch("pack"), replace(driver, plan=plan), self, lambda: None, lambda: self.now)
        self.memory = Memory()

    def _muffled(self, poll: kit.Poll) -> "kit.Talk":
        def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
            if poll.name in self.silent or "*" in self.silent:
                raise LinkTimeout("silent")
            return (yield from poll.talk(setup, known))

        return talk  # type: ignore[return-value]

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Link]:
        yield self.wire

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        return poll_interval

    def leave(self, name: str) -> None: ...

    def round(self, pause: float = 1.0) -> tuple[Reading, Decision]:
        """So many seconds later: the reading, and what follows from it."""
        self.now += pause
        asyncio.run(self.battery.poll())
        bank = aggregate(self.battery.states(), complete=True)
        assert isinstance(bank, BankState)
        decision, self.memory = evaluate(bank, SITE, self.memory, self.now, 1_790_000_000.0 + self.now)
        state = self.battery.states()[0]
        assert state.reading is not None
        return state.reading, decision


def raised(reading: Reading) -> dict[str, int]:
    return {name: level for name, level in reading.alarms.items() if level}


DRIVERS = registry.simulated()


@pytest.mark.parametrize("trouble", ["alarms", "switches"])
@pytest.mark.parametrize("name", DRIVERS)
def test_no_group_that_falls_silent_ends_an_alarm_or_raises_a_limit(name: str, trouble: str) -> None:
    probe = Bench(name)
    for step in probe.steps:
        bench = Bench(name)
        if trouble == "alarms":
            bench.pack.alarms.update(ALARMS)
        else:
            bench.pack.charge_switch = bench.pack.discharge_switch = False
        for _ in range(3):  # the first readings
            reading, before = bench.round()
        bench.silent = {step}
        begun = bench.now
        for pause in PAUSES:
            now, decision = bench.round(pause)
            about = f"{step} silent for {bench.now - begun:g} s"
            assert raised(now).items() >= raised(reading).items(), about
            assert decision.ccl <= before.ccl + 1e-6, about
            assert decision.dcl <= before.dcl + 1e-6, about
            assert (decision.cvl or 0.0) <= (before.cvl or 0.0) + 1e-6, about


def test_an_alarm_ends_when_the_bms_says_so_and_is_marked_while_it_does_not() -> None:
    bench = Bench("seplos")
    bench.pack.alarms.add("high_cell_voltage")
    assert raised(bench.round()[0]) == {"high_cell_voltage": 2}
    bench.silent = {"state"}
    reading = [bench.round()[0] for _ in range(30)][-1]
    assert (raised(reading), reading.held) == ({"high_cell_voltage": 2}, ("high_cell_voltage",))
    assert "alarms as last told, not answered now: high_cell_voltage" in bench.battery.states()[0].remark
    assert "low_soc" not in reading.alarms, "what was fine is not known to be fine"
    bench.pack.alarms.clear()
    bench.silent = set()
    reading = bench.round()[0]
    assert (raised(reading), reading.held) == ({}, ())


def test_an_alarm_of_a_battery_that_was_lost_is_not_laid_to_what_comes_back() -> None:
    bench = Bench("seplos")
    bench.pack.alarms.add("high_cell_voltage")
    bench.round()
    bench.silent = {"*"}
    while bench.now < 1000.0 + LOST_AFTER + 5:
        assert raised(bench.round()[0]), "what was known last stands until something else is"
    bench.silent = {"state"}
    bench.round()  # it is asked once more before it is believed that it does not tell
    assert raised(bench.round()[0]) == {}


def test_the_other_side_s_silence_on_an_alarm_does_not_end_it() -> None:
    """An ECS tells the state of each side for itself, and a fault may stand in both."""
    charge, discharge = {"_charge_alarms": {"internal_failure": 1}}, {"_discharge_alarms": {"internal_failure": 0}}
    ecs = registry.load("ecs")
    assert ecs.assemble({**charge, **discharge}, {})[""].alarms == {"internal_failure": 1}
    assert ecs.assemble(dict(discharge), {})[""].alarms == {}


def test_what_is_told_counts_and_what_was_fine_is_not_kept() -> None:
    now = Reading(alarms={"low_soc": 0, "high_voltage": 1})
    assert held(now, {"low_soc": 2, "high_voltage": 2, "short_circuit": 0}) is now
    assert held(now, {"fuse_blown": 2}).alarms == {"low_soc": 0, "high_voltage": 1, "fuse_blown": 2}
