"""Frames of hex text in the manner of YD/T 1363, two characters a byte.

    start  VER  ADR  CID1  CID2 or RTN  LENGTH  INFO ...  CHKSUM  CR

Sheets: seplos.md, pace.md, daren_485.md, section 3; ks48100.md with another start byte.  A reply does not repeat what
was asked: the return code RTN stands in its place, so an answer is told by its shape.
"""

from binascii import Error, unhexlify
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bms_drivers.kit.declare import Dropped, Frame, Splitter
from gateway.model import DeviceRefused
from gateway.wire import HEX_END

EMPTY: Final = 16  # characters between start and CR when there is no INFO

RETURN_CODES: Final = {  # those that all makers share
    0: "ok",
    1: "version",
    2: "checksum",
    3: "checksum of the length",
    4: "unknown command",
    5: "format",
    6: "data",
}


def hex_splitter(start: bytes = b"~") -> Splitter:
    """Takes such frames off a buffer.  Frame: kind = VER << 8 | CID1, status = CID2 or RTN, payload = INFO."""

    def split(buffer: bytearray) -> Iterator[Frame | Dropped]:
        while (end := buffer.find(HEX_END)) >= 0:
            begin = buffer.rfind(start, 0, end)  # a start byte inside a frame is none of its characters
            yield from _noise(buffer, begin if begin >= 0 else end + 1)
            if begin >= 0:
                whole = bytes(buffer[: end + 1 - begin])
                del buffer[: len(whole)]
                yield _parsed(whole)
        begin = buffer.rfind(start)
        yield from _noise(buffer, begin if begin >= 0 else len(buffer))

    return split


def _noise(buffer: bytearray, size: int) -> Iterator[Dropped]:
    """Take `size` bytes off the front."""
    if size:
        dropped = bytes(buffer[:size])
        del buffer[:size]
        yield Dropped("noise", dropped)


def _parsed(whole: bytes) -> Frame | Dropped:
    text = whole[1:-1]
    try:
        data = unhexlify(text)
    except Error:
        return Dropped("noise", whole)
    if len(text) < EMPTY or not _length_fits(int.from_bytes(data[4:6], "big"), len(text) - EMPTY):
        return Dropped("length", whole)
    if (sum(text[:-4]) + int.from_bytes(data[-2:], "big")) & 0xFFFF:
        return Dropped("checksum", whole)
    return Frame(kind=data[0] << 8 | data[2], payload=data[6:-2], address=data[1], status=data[3], raw=whole)


def _length_fits(word: int, characters: int) -> bool:
    """LENGTH: the number of INFO characters in 12 bits; all four nibbles together are 0 modulo 16."""
    return word & 0xFFF == characters and not sum(word >> shift & 15 for shift in (0, 4, 8, 12)) & 15


def hex_info(frames: Sequence[Frame], codes: Mapping[int, str] = RETURN_CODES) -> bytes:
    """INFO of the reply.  Raises DeviceRefused with the meaning of its return code."""
    status = frames[0].status
    if status:
        raise DeviceRefused(f"return code {status:02X}, {codes.get(status, 'unknown code')}")
    return frames[0].payload
