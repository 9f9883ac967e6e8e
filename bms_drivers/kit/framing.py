"""Checksums, and the reader that turns a byte stream into the answer to one question."""

import binascii
import functools
from collections.abc import Iterator
from typing import Final

from bms_drivers.kit.declare import Ask, Dropped, Frame


def sum8(data: bytes) -> int:
    """Sum of all bytes modulo 256."""
    return sum(data) & 0xFF


def sum16(data: bytes) -> int:
    """Sum of all bytes modulo 65536."""
    return sum(data) & 0xFFFF


def crc8(data: bytes) -> int:
    """CRC-8 (polynomial 0x07, start 0, nothing reflected)."""
    table, crc = _crc8_table(), 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


@functools.cache
def _crc8_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte << 1 ^ 0x07) & 0xFF if byte & 0x80 else byte << 1
        table.append(byte)
    return tuple(table)


def crc16_xmodem(data: bytes) -> int:
    """CRC-16/XMODEM (polynomial 0x1021, start 0, nothing reflected)."""
    return binascii.crc_hqx(data, 0)


def begun(buffer: bytearray, head: bytes) -> int:
    """How many bytes at the end of `buffer` may be the beginning of `head`."""
    return next((size for size in range(len(head) - 1, 0, -1) if buffer.endswith(head[:size])), 0)


def noise(buffer: bytearray, size: int) -> Iterator[Dropped]:
    """Take `size` bytes off the front of `buffer` as noise."""
    if size:
        yield Dropped("noise", bytes(buffer[:size]))
        del buffer[:size]


MAX_BUFFER: Final = 8192  # bytes of unusable input that are kept at most


class Answer:
    """Collects the frames that answer one Ask, from bytes in pieces of any size; counts what it had to drop."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.frames: list[Frame] = []
        self.dropped: list[Dropped] = []
        self.foreign = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bool:
        """Take `data`; True once the answer is whole."""
        self._buffer += data
        for item in self.ask.split(self._buffer):
            if isinstance(item, Dropped):
                self.dropped.append(item)
            elif self.ask.answers(item):
                self.frames.append(item)
            else:
                self.foreign += 1
        if len(self._buffer) > MAX_BUFFER:
            self.dropped.append(Dropped("noise", bytes(self._buffer)))
            self._buffer.clear()
        return self.ask.complete(self.frames)

    @property
    def rest(self) -> bytes:
        """What there is of a frame that has begun but not ended."""
        return bytes(self._buffer)

    @property
    def torn(self) -> int:
        """Bytes of it."""
        return len(self._buffer)
