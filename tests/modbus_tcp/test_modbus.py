"""The Modbus TCP output as clients see it: a plain pymodbus, evcc's reads, and those who mean no good."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from gateway.model import Snapshot
from outputs.modbus_tcp.output import ModbusTcp
from outputs.modbus_tcp.registers import SIZE, encoded, units
from outputs.modbus_tcp.server import Server
from outputs.modbus_tcp.settings import Settings
from outputs.values import BY_NAME, VALUES
from outputs.values.value import Register, Value
from tests import make
from tests.values.test_list import rich


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def now(snapshot: Snapshot) -> Snapshot:
    at = time.monotonic()
    return replace(snapshot, at=at, valid_until=at + 60.0)


@asynccontextmanager
async def running(snapshot: Snapshot | None, **more: Any) -> AsyncIterator[tuple[ModbusTcp, AsyncModbusTcpClient]]:
    made = Settings(port=free_port(), **more)
    output = ModbusTcp(made, time.monotonic)
    if snapshot is not None:
        output.publish(snapshot)
    await output.start()
    while not output.status()["connected"]:
        await asyncio.sleep(0.01)
    client = AsyncModbusTcpClient("127.0.0.1", port=made.port, timeout=2, retries=0)
    await client.connect()
    try:
        yield output, client
    finally:
        client.close()
        await output.stop()


async def read(client: AsyncModbusTcpClient, address: int, count: int = 1, unit: int = 1) -> list[int]:
    answer = await client.read_holding_registers(address, count=count, device_id=unit)
    assert not answer.isError(), answer
    other = await client.read_input_registers(address, count=count, device_id=unit)
    assert other.registers == answer.registers, "functions 3 and 4 alike"
    found: list[int] = answer.registers
    return found


def signed(words: list[int]) -> int:
    return int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words), "big", signed=True)


def test_a_plain_client_reads_the_bank_and_its_batteries() -> None:
    async def run() -> None:
        state = now(replace(rich(), bank=replace(rich().bank, batteries=(make.battery("a"), make.battery("b")))))
        async with running(state, units={"b": 33}) as (_, client):
            assert await read(client, 0, 10) == [0x4247, 1, 1, 1, 2, 7, 1, 0, 0, 0]
            assert await read(client, 10, 2) == [5320, 200]
            assert signed(await read(client, 12, 2)) == 1064
            assert await read(client, 14) == [600]
            assert await read(client, 40, 6) == [5520, 500, 600, 4640, 1, 1]
            assert await read(client, 46) == [0]
            assert await read(client, 77) == [0]
            assert (await read(client, 0, 3, unit=10)) == [0x4247, 1, 2]
            assert (await read(client, 120, 2, unit=33)) == [3320, 3321]
            text = b"".join(word.to_bytes(2, "big") for word in await read(client, 200, 16, unit=33))
            assert text.rstrip(b"\0") == b"b"
            assert len(await read(client, 0, 125)) == 125, "a read across gaps"
            assert (await read(client, 92, 2)) == [0xFFFF] * 2, "a gap is not known"

    asyncio.run(run())


def test_what_evcc_reads_by_the_documented_configuration() -> None:
    """power: int32 at 12, scale -1; soc: uint16 at 14, scale 0.1."""

    async def run() -> None:
        discharging = make.bank(voltage=52.0, current=-700.0, power=-36_400.0, soc=41.5)
        async with running(now(make.snapshot(bank=discharging, decision=make.decision(soc=41.5)))) as (_, client):
            power = struct.unpack(">i", struct.pack(">HH", *(await read(client, 12, 2))))[0] * -1
            assert power == 36_400, "more than 16 bits hold"
            assert (await read(client, 14))[0] * 0.1 == pytest.approx(41.5)

    asyncio.run(run())


def test_limits_read_0_past_their_deadline_and_measurements_not_known() -> None:
    async def run() -> None:
        state = replace(now(rich()), valid_until=time.monotonic() + 0.2)
        async with running(state) as (output, client):
            assert (await read(client, 41, 2)) == [500, 600]
            await asyncio.sleep(0.3)
            assert (await read(client, 41, 2)) == [0, 0]
            assert (await read(client, 44, 2)) == [0, 0]
            assert (await read(client, 10, 2)) == [0xFFFF, 0x8000]
            output.publish(now(rich()))
            assert (await read(client, 41, 2)) == [500, 600]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("function", "address", "count", "unit", "code"),
    [(3, 490, 11, 1, 2), (3, 60000, 1, 1, 2), (3, 0, 0, 1, 3), (3, 0, 126, 1, 3), (4, 0, 1, 9, 11), (3, 0, 1, 12, 11),
     (6, 41, 9999, 1, 1), (16, 41, 1, 1, 1), (1, 0, 1, 1, 1), (43, 0, 1, 1, 1)],
)  # fmt: skip
def test_whatever_else_is_asked_is_an_exception(function: int, address: int, count: int, unit: int, code: int) -> None:
    output = ModbusTcp(Settings(), time.monotonic)
    output.publish(now(rich()))
    server = Server(output._registers, 8, 60)
    assert server.answer(unit, struct.pack(">BHH", function, address, count)) == bytes((function | 0x80, code))


def test_before_all_batteries_have_answered_it_is_busy() -> None:
    output = ModbusTcp(Settings(), time.monotonic)
    server = Server(output._registers, 8, 60)
    assert server.answer(1, struct.pack(">BHH", 3, 0, 1)) == bytes((0x83, 6))
    output.publish(now(make.snapshot(bank=make.bank(complete=False))))
    assert server.answer(1, struct.pack(">BHH", 3, 0, 1)) == bytes((0x83, 6))


def test_200_connections_are_bounded_and_those_who_were_there_first_go_on() -> None:
    async def run() -> None:
        async with running(now(rich()), clients=4) as (output, client):
            port = int(str(output.status()["listen"]).rpartition(":")[2])
            others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
            await asyncio.sleep(0.3)
            assert output.status()["clients"] == 4
            assert output.status()["turned_away"] == 197
            assert (await read(client, 41)) == [500]
            for _, writer in others:
                writer.close()
            await asyncio.sleep(0.2)
            assert output.status()["clients"] == 1

    asyncio.run(run())


def test_one_who_asks_for_very_much_at_once_keeps_nothing_else_waiting() -> None:
    async def run() -> float:
        async with running(now(rich())) as (output, _):
            port = int(str(output.status()["listen"]).rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            taking = asyncio.create_task(reader.read())
            writer.write(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 125) * 8000 + bytes(7))
            longest, last = 0.0, time.monotonic()
            while not taking.done():
                await asyncio.sleep(0.001)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert len(await taking) == 8000 * (9 + 250)
            writer.close()
            return longest

    assert asyncio.run(run()) < 0.15


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\1\0\0\0\0\1",
        b"\0\1\0\0\xff\xff\1" + bytes(300),
        b"\0\1\0\7\0\6\1\3\0\0\0\1",
        b"\0",
    ],
)
def test_what_is_no_modbus_ends_its_own_connection_only(raw: bytes) -> None:
    async def run() -> None:
        async with running(now(rich()), idle=5.0) as (output, client):
            output._server._idle = 0.3
            port = int(str(output.status()["listen"]).rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            async with asyncio.timeout(3):
                while await reader.read(100):
                    pass
            writer.close()
            client.close()
            await client.connect()
            assert (await read(client, 41)) == [500]

    asyncio.run(run())


def test_a_taken_port_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with running(now(rich())) as (first, _):
            port = int(str(first.status()["listen"]).rpartition(":")[2])
            second = ModbusTcp(Settings(port=port), time.monotonic)
            await second.start()
            await asyncio.sleep(0.1)
            assert not second.status()["connected"]
            assert "cannot listen there" in str(second.status()["problem"])
            await second.stop()

    asyncio.run(run())
    assert sum("cannot listen there" in r.getMessage() for r in caplog.records) == 1


# ---- encoding

NUMBERS = [
    row for row in VALUES if row.modbus and row.modbus.kind in ("u16", "i16", "u32", "i32") and row.kind == "float"
]


@given(st.sampled_from(NUMBERS), st.floats(-1e9, 1e9) | st.none())
@examples(max_examples=200, deadline=None)
def test_a_number_comes_back_within_a_step_or_saturates_beside_not_known(row: Value, value: float | None) -> None:
    register = row.modbus
    assert register is not None
    words = encoded(row, register, value, 0.0)
    bits = 16 * len(words)
    raw = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words), "big", signed=register.kind[0] == "i")
    unknown = -(1 << bits - 1) if register.kind[0] == "i" else (1 << bits) - 1
    least, most = (unknown + 1, -unknown - 1) if unknown < 0 else (0, unknown - 1)
    if value is None:
        assert raw == unknown
    else:
        assert raw != unknown
        wanted = min(most, max(least, value * register.factor))
        assert abs(raw - wanted) <= 0.5


@given(st.text(max_size=80), st.integers(1, 30))
def test_a_text_is_never_cut_inside_a_character(text: str, count: int) -> None:
    row = Value(name="t", source=lambda s: None, kind="text")
    words = encoded(row, Register(0, "text", count=count), text, 0.0)
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    assert len(words) == count
    assert text.startswith(raw.decode().rstrip("\0")) or "\0" in text


def test_every_row_has_its_place_in_the_map_and_none_overlaps() -> None:
    ends: dict[int, str] = {}
    for row in VALUES:
        if row.modbus is not None:
            words = len(encoded(row, row.modbus, None, 0.0))
            for at in range(row.modbus.address, row.modbus.address + words):
                assert at < SIZE and at not in (0, 1, 2, 77)
                assert ends.setdefault(at, row.name) == row.name


def test_of_cells_nobody_says_which_are_balanced_and_that_is_not_none_of_them() -> None:
    row = BY_NAME["cell_balancing"]
    assert row.modbus is not None
    for known, words in (((), [0xFFFF] * 2), ((None,) * 16, [0xFFFF] * 2), ((False,) * 16, [0, 0]),
                         ((True, None, True), [5, 0]), ((False,) * 17 + (True,), [0, 2])):  # fmt: skip
        assert encoded(row, row.modbus, list(known), 0.0) == words
    assert encoded(row, row.modbus, None, 0.0) == [0xFFFF] * 2


def test_units_stay_where_they_were_put() -> None:
    assert units(["a", "b", "c"], {"b": 10}, 10, 247) == {"a": 11, "b": 10, "c": 12}
    assert units(["c", "b", "a"], {"a": 11, "b": 10, "c": 12}, 10, 247) == {"c": 12, "b": 10, "a": 11}
    assert len(units([str(n) for n in range(300)], {}, 10, 247)) == 238
