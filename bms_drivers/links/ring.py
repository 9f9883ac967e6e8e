"""What went over a link lately, byte for byte, with its time: always on, so that a fault need not happen twice.

    first (16 kB, kept for good: who it was that answered) | chunk | chunk | ... | newest chunk

Bounded by bytes and by age.  A record is appended to a chunk as it came; a chunk that is full is compressed, to a third
mostly.  Nothing is looked at before somebody asks; then the chunks are taken as they are kept.  Sheet: face.md 7.
"""

import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from bms_drivers.links.can import CanFrame

FIRST: Final = 16 * 1024  # bytes that are never dropped
CHUNK: Final = 16 * 1024  # bytes that are dropped at a time
MOST: Final = 2 * 1024 * 1024  # bytes
OLDEST: Final = 3600.0  # s
HEAD: Final = struct.Struct("<dBI")  # time [s, monotonic], way, bytes that follow
RX, TX, CAN = 0, 1, 2  # ways; CAN is added to them where the bytes begin with the identifier, as Frame.kind
ID_SIZE: Final = 4  # bytes of an identifier
QUICKLY: Final = 1  # of zlib's levels

Kept = tuple[bytes, ...]
"""Some chunks, compressed."""


class Record(NamedTuple):
    """One piece, as the system handed it over."""

    at: float  # s, monotonic
    way: int
    data: bytes


class _Chunk(NamedTuple):
    """A full one."""

    until: float  # s, monotonic
    size: int  # bytes, as they were said
    kept: bytes


class Ring:
    """The newest of one link.  `add` and `add_frame` are taps; none of it raises."""

    def __init__(self, most: int = MOST, oldest: float = OLDEST, clock: Callable[[], float] = time.monotonic) -> None:
        """`most` bytes, as they were said, beside the first ones; none of them much older than `oldest` s."""
        self.most, self._oldest, self._clock = most, oldest, clock
        self._first = self._newest = bytearray()
        self._chunks: deque[_Chunk] = deque()  # full ones, after the first one
        self._size = 0  # bytes, as they were said in these

    def add(self, way: Literal["tx", "rx"], data: bytes, kind: int = 0) -> None:
        """Keep what just went over the line; `kind` is added to its way."""
        now, newest = self._clock(), self._newest
        if len(newest) >= CHUNK:
            newest = self._turn(now)
        newest += HEAD.pack(now, kind + (TX if way == "tx" else RX), len(data)) + data

    def add_frame(self, way: Literal["tx", "rx"], frame: "CanFrame") -> None:
        """Keep a frame of a CAN bus."""
        self.add(way, frame.kind.to_bytes(ID_SIZE, "big") + frame.data, CAN)

    def _turn(self, now: float) -> bytearray:
        """Begin another chunk, which it returns, and drop what is too much or too old."""
        chunks, full = self._chunks, self._newest
        self._newest = bytearray()
        if full is not self._first:
            chunks.append(_Chunk(now, len(full), zlib.compress(full, QUICKLY)))
            self._size += len(full)
        while chunks and (self._size > self.most or chunks[0].until < now - self._oldest):
            self._size -= chunks.popleft().size
        return self._newest

    @property
    def size(self) -> int:
        """Bytes that can be told, as they were said."""
        return len(self._first) + self._size + len(self._growing)

    @property
    def held(self) -> int:
        """Bytes of memory for them."""
        return len(self._first) + sum([len(chunk.kept) for chunk in self._chunks]) + len(self._growing)

    @property
    def _growing(self) -> bytearray:
        """The newest chunk, if it is not the first one."""
        return bytearray() if self._newest is self._first else self._newest

    def first(self) -> bytes:
        """The first records of all."""
        return bytes(self._first)

    def last(self, seconds: float) -> bytes:
        """The records of the last `seconds`, as far as they are in the newest chunk."""
        since, at = self._clock() - seconds, 0
        while at < len(self._newest):
            when, _, size = HEAD.unpack_from(self._newest, at)
            if when >= since:
                break
            at += HEAD.size + size
        return bytes(self._newest[at:])

    def newest(self, seconds: float = OLDEST, most: int = MOST) -> Kept:
        """The records of the last `seconds`, `most` bytes of them; the first ones of all are not among them."""
        since, size = self._clock() - seconds, len(self._growing)
        taken = [zlib.compress(self._growing, QUICKLY)]
        for chunk in reversed(self._chunks):
            size += chunk.size
            if chunk.until < since or size > most:
                break
            taken.append(chunk.kept)
        return tuple(reversed(taken))


def joined(kept: Kept) -> bytes:
    """What was kept, as it was said."""
    return b"".join(map(zlib.decompress, kept))


def records(raw: bytes) -> Iterator[Record]:
    """The records in bytes of a ring."""
    at = 0
    while at < len(raw):
        when, way, size = HEAD.unpack_from(raw, at)
        at += HEAD.size
        yield Record(when, way, raw[at : at + size])
        at += size


def exchanges(found: Iterable[Record]) -> Iterator[dict[str, object]]:
    """What was said on a line as the vector format has it, each with its times: {"at", "until", "tx", "rx": [hex]}.

    What is heard where nobody asked is an exchange of its own, with an empty request.
    """
    at = until = 0.0
    asked, heard, open_ = b"", bytearray(), False
    for record in found:
        if record.way == TX or (open_ and not asked):
            if open_:
                yield _exchange(at, until, asked, heard)
            open_ = False
        if not open_:
            at, asked, heard, open_ = record.at, record.data if record.way == TX else b"", bytearray(), True
        if record.way == RX:
            heard += record.data
        until = record.at
    if open_:
        yield _exchange(at, until, asked, heard)


def _exchange(at: float, until: float, asked: bytes, heard: bytes | bytearray) -> dict[str, object]:
    rx = [bytes(heard).hex()] if heard else []
    return {"at": round(at, 4), "until": round(until, 4), "tx": asked.hex(), "rx": rx}


def frames(found: Iterable[Record]) -> Iterator[dict[str, object]]:
    """The frames of a CAN bus as the vector format has them: {"at", "id", "ext", "data"}, sent ones marked."""
    for record in found:
        if record.way >= CAN:
            kind = int.from_bytes(record.data[:ID_SIZE], "big")
            frame = {
                "at": round(record.at, 4), "id": f"0x{kind & 0x1FFFFFFF:X}", "ext": bool(kind >> 31),
                "data": record.data[ID_SIZE:].hex(),
            }  # fmt: skip
            yield {**frame, "sent": True} if record.way == CAN + TX else frame
