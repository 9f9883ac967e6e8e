"""Dialects that ask like Modbus RTU: an image of registers, of which any range is answered.

Questions are found by their CRC, as RTU names neither beginning nor end: a USB adapter tears the gaps that should.
Sheet: rs485-inverter-protocols.md sections 5 and 6; Modbus application protocol V1.1b3, sections 6 and 7.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.model import BadChecksum, BadLength, DeviceRefused
from gateway.wire import crc16
from outputs.inverter.keys import Values
from outputs.rs485_bms.heard import Heard, Image, Other, Request
from outputs.rs485_bms.parts import Part

READ: Final = 3
FUNCTIONS: Final = (1, 2, 3, 4, 5, 6)  # whose questions are eight bytes
LONG: Final = (15, 16)  # whose questions say how many bytes follow
SIZE: Final = 8
UNIT_MOST: Final = 247  # a byte beyond it, and 00, is what a line says that is let go of
MOST: Final = 125  # registers in one answer
REFUSED: Final = 0x80
NO_FUNCTION, NO_REGISTER, NO_VALUE = 1, 2, 3  # exceptions
IMAGE: Final = "registers"


class Map:
    """Registers in a table, each part at the register where it begins."""

    baud = 9600
    name = ""

    def __init__(self, parts: Mapping[int, Part], first: int, last: int, unit: int) -> None:
        """`first` to `last` exist; what no part says is 0."""
        self._parts, self._first, self._last, self._unit = parts, first, last, unit
        self.keys = frozenset(key for part in parts.values() for key in part.keys)

    # ---- questions

    def split(self, buffer: bytearray) -> Iterator[Heard]:
        """As Dialect; eight bytes alone, for this unit and with a wrong CRC, are a damaged question."""
        noise = bytearray()
        while buffer:
            found = self._at_front(buffer)
            if found is None:
                break
            size, heard = found
            if heard is None:
                noise.append(buffer[0])
            else:
                if noise:
                    yield Other("noise", bytes(noise))
                    noise.clear()
                yield heard
            del buffer[:size]
        if noise:
            yield Other("noise", bytes(noise))

    def _at_front(self, buffer: bytearray) -> tuple[int, Heard | None] | None:
        """What the first bytes are and how many; no question, or, as a whole None, not enough of them yet."""
        if len(buffer) < 2:
            return None if 0 < buffer[0] <= UNIT_MOST else (1, None)
        size = SIZE if buffer[1] in FUNCTIONS else 0
        if buffer[1] in LONG:
            size = 9 + buffer[6] if len(buffer) > 6 else SIZE
        for length, make in ((size, self._request), (self._answer_size(buffer), _answer)):
            if length and len(buffer) >= length and sound(whole := bytes(buffer[:length])):
                return length, make(whole)
        if size and len(buffer) < size:
            return None
        if len(buffer) == SIZE and bytes(buffer[:2]) == bytes((self._unit, READ)):
            return SIZE, self._damaged(bytes(buffer))
        return 1, None

    def _answer_size(self, buffer: bytearray) -> int:
        """How long the answer is that may begin here; 0 = none."""
        if buffer[1] == READ and len(buffer) > 2:
            return 5 + buffer[2]
        return 5 if buffer[1] == READ | REFUSED else 0

    def _damaged(self, raw: bytes) -> Heard:
        """A question for this unit whose CRC is wrong."""
        return Other("checksum", raw)

    def _request(self, raw: bytes) -> Request:
        start, count = int.from_bytes(raw[2:4], "big"), int.from_bytes(raw[4:6], "big")
        what = f"{raw[1]:02X} {start:02X}+{count:02X}" if raw[1] in FUNCTIONS else f"{raw[1]:02X} {start:02X}"
        return Request(what, raw[0], raw, raw[0] == self._unit, self._wrong(raw[1], start, count), raw[1:6])

    def _wrong(self, function: int, start: int, count: int) -> int:
        """Which exception is answered; 0 = none."""
        if function != READ:
            return NO_FUNCTION
        if not 1 <= count <= MOST:
            return NO_VALUE
        return NO_REGISTER if start < self._first or start + count - 1 > self._last else 0

    # ---- answers

    def image(self, values: Values, clamped: list[str]) -> Image:
        """As Dialect: all registers as one."""
        data = bytearray(2 * (self._last - self._first + 1))
        for register, part in self._parts.items():
            made, at = part.encode(values, clamped), 2 * (register - self._first)
            data[at : at + len(made)] = made
        return {IMAGE: bytes(data)}

    def reply(self, request: Request, image: Image) -> bytes:
        """As Dialect."""
        if request.code:
            return sealed(bytes((request.address, request.body[0] | REFUSED, request.code)))
        start, count = int.from_bytes(request.body[1:3], "big"), int.from_bytes(request.body[3:5], "big")
        at = 2 * (start - self._first)
        data = image[IMAGE][at : at + 2 * count].ljust(2 * count, b"\0")
        return sealed(bytes((request.address, READ)) + self._length(count) + data)

    def _length(self, count: int) -> bytes:
        """The length field of an answer of so many registers."""
        return bytes((2 * count,))

    # ---- the way back

    def read(self, question: bytes, answer: bytes) -> dict[str, Any]:
        """As Dialect; parts that the question did not ask for as a whole are left out."""
        start, count = int.from_bytes(question[2:4], "big"), int.from_bytes(question[4:6], "big")
        data = data_of(answer, len(self._length(count)))
        if len(data) != 2 * count:
            raise BadLength(f"{len(data)} bytes for {count} registers")
        found: dict[str, Any] = {}
        for register, part in self._parts.items():
            raw = data[2 * (register - start) :] if register >= start else b""
            size = part.size_in(raw)
            if raw and size <= len(raw):
                found |= part.decode(raw[:size])
        return found


def sealed(body: bytes) -> bytes:
    """`body` with its CRC."""
    return body + crc16(body).to_bytes(2, "little")


def sound(whole: bytes) -> bool:
    """Does its CRC fit?"""
    return crc16(whole[:-2]).to_bytes(2, "little") == whole[-2:]


def data_of(answer: bytes, length_size: int) -> bytes:
    """The registers of an answer.  Raises BadChecksum, BadLength, DeviceRefused."""
    if len(answer) < 5:
        raise BadLength(f"no answer: {answer.hex()}")
    if not sound(answer):
        raise BadChecksum(f"{answer.hex()}: CRC is wrong")
    if answer[1] & REFUSED:
        raise DeviceRefused(f"exception {answer[2]:02X}")
    return answer[2 + length_size : -2]


def _answer(whole: bytes) -> Other:
    return Other("answer", whole)
