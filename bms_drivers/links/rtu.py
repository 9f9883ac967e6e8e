"""Modbus RTU as a question like any other, so that it goes over every byte-stream link.

A client library would wake up for each piece of an answer (2.4 ms of CPU a poll of two reads at 9600 baud, measured);
the size of an RTU answer is known beforehand, so the serial link sleeps until it is whole.
Source: Modbus application protocol V1.1b3, sections 6.1 to 6.4 and 7; Modbus over serial line V1.02, section 2.5.1.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers.kit.declare import Ask, CanAsk, Dropped, Frame, Question, Registers, Splitter
from gateway.model import DeviceRefused, GatewayError, LinkTimeout
from gateway.wire import crc16

REFUSED: Final = 0x80  # added to the function in an exception response
REFUSAL_SIZE: Final = 5  # bytes: unit, function, code, CRC
OVERHEAD: Final = 5  # bytes of an answer beside its data: unit, function, byte count, CRC
BITS: Final = (1, 2)  # functions that read bits, eight a byte, instead of registers

MEANINGS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "accepted, still working on it",
    6: "device busy",
    8: "memory parity error",
}
SILENT: Final = {10: "the gateway has no path to the unit", 11: "the unit behind the gateway does not answer"}


def on_line(asked: Question) -> Ask:
    """Any question as it goes over a serial line.  Raises TypeError for one that is for a CAN bus."""
    if isinstance(asked, CanAsk):
        raise TypeError(f"{asked}: cannot be asked on a serial line")
    return question(asked) if isinstance(asked, Registers) else asked


@functools.lru_cache(maxsize=512)
def question(read: Registers) -> Ask:
    """The RTU request of `read`, and how to recognise its answer; one of another unit is foreign."""
    units = (read.unit, *read.also)
    return Ask(
        request=sealed(head(read)),
        split=_splitter(read),
        answers=lambda frame: frame.address in units,
        size=OVERHEAD + data_size(read),
        timeout=read.timeout,
        tries=read.tries,
        silent=read.silent,
    )


def data_size(read: Registers) -> int:
    """Bytes of data that the read asks for."""
    return (read.count + 7) // 8 if read.function in BITS else 2 * read.count


def head(read: Registers) -> bytes:
    """Unit and PDU of the request."""
    return bytes((read.unit, read.function)) + read.address.to_bytes(2, "big") + read.count.to_bytes(2, "big")


def parsed(request: bytes) -> Registers | None:
    """The read of registers or bits that these bytes ask for; None for anything else."""
    if len(request) != 8 or request[1] not in (1, 2, 3, 4) or sealed(request[:6]) != request:
        return None
    return Registers(
        unit=request[0],
        function=request[1],
        address=int.from_bytes(request[2:4], "big"),
        count=int.from_bytes(request[4:6], "big"),
    )


def sealed(body: bytes) -> bytes:
    """`body` with its CRC."""
    return body + crc16(body).to_bytes(2, "little")


def checked(read: Registers, frames: Sequence[Frame]) -> Sequence[Frame]:
    """`frames` if they are an answer.  Raises DeviceRefused or LinkTimeout for an exception response."""
    if frames[0].status:
        raise refusal(read, frames[0].status)
    return frames


def items(read: Registers, data: bytes) -> list[int]:
    """The registers, or the bits, that the data of an answer holds."""
    if read.function in BITS:
        return [data[n >> 3] >> (n & 7) & 1 for n in range(read.count)]
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def data_of(read: Registers, values: Sequence[int]) -> bytes:
    """The data of an answer that holds these registers or bits."""
    if read.function in BITS:
        return sum(bit << n for n, bit in enumerate(values)).to_bytes(data_size(read), "little")
    return b"".join(value.to_bytes(2, "big") for value in values)


def refusal(read: Registers, code: int) -> GatewayError:
    """What an exception response means; a gateway that reports silence is silence."""
    if code in SILENT:
        return LinkTimeout(f"{described(read)}: {SILENT[code]} (code {code})")
    return DeviceRefused(f"{described(read)}: code {code}, {MEANINGS.get(code, 'unknown code')}")


def described(read: Registers) -> str:
    """The read, for people."""
    last = read.address + read.count - 1
    return f"unit {read.unit} registers 0x{read.address:04X}..0x{last:04X} function {read.function}"


def _splitter(read: Registers) -> Splitter:
    """Finds answers to such a read, of any unit, in a byte stream: RTU frames name neither start nor question."""
    answer = bytes((read.function, data_size(read) & 0xFF))
    refused = bytes((read.function | REFUSED,))

    def split(buffer: bytearray) -> Iterator[Frame | Dropped]:
        start = 0
        while start < len(buffer):
            size = _size_at(buffer, start, answer, refused)
            if size and len(buffer) < start + size:
                break
            whole = bytes(buffer[start : start + size])
            if size and crc16(whole[:-2]).to_bytes(2, "little") == whole[-2:]:
                if start:
                    yield Dropped("noise", bytes(buffer[:start]))
                del buffer[: start + size]
                start = 0
                yield _frame(read, whole)
            else:
                if size and len(whole) > REFUSAL_SIZE:
                    yield Dropped("checksum", whole)
                start += 1
        if start:
            yield Dropped("noise", bytes(buffer[:start]))
            del buffer[:start]

    return split


def _size_at(buffer: bytearray, start: int, answer: bytes, refused: bytes) -> int:
    """Bytes of the answer that may begin at `start`; 0 = none begins there."""
    there = bytes(buffer[start + 1 : start + 3])
    if answer.startswith(there):
        return OVERHEAD + answer[1]
    return REFUSAL_SIZE if refused.startswith(there[:1]) else 0


def _frame(read: Registers, whole: bytes) -> Frame:
    if whole[1] & REFUSED:
        return Frame(kind=read.address, payload=b"", address=whole[0], status=whole[2] or REFUSED, raw=whole)
    return Frame(kind=read.address, payload=whole[3:-2], address=whole[0], raw=whole)
