"""One signal of a dialect: a value to its raw integer and back, with rounding and clamping.

What the inverter must not exceed is never clamped to more than was decided: it is refused, and nothing is sent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.model import GatewayError
from outputs.inverter.keys import BOUNDS, Value, Values

TINY: Final = 1e-6  # of a raw step: noise of the division, not a reason to round to the next step


@dataclass(frozen=True, slots=True)
class Coder:
    """How one signal turns a value into a raw integer and back."""

    key: str
    coding: str
    scale: float = 1.0
    offset: float = 0.0
    digits: int = 0  # decimals that a decoded number has
    low: int = 0  # raw range
    high: int = 0
    rounding: str = "nearest"
    start: int = 0
    when_unknown: str = "start_value"
    raised: int = 1
    size: int = 0  # bytes, of texts
    little_endian: bool = True
    pad: int = 0
    text_offset: int = 0
    fallback: str = ""
    group: tuple[str, ...] = ()  # (key of the group, level, entry)
    remark: str = ""  # the file's comment

    def raw(self, values: Values, clamped: list[str] | None = None) -> int:
        """The raw integer to send for this signal; clamped values are noted.  Raises GatewayError for a non-number."""
        value = self.find(values)
        if self.coding == "flag":
            return self.raised if value or values.get(self.fallback) or self._grouped(values) else self.start
        if value is None or self.coding == "constant":
            return self.start
        if self.coding == "number":
            return self._number(value, clamped)
        data = self._text(str(value)) if self.coding == "text" else self._version(str(value))
        return int.from_bytes(data, "little" if self.little_endian else "big")

    def find(self, values: Values) -> Value | None:
        """The value given for this signal or, failing that, for its fallback."""
        value = values.get(self.key)
        return values.get(self.fallback) if value is None and self.fallback else value

    def value(self, raw: int) -> float | str | None:
        """What a raw integer says; None = not known, or nothing readable."""
        if self.when_unknown in ("absent", "cut") and raw == self.start:
            return None
        if self.coding == "number":
            number = raw * self.scale + self.offset
            return round(number, self.digits) if self.digits else round(number)
        if self.coding == "flag":
            return int(raw == self.raised)
        data = raw.to_bytes(self.size, "little" if self.little_endian else "big")
        return f"{data[0]:X}.{data[1]:X}" if self.coding == "hex_version" else _readable(data)

    def stand_in(self) -> float | str | None:
        """What a reader takes the start value for; None = for nothing, or for a flag that is not raised."""
        return None if self.coding in ("flag", "constant") else self.value(self.start)

    def _number(self, value: Value, clamped: list[str] | None) -> int:
        if isinstance(value, str | Mapping | tuple) or not _finite(value):
            raise GatewayError(f"{self.key}: {value!r} is not a finite number")
        ends = (self.low - 2, self.high + 2)  # far beyond them a float is no integer any more
        steps = min(max((value - self.offset) / self.scale, ends[0]), ends[1])
        if self.rounding == "down":
            raw = math.floor(steps + TINY)
        elif self.rounding == "up":
            raw = math.ceil(steps - TINY)
        else:
            raw = math.floor(steps + 0.5 + TINY)
        if self.low <= raw <= self.high:
            return raw
        least = self.low * self.scale + self.offset
        if raw < self.low and least > 0 and self.key in BOUNDS:
            raise GatewayError(f"{self.key}: {value:g} is less than the {least:g} that this dialect can say at least")
        if clamped is not None:
            clamped.append(self.key)
        return self.low if raw < self.low else self.high

    def _text(self, text: str) -> bytes:
        whole = shown(text).encode("ascii")
        return whole[self.text_offset :][: self.size].ljust(self.size, bytes((self.pad,)))

    def _version(self, text: str) -> bytes:
        try:
            major, minor = (int(part, 16) for part in text.split("."))
            return bytes((major, minor))
        except ValueError:
            raise GatewayError(f'{self.key}: expected "major.minor", hex digits up to FF.FF, not {text!r}') from None

    def _grouped(self, values: Values) -> bool:
        if not self.group or self.group[0] not in values:
            return False
        group, level, entry = self.group
        flags: Any = values[group]
        return entry in flags.get(level, ())


def shown(text: str) -> str:
    """`text` with a ? for every character that an inverter's display has no letter for."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _readable(data: bytes) -> str | None:
    """Text without its padding; None when there is none or it is not printable."""
    text = data.rstrip(b"\0 ")
    return text.decode("ascii") if text and all(0x20 <= byte < 0x7F for byte in text) else None
