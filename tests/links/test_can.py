"""CAN links on python-can's virtual bus."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bms_drivers.kit.declare import CanAsk, CanId
from bms_drivers.links.can import CanFrame, CanLink
from gateway.model import LinkClosed

VOLTAGE, CELLS = (0x356, False), (0x18FF50E5, True)


def with_buses(test: Callable[[CanLink, CanLink], Awaitable[None]], **ours: object) -> None:
    """Run `test` with our link and the BMS's on one virtual bus."""

    async def run() -> None:
        link = CanLink("test", interface="virtual", **ours)  # type: ignore[arg-type]
        bms = CanLink("test", interface="virtual")
        await link.open()
        await bms.open()
        try:
            await test(link, bms)
        finally:
            await link.close()
            await bms.close()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2.0):
        while not condition():
            await asyncio.sleep(0.005)


def test_the_newest_frame_of_each_id_is_kept_with_its_time() -> None:
    times = iter([10.0, 11.0, 12.0])

    async def test(link: CanLink, bms: CanLink) -> None:
        for frame in (CanFrame(0x356, b"\x01"), CanFrame(0x18FF50E5, b"\x02", extended=True), CanFrame(0x356, b"\x03")):
            await bms.send(frame)
        await until(lambda: link.counters["replies"] == 3)
        assert link.newest[VOLTAGE] == CanFrame(0x356, b"\x03", at=12.0)
        assert link.newest[CELLS] == CanFrame(0x18FF50E5, b"\x02", extended=True, at=11.0)

    with_buses(test, clock=lambda: next(times))


def test_standard_and_extended_ids_of_the_same_number_are_two() -> None:
    async def test(link: CanLink, bms: CanLink) -> None:
        await bms.send(CanFrame(0x100, b"std"))
        await bms.send(CanFrame(0x100, b"ext", extended=True))
        await until(lambda: len(link.newest) == 2)
        assert {link.newest[0x100, False].data, link.newest[0x100, True].data} == {b"std", b"ext"}

    with_buses(test)


def test_only_the_ids_asked_for_are_received() -> None:
    async def test(link: CanLink, bms: CanLink) -> None:
        for number in (0x355, 0x356, 0x357):
            await bms.send(CanFrame(number, b"\x00"))
        await until(lambda: VOLTAGE in link.newest)
        assert set(link.newest) == {VOLTAGE}

    with_buses(test, ids=[VOLTAGE])


def test_frames_come_in_order_and_end_with_the_bus() -> None:
    async def test(link: CanLink, bms: CanLink) -> None:
        heard: list[bytes] = []

        async def listen() -> None:
            async for frame in link.frames():
                heard.append(frame.data)

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0)
        for number in range(20):
            await bms.send(CanFrame(0x351, bytes((number,))))
        await until(lambda: len(heard) == 20)
        assert heard == [bytes((number,)) for number in range(20)]
        await link.close()
        with pytest.raises(LinkClosed, match="test: the CAN bus is not open"):
            await listener

    with_buses(test)


def test_a_slow_reader_loses_the_oldest_frames_not_the_memory() -> None:
    async def test(link: CanLink, bms: CanLink) -> None:
        frames = link.frames()
        first = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
        for number in range(1200):
            await bms.send(CanFrame(0x351, number.to_bytes(2, "big")))
        await until(lambda: link.counters["replies"] == 1200)
        await first
        assert link.counters["overrun"] > 0
        left = [int.from_bytes((await anext(frames)).data, "big") for _ in range(900)]
        assert left == sorted(left)
        await frames.aclose()

    with_buses(test)


def test_a_closed_bus_can_be_opened_again() -> None:
    async def test(link: CanLink, bms: CanLink) -> None:
        await link.close()
        with pytest.raises(LinkClosed):
            await link.send(CanFrame(0x351, b""))
        await link.open()
        await bms.send(CanFrame(0x356, b"\x09"))
        await until(lambda: VOLTAGE in link.newest)
        assert link.counters["reopened"] == 1

    with_buses(test)


def test_a_missing_interface_says_what_to_type() -> None:
    with pytest.raises(
        LinkClosed, match=r"can77: .*(ip link set can77 up type can bitrate|modprobe can_raw)"
    ) as caught:
        asyncio.run(CanLink("can77").open())
    assert "\n" not in str(caught.value)


class Broken:
    """A bus without a file descriptor that raises something that nobody expects."""

    def recv(self, timeout: float) -> None:
        raise TypeError("unsupported frame")

    def fileno(self) -> int:
        raise NotImplementedError

    def shutdown(self) -> None: ...


def test_a_reader_that_meets_a_defect_closes_the_bus_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        link = CanLink("test", interface="virtual")
        link._open_bus = Broken  # type: ignore[assignment,method-assign]
        for _ in range(3):
            await link.open()
            with pytest.raises(LinkClosed):
                async with asyncio.timeout(2.0):
                    async for _frame in link.frames():
                        pass

    asyncio.run(run())
    assert sum("reader of test: a defect" in record.message for record in caplog.records) == 1


def test_a_flood_of_identifiers_does_not_hide_who_speaks_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bms_drivers.links.can.KEPT_MOST", 20)
    anybody = CanId(0x0000FFFD, extended=True, mask=0x01FFFF00)

    async def test(link: CanLink, bms: CanLink) -> None:
        asked = CanAsk((anybody,), settle=0.0, complete=lambda got: False, partial=True)
        link.expect(asked.hears)
        for source in range(30):
            await bms.send(CanFrame(anybody.id & ~0xFF | source, b"\0", extended=True))
        await bms.send(CanFrame(0x356, b"\1"))
        await until(lambda: link.counters["replies"] == 31)
        assert len(frames := await link.exchange(asked)) == 20
        assert frames[-1].kind & 0xFF == 29, "the last that spoke"
        assert link.newest[VOLTAGE].data == b"\1" and len(link.newest) == 20

    with_buses(test)
