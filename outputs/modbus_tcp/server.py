"""A Modbus TCP server that answers two functions, with a bound on everything that somebody outside could make grow.

No library: the header and two functions are less than what the known ones need around them, and those know no limit of
connections.  Source: Modbus messaging on TCP/IP V1.0b, section 3.1.3; application protocol V1.1b3, 6.3, 6.4 and 7.
"""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from gateway.supervise import Supervisor

HEADER: Final = struct.Struct(">HHHB")  # transaction, protocol, bytes from the unit on, unit
LONGEST: Final = 254  # bytes from the unit on
READS: Final = (3, 4)
MOST: Final = 125  # registers of one answer
FUNCTION, ADDRESS, AMOUNT, BUSY, UNIT = 1, 2, 3, 6, 11  # exceptions
STALLED: Final = 5.0  # s for a client to take its answer
BACKLOG: Final = 16

Registers = Callable[[int], Sequence[int] | int]
"""All registers of a unit, or the exception that it answers with."""


class Server:
    """Answers reads until it is stopped."""

    def __init__(self, registers: Registers, clients: int, idle: float) -> None:
        self._registers, self._most, self._idle = registers, clients, idle
        self._server: asyncio.AbstractServer | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._supervisor = Supervisor("modbus_tcp")
        self.counters: Counter[str] = Counter()

    @property
    def clients(self) -> int:
        """Connected now."""
        return len(self._clients)

    async def start(self, host: str, port: int) -> None:
        """Listen.  Raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=512, backlog=BACKLOG)

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(set(self._clients), timeout=1.0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= self._most:
            self.counters["turned_away"] += 1
            writer.transport.abort()
            return
        self._clients.add(task)
        try:
            with self._supervisor.trying(), contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until it says nothing, or what is no Modbus."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(self._idle):
                    head = await reader.readexactly(HEADER.size)
                    transaction, protocol, size, unit = HEADER.unpack(head)
                    if protocol or not 2 <= size <= LONGEST:
                        self.counters["no_modbus"] += 1
                        return
                    pdu = await reader.readexactly(size - 1)
                answer = self.answer(unit, pdu)
                writer.write(HEADER.pack(transaction, 0, len(answer) + 1, unit) + answer)
                async with asyncio.timeout(STALLED):
                    await writer.drain()
                await asyncio.sleep(0)  # whoever sent many requests at once has them answered one a turn of the loop

    def answer(self, unit: int, pdu: bytes) -> bytes:
        """To one request, without header and unit; the exception where there is none."""
        self.counters["requests"] += 1
        found = self._read(unit, pdu)
        if isinstance(found, int):
            self.counters["exceptions"] += 1
            return bytes((pdu[0] | 0x80, found))
        return bytes((pdu[0], 2 * len(found))) + struct.pack(f">{len(found)}H", *found)

    def _read(self, unit: int, pdu: bytes) -> Sequence[int] | int:
        if pdu[0] not in READS:
            return FUNCTION
        if len(pdu) != 5:
            return AMOUNT
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= MOST:
            return AMOUNT
        registers = self._registers(unit)
        if isinstance(registers, int):
            return registers
        return ADDRESS if address + count > len(registers) else registers[address : address + count]
