"""`driver: auto`: each battery finds out in the background what it is; the others are polled meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bms_drivers import kit
from bms_drivers.kit import detect, registry
from bms_drivers.kit.detect import UNKNOWN, Found, Search
from bms_drivers.kit.framing import Answer
from bms_drivers.links.port import Port
from bms_drivers.sims.host import simulated
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import Simulator, build
from gateway.app import Gateway
from gateway.battery import Battery, Watch
from gateway.config.load import parse
from gateway.model import Command, ConfigError, Health, LinkClosed, LinkTimeout
from gateway.store import Store
from gateway.wiring import build as build_gateway
from tests.gateway.device import Device
from tests.gateway.until import until


class Bus:
    """Simulators on one cable, without the time that a line takes; each hears only its own baud rate."""

    def __init__(self, *devices: tuple[str, dict[str, Any]]) -> None:
        self.simulators: list[Simulator] = [build(name, Pack.of(n), setup) for n, (name, setup) in enumerate(devices)]
        self.opened: list[int] = []
        self.asked: list[kit.Ask] = []
        self.plugged = True

    def link(self, where: str, *drivers: kit.Driver) -> "BusLink":
        rates = {driver.line.baud for driver in drivers if driver.line}
        if len(rates) != 1 or any(driver.transports in (("can",), ("ble",)) for driver in drivers):
            raise ConfigError(f"{where}: drivers on one port must use one baud rate")
        return BusLink(self, rates.pop(), [driver.name for driver in drivers])


class BusLink:
    """The cable at one baud rate."""

    def __init__(self, bus: Bus, baud: int, drivers: list[str]) -> None:
        self.bus, self.baud, self.drivers, self.is_open = bus, baud, drivers, False
        self.counters: Counter[str] = Counter()

    async def open(self) -> None:
        if not self.bus.plugged:
            raise LinkClosed("/dev/ttyUSB0: no such device")
        if not self.is_open:
            self.bus.opened.append(self.baud)
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def exchange(self, question: kit.Question) -> Sequence[kit.Frame]:
        assert self.is_open
        await asyncio.sleep(0)
        if not isinstance(question, kit.Ask):
            raise LinkTimeout("nobody here speaks Modbus")
        self.bus.asked.append(question)
        answer = Answer(question)
        for simulator in self.bus.simulators:
            heard = simulator.answer(bytearray(question.request)) if simulator.baud == self.baud else []
            whole = [answer.feed(reply) for reply in heard]
            if any(whole):
                return answer.frames
        raise LinkTimeout("no answer")


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every port of this test lead to one bus."""

    def plugged(*devices: tuple[str, dict[str, Any]]) -> Bus:
        bus = Bus(*devices)
        monkeypatch.setattr(detect, "open_link", bus.link)
        return bus

    return plugged


def looked_for(bus: Bus, search: Search, *given: dict[str, Any]) -> tuple[list[Found | None], Port]:
    """What several batteries on one port find, all at once."""

    async def run() -> tuple[list[Found | None], Port]:
        port = Port("/dev/ttyUSB0", bus.link("", search.candidates[0]))
        found = await asyncio.gather(*(search.find(port, f"auto-{n}", setup) for n, setup in enumerate(given)))
        return list(found), port

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["jk", "jk_pb", "jbd", "daly"])
def test_each_bms_is_found_and_the_port_then_speaks_its_line(name: str, plug: Any) -> None:
    bus = plug((name, {}))
    (found,), port = looked_for(bus, Search("/dev/ttyUSB0", []), {})
    assert found is not None and found.driver.name == name
    assert "16 cells" in found.what
    link = port.link
    assert isinstance(link, BusLink) and found.driver.line is not None
    assert link.baud == found.driver.line.baud


def test_a_driver_with_many_addresses_keeps_no_other_waiting(plug: Any) -> None:
    bus = plug(("daly", {}))
    looked_for(bus, Search("/dev/ttyUSB0", []), {})
    assert bus.opened == [9600, 115200, 115200, 9600, 9600], (
        "it was listened to, then each driver was asked once, none with all its addresses"
    )


def test_two_batteries_on_one_port_find_two_devices(plug: Any) -> None:
    bus = plug(("jk_pb", {"address": 2}), ("jk_pb", {"address": 5}))
    found, _ = looked_for(bus, Search("/dev/ttyUSB0", []), {}, {}, {})
    assert [one and one.setup["address"] for one in found] == [2, 5, None]


def test_an_address_that_the_user_gave_is_the_one_that_is_asked(plug: Any) -> None:
    bus = plug(("jk_pb", {"address": 2}), ("jk_pb", {"address": 5}))
    (found,), _ = looked_for(bus, Search("/dev/ttyUSB0", []), {"address": 5})
    assert found is not None and found.setup == {"address": 5}
    (none,), _ = looked_for(bus, Search("/dev/ttyUSB0", []), {"address": 200})
    assert none is None


def test_the_device_of_a_known_battery_is_nobody_else_s(plug: Any) -> None:
    bus = plug(("daly", {"address": 1}), ("daly", {"address": 2}))
    daly = registry.load("daly")
    found, _ = looked_for(bus, Search("/dev/ttyUSB0", [(daly, {"address": 1})]), {"address": 2}, {"address": 1})
    assert [one and one.setup["address"] for one in found] == [2, None]


def test_a_port_that_two_kinds_share_keeps_the_gaps_of_both(plug: Any) -> None:
    bus = plug(("daly", {"address": 1}))
    found, port = looked_for(bus, Search("/dev/ttyUSB0", [(registry.load("jbd"), {})]), {})
    assert [one and one.driver.name for one in found] == ["daly"]
    assert isinstance(port.link, BusLink)
    assert port.link.drivers == ["jbd", "daly"]


def test_beside_a_known_battery_only_its_line_is_spoken_and_turns_alternate(plug: Any) -> None:
    bus = plug(("jk_pb", {"address": 1}))
    jk_pb = registry.load("jk_pb")
    search = Search("/dev/ttyUSB0", [(jk_pb, {"address": 1})])
    assert {driver.name for driver in search.candidates} == {
        driver.name for driver in map(registry.load, registry.names()) if driver.line and driver.line.baud == 115200
    }
    status = next(jk_pb.poll("status").talk(jk_pb.setup({"address": 1}), {}))

    async def known(port: Port) -> None:
        while True:
            async with port.turn("known") as link:
                assert await link.exchange(status)

    async def run() -> list[str]:
        port = Noted("/dev/ttyUSB0", bus.link("", jk_pb))
        polling = asyncio.create_task(known(port))
        assert await search.find(port, "auto", {}) is None
        polling.cancel()
        return port.turns

    turns = asyncio.run(run())
    assert turns.count("auto") >= 15
    assert ("auto", "auto") not in pairwise(turns), "the known battery had its turn after each question"
    assert bus.opened == [115200], "the port was opened once"
    others = [question for question in bus.asked if question.request != status.request]  # type: ignore[union-attr]
    assert all(question.request and question.tries == 1 for question in others), "each once, and nobody just listens"


class Noted(Port):
    """A port that notes whose turn it was."""

    def __init__(self, name: str, link: Any) -> None:
        super().__init__(name, link)
        self.turns: list[str] = []

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Any]:
        async with super().turn(name) as link:
            self.turns.append(name)
            yield link


def test_a_port_where_nothing_can_be_found_out_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"spi:0\.0: no driver finds out what is there; name the driver"):
        Search("spi:0.0", [])
    with pytest.raises(ConfigError, match="no such kind of port"):
        Search("nonsense", [])


# ---- a battery that looks for its driver


def searching(finder: Any, device: Device) -> Battery:
    watch = Watch("pack", connection="/dev/ttyUSB0")
    return Battery(watch, UNKNOWN, device, lambda: None, device.clock, finder)


class Finder:
    """Finds a JBD at the third try; the second ends in a defect."""

    tries = 0

    async def __call__(self) -> Found | None:
        self.tries += 1
        if self.tries == 2:
            raise UnicodeError("label empty")
        return Found(registry.load("jbd"), {}, "JBD with 16 cells") if self.tries == 3 else None

    def __str__(self) -> str:
        return "jk, jbd on /dev/ttyUSB0"


def test_it_says_what_it_looks_for_takes_no_command_and_becomes_what_it_finds() -> None:
    async def run() -> None:
        battery = searching(Finder(), Device())
        assert not await battery.recognise()
        state = battery.states()[0]
        assert (state.driver, state.health) == ("auto", Health.STARTING)
        assert state.remark == "looking for a BMS: nothing answers as jk, jbd on /dev/ttyUSB0"
        outcome = await battery.command(Command("charge", 0.0))
        assert outcome.note == "pack: its BMS is not found yet, so it cannot do 'charge'"
        assert not await battery.recognise()
        assert battery.states()[0].remark == "a defect: label empty"
        assert await battery.recognise()
        assert battery.states()[0].driver == "jbd"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("away", "expected"), [((), [2, 4, 8, 16, 32, 60, 60, 60]), ((0, 1, 2, 3, 4), [2, 2, 2, 2, 2, 4, 8, 16])]
)
def test_the_search_is_repeated_with_pauses_that_grow_while_the_port_is_there(
    away: tuple[int, ...], expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            raise asyncio.CancelledError

    async def nothing() -> None:
        if len(pauses) in away:
            raise LinkClosed("/dev/ttyUSB0: no such device")

    monkeypatch.setattr("gateway.battery.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(searching(nothing, Device()).run())
    assert pauses == expected


# ---- the whole gateway

CONFIG = """
batteries:
  - {{name: known, driver: jbd, port: simulated}}
  - {{name: auto, driver: auto, port: {port}}}
bank: {{start_timeout: 1}}
outputs:
  can_bms: {{interface: virtual, channel: auto}}
"""


def running(tmp_path: Path, port: str, look: Any) -> None:
    async def run() -> None:
        gateway = await build_gateway(parse(CONFIG.format(port=port)), store=Store(tmp_path / "state"))
        stop = asyncio.Event()
        life = asyncio.create_task(gateway.run(stop))
        try:
            await look(gateway)
        finally:
            stop.set()
            await life

    asyncio.run(run())


def named(gateway: Gateway, name: str) -> Any:
    return next(state for state in gateway.states if state.name == name)


def test_an_absent_auto_battery_ends_nothing_and_the_others_run(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        await until(lambda: gateway.snapshot is not None and gateway.snapshot.bank.complete)
        assert named(gateway, "known").health is Health.ONLINE
        auto = named(gateway, "auto")
        assert (auto.driver, auto.health) == ("auto", Health.STARTING)
        assert "no such device" in auto.remark
        state = await gateway.answer({"ask": "state"})
        assert state["decision"]["ccl"] > 0

    running(tmp_path, str(tmp_path / "nothing"), look)


def test_an_auto_battery_joins_when_it_is_found(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        device = await simulated("jk", {}, seed=2, link=tmp_path / "later", soc=60.0)
        try:
            await until(lambda: len(gateway.states) == 2 and named(gateway, "auto").health is Health.ONLINE, 20)
            assert named(gateway, "auto").driver == "jk"
        finally:
            await device.close()

    running(tmp_path, str(tmp_path / "later"), look)
