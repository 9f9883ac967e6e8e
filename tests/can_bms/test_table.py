"""Frames by plain tables, against cantools: the same bits and numbers, of short and long frames, multiplexed too."""

from typing import Any

import cantools
from hypothesis import given, settings
from hypothesis import strategies as st

import dbc
from dbc import read
from dbc.table import Message, Undecodable

MIXED = """VERSION ""
BU_: X
BO_ 100 Mixed: 8 X
 SG_ intel : 3|11@1- (0.1,-40) [0|0] "V" X
 SG_ motorola : 23|12@0+ (2,5) [0|0] "" X
 SG_ byte : 39|8@0- (1,0) [0|0] "" X
BO_ 101 Parts: 8 X
 SG_ which M : 0|4@1+ (1,0) [0|0] "" X
 SG_ always : 4|4@1+ (1,0) [0|0] "" X
 SG_ first m0 : 8|16@1- (0.001,0) [0|0] "" X
 SG_ second m1 : 15|16@0+ (1,0) [0|0] "" X
 SG_ inner m2M : 8|8@1+ (1,0) [0|0] "" X
 SG_ deep m3 : 16|8@1+ (1,0) [0|0] "" X
BO_ 102 Numbers: 8 X
 SG_ single : 0|32@1- (1,0) [0|0] "" X
 SG_ other : 39|32@0- (0.5,1) [0|0] "" X
SG_MUL_VAL_ 101 first which 0-0;
SG_MUL_VAL_ 101 second which 1-1, 5-6;
SG_MUL_VAL_ 101 inner which 2-2;
SG_MUL_VAL_ 101 deep inner 3-4;
SIG_VALTYPE_ 102 single : 1;
SIG_VALTYPE_ 102 other : 1;
"""


def both(database: Any) -> list[tuple[Any, Message]]:
    return [(message, read.message(message)) for message in database.messages]


OURS = [pair for name in dbc.names() for pair in both(cantools.database.load_file(dbc.path(name), strict=False))]
ALL = OURS + both(cantools.database.load_string(MIXED, "dbc"))


def theirs(message: Any, data: bytes, *, scaling: bool) -> Any:
    """As cantools reads it; a text where it refuses."""
    try:
        return message.decode(data, decode_choices=False, scaling=scaling, allow_truncated=True)
    except cantools.database.DecodeError:
        return "refused"


def ours(table: Message, data: bytes, *, scaling: bool) -> Any:
    try:
        return table.values(data) if scaling else table.decode(data)
    except Undecodable:
        return "refused"


@given(st.integers(0, len(ALL) - 1), st.binary(max_size=9), st.booleans())
@settings(max_examples=600, deadline=None)
def test_any_frame_is_read_as_cantools_reads_it(which: int, data: bytes, scaling: bool) -> None:
    message, table = ALL[which]
    if table.name == "Numbers" and not scaling:
        return  # there cantools shows numbers, and never integers
    assert repr(ours(table, data, scaling=scaling)) == repr(theirs(message, data, scaling=scaling))


@given(st.sampled_from([pair for pair in ALL if not pair[0].is_multiplexed() and pair[1].name != "Numbers"]), st.data())
@settings(max_examples=300, deadline=None)
def test_any_integers_are_written_as_cantools_writes_them(pair: tuple[Any, Message], data: st.DataObject) -> None:
    message, table = pair
    raw = {}
    for signal in table.signals:
        bits = signal.length - signal.signed
        raw[signal.name] = data.draw(st.integers(-(1 << bits) if signal.signed else 0, (1 << bits) - 1))
    assert table.encode(raw) == message.encode(raw, scaling=False, strict=False)
