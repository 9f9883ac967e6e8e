"""Records that are walked, frames of hex text, rows of alarm bits."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused
from tests.bms_drivers.hex_text import frame

RECORD = kit.Walk(
    ">",
    kit.Next("_flag", "u8"),
    kit.Next("cell_voltages", "u16", 0.001, "V", counted=True),
    kit.Next("temperatures", "i16", 0.1, "°C", -2731, counted=True),
    kit.Next("current", "i16", 0.01, "A"),
)


def test_a_record_is_walked_by_its_counts() -> None:
    raw = bytes.fromhex("07 03 0CE4 0CE5 0CE6 01 0BB8 FF9C AA".replace(" ", ""))
    assert RECORD.end(raw) == 13
    assert RECORD.read(raw) == {
        "_flag": 7, "cell_voltages": (3.3, 3.301, 3.302), "temperatures": (26.9,), "current": -1.0,
    }  # fmt: skip
    assert RECORD.read(b"\0\0" + raw, 2) == RECORD.read(raw)
    assert RECORD.names == ("cell_voltages", "temperatures", "current")


@pytest.mark.parametrize("size", range(13))
def test_a_record_that_does_not_fit_is_none(size: int) -> None:
    raw = bytes.fromhex("07030CE40CE50CE6010BB8FF9C")[:size]
    assert RECORD.end(raw) == 0
    with pytest.raises(BadLength, match=f"does not fit into {size} bytes"):
        RECORD.read(raw)


infos = st.binary(max_size=60)
byte = st.integers(0, 255)


@given(infos, byte, byte, byte, st.lists(st.integers(0, 200), max_size=8))
def test_a_frame_of_hex_text_is_read_as_it_was_made_however_it_is_cut(
    info: bytes, version: int, address: int, code: int, cuts: list[int]
) -> None:
    raw = kit.hex_frame(version, address, 0x46, code, info)
    assert raw == frame(version, address, 0x46, code, info)
    split, buffer, found = kit.hex_splitter(), bytearray(), []
    places = sorted({0, len(raw), *(min(cut, len(raw)) for cut in cuts)})
    for start, end in pairwise(places):
        buffer += raw[start:end]
        found += list(split(buffer))
    assert found == [kit.Frame(kind=version << 8 | 0x46, payload=info, address=address, status=code, raw=raw)]


@given(infos, st.integers(1, 200), st.integers(1, 255))
def test_a_changed_byte_never_changes_what_a_frame_says(info: bytes, place: int, change: int) -> None:
    raw = bytearray(kit.hex_frame(0x20, 1, 0x46, 0, info))
    raw[place % len(raw)] ^= change
    for item in kit.hex_splitter()(raw):
        if isinstance(item, kit.Frame):
            assert (item.kind, item.address, item.status, item.payload) == (0x2046, 1, 0, info)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("~20004642E00200FD38\r", "checksum"),
        ("~20004642F00200FD36\r", "length"),
        ("~20004642E00400FD35\r", "length"),
        ("~2000\r", "length"),
        ("~20004642E00200FDXX\r", "noise"),
        ("nothing\r", "noise"),
    ],
)
def test_what_is_no_frame_is_dropped_by_its_reason(text: str, reason: str) -> None:
    (item,) = kit.hex_splitter()(bytearray(text.encode()))
    assert isinstance(item, kit.Dropped)
    assert item.reason == reason


def test_a_start_inside_noise_hides_no_frame() -> None:
    good = frame(0x25, 1, 0x46, 0, b"\1\2")
    items = list(kit.hex_splitter()(bytearray(b"x~20\r\n~2501" + good + b"~25")))
    assert [item.raw for item in items if isinstance(item, kit.Frame)] == [good]


def test_another_start_byte_is_another_bus() -> None:
    raw = frame(0x22, 1, 0x42, 0, b"\1", start=">")
    assert [type(item) for item in kit.hex_splitter(b">")(bytearray(raw))] == [kit.Frame]
    assert [type(item) for item in kit.hex_splitter()(bytearray(raw))] == [kit.Dropped]


def test_a_return_code_that_is_not_0_is_a_refusal() -> None:
    assert kit.hex_info([kit.Frame(kind=0, payload=b"\7")]) == b"\7"
    with pytest.raises(DeviceRefused, match="return code 04, unknown command"):
        kit.hex_info([kit.Frame(kind=0, payload=b"", status=4)])
    with pytest.raises(DeviceRefused, match="return code 77, unknown code"):
        kit.hex_info([kit.Frame(kind=0, payload=b"", status=0x77)])


def test_alarm_rows_and_pairs_number_the_bits_of_one_word() -> None:
    low = kit.two_levels("low_voltage", "low_soc")
    assert low == {0: ("low_voltage", 1), 1: ("low_voltage", 2), 2: ("low_soc", 1), 3: ("low_soc", 2)}
    assert kit.alarm_rows({0: {7: ("low_soc", 2)}, 2: {0: ("low_soc", 1)}}) == {7: ("low_soc", 2), 16: ("low_soc", 1)}
    assert kit.alarm_rows({1: {3: ("low_soc", 1)}}, width=16) == {19: ("low_soc", 1)}
