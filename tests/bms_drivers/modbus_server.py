"""pymodbus's own servers as the other side: on a pty, on a TCP socket, and RTU frames through a TCP socket."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

Image = Mapping[int, Sequence[int]]  # first register: what it and those behind it hold


def device(unit: int, image: Image) -> SimDevice:
    """Holding registers of one unit; what is not in the image is refused."""
    blocks = [SimData(first, values=list(words), datatype=DataType.REGISTERS) for first, words in sorted(image.items())]
    return SimDevice(id=unit, simdata=blocks)


@asynccontextmanager
async def tcp(unit: int, image: Image) -> AsyncIterator[str]:
    """Modbus TCP; yields the port's name as in gateway.yaml."""
    async with _listening(ModbusTcpServer(device(unit, image), address=("127.0.0.1", 0))) as port:
        yield f"tcp:127.0.0.1:{port}"


@asynccontextmanager
async def rtu_over_tcp(unit: int, image: Image) -> AsyncIterator[str]:
    """As behind a serial server that passes bytes on."""
    server = ModbusTcpServer(device(unit, image), framer=FramerType.RTU, address=("127.0.0.1", 0))
    async with _listening(server) as port:
        yield f"socket://127.0.0.1:{port}"


@asynccontextmanager
async def _listening(server: ModbusTcpServer) -> AsyncIterator[int]:
    await server.listen()
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@asynccontextmanager
async def rtu(unit: int, image: Image) -> AsyncIterator[str]:
    """Two ptys, their masters joined like a null-modem cable."""
    loop, ends = asyncio.get_running_loop(), [os.openpty() for _ in "ab"]
    for (master, slave), (other, _) in zip(ends, reversed(ends), strict=True):
        tty.setraw(slave)
        loop.add_reader(master, lambda here=master, there=other: os.write(there, os.read(here, 4096)))
    server = ModbusSerialServer(
        device(unit, image), framer=FramerType.RTU, port=os.ttyname(ends[0][1]), baudrate=9600
    )  # fmt: skip
    await server.listen()
    try:
        yield os.ttyname(ends[1][1])
    finally:
        await server.shutdown()
        for master, slave in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)
