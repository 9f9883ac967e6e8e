"""What cantools has read in a DBC file as plain tables."""

from typing import Any

from dbc.table import Message, Signal


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
