"""Questions as they come over a line: torn, damaged, in other forms, among noise; and what is answered to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.validation import validated
from outputs.rs485_bms.dialects import CLASSES, make, resembles
from outputs.rs485_bms.heard import Heard, Other, Request
from outputs.rs485_bms.modbus import sealed
from outputs.rs485_bms.pylontech import info_of
from outputs.rs485_bms.values import filled, settled
from outputs.rs485_bms.wire import Wire
from tests.rs485_bms.inverter import pylon, read

VALUES, _ = filled({"soc": 60.0, "voltage": 53.2, "current": 20.0, "charge_voltage_limit": 55.2,
                    "charge_current_limit": 50.0, "discharge_current_limit": 60.0, "capacity": 280.0,
                    "charge_enable": 1, "discharge_enable": 1})  # fmt: skip
GOOD = {"pylontech": pylon(0x61), "growatt": read(0x10, 0x1B), "voltronic": read(0x70, 8)}


def heard(name: str, raw: bytes) -> list[Heard]:
    return list(make(name, Wire()).split(bytearray(raw)))


def asked(name: str, raw: bytes) -> list[str]:
    return [one.what for one in heard(name, raw) if isinstance(one, Request) and one.ours]


USUAL = Wire()


def answer(name: str, raw: bytes, wire: Wire = USUAL) -> bytes:
    """What is answered to the only question in `raw`."""
    dialect = make(name, wire)
    (request,) = [one for one in dialect.split(bytearray(raw)) if isinstance(one, Request)]
    return dialect.reply(request, dialect.image(settled(VALUES), []))


@pytest.mark.parametrize("name", CLASSES)
@settings(deadline=None)
@given(pieces=st.lists(st.integers(1, 9), min_size=30), noise=st.binary(max_size=6).filter(lambda raw: b"~" not in raw))
def test_any_chopping_is_the_same(name: str, pieces: list[int], noise: bytes) -> None:
    dialect, stream, buffer, found = make(name, Wire()), GOOD[name] + noise.replace(b"\r", b"") * 2, bytearray(), []
    for size in pieces:
        buffer += stream[:size]
        stream = stream[size:]
        found += [one for one in dialect.split(buffer) if isinstance(one, Request) and not one.code]
    assert [one.raw for one in found][:1] == [GOOD[name]]


@pytest.mark.parametrize("name", CLASSES)
@settings(deadline=None)
@given(raw=st.binary(max_size=600) | st.text("~\r0123456789ABCDEFabcdef", max_size=200).map(str.encode))
def test_any_bytes_are_questions_or_noise_and_never_an_error(name: str, raw: bytes) -> None:
    dialect, buffer = make(name, Wire()), bytearray(raw)
    image = dialect.image(VALUES, [])
    for one in dialect.split(buffer):
        assert isinstance(one, Other) or not one.ours or dialect.reply(one, image)
    assert len(buffer) <= len(raw)


@pytest.mark.parametrize("name", CLASSES)
@settings(deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 30)), min_size=1, max_size=3))
def test_a_damaged_question_is_never_answered_with_values(name: str, flips: list[tuple[int, int]]) -> None:
    raw = bytearray(GOOD[name])
    for bit, place in flips:
        raw[place % len(raw)] ^= 1 << bit
    if bytes(raw).upper() != GOOD[name].upper():
        sound = [one for one in heard(name, bytes(raw)) if isinstance(one, Request) and one.ours and not one.code]
        assert sound == []


# ---- Pylontech


@pytest.mark.parametrize(
    "question",
    [
        b"~20024642E00202FD33\r", b"~20024642C0040201FDD2\r", b"~200246420000FDAB\r", b"~28024642E00202FD2B\r",
        b"\x00\xffgarbage~~20~20024642E00202FD33\r", b"~20024642E00202FD33\r\n",
    ],
)  # fmt: skip
def test_every_form_of_one_question_is_the_same(question: bytes) -> None:
    text = question[question.rfind(b"~") + 1 : question.rfind(b"\r") - 4]
    sealed_text = b"%04X" % (-sum(text) & 0xFFFF)
    question = question.replace(question[question.rfind(b"\r") - 4 : question.rfind(b"\r")], sealed_text)
    assert info_of(answer("pylontech", question)) == info_of(answer("pylontech", pylon(0x42)))


def test_the_version_of_the_question_is_answered_and_4f_says_ours() -> None:
    assert answer("pylontech", pylon(0x61, version=0x28))[1:3] == b"28"
    assert answer("pylontech", pylon(0x4F, version=0x25))[1:3] == b"20"
    assert answer("pylontech", pylon(0x4F), Wire(protocol_version="35"))[1:3] == b"35"


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (pylon(0x61).replace(b"FD", b"FE"), b"02"),
        (b"~200246611000FDAA\r", b"03"),
        (b"~20024661E002FDA4\r", b"03"),
        (b"~20024661E002zzFCB0\r", b"05"),
        (pylon(0x99), b"04"),
        (pylon(0x94, bytes(6)), b"04"),
        (pylon(0x95, b"\x02"), b"04"),
        (pylon(0x64), b"04"),
    ],
)
def test_what_is_wrong_with_a_question_is_answered(question: bytes, code: bytes) -> None:
    text = question[1:-5]
    if code != b"02":
        question = b"~" + text + b"%04X\r" % (-sum(text) & 0xFFFF)
    told = answer("pylontech", question)
    assert told[7:9] == code and len(told) == 18, told


@pytest.mark.parametrize(
    "raw", [b"~\r", b"~2002\r", b"~20024661\r", b"~zz0246610000FDAB\r", b"~20024A610000FDA0\r", b"\r\r"]
)
def test_what_is_no_question_is_noise(raw: bytes) -> None:
    assert [one for one in heard("pylontech", raw) if isinstance(one, Request)] == []


def test_an_answer_is_no_question_and_other_addresses_are_others() -> None:
    (one,) = heard("pylontech", answer("pylontech", pylon(0x61)))
    assert isinstance(one, Other) and one.reason == "answer"
    for address in (0x00, 0x03, 0x12, 0xFF):
        assert asked("pylontech", pylon(0x61, address=address)) == []
    assert asked("pylontech", pylon(0x61)) == ["61"]


@pytest.mark.parametrize("command", [0x42, 0x44, 0x92, 0x93, 0x96])
def test_no_second_pack_answers_behind_the_same_address(command: int) -> None:
    for info in (b"", b"\x02", b"\x02\x01", b"\x02\x02", b"\0", b"\x02\xff"):
        assert answer("pylontech", pylon(command, info))[7:9] == b"00"
    for info in (b"\x03", b"\x12", b"\x03\x01"):
        assert answer("pylontech", pylon(command, info))[7:9] == b"90"


def test_one_battery_is_one_pack() -> None:
    info = info_of(answer("pylontech", pylon(0x42, b"\xff")))
    assert info[:2] == b"\x00\x01"
    assert (
        make("pylontech", Wire()).read(pylon(0x42, b"\xff"), answer("pylontech", pylon(0x42, b"\xff")))["modules"] == 1
    )


# ---- registers


@pytest.mark.parametrize(("start", "count"), [(0x01, 15), (0x10, 27), (0x13, 17), (0x20, 11), (0x70, 17), (0x71, 16)])
def test_any_range_of_the_map_is_answered(start: int, count: int) -> None:
    told = answer("growatt", read(start, count))
    assert told[:3] == bytes((1, 3, 2 * count)) and len(told) == 5 + 2 * count


@pytest.mark.parametrize(
    ("question", "code"),
    [(read(0x90, 2), 2), (read(0x10, 0), 3), (read(0x10, 126), 3), (read(0x10, 1, function=4), 1),
     (read(0x13, 1, function=6), 1), (sealed(bytes((1, 16, 0, 0x13, 0, 1, 2, 0, 0))), 1)],
)  # fmt: skip
def test_what_cannot_be_read_is_an_exception_and_nothing_is_written(question: bytes, code: int) -> None:
    assert answer("growatt", question) == sealed(bytes((1, question[1] | 0x80, code)))


def test_the_end_that_is_set_is_an_exception() -> None:
    assert answer("growatt", read(0x20, 11), Wire(registers_end=0x1F)) == sealed(b"\x01\x83\x01")


def test_a_damaged_question_is_answered_by_voltronic_alone() -> None:
    damaged = read(0x70, 8)[:-1] + b"\0"
    assert answer("voltronic", damaged) == sealed(b"\x01\x83\x03")
    assert [type(one) for one in heard("growatt", damaged)] == [Other]
    assert answer("voltronic", read(0x70, 8, function=4)) == sealed(b"\x01\x84\x02")
    assert answer("voltronic", read(0x7F, 3))[4:10] == bytes(6), "a register that does not exist is 0"


@pytest.mark.parametrize(("framing", "length"), [("words", b"\0\x08"), ("bytes16", b"\0\x10"), ("bytes", b"\x10")])
def test_the_length_field_is_as_set(framing: str, length: bytes) -> None:
    wire = validated(Wire, {"framing": framing})
    told = answer("voltronic", read(0x70, 8), wire)
    assert told[2:].startswith(length)
    assert make("voltronic", wire).read(read(0x70, 8), told)["charge_voltage_limit"] == 55.2


@pytest.mark.parametrize("glitch", [b"\0", b"\xff", b"\0\0\xff"])
def test_a_glitch_of_a_line_that_is_let_go_of_is_no_question_that_begins(glitch: bytes) -> None:
    buffer = bytearray(glitch + read(0x10, 27) + glitch)
    assert [one.what for one in make("growatt", Wire()).split(buffer) if isinstance(one, Request)] == ["03 10+1B"]
    assert not buffer


def test_a_foreign_dialect_is_recognised() -> None:
    assert resembles(pylon(0x63), but=("growatt",)) == ["pylontech"]
    assert resembles(read(0x13, 17), but=("pylontech",)) == ["growatt", "voltronic"]
    assert resembles(b"\x7f" * 40) == []
