"""What may be commanded on D-Bus: there where a battery can do it, and the outcome leads back to the path."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.model import Command, Outcome
from outputs.venus_dbus.controls import DONE, MODE, REFUSED, TOO_FAST, Controls, Tell
from outputs.venus_dbus.output import VenusDbus
from outputs.venus_dbus.settings import Settings
from outputs.venus_dbus.tree import Item, Tree, Value, plain
from tests import make
from tests.venus_dbus.bus import Commands, Daemon, connected, now, off_loop, send, until, value

CHARGE, DISCHARGE, BALANCE = (
    f"/Settings/{name}" for name in ("ForceChargingOff", "ForceDischargingOff", "TurnBalancingOff")
)
SOC, APPLY, OUTCOME, CLEAR = "/Settings/ResetSocTo", "/Settings/ResetSocToApply", "/Settings/Outcome", "/History/Clear"
ALL = frozenset({"charge", "discharge", "balance", "soc"})
DONE_SO = Outcome(True, True, "confirmed by reading back")
NOT_SHOWN = Outcome(True, False, "accepted, but the readings do not show it")
NO = Outcome(False, False, "rack-1: charge refused: not allowed now")


class Bench:
    """Controls of a bank, the tree they keep, and what was asked."""

    def __init__(self, actions: frozenset[str] = ALL, *, writable: bool = True, running: bool = True) -> None:
        self.tree, self.asked, self.running = Tree(), [], running  # type: Tree, list[Command], bool
        self._tells: list[Tell] = []
        self.now = 0.0
        self.tree.add(MODE, Item("i", plain, 3))
        self.controls = Controls(
            self.tree, "", self._ask, self.tree.put, lambda: self.now, writable=writable, history=True
        )
        self.new = self.controls.offer(actions)

    def _ask(self, command: Command, tell: Tell) -> bool:
        if self.running:
            self.asked.append(command)
            self._tells.append(tell)
        return self.running

    def write(self, path: str, wanted: Value) -> int:
        return self.controls.write(path, wanted)

    def settle(self, number: int, *outcomes: Outcome) -> None:
        self._tells[number](outcomes)

    def __getitem__(self, path: str) -> Value:
        return self.tree[path].value


@pytest.mark.parametrize(
    ("actions", "there"),
    [
        (set(), {CLEAR}),
        ({"charge"}, {CHARGE, OUTCOME, CLEAR}),
        ({"discharge", "balance"}, {DISCHARGE, BALANCE, OUTCOME, CLEAR}),
        ({"soc"}, {SOC, APPLY, OUTCOME, CLEAR}),
        (ALL, {CHARGE, DISCHARGE, BALANCE, SOC, APPLY, OUTCOME, CLEAR}),
    ],
)
def test_there_is_a_path_for_what_can_be_done_and_no_other(actions: set[str], there: set[str]) -> None:
    bench = Bench(frozenset(actions))
    assert set(bench.tree) - {"/Settings/HasSettings", MODE} == there
    assert bench["/Settings/HasSettings"] == int(bool(actions))


def test_what_can_be_done_may_become_known_later_and_is_announced_once() -> None:
    bench = Bench(frozenset())
    assert set(bench.controls.offer({"charge"})) == {CHARGE, OUTCOME, "/Settings/HasSettings"}
    assert bench.controls.offer({"charge"}) == []
    assert set(bench.controls.offer({"charge", "soc"})) == {SOC, APPLY}


def test_nothing_is_there_where_the_user_forbids_it() -> None:
    bench = Bench(writable=False)
    assert (
        set(bench.tree) == {"/Settings/HasSettings", MODE}
        and not bench.tree[MODE].writable
        and bench["/Settings/HasSettings"] == 0
    )


@pytest.mark.parametrize("outcomes", [(NO,), (DONE_SO, NO), ()])
def test_a_refused_switch_falls_back_and_asking_again_asks_again(outcomes: Sequence[Outcome]) -> None:
    bench = Bench()
    for number in range(3):
        assert bench.write(CHARGE, 1) == DONE
        assert bench[CHARGE] == 1
        bench.settle(number, *outcomes)
        assert bench[CHARGE] == 0
    assert bench.asked == [Command("charge", 0.0)] * 3
    assert bench[OUTCOME] == "; ".join(outcome.note for outcome in outcomes)


def test_a_switch_that_was_confirmed_stays_and_is_not_written_again() -> None:
    bench = Bench()
    bench.write(CHARGE, 1)
    bench.settle(0, DONE_SO)
    assert bench.write(CHARGE, 1) == DONE
    assert (bench[CHARGE], bench[OUTCOME], len(bench.asked)) == (1, DONE_SO.note, 1)
    bench.write(CHARGE, 0)
    bench.settle(1, NO)
    assert bench[CHARGE] == 1, "switching back was refused: it is still off"
    bench.write(CHARGE, 0)
    bench.settle(2, DONE_SO)
    assert bench[CHARGE] == 0


def test_a_switch_that_the_readings_do_not_show_stays_and_may_be_asked_again() -> None:
    bench = Bench()
    bench.write(DISCHARGE, 1)
    bench.settle(0, NOT_SHOWN)
    assert (bench[DISCHARGE], bench[OUTCOME]) == (1, NOT_SHOWN.note)
    bench.write(DISCHARGE, 1)
    assert len(bench.asked) == 2


def test_only_the_newest_wish_decides() -> None:
    bench = Bench()
    bench.write(CHARGE, 1)
    bench.write(CHARGE, 0)
    bench.write(CHARGE, 1)
    bench.settle(0, Outcome(False, False, "replaced by a newer one"))
    assert bench[CHARGE] == 1
    bench.settle(2, NO)
    assert bench[CHARGE] == 0
    bench.settle(1, DONE_SO)
    assert (bench[CHARGE], bench[OUTCOME]) == (0, NO.note)


def test_a_switch_that_somebody_else_switched_back_is_shown_so_and_may_be_written_again() -> None:
    bench = Bench()
    bench.write(CHARGE, 1)
    bench.settle(0, DONE_SO)
    assert bench.controls.offer(ALL, {"discharge"}) == []
    assert bench.controls.offer(ALL, {"charge", "discharge"}) == [CHARGE]
    assert bench[CHARGE] == 0
    bench.write(CHARGE, 1)
    assert bench.asked == [Command("charge", 0.0)] * 2
    bench.settle(1, DONE_SO)
    bench.write(CHARGE, 0)
    bench.settle(2, DONE_SO)
    bench.controls.offer(ALL, {"discharge"})
    bench.write(CHARGE, 0)
    assert len(bench.asked) == 4, "it is off again, whoever did that"


def test_the_mode_is_both_switches_and_follows_the_readings_alone() -> None:
    bench = Bench(ALL | {"mode"})
    assert bench.tree[MODE].writable
    for wanted, allowed in ((4, 0.0), (3, 1.0), (0xFC, 0.0)):
        assert bench.write(MODE, wanted) == DONE
        assert bench.asked[-2:] == [Command("charge", allowed), Command("discharge", allowed)]
        assert bench[MODE] == 3
    assert not Bench(ALL).tree[MODE].writable, "not all can be switched"


def test_wishes_that_come_too_fast_are_refused_and_said_so() -> None:
    bench = Bench()
    answers = [bench.write(BALANCE, number % 2) for number in range(100)]
    assert answers == [DONE] * 10 + [REFUSED, DONE] * 45, "what is being asked already is no new wish"
    assert (len(bench.asked), bench[OUTCOME]) == (10, TOO_FAST)
    bench.now = 1.5
    assert bench.write(BALANCE, 0) == DONE
    assert bench.write(BALANCE, 1) == REFUSED
    assert bench.write(CHARGE, 1) == bench.write(DISCHARGE, 1) == DONE, "a current may always be stopped"
    assert bench.write(CHARGE, 0) == REFUSED


def test_switches_do_not_disturb_each_other() -> None:
    bench = Bench()
    bench.write(CHARGE, 1)
    bench.write(DISCHARGE, 1)
    bench.settle(0, NO)
    assert (bench[CHARGE], bench[DISCHARGE]) == (0, 1)


@pytest.mark.parametrize("outcome", [DONE_SO, NO])
def test_setting_the_soc_shows_while_it_is_under_way_and_may_be_repeated(outcome: Outcome) -> None:
    bench = Bench()
    assert bench.write(APPLY, 1) == REFUSED, "no value was chosen"
    assert bench.write(SOC, 95) == DONE
    for number in range(2):
        assert bench.write(APPLY, 1) == DONE
        assert bench[APPLY] == 1
        bench.settle(number, outcome)
        assert (bench[APPLY], bench[SOC], bench[OUTCOME]) == (0, 95.0, outcome.note)
    assert bench.asked == [Command("soc", 95.0)] * 2


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (SOC, 101), (SOC, -1), (SOC, float("nan")), (SOC, float("inf")), (SOC, "full"), (CHARGE, 2), (CHARGE, 0.5),
        (CHARGE, None), (CHARGE, float("nan")), (MODE, 5), (MODE, None), (MODE, float("nan")),
        (APPLY, 2), (CLEAR, 8), (CLEAR, 1.5), (CLEAR, -1),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_nobody_asked(path: str, wrong: Value) -> None:
    bench = Bench()
    before = bench[path]
    assert bench.write(path, wrong) == REFUSED
    assert (bench[path], bench.asked) == (before, [])


def test_a_gateway_that_has_ended_takes_no_wish() -> None:
    bench = Bench(running=False)
    assert bench.write(CHARGE, 1) == REFUSED
    assert bench[CHARGE] == 0
    bench.running = True
    assert bench.write(CHARGE, 1) == DONE


def test_the_outcome_comes_back_from_the_event_loop_to_the_bus(daemon: Daemon) -> None:
    async def shows(path: str, wanted: str) -> None:
        async with asyncio.timeout(5.0):
            while await off_loop(value, daemon.address, path) != wanted:
                await asyncio.sleep(0.01)

    async def scenario() -> None:
        commands = Commands()
        output = VenusDbus(Settings(), daemon.address, asyncio.get_running_loop().time, commands.perform, "test")
        await output.start()
        output.publish(now(bank=make.bank(make.battery(controls=("charge",)))))
        await until(connected(output))
        assert "UnknownObject" in await off_loop(value, daemon.address, DISCHARGE)
        endings = (
            lambda: commands.settle(0, NO),
            lambda: commands.fail(1, OverflowError("too big")),
            lambda: commands.settle(2, DONE_SO),
        )
        for number, (ending, note, shown) in enumerate(
            zip(endings, (NO.note, "failed: too big", DONE_SO.note), (0, 0, 1), strict=True)
        ):
            await off_loop(send, daemon.address, CHARGE, "SetValue", "variant:int32:1")
            await until(lambda wanted=number + 1: len(commands.asked) == wanted)
            await shows(CHARGE, "int32 1")
            ending()
            await shows(OUTCOME, note)
            await shows(CHARGE, f"int32 {shown}")
        await output.stop()

    asyncio.run(scenario())
