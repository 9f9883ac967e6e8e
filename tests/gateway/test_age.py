"""How old a reading is: as old as the oldest answer that its control values rest on.  Sheet: limits.md 8.2."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers import kit
from bms_drivers.kit import registry
from bms_drivers.kit.session import Session
from bms_drivers.links.replay import ReplayLink
from gateway.battery import STALE_AFTER, Battery, silent_after
from gateway.model import CONTROL, BatteryState, DeviceRefused, Health, LinkTimeout, Reading
from tests.gateway.device import ANSWER, PLAN, Device, battery, driver, step, times_in

VECTORS = Path(__file__).parent.parent / "vectors"
HEARTBEAT = 1.0  # s


def rounds(pack: Battery, device: Device, seconds: float, every: float = 1.0) -> BatteryState:
    """Poll for so long, each round `every` s after the last one began, or at once when that took longer."""

    async def poll() -> None:
        end = device.now + seconds
        while device.now < end:
            begun = device.now
            await pack.poll()
            device.now = max(device.now, begun + every)

    asyncio.run(poll())
    return pack.states()[0]


def one(pack: Battery) -> BatteryState:
    asyncio.run(pack.poll())
    return pack.states()[0]


def known(state: BatteryState) -> Reading:
    assert state.reading is not None
    return state.reading


def test_a_reading_is_as_old_as_its_oldest_control_answer_not_as_the_end_of_its_round() -> None:
    device = Device()
    device.silent = {"alarms"}  # the last step; it costs its time-outs, and no control value
    state = one(battery(device))
    assert state.age == pytest.approx(device.now - 1000.0 - ANSWER), "since the voltage, the first answer of all"
    assert state.age == pytest.approx(4 * ANSWER + 1.5)


def test_a_talk_of_several_questions_is_as_old_as_its_first_answer() -> None:
    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        first = yield kit.Ask(b"first", lambda buffer: iter(()))
        with suppress(LinkTimeout):
            yield kit.Ask(b"second", lambda buffer: iter(()), timeout=4.0)
        return {"voltage": float(first[0].payload)}

    device = Device()
    device.silent = {"second"}
    state = one(battery(device, driver(kit.Poll("both", talk, gives=("voltage",), essential=True))))
    assert state.age == 4.0


def test_a_value_kept_for_a_missed_answer_still_ages_its_reading() -> None:
    device = Device()
    pack = battery(device)
    one(pack)
    device.silent = {"sensors"}
    state = one(pack)
    assert known(state).temperatures, "one miss is outlived"
    assert state.age == pytest.approx(device.now - min(times_in(known(state))))
    assert state.age == pytest.approx(2 * ANSWER + 5 * ANSWER + 1.5)  # since the first round's sensors


def test_sensors_that_stop_answering_are_unknown_soon_though_the_voltage_still_comes() -> None:
    device = Device()
    pack = battery(device, driver(*[step(p.name, *p.gives, essential=p.essential, keep=1000) for p in PLAN]))
    rounds(pack, device, 5)
    device.silent = {"sensors"}
    ages = []
    while known(rounds(pack, device, 1, every=2.0)).temperatures:
        state = pack.states()[0]
        ages.append(state.age)
        assert state.health is Health.ONLINE
    assert 6.0 < max(age for age in ages if age is not None) < STALE_AFTER
    state = rounds(pack, device, 20)
    assert state.health is Health.ONLINE, "the rest is as good as before"
    assert known(state).temperatures == ()
    device.silent = set()
    assert known(rounds(pack, device, 1)).temperatures


def test_what_is_asked_slowly_on_purpose_does_not_age_a_reading() -> None:
    slow = step("settings", "max_battery_voltage", every=180.0, keep=1_000_000)
    device = Device()
    pack = battery(device, driver(*PLAN, slow))
    for _ in range(200):
        state = rounds(pack, device, 1)
        assert state.health is Health.ONLINE and state.age is not None and state.age < 2.0
    device.silent = {"settings"}
    state = rounds(pack, device, 600)
    assert known(state).max_battery_voltage is not None, "its driver says that it lasts while the link stands"
    assert state.health is Health.ONLINE


def test_what_is_asked_slowly_and_is_not_there_costs_its_time_outs_once_a_minute() -> None:
    device = Device()
    device.silent = {"settings"}
    pack = battery(device, driver(*PLAN, step("settings", "max_battery_voltage", every=5.0)))
    rounds(pack, device, 110)
    assert device.heard.count("settings") == 3, "two tries, and one a minute later"


def test_what_is_asked_slowly_but_may_miss_only_once_ages_when_it_is_overdue() -> None:
    slow = step("sensors", "temperatures", every=5.0)
    session = Session(driver(step("volts", "voltage", essential=True), slow))
    session.learnt(slow, {"temperatures": (20.0,)}, 100.0)
    session.learnt(session.driver.plan[0], {"voltage": 50.0}, 120.0)
    assert session.dated() == 110.0, "its period, and one more for the miss it may have"
    session.expire(110.5)
    assert session.dated() == 120.0
    assert known_of(session).temperatures == ()


def known_of(session: Session) -> Reading:
    return session.readings()[""]


def test_a_slow_value_alone_is_no_sign_of_life() -> None:
    slow = step("settings", "max_battery_voltage", every=180.0, keep=1_000_000)
    device = Device()
    pack = battery(device, driver(step("volts", "voltage"), slow, step("alarms", "soh")))
    rounds(pack, device, 3)
    device.silent = {"volts"}
    device.now += 1.0
    assert rounds(pack, device, 15).health is Health.STALE


def test_a_round_with_a_dying_link_is_cut_short() -> None:
    device = Device()
    pack = battery(device)
    one(pack)
    device.during = lambda question: device.silent.add("*") if question == "switches" else None
    device.heard.clear()
    begun = device.now
    asyncio.run(pack.poll())
    assert device.heard == ["volts", "switches", "limits"], "two that used to answer do not: the rest is not asked"
    assert device.now - begun == pytest.approx(ANSWER + 2 * 1.5)
    device.heard.clear()
    asyncio.run(pack.poll())
    assert device.heard == ["volts"], "and from then on the essential one alone"


def test_steps_that_a_board_does_not_have_cut_no_round() -> None:
    device = Device()
    device.silent = {"switches", "limits", "sensors"}
    pack = battery(device)
    state = rounds(pack, device, 10)
    assert state.counters["good"] == state.counters["polls"] - 1, "the first round waits for a second try of each"
    assert known(state).mosfet_temperature is not None


def test_nothing_is_told_before_all_that_limits_rest_on_was_answered_or_asked_twice_in_vain() -> None:
    """Else a battery whose sensors are late would be one without sensors, which none of them limits."""
    device = Device()
    device.silent = {"sensors"}
    pack = battery(device)
    state = one(pack)
    assert (state.reading, state.health, state.good_in_a_row) == (None, Health.STARTING, 0)
    assert "sensors" in state.remark
    device.silent = set()
    assert known(one(pack)).temperatures


def test_one_that_is_back_from_a_loss_counts_only_when_it_tells_all_that_it_has() -> None:
    device = Device()
    pack = battery(device)
    rounds(pack, device, 3)
    device.silent = {"*"}
    assert rounds(pack, device, 70).health is Health.LOST
    device.silent = {"sensors"}
    state = one(pack)
    assert (state.health, state.good_in_a_row) == (Health.LOST, 0)
    device.silent = set()
    assert (one(pack).health, known(one(pack)).temperatures != ()) == (Health.ONLINE, True)


def test_what_was_asked_while_nobody_answered_was_not_asked_in_vain() -> None:
    device = Device()
    pack = battery(device, driver(step("sensors", "temperatures"), step("volts", "voltage", essential=True)))
    for health in (Health.STARTING, Health.LOST):  # at the start, and after a loss
        device.silent = {"*"}
        assert rounds(pack, device, 70).health is health
        device.silent = {"sensors"}
        assert one(pack).health is health
        device.silent = set()
        assert known(one(pack)).temperatures


def test_two_steps_that_stop_answering_for_good_cut_one_round_and_starve_no_other_step() -> None:
    device = Device()
    pack = battery(device)
    rounds(pack, device, 3)
    device.silent = {"switches", "limits"}
    state = rounds(pack, device, 20)
    assert state.counters["failures"] == 1
    assert state.health is Health.ONLINE and state.age is not None and state.age < 5.0
    assert known(state).max_charge_current is None


class Dying:
    """A Daly that plays a recording and falls silent in the middle of a round; the clock runs as its link would."""

    def __init__(self, device: Device, recording: dict[str, Any]) -> None:
        self.device, self.replay = device, ReplayLink(recording)
        self.answers_left = 1_000_000
        self.counters = self.replay.counters
        self.last_answer = 0.0

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def exchange(self, question: kit.Question) -> Sequence[kit.Frame]:
        if self.answers_left <= 0:
            self.device.now += question.timeout * question.tries
            raise LinkTimeout("silent")
        frames = await self.replay.exchange(question)
        self.answers_left -= 1
        self.device.now += 0.08
        self.last_answer = self.device.now
        return frames


@pytest.mark.parametrize("answers", range(9))
def test_a_daly_that_dies_anywhere_in_a_round_is_stale_10_s_after_its_last_answer(answers: int) -> None:
    recording = json.loads((VECTORS / "daly" / "constructed-full-poll.json").read_text())
    device = Device()
    dying = Dying(device, recording)
    device.turn = lambda name: Turn(dying)  # type: ignore[method-assign,assignment]
    pack = battery(device, registry.load("daly"))
    rounds(pack, device, 20)
    assert pack.states()[0].health is Health.ONLINE
    dying.answers_left = answers
    heartbeats: list[tuple[float, Health]] = []

    async def poll_and_look() -> None:
        while device.now < dying.last_answer + 20:
            begun = device.now
            await pack.poll()
            for second in range(int(begun) + 1, int(device.now) + 2):  # the heartbeat looks meanwhile, too
                heartbeats.append((float(second), pack.health_at(dated(pack), float(second))))
            device.now = max(device.now, begun + 1.0)

    asyncio.run(poll_and_look())
    stale = [at for at, health in heartbeats if health is not Health.ONLINE]
    assert min(stale) <= dying.last_answer + STALE_AFTER + HEARTBEAT


def dated(pack: Battery) -> float:
    state = pack.states()[0]
    assert state.age is not None
    return pack._clock() - state.age


class Turn:
    """A turn on a link, for ports in tests."""

    def __init__(self, link: Any) -> None:
        self.link = link

    async def __aenter__(self) -> Any:
        return self.link

    async def __aexit__(self, *_: object) -> None: ...


def test_a_round_without_any_answer_is_no_good_read() -> None:
    device = Device()
    pack = battery(device, driver(*[step(p.name, *p.gives, keep=1000) for p in PLAN]))
    assert rounds(pack, device, 3).counters["good"] == 3
    device.broken = {poll.name: DeviceRefused("no") for poll in PLAN}
    state = rounds(pack, device, 3)
    assert (state.counters["good"], state.good_in_a_row) == (3, 0)


# ---- the law

HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.3, 1.0, 4.0, 15.0]),  # s until the next round
        st.sets(st.sampled_from([*(poll.name for poll in PLAN), "slow"])) | st.just({"*"}),  # what is silent in it
        st.booleans(),  # is the battery looked at in the middle of it?
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(HAPPENINGS, st.sampled_from([0.5, 1.0, 8.0]), st.integers(0, 30), st.booleans())
def test_no_state_is_younger_than_its_oldest_control_answer_nor_online_long_after_the_last(
    happenings: list[tuple[float, set[str], bool]], interval: float, keep: int, essential: bool
) -> None:
    plan = [step(p.name, *p.gives, essential=essential and p.essential, keep=keep) for p in PLAN]
    slow = step("slow", "max_battery_voltage", every=30.0, keep=1000)
    device, answered, curious = Device(), [0.0], [False]
    pack = battery(device, driver(*plan, slow), poll_interval=interval)
    controls = {poll.name for poll in (*PLAN, slow) if not CONTROL.isdisjoint(poll.gives)}

    def look() -> None:
        state = pack.states()[0]
        if state.reading is None or state.age is None:
            assert state.health is Health.STARTING
            return
        assert state.age >= device.now - min(times_in(state.reading), default=device.now) - 1e-6
        if device.now > answered[0] + silent_after(interval):
            assert state.health is not Health.ONLINE

    def during(question: str) -> None:
        if question in controls and not device.silent & {question, "*"}:
            answered[0] = device.now + ANSWER
        if curious[0]:
            look()

    device.during = during
    for pause, silent, curious[0] in happenings:
        device.now += pause
        device.silent = silent
        asyncio.run(pack.poll())
        look()
    for _ in range(12):  # everything stops: the heartbeat alone goes on
        device.now += 7.0
        look()
    assert pack.states()[0].health in (Health.STARTING, Health.LOST)
