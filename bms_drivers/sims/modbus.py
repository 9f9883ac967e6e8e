"""A Modbus RTU device around a register image: what the simulators of Modbus BMSs share.  No BMS's name here.

Source: Modbus application protocol V1.1b3, sections 6.3, 6.4, 6.6, 6.12, 7.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bms_drivers.sims.pack import Pack

Image = Mapping[int, int]  # register -> value, 0..65535; what is not in it does not exist
Images = Callable[[int], Image | None]  # the image of a unit as of now; None = nobody has this address
Write = Callable[[int, int, int], bool]  # unit, register, value -> was it taken?

READ, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
NO_FUNCTION, NO_ADDRESS, NO_VALUE = 1, 2, 3  # exceptions
MOST: Final = 125  # registers in one read


def words(values: Mapping[int, float]) -> dict[int, int]:
    """Rounded and as two's complement, kept within 16 bits."""
    return {register: max(-32768, min(65535, round(value))) & 0xFFFF for register, value in values.items()}


def run(first: int, *values: float) -> dict[int, float]:
    """Values of registers in a row."""
    return dict(enumerate(values, first))


def long_word(register: int, value: float, *, low_first: bool = False) -> dict[int, float]:
    """A 32-bit number in two registers, high word first unless told otherwise."""
    raw = round(value) & 0xFFFFFFFF
    high, low = raw >> 16, raw & 0xFFFF
    return run(register, low, high) if low_first else run(register, high, low)


def letters(register: int, text: str, count: int, fill: bytes = b"\0") -> dict[int, float]:
    """A text in `count` registers, two characters each."""
    raw = text.encode()[: 2 * count].ljust(2 * count, fill)
    return run(register, *(int.from_bytes(raw[at : at + 2], "big") for at in range(0, 2 * count, 2)))


def crc(data: bytes) -> bytes:
    """CRC-16 of Modbus, bit by bit, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


class ModbusDevice:
    """Bytes in, bytes out: functions 03 and 04 read the image, 06 and 10 write, where `write` takes them."""

    def __init__(
        self,
        pack: Pack,
        images: Images,
        *,
        write: Write = lambda unit, register, value: False,
        answer_as: int | None = None,
        baud: int = 9600,
        turnaround: float = 0.03,
    ) -> None:
        """`answer_as`: the unit that replies bear, where it is not the one asked; `turnaround` in s."""
        self.pack, self.baud, self.turnaround = pack, baud, turnaround
        self._images, self._write, self._answer_as = images, write, answer_as

    def answer(self, received: bytearray) -> list[bytes]:
        """Take requests off by their CRC; what is none goes byte by byte."""
        replies: list[bytes] = []
        while len(received) >= 8:
            size = 9 + received[6] if received[1] == WRITE_MANY else 8
            if len(received) < size <= 9 + 2 * MOST:
                break
            request = bytes(received[:size])
            if crc(request[:-2]) != request[-2:]:
                del received[0]
                continue
            del received[:size]
            image = self._images(request[0])
            if image is not None:
                replies.append(self._reply(request, image))
        return replies

    def _reply(self, request: bytes, image: Image) -> bytes:
        body = self._done(request, image)
        if isinstance(body, int):
            body = bytes((request[1] | 0x80, body))
        unit = request[0] if self._answer_as is None else self._answer_as
        whole = bytes((unit,)) + body
        return whole + crc(whole)

    def _done(self, request: bytes, image: Image) -> bytes | int:
        """The reply from its function on, or the exception's code."""
        function, first, number = request[1], *(int.from_bytes(request[at : at + 2], "big") for at in (2, 4))
        if function in (READ, READ_INPUT):
            return self._read(function, first, number, image)
        if function == WRITE_ONE:
            return request[1:6] if self._write(request[0], first, number) else NO_ADDRESS
        if function == WRITE_MANY:
            values = [int.from_bytes(request[at : at + 2], "big") for at in range(7, len(request) - 2, 2)]
            taken = [self._write(request[0], first + n, value) for n, value in enumerate(values)]
            return request[1:6] if taken and all(taken) else NO_ADDRESS
        return NO_FUNCTION

    @staticmethod
    def _read(function: int, first: int, count: int, image: Image) -> bytes | int:
        if not 1 <= count <= MOST:
            return NO_VALUE
        values = [image.get(register) for register in range(first, first + count)]
        if None in values:
            return NO_ADDRESS
        data = b"".join(value.to_bytes(2, "big") for value in values if value is not None)
        return bytes((function, len(data))) + data
