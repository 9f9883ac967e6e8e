"""Several batteries as one: the laws of the bank."""

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bank import Standing, aggregate, join
from gateway.model import BatteryState, Health
from tests.make import battery, reading


def two(**second: object) -> list[BatteryState]:
    return [battery("a"), battery("b", of=reading(**second))]


def test_voltage_is_the_mean_and_current_the_sum() -> None:
    bank = aggregate(two(voltage=53.4, current=-5.0), complete=True)
    assert bank.voltage == pytest.approx(53.3)
    assert bank.current == pytest.approx(15.0)
    assert bank.power == pytest.approx(53.2 * 20 - 53.4 * 5)


def test_soc_is_weighted_by_capacity() -> None:
    bank = aggregate(two(soc=90.0, capacity=140.0), complete=True)
    assert bank.soc == pytest.approx((60 * 280 + 90 * 140) / 420)
    assert bank.capacity == pytest.approx(420.0)


def test_an_unknown_capacity_makes_the_total_unknown_rather_than_too_small() -> None:
    assert aggregate(two(capacity=None), complete=True).capacity is None


def test_extremes_say_where_they_were_found() -> None:
    cells = [3.3] * 16
    cells[4] = 3.61
    bank = aggregate(two(cell_voltages=tuple(cells)), complete=True)
    assert bank.max_cell is not None
    assert (bank.max_cell.value, bank.max_cell.where) == (3.61, "b:5")


def test_alarms_are_the_worst_of_all() -> None:
    bank = aggregate(two(alarms={"low_soc": 1, "high_voltage": 2}), complete=True)
    assert bank.alarms == {"high_cell_voltage": 0, "low_soc": 1, "high_voltage": 2}


def test_a_lost_member_leaves_the_sums_and_is_counted() -> None:
    states = [battery("a"), battery("b", health=Health.LOST, age=100.0)]
    bank = aggregate(states, complete=True)
    assert (bank.online, bank.offline, bank.current) == (1, 1, 20.0)
    assert bank.health is Health.ONLINE


def test_when_all_are_lost_the_flow_is_unknown_but_the_soc_stays_known() -> None:
    bank = aggregate([battery("a", health=Health.LOST, age=100.0)], complete=True)
    assert (bank.voltage, bank.current, bank.power, bank.soc) == (None, None, None, 60.0)
    assert bank.health is Health.LOST


def test_a_watched_battery_is_shown_but_does_not_count() -> None:
    bank = aggregate([battery("a"), battery("b", control=False)], complete=True)
    assert bank.current == 20.0
    assert len(bank.batteries) == 2


def test_a_returning_battery_at_another_voltage_stays_out_and_says_so() -> None:
    states, _ = join(two(voltage=50.0, cell_voltages=(), current=0.0), {"a": Standing.MEMBER}, 1.0)
    assert [state.joined for state in states] == [True, False]
    assert "50.00 V differs from the bank's 53.20 V" in states[1].remark


def test_the_allowed_difference_is_per_sixteen_cells() -> None:
    eight = {"voltage": 26.4, "cell_voltages": (3.3,) * 8, "current": 0.0}
    states = [battery("a", of=reading(**eight)), battery("b", of=reading(**{**eight, "voltage": 27.0}))]
    assert [s.joined for s in join(states, {"a": Standing.MEMBER}, 1.0)[0]] == [True, False]


def test_a_member_that_stayed_is_not_thrown_out_by_its_voltage() -> None:
    states, _ = join(two(voltage=50.0), dict.fromkeys("ab", Standing.MEMBER), 1.0)
    assert all(state.joined and state.shares for state in states)


# ---- who is a member, as batteries come and go


def say(name: str, volts: float = 3.30, health: Health = Health.ONLINE, **says: object) -> BatteryState:
    """A 16-cell battery at `volts` a cell through which nothing flows, unless it says so."""
    usual = {"cell_voltages": (volts,) * 16, "voltage": volts * 16, "current": 0.0}
    age = {Health.ONLINE: 0.5, Health.STALE: 15.0, Health.LOST: 100.0}[health]
    return battery(name, of=reading(**{**usual, **says}), health=health, age=age)


class Club:
    """Batteries that come and go; keeps what `join` says."""

    def __init__(self) -> None:
        self.standings: Mapping[str, Standing] = {}
        self.states: dict[str, BatteryState] = {}

    def meet(self, *states: BatteryState) -> "Club":
        found, self.standings = join(states, self.standings, 1.0)
        self.states = {state.name: state for state in found}
        return self

    def counted(self) -> str:
        """Names of those that count."""
        return "".join(sorted(state.name for state in self.states.values() if state.contributes))


@pytest.mark.parametrize("moved", [3.24, 3.362, 3.45], ids=lambda volts: f"{volts - 3.3:+.3f} V a cell")
def test_a_lost_member_is_not_judged_by_its_last_voltage(moved: float) -> None:
    """The others have moved by 62 mV a cell: what it said then says nothing of now."""
    club = Club().meet(say("a"), say("b"), say("c"))
    for volts in (3.30, moved):
        club.meet(say("a", volts), say("b", health=Health.STALE), say("c", volts))
        club.meet(say("a", volts), say("b", health=Health.LOST), say("c", volts))
        assert club.counted() == "abc"
    assert club.standings["b"] is Standing.AWAY


def test_a_lost_member_is_judged_when_it_answers() -> None:
    club = Club().meet(say("a"), say("b")).meet(say("a", 3.40), say("b", health=Health.LOST))
    assert club.meet(say("a", 3.40), say("b", 3.39)).standings["b"] is Standing.MEMBER
    club = Club().meet(say("a"), say("b")).meet(say("a", 3.40), say("b", health=Health.LOST))
    club.meet(say("a", 3.40), say("b", 3.30))
    assert club.counted() == "a"
    assert "52.80 V differs from the bank's 54.40 V" in club.states["b"].remark


def test_a_dead_battery_never_keeps_the_living_one_out() -> None:
    """After both were lost the first that answers is the reference, whatever the other one said last."""
    for first, second in (("a", "b"), ("b", "a")):
        club = Club().meet(say("a"), say("b"))
        club.meet(*(say(name, health=Health.LOST) for name in "ab"))
        club.meet(say(first, 3.45), say(second, health=Health.LOST))
        assert club.standings[first] is Standing.MEMBER
        assert club.counted() == "ab", "the silent one keeps its membership"
        club.meet(say(first, 3.45), say(second, 3.30))
        assert club.standings[second] is Standing.OUT, "now it answers, and is judged by the living one"


def test_one_that_was_kept_out_stays_so_while_it_is_silent() -> None:
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10))
    club.meet(say("a", 3.10), say("b", 3.10, Health.LOST))
    assert club.counted() == "a"
    assert club.states["b"].remark.startswith("kept out of the bank since it last answered")
    club.meet(say("a", 3.10), say("b", 3.10))
    assert club.counted() == "ab", "its voltage agrees now"


def test_one_that_was_kept_out_stands_in_while_the_members_are_stale_and_is_the_bank_when_they_are_lost() -> None:
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10)).meet(say("a", health=Health.STALE), say("b", 3.10))
    assert (club.counted(), club.standings["b"]) == ("ab", Standing.STAND_IN)
    assert not club.states["b"].shares
    assert club.meet(say("a"), say("b", 3.10)).counted() == "a", "back before anybody else is the bank"
    club.meet(say("a", health=Health.LOST), say("b", 3.10))
    assert (club.counted(), club.standings["b"]) == ("ab", Standing.MEMBER)


@pytest.mark.parametrize(
    ("says", "counted"),
    [
        ({"current": 30.0}, "ab"),
        ({"current": -5.7}, "ab"),
        ({"current": 5.5}, "a"),  # 2 % of 280 Ah are 5.6 A
        ({"current": None}, "a"),
        ({"current": 2.1, "capacity": None}, "ab"),
        ({"current": 2.0, "capacity": None}, "a"),
        ({"current": 2.0, "capacity": 100.0}, "a"),
        ({"current": 1.1, "capacity": 50.0}, "ab"),
    ],
)
def test_a_battery_through_which_current_flows_is_connected(says: dict[str, object], counted: str) -> None:
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10, **says))
    assert club.counted() == counted
    assert not club.states["b"].shares, "its limits count, but it adds nothing"


def test_a_connected_one_says_so_and_stays_until_its_voltage_agrees() -> None:
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10, current=30.0))
    said = "49.60 V differs from the bank's 52.80 V by more than 1.00 V, 30.0 A flow"
    assert club.states["b"].remark == f"counts as connected, but adds nothing: {said}"
    assert club.meet(say("a"), say("b", 3.10)).counted() == "ab", "else limits of 0 A would let it go"
    assert club.meet(say("a"), say("b", 3.10, Health.LOST)).counted() == "ab"
    assert club.meet(say("a"), say("b", 3.29)).standings["b"] is Standing.MEMBER


def test_what_cannot_be_compared_now_changes_no_standing() -> None:
    blind: dict[str, object] = {"voltage": None, "cell_voltages": (None, *[3.3] * 15)}
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10))
    assert club.meet(say("a", **blind), say("b", 3.10)).counted() == "a"
    assert club.meet(say("a"), say("b", 3.10, **blind)).counted() == "a"


def test_who_alone_answers_counts_although_it_was_kept_out_and_now_tells_no_voltage() -> None:
    blind: dict[str, object] = {"voltage": None, "cell_voltages": (None, *[3.1] * 15)}
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10))
    assert club.meet(say("a", health=Health.STALE), say("b", 3.10, **blind)).counted() == "ab"


def test_the_first_to_answer_rules_nobody_out_before_all_have() -> None:
    """Until then each look judges all that answer anew: the most that agree are the bank."""
    alone, _ = join([say("a", 3.10)], {}, 1.0)
    assert alone[0].joined
    states, _ = join([say("a", 3.10), say("b"), say("c")], {}, 1.0)
    assert [state.joined for state in states] == [False, True, True]


HEALTH = st.sampled_from([Health.ONLINE, Health.ONLINE, Health.STALE, Health.LOST])
SEEN = st.tuples(HEALTH, st.sampled_from([3.10, 3.25, 3.30, 3.31, 3.45]), st.sampled_from([0.0, 0.0, 30.0]))


@given(st.lists(st.lists(SEEN, min_size=3, max_size=3), max_size=12))
def test_through_any_order_of_loss_and_return(rounds: list[list[tuple[Health, float, float]]]) -> None:
    """A silent one stays what it was; of those that answer one counts at least; who carries current counts."""
    club, said = Club(), dict.fromkeys("abc", (3.30, 0.0))
    club.meet(*(say(name) for name in "abc"))
    for seen in rounds:
        before, told = club.counted(), []
        for name, (health, volts, amps) in zip("abc", seen, strict=True):
            said[name] = (volts, amps) if health is Health.ONLINE else said[name]
            told.append(say(name, said[name][0], health, current=said[name][1]))
        counted = club.meet(*told).counted()
        assert all((s.name in before) is (s.name in counted) for s in told if s.health is not Health.ONLINE)
        answering = [s.name for s in told if s.health is Health.ONLINE]
        assert not answering or set(answering) & set(counted)
        assert all(s.name in counted for s in told if s.name in answering and said[s.name][1])


# ---- the bank's voltage


def test_one_absurd_member_does_not_pull_the_banks_voltage() -> None:
    bare: dict[str, object] = {"cell_voltages": (), "voltage": 26.5}
    healthy = [say("a", 3.31), say("b", 3.33)]
    assert aggregate([*healthy, say("c", **bare)], complete=True).voltage == pytest.approx(3.32 * 16)
    assert aggregate([healthy[0], say("c", **bare)], complete=True).voltage == pytest.approx(3.31 * 16)


def test_a_connected_stranger_does_not_move_the_banks_voltage_but_its_alarms_and_current_show() -> None:
    club = Club().meet(say("a")).meet(say("a"), say("b", 3.10, current=30.0, alarms={"high_temperature": 2}))
    bank = aggregate(list(club.states.values()), complete=True)
    assert (bank.voltage, bank.current, bank.alarms["high_temperature"]) == (pytest.approx(52.8), 30.0, 2)


@given(st.lists(st.floats(40.0, 58.0), min_size=1, max_size=6), st.randoms())
def test_the_order_of_members_is_irrelevant(voltages: list[float], rng: random.Random) -> None:
    states = [battery(f"b{n}", of=reading(voltage=v, current=v - 48)) for n, v in enumerate(voltages)]
    shuffled = list(states)
    rng.shuffle(shuffled)
    (one, first_standings), (other, second_standings) = (join(list(s), {}, 1.0) for s in (states, shuffled))
    assert first_standings == second_standings
    first, second = aggregate(one, complete=True), aggregate(other, complete=True)
    assert first.current == pytest.approx(second.current, abs=1e-9)
    assert (first.voltage is None) == (second.voltage is None)


def test_a_battery_that_never_answered_does_not_hide_the_others() -> None:
    bank = aggregate(
        [battery("a"), replace(battery("b"), reading=None, age=None, health=Health.STARTING)], complete=True
    )
    assert bank.soc == 60.0
    assert bank.health is Health.ONLINE
