"""Frames that both sides of the house make: towards BMSs, and as a battery towards inverters.  Ground floor."""

import functools
from typing import Final

HEX_END: Final = b"\r"


@functools.cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
        table.append(byte)
    return tuple(table)


def crc16(data: bytes) -> int:
    """CRC-16/Modbus (polynomial 0xA001 reflected, start 0xFFFF); sent low byte first."""
    table, crc = _crc_table(), 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def hex_frame(version: int, address: int, cid1: int, cid2: int, info: bytes = b"", start: bytes = b"~") -> bytes:
    """A whole frame of hex text in the manner of YD/T 1363 around `info`; see bms_drivers.kit.hex_text."""
    length = 2 * len(info)
    check = -sum(length >> shift & 15 for shift in (0, 4, 8)) & 15
    head = bytes((version, address, cid1, cid2)) + (check << 12 | length).to_bytes(2, "big")
    text = (head + info).hex().upper().encode()
    return start + text + b"%04X" % (-sum(text) & 0xFFFF) + HEX_END
