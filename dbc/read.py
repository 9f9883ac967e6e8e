"""The text of a DBC file, and what cantools has read in it as plain tables."""

import re
from pathlib import Path
from typing import Any, Final

from dbc.table import Message, Signal

ENCODING: Final = "cp1252"  # of DBC files, where they are not UTF-8
_SYNTAX: Final = re.compile(r'Invalid syntax at line (\d+), column (\d+): ".*?>>!<<(.{0,40})')


def text(file: Path) -> str:
    """What stands in it, without the mark that some editors put in front of UTF-8.  Raises OSError."""
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode(ENCODING, "replace")


def fault(file: Path, problem: Exception) -> str:
    """Why cantools makes nothing of the file, with the line at which it stopped."""
    place, said = str(file), " ".join(str(problem).split())
    if found := _SYNTAX.search(said):
        place, said = (
            f"{file}:{found[1]}",
            f"invalid from column {found[2]} on: {found[3].rstrip(chr(34)) or 'its end'}",
        )
    return f"{place}: not a DBC file that can be used: {said}"


def message(found: Any) -> Message:
    """One message of a cantools database."""
    signals = tuple(signal(one) for one in found.signals)
    return Message(found.name, found.frame_id, found.is_extended_frame, found.length, signals)


def signal(found: Any) -> Signal:
    """One of its signals."""
    return Signal(
        name=found.name, start=found.start, length=found.length,
        order="little" if found.byte_order == "little_endian" else "big", signed=found.is_signed,
        floating=found.is_float, scale=found.scale, offset=found.offset, minimum=found.minimum, maximum=found.maximum,
        unit=found.unit or "", selects=found.is_multiplexer, selected_by=found.multiplexer_signal or "",
        when=tuple(found.multiplexer_ids or ()),
    )  # fmt: skip
