"""Bluetooth LE: one manager for all, connections that come back, pieces that are one stream.

Only bleak's backend is a stand-in (air.py): there is no radio here.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDBusError, BleakError

from bms_drivers import jbd
from bms_drivers.kit.declare import Ask, BleLine, Gatt
from bms_drivers.links import ble, ble_manager
from bms_drivers.links.ble import BleLink
from bms_drivers.links.ble_manager import Manager, manager_of
from bms_drivers.links.link import Rated
from bms_drivers.links.port import Port
from gateway.model import LinkClosed, LinkTimeout
from tests.links.air import BRIDGE, Air, Peripheral

MAC, OTHER = "A4:C1:37:00:00:01", "A4:C1:37:00:00:02"
LINE = BleLine(ways=(Gatt("ff00", "ff01", "ff02"),), settle=0.0, patience=0.3)
CELLS = bytes.fromhex("dd0400080d660d610d680d59fe3c77")


def cells(request: bytes) -> Sequence[bytes]:
    return (CELLS[:4], CELLS[4:14], CELLS[14:]) if request == jbd.frame(jbd.READ, 4) else ()


ASK = replace(jbd.ask(0x04), timeout=0.1, tries=1)


def bound(air: Air, *addresses: str, line: BleLine = LINE) -> list[BleLink]:
    """Links through one manager, as the manager of an adapter is one."""
    manager = Manager(scanner=air.scanner, client=air.client)
    return [BleLink(address, line, managers=lambda adapter: manager) for address in addresses]


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


# ---- asking


def test_an_answer_in_pieces_is_one_frame() -> None:
    async def work() -> None:
        device = Peripheral(MAC, cells)
        (link,) = bound(Air(device), MAC)
        await link.open()
        (frame,) = await link.exchange(ASK)
        assert frame.raw == CELLS
        assert device.written == [("ff02", ASK.request, False)]
        assert isinstance(link, Rated) and link.signal == -67
        assert link.mtu == 23
        await link.close()
        assert device.client is None

    run(work())


def test_what_came_unasked_is_no_answer() -> None:
    async def work() -> None:
        device = Peripheral(MAC)
        (link,) = bound(Air(device), MAC)
        await link.open()
        device.say(CELLS)
        with pytest.raises(LinkTimeout, match=f"ble:{MAC}: no whole answer to dda50400fffc77"):
            await link.exchange(ASK)
        assert (link.counters["unasked"], link.counters["timeout"]) == (1, 1)

    run(work())


def test_listening_takes_the_frame_that_ends_from_now_on() -> None:
    async def work() -> None:
        device = Peripheral(MAC)
        (link,) = bound(Air(device), MAC)
        await link.open()
        old, new = CELLS, jbd_cells(3300)
        device.say(old, new[:5])
        asyncio.get_running_loop().call_later(0.05, device.say, new[5:])
        (frame,) = await link.exchange(replace(ASK, request=b"", timeout=1.0))
        assert frame.raw == new
        with pytest.raises(LinkTimeout, match="nothing whole was heard"):
            await link.exchange(replace(ASK, request=b"", timeout=0.05))

    run(work())


def jbd_cells(millivolts: int) -> bytes:
    body = b"\0\2" + millivolts.to_bytes(2, "big")
    return b"\xdd\4" + body + jbd.checksum(body) + b"\x77"


@pytest.mark.parametrize(
    ("properties", "wish", "mtu", "sent"),
    [
        (["write-without-response"], False, 23, [(20, False), (14, False)]),
        (["write-without-response", "write"], False, 100, [(34, False)]),
        (["write-without-response", "write"], True, 23, [(34, True)]),
        (["write"], False, 23, [(34, True)]),
    ],
)
def test_a_long_request_goes_in_pieces_or_with_a_response(
    properties: list[str], wish: bool, mtu: int, sent: list[tuple[int, bool]]
) -> None:
    async def work() -> None:
        device = Peripheral(MAC, table=[("ff00", [("ff01", ["notify"]), ("ff02", properties)])], mtu=mtu)
        (link,) = bound(Air(device), MAC, line=replace(LINE, response=wish, patience=0.02))
        await link.open()
        with pytest.raises(LinkTimeout):
            await link.exchange(replace(ASK, request=bytes(34), timeout=0.02))
        assert [(len(data), response) for _, data, response in device.written] == sent

    run(work())


def test_of_two_with_one_uuid_each_is_taken_for_what_it_can() -> None:
    async def work() -> None:
        twice = [("ffe0", [("ffe1", ["write-without-response"]), ("ffe1", ["notify"])])]
        device = Peripheral(MAC, cells, table=twice)
        (link,) = bound(Air(device), MAC, line=replace(LINE, ways=(Gatt("ffe0", "ffe1", "ffe1"),)))
        await link.open()
        assert (await link.exchange(ASK))[0].raw == CELLS

    run(work())


def test_a_greeting_is_written_before_the_first_request() -> None:
    async def work() -> None:
        device = Peripheral(MAC, cells, table=[*BRIDGE, ("fff0", [("fffa", ["write", "read"])])])
        (link,) = bound(Air(device), MAC, line=replace(LINE, greeting=("fffa", b"HiLink")))
        await link.open()
        await link.exchange(ASK)
        assert [where for where, _, _ in device.written] == ["fffa", "ff02"]

    run(work())


def test_another_kind_of_device_is_said_to_be_one() -> None:
    async def work() -> None:
        (link,) = bound(Air(Peripheral(MAC, table=[("180f", [("2a19", ["read", "notify"])])])), MAC)
        await link.open()
        with pytest.raises(LinkTimeout, match="it has no ff00/ff01 to read from"):
            await link.exchange(ASK)

    run(work())


# ---- connecting


def test_one_scan_finds_all_and_nothing_is_done_side_by_side() -> None:
    async def work() -> None:
        devices = [Peripheral(f"A4:C1:37:00:00:{n:02X}", cells) for n in range(8)]
        air = Air(*devices)
        links = bound(air, *(device.address for device in devices))
        await asyncio.gather(*(link.open() for link in links))
        assert [device.connections for device in devices] == [1] * 8
        assert air.most_busy == 1
        assert air.scans == 1
        assert air.busy == []

    run(work())


def test_who_is_not_there_does_not_hold_up_who_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble_manager, "SEEK", 0.5)

    async def work() -> None:
        absent, there = Peripheral(MAC), Peripheral(OTHER, cells)
        absent.advertises = False
        lost, link = bound(Air(absent, there), MAC, OTHER)
        seeking = asyncio.create_task(lost.open())
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        await link.open()
        assert time.monotonic() - begun < 0.3
        with pytest.raises(LinkClosed, match=f"ble:{MAC}: not heard within 0.5 s; is it awake and near"):
            await seeking

    run(work())


def test_time_in_which_nobody_could_listen_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble_manager, "SEEK", 0.2)

    async def work() -> None:
        slow, other = Peripheral(MAC, cells), Peripheral(OTHER, cells)
        slow.slow, other.advertises = 0.5, False
        first, second = bound(Air(slow, other), MAC, OTHER)
        connecting = asyncio.create_task(first.open())
        await asyncio.sleep(0.1)
        seeking = asyncio.create_task(second.open())
        await asyncio.sleep(0.3)
        other.advertises = True
        await asyncio.gather(connecting, seeking)
        assert (slow.connections, other.connections) == (1, 1)

    run(work())


def test_a_dropped_link_is_said_at_once_and_comes_back() -> None:
    async def work() -> None:
        device = Peripheral(MAC, cells)
        (link,) = bound(Air(device), MAC)
        port = Port(f"ble:{MAC}", link)
        async with port.turn("a") as open_link:
            await open_link.exchange(ASK)
            device.answers = lambda request: ()
            asyncio.get_running_loop().call_later(0.05, device.drop)
            begun = time.monotonic()
            with pytest.raises(LinkClosed, match="the connection was lost"):
                await open_link.exchange(replace(ASK, timeout=5.0))
            assert time.monotonic() - begun < 1.0
        device.answers = cells
        begun = time.monotonic()
        while True:
            try:
                async with port.turn("a") as open_link:
                    await open_link.exchange(ASK)
                break
            except LinkClosed:
                await asyncio.sleep(0.05)
        assert time.monotonic() - begun < 10.0
        assert (device.connections, link.counters["reopened"]) == (2, 1)

    run(work())


def test_a_connection_without_answers_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "SILENT", 0.2)

    async def work() -> None:
        device = Peripheral(MAC)
        (link,) = bound(Air(device), MAC, line=replace(LINE, patience=0.08))
        await link.open()
        for _ in range(2):
            with pytest.raises(LinkTimeout):
                await link.exchange(replace(ASK, timeout=0.08))
        with pytest.raises(LinkClosed, match="connected, but no answer for 0 s; connecting anew"):
            await link.exchange(replace(ASK, timeout=0.08))
        assert device.client is None
        await link.open()
        assert device.connections == 2

    run(work())


def test_a_cancelled_search_ends_the_scan() -> None:
    async def work() -> None:
        absent = Peripheral(MAC)
        absent.advertises = False
        air = Air(absent)
        (link,) = bound(air, MAC)
        seeking = asyncio.create_task(link.open())
        await asyncio.sleep(0.05)
        assert air.busy == ["scan"]
        seeking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await seeking
        await asyncio.sleep(0.05)
        assert air.busy == []

    run(work())


def test_a_refused_connection_is_a_link_that_is_closed() -> None:
    async def work() -> None:
        device = Peripheral(MAC, cells)
        device.refuses = True
        (link,) = bound(Air(device), MAC)
        with pytest.raises(LinkClosed, match=r"no connection .*device disconnected"):
            await link.open()
        device.refuses = False
        await link.open()
        assert (await link.exchange(ASK))[0].raw == CELLS

    run(work())


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (FileNotFoundError(2, "No such file or directory"), "Bluetooth does not run here; install bluez"),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", ["no org.bluez"]), "Bluetooth does not run here"),
        (
            BleakBluetoothNotAvailableError("No adapters", BleakBluetoothNotAvailableReason.NO_BLUETOOTH),
            "there is no Bluetooth adapter",
        ),
        (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), "is not there or switched off"),
        (BleakError("whatever\nelse"), "no connection (whatever else)"),
    ],
)
def test_missing_bluetooth_is_one_sentence_for_each_who_needs_it(broken: Exception, said: str) -> None:
    async def work() -> None:
        air = Air(Peripheral(MAC, cells), Peripheral(OTHER, cells))
        air.broken = broken
        links = bound(air, MAC, OTHER)
        problems = await asyncio.gather(*(link.open() for link in links), return_exceptions=True)
        for link, problem in zip(links, problems, strict=True):
            assert isinstance(problem, LinkClosed)
            assert str(problem).startswith(f"{link.where}: ") and said in str(problem)
            assert "\n" not in str(problem)
        air.broken = None
        await links[0].open()

    run(work())


def test_one_manager_an_adapter_on_one_loop() -> None:
    async def work() -> tuple[Manager, Manager, Manager]:
        return manager_of(""), manager_of(""), manager_of("hci1")

    first, again, other = run(work())
    assert first is again and first is not other
    assert run(work())[0] is not first


def test_the_question_of_a_silent_device_costs_its_patience_only_once_it_began() -> None:
    async def work(answers: Callable[[bytes], Sequence[bytes]]) -> float:
        (link,) = bound(Air(Peripheral(MAC, answers)), MAC, line=replace(LINE, patience=2.5))
        await link.open()
        begun = time.monotonic()
        with pytest.raises(LinkTimeout):
            await link.exchange(Ask(b"\1", jbd.split, timeout=0.1, silent=0.1))
        return time.monotonic() - begun

    assert run(work(lambda request: ())) < 2.0
    assert run(work(lambda request: (CELLS[:4],))) > 2.2
