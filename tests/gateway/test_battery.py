"""One battery's supervisor: polls, ages, counts, recovers; by a clock that the test moves."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers import kit
from bms_drivers.kit import registry
from bms_drivers.kit.declare import Frame, Question
from bms_drivers.links import Link
from bms_drivers.links.replay import ReplayLink
from gateway.bank import aggregate
from gateway.battery import Battery, Watch
from gateway.limits import LimitSettings, Memory, Site, evaluate
from gateway.model import BadChecksum, BatteryState, Command, DeviceRefused, Health, LinkClosed, LinkTimeout, Reading
from tests.gateway.device import ANSWER, PLAN, Device, driver, step
from tests.gateway.device import battery as on

VECTORS = Path(__file__).parent.parent / "vectors"


class Bench:
    """A port whose device plays a recording while it is plugged in and awake, and a clock."""

    def __init__(self, recording: dict[str, Any]) -> None:
        self.now = 1000.0
        self.device: Link = ReplayLink(recording)
        self.plugged = self.awake = True

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Link]:
        if not self.plugged:
            raise LinkClosed("/dev/ttyUSB0: no such device")
        yield self.device if self.awake else Silence()

    def leave(self, name: str) -> None: ...

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        return poll_interval


class Silence:
    """A device that is there and says nothing."""

    def __init__(self) -> None:
        self.counters = ReplayLink({}).counters

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def exchange(self, question: Question) -> Sequence[Frame]:
        raise LinkTimeout("no answer within 0.5 s")


def jbd(name: str = "4s-sp04s034") -> dict[str, Any]:
    recording: dict[str, Any] = json.loads((VECTORS / "jbd" / f"{name}.json").read_text())
    return recording


def make(bench: Bench, changes: list[float] | None = None) -> Battery:
    news = changes if changes is not None else []
    return Battery(Watch("pack"), registry.load("jbd"), bench, lambda: news.append(bench.now), lambda: bench.now)


def polled(battery: Battery, bench: Bench, seconds: float) -> BatteryState:
    """Poll once a second for so long, and return the state at the end."""

    async def poll() -> None:
        for _ in range(int(seconds)):
            bench.now += 1.0
            await battery.poll()

    asyncio.run(poll())
    return battery.states()[0]


def test_a_first_good_read_brings_it_online_and_tells_the_gateway() -> None:
    bench, news = Bench(jbd()), []
    battery = make(bench, news)
    assert battery.states()[0].health is Health.STARTING
    state = polled(battery, bench, 1)
    assert state.health is Health.ONLINE
    assert state.reading is not None
    assert state.reading.voltage == 15.6
    assert news == [1001.0]


def test_silence_leads_to_stale_at_10_s_and_lost_at_60_s_by_the_age_of_the_last_good_read() -> None:
    bench = Bench(jbd())
    battery = make(bench)
    polled(battery, bench, 1)
    bench.awake = False
    assert polled(battery, bench, 9).health is Health.ONLINE
    assert polled(battery, bench, 1).health is Health.STALE
    assert polled(battery, bench, 49).health is Health.STALE
    lost = polled(battery, bench, 1)
    assert lost.health is Health.LOST
    assert lost.age == 60.0
    assert lost.reading is not None, "the last values stay, marked by their age"


def test_one_good_read_resets_the_age() -> None:
    bench = Bench(jbd())
    battery = make(bench)
    polled(battery, bench, 1)
    for _ in range(30):  # one good read each 9 s, everything else lost
        bench.awake = False
        assert polled(battery, bench, 8).health is Health.ONLINE
        bench.awake = True
        assert polled(battery, bench, 1).age == 0.0


def test_an_unplugged_adapter_is_named_and_recovers() -> None:
    bench = Bench(jbd())
    battery = make(bench)
    bench.plugged = False
    state = polled(battery, bench, 3)
    assert state.health is Health.STARTING
    assert state.remark == "/dev/ttyUSB0: no such device"
    bench.plugged = True
    assert polled(battery, bench, 1).health is Health.ONLINE
    assert polled(battery, bench, 3).good_in_a_row == 4


# ---- flaky is not one outage


def test_a_link_that_loses_a_third_of_its_reads_is_flaky() -> None:
    bench = Bench(jbd())
    battery = make(bench)
    assert not polled(battery, bench, 60).flaky
    for n in range(120):
        bench.awake = bool(n % 3)
        polled(battery, bench, 1)
    bench.awake = True
    assert polled(battery, bench, 1).flaky
    assert not polled(battery, bench, 301).flaky


@pytest.mark.parametrize("away", [11, 16, 59, 61, 400])
def test_one_outage_is_told_as_silence_and_never_as_a_flaky_link(away: int) -> None:
    bench = Bench(jbd())
    battery = make(bench)
    polled(battery, bench, 30)
    bench.plugged = False
    for _ in range(away):
        assert not polled(battery, bench, 1).flaky
    bench.plugged = True
    for _ in range(400):
        assert not polled(battery, bench, 1).flaky


def test_failures_count_once_a_good_read_shows_that_they_were_no_outage() -> None:
    bench = Bench(jbd())
    battery = make(bench)
    polled(battery, bench, 25)
    bench.awake = False
    assert not polled(battery, bench, 8).flaky, "it may still be an outage"
    bench.awake = True
    assert polled(battery, bench, 1).flaky, "8 of 33"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(11, 90)), min_size=1, max_size=6))
def test_outages_alone_never_make_a_link_flaky(episodes: list[tuple[int, int]]) -> None:
    bench = Bench(jbd())
    battery = make(bench)
    for good, away in episodes:
        bench.plugged = True
        assert not polled(battery, bench, good).flaky
        bench.plugged = False
        assert not polled(battery, bench, away).flaky


def test_one_unplug_of_16_s_raises_no_cable_alarm_at_any_time() -> None:
    bench, memory = Bench(jbd()), Memory()
    battery = make(bench)
    site = Site(limits=LimitSettings())

    def alarm_after(seconds: float) -> int | None:
        nonlocal memory
        bank = aggregate([polled(battery, bench, seconds)], complete=True)
        decision, memory = evaluate(bank, site, memory, bench.now, 1.79e9 + bench.now)
        return decision.alarms["bms_cable"]

    assert [alarm_after(1) for _ in range(30)] == [0] * 30
    bench.plugged = False
    assert [alarm_after(1) for _ in range(16)] == [0] * 16
    bench.plugged = True
    assert [alarm_after(1) for _ in range(400)] == [0] * 400


def test_neither_the_failed_nor_the_good_reads_of_an_outage_count() -> None:
    bench = Bench(jbd())
    battery = make(bench)

    def reads(good: bool, times: int) -> BatteryState:
        bench.awake = good
        return polled(battery, bench, times)

    reads(True, 10)  # the first brought it online: 9 count
    for _ in range(5):
        reads(False, 12)  # an outage
        reads(True, 2)  # the first of these ends it
        reads(False, 1)
        state = reads(True, 1)
    assert state.flaky, "5 of 24; of 29, were those counted that ended an outage"


# ---- one battery's memory


def test_being_looked_at_in_the_middle_of_a_round_forgets_nothing() -> None:
    """Between two answers the clock passes 60 s since the last good read, and the heartbeat asks for the state."""
    device = Device()
    battery = on(device)
    asyncio.run(battery.poll())
    device.now += 57.0
    assert battery.states()[0].health is Health.STALE

    def slowly(question: str) -> None:
        device.now += 5.0 if question == "sensors" else 0.0
        battery.states()

    device.during = slowly
    asyncio.run(battery.poll())
    state = battery.states()[0]
    assert state.health is Health.ONLINE
    assert state.reading is not None
    assert None not in (state.reading.voltage, state.reading.max_charge_current, state.reading.mosfet_temperature)
    assert state.reading.temperatures and state.reading.charge_allowed is True


@pytest.mark.parametrize("tries", [30, 0], ids=["asked meanwhile", "not asked meanwhile"])
def test_nothing_of_the_device_that_was_lost_is_told_of_the_one_that_comes(tries: int) -> None:
    once = step("name", "custom_name", every=kit.ONCE)
    slow = step("settings", "max_battery_voltage", every=180.0, keep=1_000_000)
    device = Device()
    battery = on(device, driver(*PLAN, slow, once))
    asyncio.run(battery.poll())
    asyncio.run(battery.poll())
    before = battery.states()[0].reading
    assert before is not None and before.max_battery_voltage is not None and before.custom_name is not None
    device.silent = {"*"}
    for _ in range(tries):
        device.now += 61.0 / tries
        asyncio.run(battery.poll())
    device.now += 0.0 if tries else 61.0
    device.silent = {"settings", "name"}
    for _ in range(2):  # the settings are asked for twice before it is believed that this device has none
        asyncio.run(battery.poll())
    after = battery.states()[0].reading
    assert after is not None and after.voltage is not None
    assert (after.max_battery_voltage, after.custom_name) == (None, None)


def test_a_pack_behind_a_master_proves_itself_by_its_own_reads_not_by_those_of_the_others() -> None:
    """The master answers all the time; one of its packs is left out for a while."""
    device, there = Device(), [1, 2]
    master = replace(
        driver(step("volts", "voltage")),
        assemble=lambda values, setup: {str(number): Reading(voltage=values["voltage"]) for number in there},
    )
    battery = on(device, master)

    def reads() -> list[tuple[Health, int]]:
        asyncio.run(battery.poll())
        return [(state.health, state.good_in_a_row) for state in battery.states()]

    for _ in range(10):
        reads()
    there.remove(2)
    battery.pressing = False
    for _ in range(8):
        device.now += 9.0
        away = reads()
    assert away == [(Health.ONLINE, 18), (Health.LOST, 0)]
    assert not battery.pressing, "the master itself never fell silent"
    there.append(2)
    assert [reads()[1] for _ in range(3)] == [(Health.ONLINE, 1), (Health.ONLINE, 2), (Health.ONLINE, 3)]
    device.silent = {"*"}
    assert [good for _, good in reads()] == [0, 0]


@pytest.mark.parametrize(("intervals", "kept"), [((2.0, 9.0), 2.0), ((0.0, 0.5), 0.5), ((0.0, 9.0), 1.0)])
def test_a_bms_is_asked_as_often_as_it_can_and_must_be(
    intervals: tuple[float, float], kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(jbd())
    battery = make(bench)
    battery.driver = replace(battery.driver, intervals=intervals)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        bench.now += seconds
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr("gateway.battery.pause", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(battery.run())
    assert pauses == [kept] * 3 and battery.counters["polls"] == 3


def test_what_is_asked_once_comes_one_a_round_and_after_the_reading() -> None:
    device = Device()
    battery = on(device, driver(step("volts", "voltage"), *[step(name, every=kit.ONCE) for name in "abc"]))
    for _ in range(4):
        asyncio.run(battery.poll())
    assert device.heard == ["volts", "a", "volts", "b", "volts", "c", "volts"]


def test_what_is_asked_slowly_is_due_just_when_its_time_is_over() -> None:
    device = Device()
    battery = on(device, driver(step("volts", "voltage"), step("slow", "capacity", every=10.0)))
    asyncio.run(battery.poll())
    learnt = device.now
    for at, asked in ((learnt + 9.9 - ANSWER, 1), (learnt + 10.0 - ANSWER, 1), (learnt + 10.0, 2)):
        device.now = at
        asyncio.run(battery.poll())
        assert device.heard.count("slow") == asked, at - learnt


def test_unanswered_and_unusable_steps_are_counted_by_their_kind() -> None:
    device = Device()
    device.silent = {"sensors"}
    device.broken = {"limits": BadChecksum("wrong"), "mosfet": DeviceRefused("no")}
    battery = on(device)
    for _ in range(3):
        asyncio.run(battery.poll())
    counters = battery.states()[0].counters
    assert (counters["unanswered"], counters["checksum"], counters["good"]) == (6, 3, 2), "the first waits for a second"


# ---- defects


@pytest.mark.parametrize(
    "defect", [OverflowError("int too big"), UnicodeError("label empty"), KeyError("x"), ValueError()]
)
def test_a_defect_in_one_step_costs_that_step_and_not_the_battery(
    defect: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    device = Device()
    device.broken = {"alarms": defect}
    battery = on(device)
    for _ in range(20):
        device.now += 1.0
        asyncio.run(battery.poll())
    state = battery.states()[0]
    assert (state.health, state.counters["good"]) == (Health.ONLINE, 20)
    assert state.counters["defect"] == 20
    assert len([r for r in caplog.records if "a defect" in r.message]) == 1


@pytest.mark.parametrize("where", ["volts", "port", "correction"])
def test_a_defect_anywhere_else_is_a_failed_try_and_the_battery_comes_back(where: str) -> None:
    device, faulty = Device(), [True]

    def fault(*_: object) -> Any:
        if faulty[0]:
            raise OverflowError("int too big to convert")
        return _[0] if where == "correction" else None

    battery = on(device, correct=fault) if where == "correction" else on(device)
    if where == "port":
        turn = device.turn
        device.turn = lambda name: (fault(), turn(name))[1]  # type: ignore[method-assign]
    device.broken = {"volts": OverflowError("int too big to convert")} if where == "volts" else {}

    async def life() -> None:
        for _ in range(3):
            await battery.poll()
        state = battery.states()[0]
        assert (state.health, state.counters["failures"]) == (Health.STARTING, 3)
        assert state.remark.startswith("a defect: ")
        assert "int too big to convert" in state.remark
        faulty[0] = False
        device.broken = {}
        await battery.poll()
        assert battery.states()[0].health is Health.ONLINE

    asyncio.run(life())


# ---- what the log says of a battery that does not answer


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def silent_for(battery: Battery, device: Device, seconds: float) -> None:
    end = device.now + seconds
    while device.now < end:
        device.now += 1.0
        asyncio.run(battery.poll())


def test_a_battery_that_never_answers_is_said_soon_and_then_ever_less_often(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    device.silent = {"*"}
    battery = on(device, connection="/dev/ttyUSB0 address 2")
    silent_for(battery, device, 7)
    (line,) = lines(caplog)
    assert re.fullmatch(
        r"pack \(fake, /dev/ttyUSB0 address 2\): no good answer for \d s, \d tries: /dev/ttyUSB0: no whole answer to"
        r" volts; nothing came",
        line,
    )
    silent_for(battery, device, 68)
    assert len(lines(caplog)) == 2, "in the first 75 s"
    silent_for(battery, device, 3600)
    assert len(lines(caplog)) == 4, "in the first hour"


def test_what_came_and_was_no_answer_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    device.silent, device.garbage = {"*"}, 2
    battery = on(device, connection="/dev/ttyUSB0")
    silent_for(battery, device, 7)
    (line,) = lines(caplog)
    assert re.search(r"no whole answer to volts; what came was no answer: \d+ noise$", line)


def test_what_came_before_the_last_good_read_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    battery = on(device, connection="/dev/ttyUSB0")
    device.silent, device.garbage = {"alarms"}, 2
    silent_for(battery, device, 5)
    device.silent, device.garbage = {"*"}, 0
    silent_for(battery, device, 12)
    (line,) = lines(caplog)
    assert line.endswith("no whole answer to volts; nothing came)")


def test_a_long_outage_is_said_as_stale_as_lost_and_then_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    battery = on(device, connection="/dev/ttyUSB0")
    silent_for(battery, device, 5)
    device.silent = {"*"}
    silent_for(battery, device, 70)
    assert [line.split(" (")[0] for line in lines(caplog)] == ["pack: online -> stale", "pack: stale -> lost"]
    assert all("no whole answer to volts; nothing came" in line for line in lines(caplog))
    silent_for(battery, device, 3600)
    assert 4 <= len(lines(caplog)) <= 6
    device.silent = set()
    silent_for(battery, device, 100)
    assert 4 <= len(lines(caplog)) <= 6


# ---- readings and commands


def test_an_impossible_reading_is_dropped_whole_and_counted() -> None:
    recording = jbd()
    bench = Bench(recording)
    battery = make(bench)
    good = polled(battery, bench, 1)
    for exchange in recording["exchanges"]:
        if exchange["tx"].startswith("dda503"):
            payload = bytearray.fromhex(exchange["rx"][0])
            payload[4 + 19] = 250  # SoC 250 %
            payload[-3:-1] = (-sum(payload[2:-3]) & 0xFFFF).to_bytes(2, "big")
            exchange["rx"] = [payload.hex()]
    bench.device = ReplayLink(recording)
    state = polled(battery, bench, 1)
    assert state.reading == good.reading
    assert state.counters["failures"] == 1
    assert "soc 250 outside 0..100 %" in state.remark


def test_a_command_the_driver_lacks_is_refused_at_once() -> None:
    async def ask() -> str:
        battery = make(Bench(jbd()))
        battery.driver = replace(registry.load("jbd"), controls={})
        outcome = await battery.command(Command("balance", 1.0))
        assert not outcome.accepted and not outcome.confirmed
        return outcome.note

    assert asyncio.run(ask()) == "pack: a jbd cannot do 'balance'"


def test_a_command_is_sent_and_confirmed_by_reading_back() -> None:
    recording = jbd("4s-software-lock")  # the charge FET reads as off
    recording["exchanges"].append({"tx": "dd5ae1020001ff1c77", "rx": ["dde10000000077"]})
    bench = Bench(recording)
    battery = make(bench)

    async def switch_off() -> tuple[bool, bool]:
        await battery.poll()
        done = battery.command(Command("charge", 0.0))
        await battery.poll()
        outcome = await done
        return outcome.accepted, outcome.confirmed

    assert asyncio.run(switch_off()) == (True, True)


def test_a_command_that_does_not_show_is_reported_as_such() -> None:
    recording = jbd()  # both FETs read as on
    recording["exchanges"].append({"tx": "dd5ae1020001ff1c77", "rx": ["dde10000000077"]})
    bench = Bench(recording)
    battery = make(bench)

    async def switch_off() -> tuple[bool, bool, str]:
        done = battery.command(Command("charge", 0.0))
        for _ in range(4):
            await battery.poll()
        outcome = await done
        return outcome.accepted, outcome.confirmed, outcome.note

    accepted, confirmed, note = asyncio.run(switch_off())
    assert (accepted, confirmed) == (True, False)
    assert "the readings do not show it" in note
