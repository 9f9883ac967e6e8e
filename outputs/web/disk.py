"""What the plots show, over a restart: blocks of rows at the end of a file a day, one an hour.

A block is b"BGH1", the lengths of its two parts and their CRC-32 (little endian, u32 each); the names of its columns as
JSON; then rows of a time (f64, s since the epoch) and a float for each column.  One that is torn or damaged ends its
file: what is before it counts.  Sheet: face.md chapter 5 (what a commit costs an SD card).
"""

import json
import logging
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

log = logging.getLogger("bms_gateway.web")

Rows = Sequence[tuple[float, Mapping[str, float]]]
MAGIC: Final = b"BGH1"
HEAD: Final = struct.Struct("<4sIII")
FOLDER: Final = "history"
DAYS: Final = 31  # files
LARGEST: Final = 64 * 1024 * 1024  # bytes of one file; ours have 1 MB at most


def save(directory: Path, rows: Rows) -> None:
    """Add rows to the file of the day of the last one; the oldest files go.  Raises OSError."""
    if not rows:
        return
    folder = directory / FOLDER
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    day = datetime.fromtimestamp(rows[-1][0], UTC).date()
    with (folder / f"{day}.rows").open("ab") as file:
        file.write(pack(rows))
    for old in _files(folder)[:-DAYS]:  # by their number: the date may be wrong, and right again tomorrow
        old.unlink(missing_ok=True)


def load(directory: Path) -> Iterator[tuple[float, dict[str, float]]]:
    """Every row that can be read, the oldest first.  Raises OSError."""
    folder = directory / FOLDER
    for file in _files(folder)[-DAYS:] if folder.is_dir() else ():
        if file.stat().st_size > LARGEST:
            log.warning("%s: too large to be ours, left out", file)
            continue
        raw, at = file.read_bytes(), 0
        while at < len(raw):
            block = unpack(raw, at)
            if block is None:
                log.warning("%s: damaged after %d bytes, the rest is left out", file, at)
                break
            rows, at = block
            yield from rows


def pack(rows: Rows) -> bytes:
    """A block."""
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    head, form = json.dumps(names).encode(), struct.Struct(f"<d{len(names)}f")
    body = b"".join(form.pack(wall, *(row.get(name, math.nan) for name in names)) for wall, row in rows)
    return HEAD.pack(MAGIC, len(head), len(body), zlib.crc32(head + body)) + head + body


def unpack(raw: bytes, at: int) -> tuple[list[tuple[float, dict[str, float]]], int] | None:
    """The rows of the block at `at`, and where the next one begins; None for what is no whole block."""
    if len(raw) - at < HEAD.size:
        return None
    magic, names_size, rows_size, checksum = HEAD.unpack_from(raw, at)
    start, end = at + HEAD.size, at + HEAD.size + names_size + rows_size
    if magic != MAGIC or end > len(raw) or zlib.crc32(raw[start:end]) != checksum:
        return None
    names = json.loads(raw[start : start + names_size])
    form = struct.Struct(f"<d{len(names)}f")
    found = form.iter_unpack(raw[start + names_size : end])
    return [(values[0], dict(zip(names, values[1:], strict=True))) for values in found], end


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("????-??-??.rows"))
