"""Bluetooth at its worst: whatever goes wrong is named and counted, ends by itself, and holds up nobody else."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from bleak.exc import BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bleak_retry_connector import BleakOutOfConnectionSlotsError
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers import jbd
from bms_drivers.kit import registry
from bms_drivers.links import ble, ble_manager
from bms_drivers.links.ble import BleLink
from bms_drivers.links.ble_manager import sentence
from bms_drivers.links.port import Port
from bms_drivers.sims.host import simulated
from gateway.battery import Battery, Watch
from gateway.model import BatteryState, Health, LinkClosed, LinkTimeout
from tests.links.air import BRIDGE, Air, Peripheral
from tests.links.test_ble import ASK, CELLS, LINE, MAC, OTHER, bound, cells, run
from tests.vectors import cases

SMART = next(case for case in cases("jbd_ble") if str(case) == "4s-280ah-split-notifications")


def answering(request: bytes) -> Sequence[bytes]:
    """As it was recorded."""
    for exchange in SMART.data["exchanges"]:
        if bytes.fromhex(exchange["tx"]) == request:
            return [bytes.fromhex(part) for part in exchange["rx"]]
    return ()


def read_by(link: BleLink, name: str = "rack-1") -> Battery:
    """A battery that is polled over the link."""
    watch = Watch(name, connection=link.where, poll_interval=0.05)
    return Battery(watch, registry.load("jbd_ble"), Port(link.where, link, reopen_most=0.1), lambda: None)


async def until(battery: Battery, true: Callable[[BatteryState], bool], seconds: float = 10.0) -> BatteryState:
    async with asyncio.timeout(seconds):
        while not true(state := battery.states()[0]):
            await asyncio.sleep(0.02)
    return state


# ---- what comes down the air


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CELLS)), max_size=6), twice=st.sets(st.integers(0, 6), max_size=2))
def test_pieces_cut_anywhere_and_told_twice_make_the_frame_or_none(cuts: list[int], twice: set[int]) -> None:
    edges = [0, *sorted(cuts), len(CELLS)]
    pieces = [CELLS[a:b] for a, b in pairwise(edges)]
    doubled = [piece for n, piece in enumerate(pieces) for _ in range(1 + (n in twice))]

    async def work() -> None:
        device = Peripheral(MAC, lambda request: doubled)
        (link,) = bound(Air(device), MAC, line=replace(LINE, patience=0.02))
        await link.open()
        if b"".join(doubled).startswith(CELLS):
            assert (await link.exchange(ASK))[0].raw == CELLS
            return
        try:
            (frame,) = await link.exchange(ASK)
        except LinkTimeout:
            assert link.counters["timeout"] == 1
            assert link.counters["checksum"] + link.counters["noise"] + link.counters["torn"] + link.counters["length"]
        else:
            assert frame.raw == CELLS, "never anything else than what was said"

    run(work())


def test_what_another_characteristic_says_is_not_heard() -> None:
    async def work() -> None:
        table = [("ff00", [("ff03", ["notify"]), *BRIDGE[0][1]])]
        device = Peripheral(MAC, table=table)
        wrong = b"\xdd\4\0\2\x0b\xb8" + jbd.checksum(b"\0\2\x0b\xb8") + b"\x77"

        def answers(request: bytes) -> Sequence[bytes]:
            device.say(wrong, where="ff03")
            return cells(request)

        device.answers = answers
        (link,) = bound(Air(device), MAC)
        await link.open()
        assert (await link.exchange(ASK))[0].raw == CELLS

    run(work())


def test_the_end_of_an_old_connection_is_no_news_of_the_new_one() -> None:
    async def work() -> None:
        device = Peripheral(MAC, cells)
        (link,) = bound(Air(device), MAC)
        await link.open()
        old = device.client._disconnected_callback
        await link.close()
        await link.open()
        old()
        assert (await link.exchange(ASK))[0].raw == CELLS

    run(work())


# ---- BlueZ and its adapter


def test_a_bluez_that_hangs_is_named_and_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble_manager, "LET_GO", 0.1)

    async def work() -> None:
        air = Air(Peripheral(MAC, cells), Peripheral(OTHER, cells))
        air.hangs = True
        links = bound(air, MAC, OTHER)
        problems = await asyncio.gather(*(link.open() for link in links), return_exceptions=True)
        assert [str(problem) for problem in problems] == [
            f"{link.where}: BlueZ does not answer; see: systemctl status bluetooth, sudo systemctl restart bluetooth"
            for link in links
        ]
        air.hangs = False
        await asyncio.gather(*(link.open() for link in links))
        assert air.busy == []

    run(work())


def test_a_fault_in_the_scanner_reaches_all_who_look_instead_of_leaving_them_to_wait() -> None:
    async def work() -> None:
        air = Air(Peripheral(MAC, cells), Peripheral(OTHER, cells))
        air.broken = KeyError("org.bluez.Adapter1")
        links = bound(air, MAC, OTHER)
        problems = await asyncio.gather(*(link.open() for link in links), return_exceptions=True)
        assert [type(problem) for problem in problems] == [KeyError, KeyError], "defects, for the supervisor to tell"
        air.broken = None
        await links[0].open()

    run(work())


def test_a_scan_that_ended_unnoticed_is_begun_anew_though_somebody_always_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ble_manager, "SEEK", 0.3)
    monkeypatch.setattr(ble_manager, "ANEW", 0.4)

    async def work() -> None:
        absent, device = Peripheral(MAC), Peripheral(OTHER, answering)
        absent.advertises = False
        air = Air(absent, device)
        never, link = bound(air, MAC, OTHER)
        others = [asyncio.create_task(read_by(never).run()) for _ in range(3)]
        await asyncio.sleep(0.1)
        battery = read_by(link)
        polling = asyncio.create_task(battery.run())
        await until(battery, lambda state: state.health is Health.ONLINE)
        air.switch_off()
        await until(battery, lambda state: "lost" in state.remark or "not heard" in state.remark)
        good = battery.counters["good"]
        await until(battery, lambda state: battery.counters["good"] > good)
        for task in (*others, polling):
            task.cancel()

    run(work())


BROKEN = [
    (BleakError("No Bluetooth adapters found."), "there is no Bluetooth adapter that is switched on"),
    (FileNotFoundError(2, "No such file"), "Bluetooth does not run here; install bluez"),
]


@pytest.mark.parametrize(("broken", "said"), BROKEN)
def test_status_says_what_is_wrong_and_the_battery_comes_back(broken: Exception, said: str) -> None:
    async def work() -> None:
        device = Peripheral(MAC, answering)
        air = Air(device)
        air.broken = broken
        (link,) = bound(air, MAC)
        battery = read_by(link)
        polling = asyncio.create_task(battery.run())
        state = await until(battery, lambda state: said in state.remark)
        assert state.health is Health.STARTING and battery.counters["failures"]
        air.broken = None
        state = await until(battery, lambda state: state.health is Health.ONLINE)
        assert (state.signal, state.remark) == (-67, "")
        device.refuses = True
        device.drop()
        await until(battery, lambda state: "no connection" in state.remark)
        device.refuses = False
        await until(battery, lambda state: not state.remark)
        assert link.counters["reopened"] >= 1
        polling.cancel()

    run(work())


def test_a_device_that_goes_while_it_is_connected_to_costs_its_own_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble_manager, "CONNECT", 0.3)

    async def work() -> None:
        gone, there = Peripheral(MAC, cells), Peripheral(OTHER, cells)
        gone.slow = 60.0
        first, second = bound(Air(gone, there), MAC, OTHER)
        begun = time.monotonic()
        problems = await asyncio.gather(first.open(), second.open(), return_exceptions=True)
        assert time.monotonic() - begun < 2.0
        assert str(problems[0]) == f"ble:{MAC}: no connection within 0.3 s; out of reach, or somebody else's?"
        assert problems[1] is None
        assert (await second.exchange(ASK))[0].raw == CELLS

    run(work())


def test_a_subscription_that_hangs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "CONNECT", 0.2)

    async def work() -> None:
        device = Peripheral(MAC, cells)
        air = Air(device)
        (link,) = bound(air, MAC)

        async def hangs(self: Any, *words: Any, **more: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(air.client, "start_notify", hangs)
        with pytest.raises(LinkClosed, match=f"ble:{MAC}: no connection within"):
            await link.open()
        assert device.client is None

    run(work())


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (BleakGATTProtocolError(BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION), "wants to be paired first"),
        (BleakGATTProtocolError(BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION), "wants to be paired first"),
        (BleakOutOfConnectionSlotsError("a long text"), "carries no further connection"),
    ],
)
def test_what_can_be_done_is_said(problem: Exception, said: str) -> None:
    assert said in sentence(problem)


# ---- those on wires


def test_a_battery_on_a_wire_never_waits_for_bluetooth() -> None:
    """BlueZ hangs for good; the other battery is on a real pseudo-terminal."""

    async def work() -> None:
        air = Air(Peripheral(MAC, answering))
        air.hangs = True
        (link,) = bound(air, MAC)
        bluetooth = read_by(link)
        device = await simulated("jbd", {}, seed=1)
        driver = registry.load("jbd")
        wired = Battery(Watch("wired", poll_interval=0.1), driver, Port("wire", device.link(driver)), lambda: None)
        tasks = [asyncio.create_task(battery.run()) for battery in (bluetooth, wired)]
        await until(wired, lambda state: state.health is Health.ONLINE)
        good, begun = wired.counters["good"], time.monotonic()
        await until(wired, lambda state: wired.counters["good"] >= good + 5)
        assert time.monotonic() - begun < 3.0
        assert bluetooth.states()[0].health is Health.STARTING and not bluetooth.counters["good"]
        for task in tasks:
            task.cancel()
        await device.close()

    run(work())


# ---- an adapter that hears nobody any more


async def sought(link: BleLink, times: int) -> list[str]:
    """What is said each time, while nobody is there."""
    said = []
    for _ in range(times):
        with pytest.raises(LinkClosed) as caught:
            await link.open()
        said.append("restarted" if "switched off and on" in str(caught.value) else "sought")
    return said


def test_an_adapter_that_hears_nobody_any_more_is_switched_off_and_on_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Linux held the connections, and BlueZ did not know: the devices never advertised again."""
    monkeypatch.setattr(ble_manager, "SEEK", 0.06)
    monkeypatch.setattr(ble_manager, "DEAF", 0.1)
    restarted: list[str] = []

    async def work() -> None:
        held, other = Peripheral(MAC, cells), Peripheral(OTHER, cells)
        held.path = "/org/bluez/hci1/dev_X"
        air = Air(held, other)

        async def restart(path: str) -> None:
            assert not air.busy
            restarted.append(path)

        manager = ble_manager.Manager(scanner=air.scanner, client=air.client, restart=restart)
        link, healthy = (BleLink(address, LINE, managers=lambda adapter: manager) for address in (MAC, OTHER))
        held.advertises = False
        assert await sought(link, 4) == ["sought"] * 4  # who was never there may be asleep
        held.advertises = True
        await link.open()
        held.advertises = False
        await healthy.open()
        held.drop()
        assert await sought(link, 4) == ["sought"] * 4  # the other one would lose its connection
        await healthy.close()
        other.advertises = False
        said = await sought(link, 12)
        assert said.count("restarted") == 2
        assert said[0] == "sought"
        first, second = (at for at, what in enumerate(said) if what == "restarted")
        assert second - first > 3
        assert restarted == ["/org/bluez/hci1"] * 2
        held.advertises = True
        await link.open()
        await link.close()

    run(work())
