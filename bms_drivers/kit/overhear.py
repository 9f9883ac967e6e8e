"""What drivers need that listen to a master and its slaves, and ask nothing.

Modbus RTU: a reply does not say which registers it holds, so it counts only directly behind its request.
"""

from collections.abc import Iterable, Iterator

from bms_drivers.kit.declare import Dropped, Frame, Values
from gateway.wire import crc16

REQUEST, REFUSAL, OVERHEAD = 8, 5, 5  # bytes of a read, of an exception, of a reply beside its data
READS, BITS = (1, 2, 3, 4), (1, 2)  # functions that read, and those that read bits
REFUSED = 0x80  # added to the function in an exception


def not_told(values: Values, *groups: Iterable[str]) -> tuple[str, ...]:
    """Names of those groups of which nothing was heard; a group is told in one answer, whole or not at all."""
    return tuple(name for group in map(tuple, groups) if not any(name in values for name in group) for name in group)


def modbus_pairs(buffer: bytearray) -> Iterator[Frame | Dropped]:
    """Replies that follow their requests, off the front: kind = first register, payload = data, address = unit.

    A request without a reply, and a reply whose request was not heard, belong to nobody and are noise.
    """
    noise = bytearray()
    while (asked := _request(buffer)) is not None:
        found = _reply(buffer, asked) if asked else 0
        if found is None:
            break
        if not found:
            noise.append(buffer.pop(0))
            continue
        if noise:
            yield Dropped("noise", bytes(noise))
            noise.clear()
        whole = bytes(buffer[: REQUEST + found])
        del buffer[: len(whole)]
        yield _frame(whole)
    if noise:
        yield Dropped("noise", bytes(noise))


def _request(buffer: bytearray) -> int | None:
    """Data bytes that the read at the front asks for; 0 = there is none; None = it may still become one."""
    if len(buffer) < REQUEST:
        return None
    count = int.from_bytes(buffer[4:6], "big")
    if buffer[1] not in READS or not count or not _sealed(buffer[:REQUEST]):
        return 0
    return (count + 7) // 8 if buffer[1] in BITS else 2 * count


def _reply(buffer: bytearray, size: int) -> int | None:
    """Bytes of the reply behind the read at the front; 0 = something else follows; None = it may still become one."""
    behind = bytes(buffer[REQUEST:])
    answer, refusal = bytes((*buffer[:2], size & 0xFF)), bytes((buffer[0], buffer[1] | REFUSED))
    if behind[:3] == answer:
        length = OVERHEAD + size
    elif behind[:2] == refusal:
        length = REFUSAL
    else:
        return None if answer.startswith(behind) or refusal.startswith(behind) else 0
    if len(behind) < length:
        return None
    return length if _sealed(behind[:length]) else 0


def _sealed(whole: bytes | bytearray) -> bool:
    return crc16(bytes(whole[:-2])).to_bytes(2, "little") == whole[-2:]


def _frame(whole: bytes) -> Frame:
    register, reply = int.from_bytes(whole[2:4], "big"), whole[REQUEST:]
    status = reply[2] or REFUSED if reply[1] & REFUSED else 0
    return Frame(register, b"" if status else reply[3:-2], address=reply[0], status=status, raw=whole)
