"""A Revov pack, from its sheet alone (revov.md): two texts, the data block, and four bytes that nobody understands."""

from typing import Any

from bms_drivers.sims.pack import Pack


def build(pack: Pack, settings: dict[str, Any]) -> "Revov":
    """The pack; its address is always 01.  "no_check": it sends 00 as the check byte."""
    return Revov(pack, not settings.get("no_check"))


class Revov:
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.13  # s

    def __init__(self, pack: Pack, checked: bool = True) -> None:
        self.pack, self.checked = pack, checked

    def answer(self, received: bytearray) -> list[bytes]:
        """7C 01, command, 00, check, 0D."""
        replies: list[bytes] = []
        while (start := received.find(b"\x7c\x01")) >= 0:
            del received[:start]
            if len(received) < 6:
                return replies
            request = bytes(received[:6])
            if request[3] or request[5] != 0x0D or self._check(request[:4]) != request[4]:
                del received[0]
                continue
            del received[:6]
            data = {0x33: b"REVOV-SIM\0", 0x42: b"V1.0", 0x01: self._block(), 0x06: bytes(4)}.get(request[2])
            if data is not None:
                body = bytes((0x7C, 1, request[2], len(data))) + data
                replies.append(body + bytes((self._check(body) if self.checked else 0, 0x0D)))
        received.clear()
        return replies

    @staticmethod
    def _check(raw: bytes) -> int:
        value = sum(raw) & 0xFF
        for byte in raw:
            value ^= byte
        return value

    def _block(self) -> bytes:
        """80 bytes; what lies between the known fields is 0."""
        pack, block = self.pack, bytearray(80)
        block[0:2] = bytes((1, len(pack.cells)))
        for number, volts in enumerate(pack.cells[:21]):
            block[2 + 2 * number : 4 + 2 * number] = round(volts * 1000).to_bytes(2, "big")
        for at, value in ((44, pack.capacity * 100), (68, pack.cycles), (72, pack.voltage * 100)):
            block[at : at + 2] = min(65535, round(value)).to_bytes(2, "big")
        return bytes(block)
