"""The words in which drivers are written."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bms_drivers import kit
from bms_drivers.kit import registry
from bms_drivers.kit.decode import decode
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import converse, rtu
from bms_drivers.links.replay import ReplayLink
from gateway.config.schema import battery_class, gathered
from gateway.model import BadLength, DeviceRefused, Reading
from gateway.model.validation import validated
from tests.vectors import cases


def test_crc8_of_the_check_string() -> None:
    assert kit.crc8(b"123456789") == 0xF4  # as any catalogue of CRCs gives it for polynomial 07


@given(values=st.lists(st.integers(0, 0xFFFF), max_size=20), at=st.integers(0, 5), order=st.sampled_from("<>"))
def test_words_are_read_from_their_place_and_never_from_beyond_the_end(values: list[int], at: int, order: str) -> None:
    data = bytes(at) + struct.pack(f"{order}{len(values)}H", *values)
    assert kit.words(data, at, len(values), order) == tuple(values)
    assert [v & 0xFFFF for v in kit.signed_words(data, at, len(values), order)] == values
    with pytest.raises(BadLength):
        kit.words(data, at, len(values) + 1, order)


def test_flags_are_lowest_bit_first() -> None:
    assert kit.flags(0b0110, 4) == (False, True, True, False)
    assert [kit.flags(word, count) for word, count in ((2, 2), (1, 2), (2, 2), (2, 1))] == [
        (False, True), (True, False), (False, True), (False,),
    ]  # fmt: skip


def test_no_bit_raises_nothing_of_what_is_supported() -> None:
    assert kit.alarm_bits(0, {0: ("low_voltage", 1)}, ("low_voltage", "low_soc")) == {"low_voltage": 0, "low_soc": 0}


def test_raw_numbers_become_volts_and_degrees() -> None:
    assert kit.divided((3305, 0), 1000) == (3.305, 0.0)
    assert kit.divided((2981, 2731, 2721), 10, less=2731) == (25.0, 0.0, -1.0)


def test_a_negative_scale_turns_the_sign_and_leaves_no_negative_zero() -> None:
    table = kit.Table(">", kit.Field("current", 0, "i16", -0.1, "A"))
    assert table.read(b"\x00\x03") == {"current": -0.3}
    assert str(table.read(b"\x00\x00")["current"]) == "0.0"


NUMBERS = {"u8": "B", "i16": "h", "u32": "I"}
FIELDS = st.lists(
    st.builds(
        kit.Field, st.sampled_from(["a", "b", "_c", "d"]), st.integers(0, 9), st.sampled_from(list(NUMBERS)),
        st.sampled_from([1, 1.0, 0.1, 0.001, 10, -0.5]), plus=st.sampled_from([0, -30000]),
    ),
    min_size=1, max_size=5, unique_by=lambda field: field.name,
)  # fmt: skip


@examples(max_examples=40, deadline=None)
@given(fields=FIELDS, payload=st.binary(min_size=13, max_size=13), order=st.sampled_from("<>"))
def test_each_field_of_a_table_is_the_number_at_its_place(fields: list[kit.Field], payload: bytes, order: str) -> None:
    read = kit.Table(order, *fields).read(payload)
    for field in fields:
        (raw,) = struct.unpack_from(order + NUMBERS[field.type], payload, field.offset)
        assert read[field.name] == pytest.approx((raw + field.plus) * field.scale)
        assert isinstance(read[field.name], int) is (field.scale in (1, 10)), "what is whole stays whole"


def test_fields_of_a_block_are_numbered_by_register() -> None:
    table = kit.by_register(100, kit.Field("voltage", 101, "u16", 0.1, "V"))
    assert table.read(b"\x00\x01\x02\x03") == {"voltage": 51.5}


# ---- Modbus answers

READ = kit.Registers(unit=5, address=0x10, count=1)
ANSWER = rtu.sealed(b"\x05\x03\x02\x12\x34")


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_an_answer_of_another_unit_is_foreign_and_waited_past(cut: int) -> None:
    answer = Answer(rtu.question(READ))
    stream = rtu.sealed(b"\x06\x03\x02\x12\x34") + ANSWER
    assert [answer.feed(stream[:cut]), answer.feed(stream[cut:])] == [False, True]
    assert (answer.foreign, answer.frames[0].address, answer.frames[0].payload) == (1, 5, b"\x12\x34")


def test_a_unit_that_may_answer_too_is_accepted_and_named() -> None:
    answer = Answer(rtu.question(kit.Registers(unit=5, address=0x10, count=1, also=(255,))))
    assert answer.feed(rtu.sealed(b"\xff\x03\x02\x12\x34"))
    assert answer.frames[0].address == 255


def test_a_refusal_of_another_unit_is_foreign() -> None:
    answer = Answer(rtu.question(READ))
    assert not answer.feed(rtu.sealed(b"\x06\x83\x02"))
    assert answer.foreign == 1


def test_a_talk_may_do_without_what_was_refused() -> None:
    recording = {
        "exchanges": [
            {"tx": rtu.sealed(b"\x05\x03\x00\x10\x00\x01").hex(), "rx": [rtu.sealed(b"\x05\x83\x02").hex()]},
            {"tx": rtu.sealed(b"\x05\x03\x00\x11\x00\x01").hex(), "rx": [ANSWER.hex()]},
        ]
    }

    def talk() -> kit.Talk:
        try:
            yield READ
        except DeviceRefused:
            frames = yield kit.Registers(unit=5, address=0x11, count=1)
            return {"_got": frames[0].payload}
        raise AssertionError("it was refused")

    assert asyncio.run(converse(ReplayLink(recording), talk())) == {"_got": b"\x12\x34"}


def test_a_recording_that_names_no_address_is_read_at_its_own() -> None:
    [case] = [case for case in cases("jk_pb") if case.name == "pb2a16s20p_fw15_41_addr3"]
    recording = {**case.data, "config": {}}
    assert decode(registry.load("jk_pb"), recording).readings[""].voltage == case.data["expected"]["voltage"]
    assert not decode(registry.load("jk_pb"), recording, {"address": 1}).readings


# ---- sessions and settings


def step(**more: object) -> kit.Poll:
    return kit.Poll("own", kit.simple(READ, lambda frames, setup, known: {}), **more)  # type: ignore[arg-type]


def driver(poll: kit.Poll, *options: kit.Option) -> kit.Driver:
    return kit.Driver(
        name="some",
        title="some",
        plan=(poll,),
        assemble=kit.alone(),
        detection=kit.Detection(("own",), lambda values: ""),
        options=options,
    )


def test_what_an_answer_no_longer_tells_is_not_known_any_more() -> None:
    """A sensor that is not there now must not live on as it was, with the date of the new answer."""
    session = Session(driver(step()))
    poll = session.driver.plan[0]
    session.learnt(poll, {"voltage": 50.0, "mosfet_temperature": 20.0}, 0.0)
    session.learnt(poll, {"voltage": 51.0}, 1.0)
    assert session.readings()[""] == Reading(voltage=51.0)


def test_what_is_never_answered_is_asked_once_an_hour() -> None:
    session = Session(driver(step(give_up=5)))
    for second in range(5):
        assert session.due(float(second)) == [session.driver.plan[0]]
        session.missed(session.driver.plan[0], float(second))
    assert session.due(3603.0) == []
    assert session.due(3605.0) == [session.driver.plan[0]]
    session.learnt(session.driver.plan[0], {}, 3605.0)
    assert session.due(3606.0) == [session.driver.plan[0]]


def test_an_option_with_choices_takes_no_other_value() -> None:
    options = driver(step(), kit.Option("variant", None, "", kind=str, choices=("pro",))).options

    def setup(**said: str) -> kit.Setup:
        kind = battery_class("some", options)
        return gathered(validated(kind, {"name": "a", "driver": "some", "port": "/dev/x", **said}), options).setup

    assert setup(variant="pro") == {"variant": "pro"}
    assert setup() == {}
    with pytest.raises(ValueError, match="pro"):
        setup(variant="Pro")
