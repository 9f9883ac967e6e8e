"""Modbus TCP, by pymodbus.  (Modbus RTU goes over the serial link: links/rtu.py.)

Reconnecting is the port's business, so pymodbus is told not to.
"""

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from bms_drivers.kit.declare import Frame, Question, Registers
from bms_drivers.links.link import Counters, Tap
from bms_drivers.links.rtu import BITS, data_size, described, refusal, sealed
from gateway.model import BadLength, LinkClosed, LinkTimeout

CONNECT_WITHIN: Final = 3.0  # s
HEADER: Final = 6  # bytes of a Modbus TCP frame before the unit

READS: Final = {
    1: "read_coils",
    2: "read_discrete_inputs",
    3: "read_holding_registers",
    4: "read_input_registers",
}

# The unit's keyword was `slave` before pymodbus 3.10.
_PARAMETERS: Final = inspect.signature(ModbusClientMixin.read_holding_registers).parameters
UNIT: Final = "device_id" if "device_id" in _PARAMETERS else "slave"


class ModbusLink:
    """Registers of all units behind one TCP connection."""

    def __init__(self, where: str, host: str, port: int) -> None:
        """`where` is what users call it."""
        self.where = where
        self.counters: Counters = Counter()
        self.tap: Tap | None = None
        self._host, self._port = host, port
        self._client: AsyncModbusTcpClient | None = None
        self._opened = 0
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what it has to say is raised here

    async def open(self) -> None:
        """Connect, if not connected.  Raises LinkClosed."""
        if self._client is not None and self._client.connected:
            return
        await self.close()
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=CONNECT_WITHIN, retries=0, reconnect_delay=0, trace_packet=self._traced
        )
        try:
            connected = await client.connect()
        except ValueError as problem:  # UnicodeError is one: what cannot be the name of a host
            raise LinkClosed(f"{self.where}: {self._host!r} cannot be a host's name ({problem})") from None
        if not connected:
            client.close()
            raise LinkClosed(f"{self.where}: no connection to {self._host} port {self._port}; is it on and reachable?")
        self._client = client
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1

    async def close(self) -> None:
        """Disconnect; may be called at any time."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """One frame: kind = first register, payload = registers big endian, address = unit.

        Raises LinkTimeout, LinkClosed, BadLength, DeviceRefused with the exception's meaning.
        """
        if not isinstance(question, Registers):
            raise TypeError(f"{self.where}: a {type(question).__name__} cannot be asked over Modbus TCP")
        for _ in range(max(1, question.tries)):
            response = await self._read(question)
            if response is not None:
                return [_frame(question, response)]
        raise LinkTimeout(f"{self.where}: {described(question)}: no answer within {question.timeout:g} s")

    async def _read(self, ask: Registers) -> ModbusPDU | None:
        """The response, or None when there was none in time.  Raises LinkClosed."""
        client = self._client
        if client is None or not client.connected:
            await self.close()
            raise LinkClosed(f"{self.where}: not connected")
        self.counters["requests"] += 1
        read: Callable[..., Awaitable[ModbusPDU]] = getattr(client, READS[ask.function])
        try:
            async with asyncio.timeout(ask.timeout):
                response = await read(ask.address, count=ask.count, **{UNIT: ask.unit})
        except (TimeoutError, ModbusException):
            if not client.connected:
                await self.close()
                raise LinkClosed(f"{self.where}: the other end closed the connection") from None
            self.counters["timeout"] += 1
            return None
        self.counters["replies"] += 1
        return response

    def _traced(self, sending: bool, data: bytes) -> bytes:
        """Pass whole packets on to the tap, as RTU frames: so they stand in recordings."""
        if self.tap is not None and len(data) > HEADER and len(data) >= HEADER + int.from_bytes(data[4:6], "big"):
            self.tap("tx" if sending else "rx", sealed(data[HEADER:]))
        return data


def _frame(ask: Registers, response: ModbusPDU) -> Frame:
    """The registers of a response.  Raises DeviceRefused, LinkTimeout, BadLength."""
    if response.isError():
        raise refusal(ask, response.exception_code)
    if ask.function in BITS:
        bits = sum(bool(bit) << n for n, bit in enumerate(response.bits[: ask.count]))
        return Frame(kind=ask.address, payload=bits.to_bytes(data_size(ask), "little"), address=ask.unit)
    if len(response.registers) != ask.count:
        raise BadLength(f"{described(ask)}: {len(response.registers)} registers came")
    payload = b"".join(register.to_bytes(2, "big") for register in response.registers)
    return Frame(kind=ask.address, payload=payload, address=ask.unit)
