"""Modbus against pymodbus' own servers: TCP on a real socket, RTU through a real pty."""

import asyncio
import os
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from bms_drivers.kit.declare import Dropped, Frame, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.link import Link
from bms_drivers.links.modbus import ModbusLink
from bms_drivers.links.record import RecordLink
from bms_drivers.links.replay import ReplayLink
from bms_drivers.links.serial import SerialLink
from gateway.model import DeviceRefused, LinkClosed, LinkTimeout
from tests.links.device import Pieces, on_pty, trickle

UNIT = 7
WORDS = [3300 + n for n in range(16)]
READ = Registers(unit=UNIT, address=0x100, count=16, timeout=0.5)
PAYLOAD = b"".join(word.to_bytes(2, "big") for word in WORDS)


def device() -> SimDevice:
    return SimDevice(id=UNIT, simdata=[SimData(0x100, values=WORDS, datatype=DataType.REGISTERS)])


def silent_unless_asked(unit_at: int) -> Callable[[bool, bytes], bytes]:
    """A server says something even for units it has not; on a real bus they are silent."""
    return lambda sending, packet: b"" if sending and packet[unit_at] != UNIT else packet


@asynccontextmanager
async def tcp() -> AsyncIterator[ModbusLink]:
    """An open link to a Modbus TCP server."""
    server = ModbusTcpServer(device(), address=("127.0.0.1", 0), trace_packet=silent_unless_asked(6))
    await server.listen()
    link = ModbusLink("tcp:127.0.0.1", "127.0.0.1", server.transport.sockets[0].getsockname()[1])
    try:
        await link.open()
        yield link
    finally:
        await link.close()
        await server.shutdown()


@asynccontextmanager
async def serial() -> AsyncIterator[SerialLink]:
    """An open link to a Modbus RTU server: two ptys, their masters joined like a null-modem cable."""
    loop, ends = asyncio.get_running_loop(), [os.openpty() for _ in "ab"]
    for (master, slave), (other, _) in zip(ends, reversed(ends), strict=True):
        tty.setraw(slave)
        loop.add_reader(master, lambda here=master, there=other: os.write(there, os.read(here, 4096)))
    server = ModbusSerialServer(
        device(),
        framer=FramerType.RTU,
        port=os.ttyname(ends[0][1]),
        baudrate=115200,
        trace_packet=silent_unless_asked(0),
    )
    await server.listen()
    link = SerialLink(os.ttyname(ends[1][1]), 115200, quiet=0.002)
    try:
        await link.open()
        yield link
    finally:
        await link.close()
        await server.shutdown()
        for master, slave in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)


both = pytest.mark.parametrize("carrier", [tcp, serial])
Carrier = Callable[[], "asynccontextmanager[Link]"]


def run(carrier: Carrier, test: Callable[[Link], Awaitable[None]]) -> None:
    async def body() -> None:
        async with carrier() as link:  # type: ignore[attr-defined]
            await test(link)

    asyncio.run(body())


@both
def test_registers_come_big_endian_with_their_unit(carrier: Carrier) -> None:
    async def test(link: Link) -> None:
        (frame,) = await link.exchange(READ)
        assert (frame.kind, frame.address, frame.payload) == (0x100, UNIT, PAYLOAD)
        (frame,) = await link.exchange(Registers(UNIT, 0x102, 2))
        assert (frame.kind, frame.payload) == (0x102, PAYLOAD[4:8])
        assert (link.counters["requests"], link.counters["replies"]) == (2, 2)

    run(carrier, test)


@both
def test_a_refusal_says_what_it_means(carrier: Carrier) -> None:
    async def test(link: Link) -> None:
        with pytest.raises(DeviceRefused, match=r"unit 7 registers 0x4000..0x4001 function 3: code 2, illegal data"):
            await link.exchange(Registers(UNIT, 0x4000, 2))
        assert await link.exchange(READ)

    run(carrier, test)


@both
def test_a_unit_that_is_not_there_is_silence(carrier: Carrier) -> None:
    async def test(link: Link) -> None:
        with pytest.raises(LinkTimeout):
            await link.exchange(Registers(9, 0x100, 2, timeout=0.2))
        assert (await link.exchange(READ))[0].payload == PAYLOAD

    run(carrier, test)


@both
def test_what_was_read_can_be_replayed_in_any_block_size(carrier: Carrier) -> None:
    async def test(link: Link) -> None:
        recorder = RecordLink(link, driver="any", transport="modbus")
        await recorder.exchange(READ)
        (exchange,) = recorder.exchanges
        assert exchange["tx"] == rtu.question(READ).request.hex()
        assert "".join(exchange["rx"]) == rtu.sealed(bytes((UNIT, 3, 32)) + PAYLOAD).hex()
        replay = ReplayLink(recorder.case())
        for count in (1, 5, 16):
            (frame,) = await replay.exchange(Registers(UNIT, 0x100, count))
            assert frame.payload == PAYLOAD[: 2 * count]
        with pytest.raises(LinkTimeout, match="unit 7 registers 0x0100"):
            await replay.exchange(Registers(UNIT, 0x100, 17))

    run(carrier, test)


# ---- TCP alone


def test_a_server_that_is_not_there_is_a_closed_link() -> None:
    link = ModbusLink("tcp:127.0.0.1:1", "127.0.0.1", 1)
    with pytest.raises(LinkClosed, match=r"tcp:127\.0\.0\.1:1: no connection .*reachable\?"):
        asyncio.run(link.open())


def test_a_name_that_no_host_can_have_is_a_closed_link() -> None:
    link = ModbusLink("tcp:a..b", "a..b", 502)
    with pytest.raises(LinkClosed, match=r"tcp:a\.\.b: 'a\.\.b' cannot be a host's name"):
        asyncio.run(link.open())


def test_a_server_that_hangs_up_closes_the_link_and_a_new_one_is_found() -> None:
    async def run() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        link = ModbusLink("tcp:there", "127.0.0.1", server.sockets[0].getsockname()[1])
        await link.open()
        with pytest.raises(LinkClosed, match="closed the connection"):
            await link.exchange(READ)
        with pytest.raises(LinkClosed, match="not connected"):
            await link.exchange(READ)
        await link.open()
        assert link.counters["reopened"] == 1
        await link.close()
        server.close()

    asyncio.run(run())


# ---- RTU alone


def test_an_rtu_answer_wakes_the_program_once() -> None:
    async def test(link: Link) -> None:
        assert isinstance(link, SerialLink)
        for _ in range(3):
            before = link.wakes
            await link.exchange(READ)
            assert link.wakes - before == 1

    run(serial, test)


def test_after_a_timeout_the_bus_is_left_until_a_late_answer_would_have_come() -> None:
    """An RTU answer does not say which registers it holds: taken for the next question's, it would be believed."""
    first, second = Registers(UNIT, 0, 2, timeout=0.1), Registers(UNIT, 50, 2, timeout=0.1)

    def slow_once(request: bytes) -> Pieces:
        late = request[3] == 0
        return [(0.25 if late else 0.01, rtu.sealed(bytes((UNIT, 3, 4, 0, request[3], 0, request[3]))))]

    async def body() -> None:
        async with on_pty(slow_once) as device:
            link = SerialLink(device.path, 115200)
            await link.open()
            with pytest.raises(LinkTimeout):
                await link.exchange(first)
            (frame,) = await link.exchange(second)
            assert frame.payload == bytes((0, 50, 0, 50))
            assert link.counters["late"] == 1
            await link.close()

    asyncio.run(body())


@given(
    cuts=st.lists(st.integers(0, 90), max_size=6),
    noise=st.binary(max_size=12),
    tail=st.binary(max_size=12),
    echo=st.booleans(),
)
def test_any_chopping_noise_and_echo_give_the_same_registers(
    cuts: list[int], noise: bytes, tail: bytes, echo: bool
) -> None:
    ask = rtu.question(READ)
    reply = rtu.sealed(bytes((UNIT, 3, 32)) + PAYLOAD)
    stream = (ask.request if echo else b"") + noise + reply + tail + bytes(64)
    answer, ends = Answer(ask), sorted({0, *cuts, len(stream)})
    for begin, end in pairwise(ends):
        answer.feed(stream[begin:end])
    assert [frame.raw for frame in answer.frames] == [reply]


@given(st.binary(max_size=300))
def test_random_bytes_are_dropped_or_kept_but_never_lost_count_of(data: bytes) -> None:
    buffer = bytearray(data)
    items = list(rtu.question(READ).split(buffer))
    taken = sum(len(item.raw) for item in items if isinstance(item, Frame) or item.reason == "noise")
    assert taken + len(buffer) == len(data)
    assert all(isinstance(item, Frame | Dropped) for item in items)


@pytest.mark.parametrize(
    ("code", "error"), [(2, DeviceRefused), (6, DeviceRefused), (10, LinkTimeout), (11, LinkTimeout)]
)
def test_a_gateway_that_reports_silence_is_silence(code: int, error: type[Exception]) -> None:
    async def body() -> None:
        async with on_pty(lambda request: trickle(rtu.sealed(bytes((UNIT, 0x83, code))))) as device:
            link = SerialLink(device.path, 115200)
            await link.open()
            began = time.monotonic()
            with pytest.raises(error, match=f"code {code}"):
                await link.exchange(Registers(UNIT, 0, 100, timeout=3.0))
            assert time.monotonic() - began < 0.5
            await link.close()

    asyncio.run(body())


def test_bits_are_asked_for_by_the_byte() -> None:
    ask = rtu.question(Registers(unit=0, address=0x1200, count=0x90, function=1))
    assert ask.request.hex() == "00011200009038cf"
    assert ask.size == 5 + 18
