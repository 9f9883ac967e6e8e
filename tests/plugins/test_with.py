"""The library itself, between its own decoders and our manager; only the radio is a stand-in (tests/links/air.py).

As a judge, too: given the notifications of our recordings, its plug-ins must read what our drivers read.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import bleak
import pytest
from bleak.backends.scanner import AdvertisementData

from bms_drivers import jbd as jbd_sheet
from bms_drivers.kit import plugins, registry
from bms_drivers.kit.declare import Plugin
from bms_drivers.kit.decode import decode
from bms_drivers.kit.detect import in_order, recognised
from bms_drivers.kit.session import Session
from bms_drivers.links import ble_plugin, ble_scan, converse
from bms_drivers.links.ble import BleLink
from bms_drivers.links.ble_manager import Manager
from bms_drivers.links.ble_plugin import PluginLink
from bms_drivers.links.link import Rated
from bms_drivers.links.port import Port
from gateway.model import FrameError, LinkClosed, LinkTimeout, Reading
from tests.links.air import BRIDGE, Air, Peripheral, Table
from tests.vectors import Case, cases

MAC, OTHER = "A4:C1:37:00:00:01", "C8:47:8C:00:00:02"
JK_TABLE: Table = [("ffe0", [("ffe1", ["write-without-response", "notify"])])]
READY = bytes.fromhex("aa5590ebc80101") + bytes(12) + b"\x44"  # of a JK, a while after it was asked what it is
DRIVER = registry.load("aiobmsble")
TOLERANCE = 0.001


def recorded(case: Case) -> Callable[[bytes], Sequence[bytes]]:
    """Answers as they were recorded, notification by notification."""
    said = {bytes.fromhex(one["tx"]): [bytes.fromhex(part) for part in one["rx"]] for one in case.data["exchanges"]}
    return lambda request: said.get(request, ())


NAMED = b"\0\7JBD-SIM"  # what no recording holds: its name (0x05)


def jbd(name: str = "4s-280ah-split-notifications", address: str = MAC) -> Peripheral:
    answers = recorded(one_case("jbd_ble", name))
    told = b"\xdd\5" + NAMED + jbd_sheet.checksum(NAMED) + b"\x77"
    return Peripheral(address, lambda request: [told] if request[2] == 5 else answers(request), BRIDGE)


def jk(name: str = "b2a8s20p_fw11_17_8s", address: str = OTHER) -> Peripheral:
    device, answers = Peripheral(address, table=JK_TABLE, mtu=247), recorded(one_case("jk_ble", name))

    def asked(request: bytes) -> Sequence[bytes]:
        if request[4] == 0x97:
            asyncio.get_running_loop().call_later(0.05, device.say, READY)
        return answers(request)

    device.answers = asked
    return device


def one_case(driver: str, name: str) -> Case:
    return next(case for case in cases(driver) if case.name == name)


class Bench:
    """An adapter, and links to those in reach; the library's own clients use its radio, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *devices: Peripheral) -> None:
        self.air = Air(*devices)
        self.manager = Manager(scanner=self.air.scanner, client=self.air.client)
        monkeypatch.setattr(bleak, "get_platform_client_backend_type", lambda: (self.air.client, "air"))

    def link(self, address: str = MAC, plugin: str = "jbd_bms", password: str = "") -> PluginLink:
        return PluginLink(address, Plugin(plugin, password), managers=lambda adapter: self.manager)


async def read(link: Any, name: str = "aiobmsble") -> Reading:
    """Once, the whole plan."""
    session = Session(registry.load(name))
    await link.open()
    for poll in session.due(0.0):
        session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), 0.0)
    return session.readings()[""]


async def sampled(link: Any) -> None:
    await converse(link, DRIVER.poll("sample").talk({}, {}))


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


# ---- the library as a judge

JUDGED = [
    ("jbd_bms", "jbd_ble", jbd, "4s-280ah-split-notifications"),
    ("jbd_bms", "jbd_ble", jbd, "4s-single-notification"),
    ("jikong_bms", "jk_ble", jk, "b2a24s20p_fw10_07_24s"),
    ("jikong_bms", "jk_ble", jk, "b2a8s20p_fw11_17_8s"),
    ("jikong_bms", "jk_ble", jk, "b2a8s20p_fw11_48_8s_discharging"),
    ("jikong_bms", "jk_ble", jk, "pb2a16s15p_fw15_38_16s_charging"),
    ("jikong_bms", "jk_ble", jk, "pb2a16s20p_fw19_27_16s"),
]
SAME = (
    "voltage", "current", "soc", "capacity", "remaining_capacity", "charge_cycles", "cell_voltages", "balancing",
    "charge_allowed", "discharge_allowed", "firmware_version",
)  # fmt: skip


@pytest.mark.parametrize(("plugin", "name", "device", "case"), JUDGED, ids=lambda part: getattr(part, "__name__", part))
def test_the_library_reads_what_our_own_driver_reads(
    monkeypatch: pytest.MonkeyPatch, plugin: str, name: str, device: Callable[..., Peripheral], case: str
) -> None:
    one = device(case)
    theirs = run(read(Bench(monkeypatch, one).link(one.address, plugin)))
    (ours,) = decode(registry.load(name), one_case(name, case).data).readings.values()
    for field in SAME:
        assert getattr(theirs, field) == pytest.approx(getattr(ours, field), abs=TOLERANCE), field
    assert sorted(sensors(theirs)) == pytest.approx(sorted(sensors(ours)), abs=0.05)
    assert any(theirs.alarms.values()) is any(ours.alarms.values())


def sensors(reading: Reading) -> list[float]:
    """All temperatures: which of a JBD's sensors is the one at its switches, the library does not tell."""
    every = (*reading.temperatures, reading.mosfet_temperature)
    return [value for value in every if value is not None]


# ---- one manager for all


def test_ours_and_the_librarys_are_scanned_once_and_connected_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        first, second = jbd(), jk()
        bench = Bench(monkeypatch, first, second)
        bridged, own = bench.link(), BleLink(OTHER, jk_line(), managers=lambda adapter: bench.manager)
        got = await asyncio.gather(read(bridged), read(own, "jk_ble"))
        assert [len(reading.cell_voltages) for reading in got] == [4, 8]
        assert (bench.air.scans, bench.air.most_busy, bench.air.busy) == (1, 1, [])
        assert (first.connections, second.connections) == (1, 1)
        assert isinstance(bridged, Rated) and bridged.signal == -67
        await asyncio.gather(bridged.close(), own.close())
        assert (first.client, second.client) == (None, None)

    run(work())


def jk_line() -> Any:
    return registry.load("jk_ble").ble


def test_a_lost_connection_is_said_at_once_and_made_by_our_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        device = jbd()
        bench = Bench(monkeypatch, device)
        port, answers = Port(f"ble:{MAC}", bench.link()), device.answers
        async with port.turn("a") as link:
            await sampled(link)
            device.answers = lambda request: ()
            asyncio.get_running_loop().call_later(0.05, device.drop)
            begun = time.monotonic()
            with pytest.raises(LinkClosed, match=f"ble:{MAC}: the connection was lost"):
                await sampled(link)
            assert time.monotonic() - begun < 1.0, "the library itself waits for 10 s"
            with pytest.raises(LinkClosed, match="the connection was lost"):
                await sampled(link)
            assert device.connections == 1, "it does not connect by itself"
        device.answers = answers
        begun = time.monotonic()
        while True:
            try:
                async with port.turn("a") as link:
                    await sampled(link)
                break
            except LinkClosed:
                await asyncio.sleep(0.05)
        assert time.monotonic() - begun < 10.0
        assert (device.connections, bench.air.most_busy, link.counters["reopened"]) == (2, 1, 1)

    run(work())


def test_who_does_not_answer_any_more_is_connected_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        device = jbd()
        link = Bench(monkeypatch, device).link()
        await link.open()
        device.answers = lambda request: ()
        ask = next(DRIVER.poll("sample").talk({}, {}))
        for problem in (LinkTimeout, LinkClosed):
            with pytest.raises(problem, match="jbd_bms"):
                await link.exchange(replace(ask, timeout=0.1))
        assert device.client is None
        assert link.counters["timeout"] == 2

    run(work())


def test_a_device_that_goes_while_it_is_connected_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        device, other = jbd(), jk()
        device.refuses = True
        bench = Bench(monkeypatch, device, other)
        gone, there = bench.link(), BleLink(OTHER, jk_line(), managers=lambda adapter: bench.manager)
        results = await asyncio.gather(gone.open(), there.open(), return_exceptions=True)
        assert isinstance(results[0], LinkClosed) and str(results[0]).startswith(f"ble:{MAC}: no connection")
        assert results[1] is None
        await there.close()

    monkeypatch.setattr("bms_drivers.links.ble_manager.CONNECT", 1.0)
    run(work())


def test_the_manual_names_every_plug_in_that_only_the_library_has() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "bluetooth.md").read_text()
    said = re.search(r"`model` is one of (.*?)\. The library", page, re.DOTALL)
    assert said is not None
    assert re.findall(r"`(\w+)`", said[1]) == [name for name in plugins.names() if name not in plugins.OURS]


# ---- which plug-in


def told(name: str = "", services: Sequence[str] = (), makers: dict[int, bytes] | None = None) -> AdvertisementData:
    uuids = [f"0000{service}-0000-1000-8000-00805f9b34fb" for service in services]
    return AdvertisementData(name, makers or {}, {}, uuids, None, -67, ())


def test_a_device_is_known_by_what_it_advertises() -> None:
    assert ble_plugin.knowing(told("JBD-1", ["ff00"]), MAC) == ["jbd_bms"]
    assert ble_plugin.knowing(told("renamed", ["ffe0"], {0x0B65: b""}), OTHER) == ["jikong_bms"]
    assert ble_plugin.knowing(told("PC-1234"), OTHER) == ["pace_bms"]
    assert ble_plugin.knowing(told("Pixel 8", ["180f"]), OTHER) == []
    assert ble_plugin.knowing(told("dummy"), OTHER) == [], "the template of the library is no BMS"


def test_without_a_name_the_advertisement_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        device = jbd()
        link = Bench(monkeypatch, device).link(plugin="")
        await link.open()
        with pytest.raises(LinkTimeout, match="aiobmsble knows no device that advertises so; expected model:"):
            await sampled(link)
        assert device.connections == 0, "nobody knows it, so nobody connects"
        await link.close()
        device.name, device.services = "JBD-1", ["ff00"]
        assert (await read(link)).voltage == 13.7

    run(work())


def test_two_that_know_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        link = Bench(monkeypatch, jbd()).link(plugin="")
        await link.open()
        with pytest.raises(LinkTimeout, match="a_bms and b_bms both know such an advertisement"):
            await sampled(link)

    monkeypatch.setattr(ble_plugin, "knowing", lambda told, address: ["a_bms", "b_bms"])
    run(work())


def test_every_plug_in_can_be_made_and_has_its_texts() -> None:
    assert len(plugins.names()) >= 50
    assert set(plugins.OURS) <= set(plugins.names())
    for name in plugins.names():
        assert {"manufacturer", "model"} <= set(ble_plugin._class(name).INFO)


def test_scan_names_what_only_the_library_knows_and_asks_ours_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> dict[str, tuple[str, ...]]:
        own, foreign, phone = jbd(), jbd(address="C8:47:8C:00:00:03"), jbd(address="C8:47:8C:00:00:04")
        own.name, own.services = "JBD-1", ["ff00"]
        foreign.name, phone.name = "PC-1234", "Pixel 8"
        found = await ble_scan.candidates(Bench(monkeypatch, own, foreign, phone).manager, "", in_order())
        return {one.name: one.drivers for one in found}

    monkeypatch.setattr(ble_scan, "LISTEN", 0.1)
    found = run(work())
    assert found.keys() == {"JBD-1", "PC-1234"}
    assert found["PC-1234"] == ("aiobmsble",)
    assert found["JBD-1"][0] == "jbd_ble" and found["JBD-1"][-1] == "aiobmsble"


def test_a_battery_is_proven_by_what_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> list[str]:
        device = jbd()
        device.name, device.services = "JBD-1", ["ff00"]
        link = Bench(monkeypatch, device).link(plugin="")
        await link.open()
        return [found.what async for found in recognised(link, DRIVER)]

    assert run(work()) == ["Jiabaida smart BMS, read by the library aiobmsble (jbd_bms)"]


# ---- bad input


@contextmanager
def said_by(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> Iterator[None]:
    async def fails(self: Any) -> Any:
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(ble_plugin._class("jbd_bms"), "_async_update", fails)
        yield


@pytest.mark.parametrize("problem", [ValueError("incomplete"), KeyError(3), IndexError(), ZeroDivisionError()])
def test_bytes_that_a_plug_in_cannot_read_are_no_defect(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    async def work() -> None:
        link = Bench(monkeypatch, jbd()).link()
        await link.open()
        with said_by(monkeypatch, problem), pytest.raises(FrameError, match="jbd_bms cannot read what it answers"):
            await sampled(link)
        await sampled(link)
        assert (link.counters["timeout"], link.counters["replies"]) == (1, 1)

    run(work())


def test_another_kind_of_device_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        device = Peripheral(MAC, table=[("180f", [("2a19", ["read", "notify"])])])
        with pytest.raises(LinkClosed, match=f"ble:{MAC}: it has no ff01 that jbd_bms reads from; another kind"):
            await Bench(monkeypatch, device).link().open()
        assert device.client is None

    run(work())


def test_a_wrong_password_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """JBD: FF AA 15 and the password's length is answered FF AA 15 01, 0 for the right one; jbd_ble.md section 6."""

    async def work() -> None:
        device = jbd()
        device.answers = lambda request: [bytes.fromhex("ffaa15010117")] if request[:2] == b"\xff\xaa" else ()
        with pytest.raises(LinkClosed, match="it does not take the password"):
            await Bench(monkeypatch, device).link(password="123456").open()
        assert device.client is None

    run(work())


def test_a_sample_is_as_old_as_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plug-in that listens hands out may have come at any time since the last sample."""

    async def work() -> None:
        device = jbd()
        link = Bench(monkeypatch, device).link()
        await link.open()
        ask = next(DRIVER.poll("sample").talk({}, {}))
        opened = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        (first,) = await link.exchange(ask)
        assert first.at == pytest.approx(opened, abs=0.03)
        asked = len(device.written)
        monkeypatch.setattr(ble_plugin, "FRESH", 0.01)
        await asyncio.sleep(0.05)
        before = asyncio.get_running_loop().time()
        (second,) = await link.exchange(ask)
        assert second.at is not None and second.at > before, "one was thrown away first"
        assert len(device.written) == asked + 4

    run(work())
