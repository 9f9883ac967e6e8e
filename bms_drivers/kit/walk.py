"""Records that must be walked: counts inside them decide where the next field lies."""

import struct
from dataclasses import dataclass

from bms_drivers.kit.declare import FORMATS, Values, digits_of
from gateway.model import BadLength


@dataclass(frozen=True, slots=True)
class Next:
    """The next number of a record: value = (raw + plus) * scale, in `unit`."""

    name: str
    type: str  # u8 i8 u16 i16 u32 i32
    scale: float = 1
    unit: str = ""
    plus: int = 0
    counted: bool = False  # a byte in front says how many there are; they become a tuple


class Walk:
    """Fields that follow one another; byte order is one for all of them."""

    def __init__(self, order: str, *fields: Next) -> None:
        """`order` is ">" for big endian, "<" for little endian."""
        self.fields, self._order = fields, order
        self._sizes = [struct.calcsize(order + FORMATS[field.type]) for field in fields]
        self._digits = [digits_of(field.scale) for field in fields]

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names the record delivers."""
        return tuple(field.name for field in self.fields if not field.name.startswith("_"))

    def end(self, payload: bytes, start: int = 0) -> int:
        """Where the record that begins at `start` ends, by its counts; 0 when `payload` ends before."""
        for field, size in zip(self.fields, self._sizes, strict=True):
            if not field.counted:
                start += size
            elif start < len(payload):
                start += 1 + payload[start] * size
            else:
                return 0
        return start if start <= len(payload) else 0

    def read(self, payload: bytes, start: int = 0) -> Values:
        """All fields of the record that begins at `start`.  Raises BadLength when `payload` ends before."""
        if not self.end(payload, start):
            raise BadLength(f"a record from byte {start} on does not fit into {len(payload)} bytes")
        values: Values = {}
        for field, size, digits in zip(self.fields, self._sizes, self._digits, strict=True):
            count = payload[start] if field.counted else 1
            start += field.counted
            raws = struct.unpack_from(f"{self._order}{count}{FORMATS[field.type]}", payload, start)
            start += count * size
            found = raws if field.scale == 1 and not field.plus else _scaled(raws, field, digits)
            values[field.name] = found if field.counted else found[0]
        return values


def _scaled(raws: tuple[int, ...], field: Next, digits: int) -> tuple[float, ...]:
    return tuple(round((raw + field.plus) * field.scale, digits) for raw in raws)
