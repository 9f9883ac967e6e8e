"""What in the frames of a BMS is nobody's business: passwords and serial numbers, by the bytes that hold them.

A driver names them (`Driver.secrets`); a report that leaves the house has asterisks there, under a checksum made anew,
so that it still plays.  What is torn is masked as far as it goes; a frame whose checksum was wrong keeps a wrong one.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from bms_drivers.kit.declare import Mask
from bms_drivers.kit.framing import crc16

STAR: Final = b"*"
READS: Final = (3, 4)  # Modbus functions that read registers
HEX_INFO: Final = 13  # characters of a frame of hex text before its INFO
HEX_KIND: Final = slice(7, 9)  # of a request: what is asked for

Ranges = Callable[[bytes], Iterable[range]]
"""Where secrets are in a frame, from its first byte on; the frame may be torn, or more may follow."""
Sealed = Callable[[bytes], bytes]
"""The frame at the beginning of some bytes with the right checksum; b"" where it is not whole."""


def masked(masks: Iterable[Mask], request: bytes, answer: bytes) -> bytes:
    """`answer` to `request` (of a CAN bus: the data, to the 4 bytes of the identifier) without its secrets."""
    for mask in masks:
        answer = mask(request, answer)
    return answer


def in_frames(head: bytes, ranges: Ranges, sealed: Sealed, star: bytes = STAR, before: int = 0) -> Mask:
    """Of frames that begin with `head`, or with so many bytes `before` it."""

    def mask(request: bytes, answer: bytes) -> bytes:
        at = answer.find(head, before)
        while at >= 0:
            start = at - before
            answer = answer[:start] + _blanked(answer[start:], ranges, sealed, star)
            at = answer.find(head, at + 1)
        return answer

    return mask


def _blanked(data: bytes, ranges: Ranges, sealed: Sealed, star: bytes) -> bytes:
    new = bytearray(data)
    for place in ranges(data):
        for n, at in enumerate(range(place.start, min(place.stop, len(data)))):
            new[at] = star[n % len(star)]
    was = sealed(data)
    now = sealed(bytes(new)) if was else b""
    if data.startswith(was):
        return now + bytes(new[len(now) :])
    if new.startswith(now):
        new[len(now) - 1] ^= 1  # it was wrong, and must not be right now by chance
    return bytes(new)


def registers(*secret: range) -> Mask:
    """Of answers to Modbus reads: these registers, of whatever unit."""

    def mask(request: bytes, answer: bytes) -> bytes:
        if len(request) < 6 or request[1] not in READS:
            return answer
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        asked = range(first, first + count)
        places = [
            range(3 + 2 * (max(one.start, asked.start) - first), 3 + 2 * (min(one.stop, asked.stop) - first))
            for one in secret if one.start < asked.stop and asked.start < one.stop
        ]  # fmt: skip
        if not places:
            return answer
        size = 3 + 2 * count
        head = bytes((request[1], 2 * count & 0xFF))
        return in_frames(head, lambda data: places, crc_of(lambda data: size), before=1)(request, answer)

    return mask


def crc_of(size: Callable[[bytes], int]) -> Sealed:
    """Frames of so many bytes and the CRC of Modbus, low byte first."""

    def sealed(data: bytes) -> bytes:
        end = size(data)
        return data[:end] + crc16(data[:end]).to_bytes(2, "little") if len(data) >= end + 2 else b""

    return sealed


def hex_text(start: bytes, kind: int, *secret: range) -> Mask:
    """Of answers in hex text to requests of this CID2: these bytes of their INFO."""

    def ranges(data: bytes) -> Iterable[range]:
        end = data.find(b"\r")
        most = len(data) if end < 0 else end - 4
        return (range(HEX_INFO + 2 * p.start, min(HEX_INFO + 2 * p.stop, most)) for p in secret)

    def sealed(data: bytes) -> bytes:
        end = data.find(b"\r")
        body = data[1 : end - 4]
        return data[:1] + body + b"%04X\r" % (-sum(body) & 0xFFFF) if end > HEX_INFO else b""

    inner = in_frames(start, ranges, sealed, STAR.hex().upper().encode())
    return lambda request, answer: inner(request, answer) if request[HEX_KIND] == b"%02X" % kind else answer


def pattern(expression: bytes) -> Mask:
    """Of text without a checksum: what the first group of this expression matches."""
    form = re.compile(expression)

    def mask(request: bytes, answer: bytes) -> bytes:
        return form.sub(lambda found: found[0].replace(found[1], STAR * len(found[1])), answer)

    return mask


def identifiers(*kinds: int) -> Mask:
    """Of a CAN bus: all data of the frames of these identifiers, as Frame.kind."""
    heads = {kind.to_bytes(4, "big") for kind in kinds}
    return lambda request, answer: STAR * len(answer) if request in heads else answer
