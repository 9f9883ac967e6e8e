"""What is found on the line, and what every dialect promises."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from outputs.inverter.keys import Values

Image = Mapping[str, bytes]
"""Answers that were encoded ahead, by what is asked; what the keys mean is the dialect's own."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question of the inverter."""

    what: str  # for people and for the image: "61", "03 10+1B"
    address: int
    raw: bytes
    ours: bool  # it is for us
    code: int = 0  # what is wrong with it: an error that is answered in place of values
    body: bytes = b""  # INFO, or function and registers
    version: int = 0


@dataclass(frozen=True, slots=True)
class Other:
    """Bytes that are no question: noise, checksum (a damaged question), answer (of another battery)."""

    reason: str
    raw: bytes


Heard = Request | Other


class Dialect(Protocol):
    """One way to ask a battery.  No I/O, no clock."""

    name: str
    baud: int  # usual
    keys: Container[str]  # names of the values that it carries

    def split(self, buffer: bytearray) -> Iterator[Heard]:
        """Take what is whole off the front of `buffer`; leave a question that has only begun."""

    def image(self, values: Values, clamped: list[str]) -> Image:
        """All answers that say `values`; what did not fit is added to `clamped`.  Raises GatewayError for no number."""

    def reply(self, request: Request, image: Image) -> bytes:
        """The answer to a question that is ours; b"" = silence."""

    def read(self, question: bytes, answer: bytes) -> dict[str, Any]:
        """What an answer says.  Raises FrameError."""


def shown(frame: bytes) -> str:
    """As text where it is text, else in hex."""
    return frame.decode("ascii").strip() if frame[:1] == b"~" and frame.isascii() else frame.hex(" ")
