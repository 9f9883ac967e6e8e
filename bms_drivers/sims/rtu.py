"""A device that speaks Modbus RTU: framing, functions and exceptions; what the registers hold is its own matter.

Source: Modbus application protocol V1.1b3, section 6; Modbus over serial line V1.02, section 2.5.1.
"""

from collections.abc import Sequence

from bms_drivers.sims.pack import Pack

READS, BIT_READS, WRITES = (3, 4), (1, 2), (5, 6, 15, 16)
NO_FUNCTION, NO_ADDRESS, NO_VALUE = 1, 2, 3  # exceptions


def crc(data: bytes) -> bytes:
    """CRC-16 of Modbus, bit by bit, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


class Refused(Exception):
    """The device answers with an exception; `code` says which."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Rtu:
    """Bytes in, bytes out; `registers`, `bits` and `write` are what differs.  All three may raise Refused."""

    pack: Pack

    def answer(self, received: bytearray) -> list[bytes]:
        """Unit, function, address, count or value ..., CRC."""
        replies: list[bytes] = []
        while len(received) >= 8:
            size = 9 + received[6] if received[1] in (15, 16) else 8
            sound = received[1] in (*READS, *BIT_READS, *WRITES)
            if sound and len(received) < size:
                break
            request = bytes(received[:size])
            if not sound or crc(request[:-2]) != request[-2:]:
                del received[0]
                continue
            del received[:size]
            replies += self._replies(request[0], request[1], request[2:-2])
        return replies

    def hears(self, unit: int) -> bool:
        """Is this unit here?"""
        raise NotImplementedError

    def registers(self, unit: int, function: int, address: int, count: int) -> Sequence[int]:
        """The registers asked for."""
        raise Refused(NO_FUNCTION)

    def bits(self, unit: int, function: int, address: int, count: int) -> Sequence[bool]:
        """The bits asked for."""
        raise Refused(NO_FUNCTION)

    def write(self, unit: int, function: int, address: int, data: bytes) -> None:
        """Take what is written."""
        raise Refused(NO_FUNCTION)

    def _replies(self, unit: int, function: int, body: bytes) -> list[bytes]:
        if not self.hears(unit):
            return []
        head = bytes((unit, function))
        try:
            reply = head + self._act(unit, function, body)
        except Refused as refused:
            reply = bytes((unit, function | 0x80, refused.code))
        return [reply + crc(reply)]

    def _act(self, unit: int, function: int, body: bytes) -> bytes:
        address, count = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
        if function in READS:
            words = self.registers(unit, function, address, count)
            return bytes((2 * count & 0xFF,)) + b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words)
        if function in BIT_READS:
            bits = self.bits(unit, function, address, count)
            size = (count + 7) // 8
            return bytes((size & 0xFF,)) + sum(bool(bit) << n for n, bit in enumerate(bits)).to_bytes(size, "little")
        self.write(unit, function, address, body[5:] if function in (15, 16) else body[2:])
        return body[:4]
