"""Every battery has cells: one whose cells are asked for in vain is limited by that, not by none."""

import asyncio
import random

from gateway.battery import Battery, Watch
from gateway.model import BatteryState
from tests.limits.play import Play
from tests.storm.pack import DRIVER, Pack, Wire


class Bench:
    """One pack whose BMS does not count its cells, on a link of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pack = Pack(random.Random(1), [3.3] * 16, [25.0])
        wire = Wire(self.pack, lambda: self.now, self._passes)
        self.battery = Battery(Watch("one"), DRIVER, wire, lambda: None, lambda: self.now)

    def _passes(self, seconds: float) -> None:
        self.now += seconds

    def polls(self, count: int) -> BatteryState:
        async def poll() -> None:
            for _ in range(count):
                await self.battery.poll()
                self.now += 1.0

        asyncio.run(poll())
        return self.battery.states()[0]


def limits(state: BatteryState) -> tuple[float, float]:
    assert state.reading is not None
    found = Play(batteries={"a": state.reading}).look()
    return found.ccl, found.dcl


def test_cells_that_are_asked_for_in_vain_from_the_start_allow_no_current() -> None:
    bench = Bench()
    bench.pack.silent_until["cells"] = float("inf")
    state = bench.polls(5)
    assert limits(state) == (0.0, 0.0)
    assert state.remark == "not told, though its BMS has it: cell_voltages"


def test_a_device_that_comes_back_from_a_loss_without_its_cells_allows_no_current() -> None:
    bench = Bench()
    assert limits(bench.polls(5)) == (50.0, 60.0)
    bench.pack.fault, bench.pack.fault_until = "closed", bench.now + 70.0
    bench.polls(75)
    bench.pack.silent_until["cells"] = float("inf")
    assert limits(bench.polls(5)) == (0.0, 0.0)


def test_they_count_again_once_they_are_told() -> None:
    bench = Bench()
    bench.pack.silent_until["cells"] = bench.now + 5.0
    bench.polls(3)
    assert limits(bench.polls(70)) == (50.0, 60.0)


def test_an_answer_without_cells_is_taken_at_its_word() -> None:
    bench = Bench()
    bench.pack.lies["cell_voltages"] = []
    state = bench.polls(5)
    assert limits(state)[1] == 60.0
    assert state.remark == ""
