"""One battery's supervisor: polls, ages, counts, recovers; by a clock that the test moves."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Frame, Question
from bms_drivers.links import Link
from bms_drivers.links.replay import ReplayLink
from gateway.battery import Battery, Watch
from gateway.model import BatteryState, Command, Health, LinkClosed, LinkTimeout

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
