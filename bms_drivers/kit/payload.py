"""What payloads are made of: 16-bit words, flags, and blocks of Modbus registers."""

import functools
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from operator import sub, truediv

from bms_drivers.kit.declare import Decode, Field, Frame, Registers, Setup, Table, Values
from gateway.model import BadLength


def words(data: bytes, at: int, count: int, order: str = ">") -> tuple[int, ...]:
    """`count` unsigned 16-bit numbers from offset `at`; `order` as in Table.  Raises BadLength."""
    return _unpacked(f"{order}{count}H", data, at)


def signed_words(data: bytes, at: int, count: int, order: str = ">") -> tuple[int, ...]:
    """`count` signed 16-bit numbers from offset `at`; `order` as in Table.  Raises BadLength."""
    return _unpacked(f"{order}{count}h", data, at)


def _unpacked(form: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except struct.error:
        need = at + struct.calcsize(form)
        raise BadLength(f"{len(data)} bytes where {need} are needed") from None


def divided(raws: Iterable[int], by: int, less: int = 0) -> tuple[float, ...]:
    """(raw - less) / by of each: 3305 mV are 3.305 V, 2981 tenths of a kelvin with less=2731 are 25.0 °C."""
    return tuple(map(truediv, map(sub, raws, repeat(less)), repeat(by)))


@functools.lru_cache(maxsize=128)
def flags(word: int, count: int) -> tuple[bool, ...]:
    """The lowest `count` bits of `word`, bit 0 first."""
    return tuple(bool(word >> n & 1) for n in range(count))


def block(
    address: int, count: int, *, function: int = 3, timeout: float = 0.5, tries: int = 2
) -> Callable[[Setup, Values], Registers]:
    """The question for a block of registers of the unit setup["address"], as `simple` takes it."""

    @functools.cache
    def of(unit: int) -> Registers:
        return Registers(unit, address, count, function, timeout, tries)

    return lambda setup, known: of(setup["address"])


def by_register(first: int, *fields: Field, order: str = ">") -> Table:
    """A Table of a block that begins with register `first`; the fields' offsets are register numbers."""
    return Table(order, *(replace(field, offset=2 * (field.offset - first)) for field in fields))


def reads(table: Table) -> Decode:
    """The decoder that takes one table off the answer's first frame."""

    def decode(frames: Sequence[Frame], setup: Setup, known: Values) -> Values:
        return table.read(frames[0].payload)

    return decode


def unit_asked(request: bytes) -> Values:
    """The unit that a recorded Modbus request asks, as Driver.asked_with takes it."""
    return {"address": request[0]} if len(request) >= 8 else {}
