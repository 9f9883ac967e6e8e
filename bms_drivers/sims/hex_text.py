"""A device that speaks frames of hex text, two characters a byte: what its makers' protocols have in common.

Written from the sheets alone (seplos.md section 3), sharing nothing with the drivers.
"""

from bms_drivers.sims.pack import Pack

ERRORS = {"checksum": 2, "length": 3, "command": 4, "format": 5}  # return codes


def word(value: float, scale: float = 1.0) -> bytes:
    """A 16-bit number, big endian, signed where below zero, kept within its range."""
    return (max(-32768, min(65535, round(value / scale))) & 0xFFFF).to_bytes(2, "big")


def signed(value: float, scale: float = 1.0) -> bytes:
    """A signed 16-bit number; too large a charge current must not turn into a discharge current."""
    return word(min(value, 32767 * scale), scale)


def long(value: float, scale: float = 1.0) -> bytes:
    """A 32-bit number, big endian."""
    return round(value / scale).to_bytes(4, "big")


class HexText:
    """Bytes in, bytes out; `act` is what differs."""

    pack: Pack
    address: int
    start = b"~"
    version = 0x20

    def answer(self, received: bytearray) -> list[bytes]:
        """Start, VER, ADR, CID1, CID2, LENGTH, INFO, CHKSUM, CR."""
        replies: list[bytes] = []
        while (end := received.find(b"\r")) >= 0:
            line = bytes(received[:end])
            del received[: end + 1]
            begin = line.rfind(self.start)
            reply = self._reply(line[begin + 1 :]) if begin >= 0 else b""
            replies += [reply] if reply else []
        if self.start not in received:
            received.clear()
        return replies

    def act(self, cid1: int, command: int, info: bytes) -> tuple[int, bytes] | None:
        """Return code and INFO of the reply; None = stay silent."""
        raise NotImplementedError

    def hears(self, address: int) -> bool:
        """Is a request to `address` for this device?"""
        return address == self.address

    def frame(self, cid1: int, code: int, info: bytes) -> bytes:
        """A whole reply."""
        length = len(info) * 2
        nibbles = (length >> 8) + (length >> 4 & 15) + (length & 15)
        text = f"{self.version:02X}{self.address:02X}{cid1:02X}{code:02X}{-nibbles & 15:X}{length:03X}"
        text += info.hex().upper()
        return self.start + f"{text}{-sum(text.encode()) & 0xFFFF:04X}\r".encode()

    def _reply(self, text: bytes) -> bytes:
        try:
            data = bytes.fromhex(text.decode("ascii"))
        except ValueError:
            return b""
        if len(data) < 8 or not self.hears(data[1]):
            return b""
        if sum(text[:-4]) + int.from_bytes(data[-2:], "big") & 0xFFFF:
            return self.frame(data[2], ERRORS["checksum"], b"")
        length = data[4] << 8 | data[5]
        if length & 0xFFF != len(text) - 16 or (length >> 12) + sum(int(c, 16) for c in f"{length & 0xFFF:03X}") & 15:
            return self.frame(data[2], ERRORS["length"], b"")
        done = self.act(data[2], data[3], data[6:-2])
        return b"" if done is None else self.frame(data[2], *done)
