"""The jk driver against frames built by hand from its sheet (jk.md)."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers import jk
from bms_drivers.kit.declare import Ask, Dropped, Frame, Question, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.replay import ReplayLink
from bms_drivers.sims.jk import build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, FrameError, Implausible, LinkTimeout, Reading, WrongDevice
from tests.vectors import cases

READ_ALL = bytes.fromhex("4E57001300000000060300000000000068000001 29")
ACTIVATE = bytes.fromhex("4E57001200000000010300000000006800000123")
Tags = dict[int, bytes]


def frame(info: bytes, *, command: int = 6, kind: int = 1, record: bytes = b"\0\0\0\1") -> bytes:
    """A frame of the sheet's section 3."""
    body = bytes(4) + bytes((command, 0, kind)) + info + record + b"\x68\0\0"
    whole = b"NW" + (len(body) + 4).to_bytes(2, "big") + body
    return whole + sum(whole).to_bytes(2, "big")


def tag_list(changes: Tags | None = None, *, cells: int = 4, without: Sequence[int] = ()) -> bytes:
    """A small but complete list: 4 cells at 3.3 V, 10 A charging, all on."""
    usual: Tags = {
        0x79: bytes((3 * cells,)) + b"".join(bytes((n,)) + (3300).to_bytes(2, "big") for n in range(1, cells + 1)),
        0x80: b"\0\x19", 0x81: b"\0\x14", 0x82: b"\0\x15", 0x83: (1320).to_bytes(2, "big"), 0x84: b"\x83\xe8",
        0x85: b"\x32", 0x86: b"\2", 0x87: b"\0\7", 0x8A: b"\0\4", 0x8B: b"\0\0", 0x8C: b"\0\3", 0x90: b"\x0e\x42",
        0x93: b"\x09\xc4", 0x97: b"\0\x64", 0x99: b"\0\x32", 0x9D: b"\1", 0xAA: b"\0\0\0\xc8", 0xAB: b"\1", 0xAC: b"\1",
        0xC0: b"\1",
    }  # fmt: skip
    tags = {**usual, **(changes or {})}
    return b"".join(bytes((tag,)) + tags[tag] for tag in sorted(tags) if tag not in without)


def case(*replies: bytes, request: bytes = READ_ALL) -> dict[str, Any]:
    return {"exchanges": [{"tx": request.hex(), "rx": [reply.hex()]} for reply in replies]}


def reading_of(info: bytes, **more: Any) -> Reading:
    async def run() -> Reading:
        session = Session(jk.DRIVER)
        poll = session.driver.poll("status")
        values = await converse(ReplayLink(case(frame(info, **more))), poll.talk(session.setup, session.known))
        session.learnt(poll, values, 0.0)
        return session.readings()[""]

    return asyncio.run(run())


def raised(reading: Reading) -> dict[str, int]:
    return {name: level for name, level in reading.alarms.items() if level}


def all_of(stream: bytes, cuts: Sequence[int] = ()) -> list[bytes]:
    """The frames in `stream`, fed in pieces."""
    buffer, found = bytearray(), []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        buffer += stream[start:end]
        found += [item.raw for item in jk.split(buffer) if isinstance(item, Frame)]
    return found


# ---- requests and writes


def test_the_request_is_that_of_the_sheet() -> None:
    assert jk.READ.request == READ_ALL
    assert jk.WAKE.request == ACTIVATE


@pytest.mark.parametrize(
    ("action", "value", "sent"),
    [
        ("charge", 1, "4E570014000000000203 02AB0100000000680000 01D4"),
        ("charge", 0, "4E570014000000000203 02AB0000000000680000 01D3"),
        ("discharge", 1, "4E570014000000000203 02AC0100000000680000 01D5"),
        ("discharge", 0, "4E570014000000000203 02AC0000000000680000 01D4"),
        ("balance", 1, "4E570014000000000203 029D0100000000680000 01C6"),
        ("balance", 0, "4E570014000000000203 029D0000000000680000 01C5"),
    ],
)
def test_a_switch_is_written_with_the_frame_of_the_sheet(action: str, value: int, sent: str) -> None:
    talk = jk.DRIVER.controls[action].talk(value, {}, {})
    asked = next(talk)
    assert isinstance(asked, Ask)
    assert asked.request == bytes.fromhex(sent)
    answer = Answer(asked)
    assert answer.feed(asked.request) is False  # an adapter's echo is no acknowledge
    assert answer.feed(frame(asked.request[11:12], command=2)) is True
    with pytest.raises(StopIteration):
        talk.send(answer.frames)


def test_an_acknowledge_of_another_register_is_a_refusal() -> None:
    sent = bytes.fromhex("4E57001400000000020302AB000000000068000001D3")
    link = ReplayLink(case(frame(b"\xac", command=2), request=sent))
    with pytest.raises(DeviceRefused, match="0xAB"):
        asyncio.run(converse(link, jk.DRIVER.controls["charge"].talk(0, {}, {})))


@pytest.mark.parametrize(("state", "charge", "discharge"), [(1, True, False), (2, False, True), (3, True, True)])
def test_a_switch_is_confirmed_by_the_fets_not_by_the_settings(state: int, charge: bool, discharge: bool) -> None:
    reading = reading_of(tag_list({0x8C: bytes((0, state))}))
    controls = jk.DRIVER.controls
    assert (reading.charge_allowed, reading.discharge_allowed) == (charge, discharge)
    assert controls["charge"].confirmed(0, reading) is not charge
    assert controls["discharge"].confirmed(1, reading) is discharge
    assert controls["balance"].confirmed(1, reading) is True
    assert controls["charge"].confirmed(1, Reading()) is None


# ---- values


def test_a_whole_list_becomes_a_reading() -> None:
    reading = reading_of(tag_list())
    assert (reading.voltage, reading.current, reading.soc, reading.charge_cycles) == (13.2, 10.0, 50, 7)
    assert reading.cell_voltages == (3.3,) * 4
    assert (reading.capacity, reading.remaining_capacity) == (200, 100.0)
    assert (reading.temperatures, reading.mosfet_temperature) == ((20.0, 21.0), 25.0)
    assert (reading.max_charge_current, reading.max_discharge_current) == (50, 100)
    assert (reading.cell_overvoltage_protection, reading.cell_undervoltage_protection) == (3.65, 2.5)
    assert (reading.balancing, reading.balance_allowed) == (False, True)
    assert reading.manufacturer == "JK"
    assert reading.soh is None
    assert reading.cell_balancing == ()


WARNINGS = {
    0: {"low_soc": 1},
    1: {"high_internal_temperature": 2},
    2: {"high_voltage": 2},
    3: {"low_voltage": 2},
    4: {"high_temperature": 2, "high_charge_temperature": 2},
    5: {"high_charge_current": 2},
    6: {"high_discharge_current": 2},
    7: {"cell_imbalance": 2},
    8: {"high_temperature": 2},
    9: {"low_charge_temperature": 2},
    10: {"high_cell_voltage": 2},
    11: {"low_cell_voltage": 2},
    12: {"internal_failure": 2},
    13: {"internal_failure": 2},
    14: {},
    15: {},
}


@pytest.mark.parametrize("bit", range(16))
def test_each_warning_bit_raises_its_alarm(bit: int) -> None:
    assert raised(reading_of(tag_list({0x8B: (1 << bit).to_bytes(2, "big")}))) == WARNINGS[bit]


def test_a_hot_battery_that_does_not_charge_is_no_charge_alarm() -> None:
    discharging = {0x8B: b"\0\x10", 0x84: b"\3\xe8"}
    assert raised(reading_of(tag_list(discharging))) == {"high_temperature": 2}


def test_cold_with_the_discharge_switch_open_is_low_temperature_too() -> None:
    cold = {0x8B: b"\2\0", 0x8C: b"\0\0"}
    assert raised(reading_of(tag_list(cold))) == {"low_charge_temperature": 2, "low_temperature": 2}


def test_alarms_of_a_list_without_a_warning_word_are_unknown() -> None:
    assert reading_of(tag_list(without=[0x8B])).alarms == {}


@pytest.mark.parametrize(
    ("raw", "version", "amps"),
    [
        ("83E8", b"\1", 10.0), ("03E8", b"\1", -10.0), ("0000", b"\1", 0.0), ("FFFF", b"\1", 327.67),
        ("2710", b"\0", 0.0), ("2328", b"\0", 10.0), ("2AF8", b"\0", -10.0), ("83E8", b"\2", None),
    ],
)  # fmt: skip
def test_current_is_read_by_the_protocol_version(raw: str, version: bytes, amps: float | None) -> None:
    assert reading_of(tag_list({0x84: bytes.fromhex(raw), 0xC0: version})).current == amps


def test_old_firmware_ends_without_a_version_and_counts_from_10000() -> None:
    """The record number that follows the list looks like tag C0 here, and is none."""
    info = tag_list({0x84: (9000).to_bytes(2, "big"), 0xB7: b"H6.X__S6.1.3S__"}, without=[0xC0])
    reading = reading_of(info, record=b"\xc0\1\0\1")
    assert (reading.current, reading.firmware_version) == (10.0, "H6.X__S6.1.3S")


def test_an_unknown_tag_before_the_version_leaves_the_current_unknown() -> None:
    """Guessing the encoding would read 10 A as -237 A."""
    reading = reading_of(tag_list({0xBB: b"\1\2\3"}))
    assert reading.current is None
    assert (reading.voltage, reading.charge_allowed) == (13.2, True)


@pytest.mark.parametrize(("raw", "celsius"), [(0, 0), (99, 99), (100, 100), (101, -1), (140, -40)])
def test_temperatures_above_100_are_below_zero(raw: int, celsius: float) -> None:
    word = raw.to_bytes(2, "big")
    reading = reading_of(tag_list({0x80: word, 0x81: word, 0x82: word}))
    assert reading.temperatures == (celsius, celsius)
    assert reading.mosfet_temperature == celsius


@pytest.mark.parametrize(("count", "celsius"), [(0, ()), (1, (20.0,)), (2, (20.0, 21.0)), (3, (20.0, 21.0))])
def test_only_sensors_that_are_there_are_reported(count: int, celsius: tuple[float, ...]) -> None:
    assert reading_of(tag_list({0x86: bytes((count,))})).temperatures == celsius


def test_the_cell_list_decides_how_many_cells_there_are() -> None:
    assert reading_of(tag_list({0x8A: b"\0\x10"}, cells=24)).cells == 24


def test_cells_go_where_their_numbers_say() -> None:
    swapped = bytes((9,)) + b"\2\x0c\xe5" + b"\1\x0c\xe4" + b"\3\x0c\xe6"
    assert reading_of(tag_list({0x79: swapped})).cell_voltages == (3.3, 3.301, 3.302)


@pytest.mark.parametrize("cells", [b"\0", b"\2\1\x0c", b"\x63" + bytes(99)])
def test_a_cell_list_that_cannot_be_is_a_frame_error(cells: bytes) -> None:
    with pytest.raises(BadLength):
        reading_of(tag_list({0x79: cells}))


# ---- identity


@pytest.mark.parametrize(
    ("text", "model", "serial"),
    [
        (b"Input UserdaJK_B1A24S15P", "JK_B1A24S15P", None),
        (b"beki" + bytes(8) + b"JK_B1A24S15P", "JK_B1A24S15P", None),
        (b"Input Userda201052210262", None, "201052210262"),
        (b"BT3072020120000200521001", None, None),
        (bytes(24), None, None),
        (b"\xff" * 24, None, None),
    ],
)
def test_model_or_serial_number_is_the_second_half_of_its_field(
    text: bytes, model: str | None, serial: str | None
) -> None:
    reading = reading_of(tag_list({0xBA: text}))
    assert (reading.model, reading.serial_number) == (model, serial)


@pytest.mark.parametrize(("text", "name"), [(b"Input Us", None), (b"garage\0\0", "garage"), (bytes(8), None)])
def test_the_factory_name_is_none(text: bytes, name: str | None) -> None:
    assert reading_of(tag_list({0xB4: text})).custom_name == name


@pytest.mark.parametrize(
    ("text", "day"), [(b"2306", "2023-06-01"), (bytes(4), None), (b"\xff\xfe23", None), (b"2399", None)]
)
def test_a_strange_production_date_never_fails_a_reading(text: bytes, day: str | None) -> None:
    assert reading_of(tag_list({0xB5: text})).production_date == day


def test_the_password_is_not_kept() -> None:
    values = jk.decode(tag_list({0xB2: b"secret1234"}), {})
    assert "secret" not in repr(values)


# ---- a board that sleeps, and single faulty readings


class Device:
    """Answers what it is given to answer; notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.reply: bytes | None = None
        self.counters = ReplayLink({}).counters

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def exchange(self, question: Question) -> Sequence[Frame]:
        assert isinstance(question, Ask)
        self.asked.append(question.request)
        answer = Answer(question)
        if self.reply is None or not answer.feed(self.reply):
            raise LinkTimeout("no answer")
        return answer.frames


class Polled:
    """A device, polled as the supervisor does."""

    def __init__(self) -> None:
        self.device, self.session = Device(), Session(jk.DRIVER)

    def __call__(self, reply: bytes | None) -> list[bytes]:
        """One poll that meets `reply`; returns what was asked.  Raises as the poll does."""
        self.device.reply, self.device.asked = reply, []
        poll = self.session.driver.poll("status")
        try:
            values = asyncio.run(converse(self.device, poll.talk(self.session.setup, self.session.known)))
        except (LinkTimeout, FrameError):
            self.session.missed(poll, 0.0)
            raise
        self.session.learnt(poll, values, 0.0)
        return self.device.asked

    def misses(self) -> list[bytes]:
        with pytest.raises(LinkTimeout):
            self(None)
        return self.device.asked


@pytest.mark.parametrize("answered_before", [True, False])
def test_a_silent_board_is_activated_after_three_failed_polls(answered_before: bool) -> None:
    poll = Polled()
    if answered_before:
        poll(frame(tag_list()))
    assert [poll.misses() for _ in range(3)] == [[READ_ALL]] * 3
    assert poll.misses() == [ACTIVATE, READ_ALL]
    assert poll.misses() == [READ_ALL]
    assert poll(frame(tag_list())) == [READ_ALL]
    assert [poll.misses() for _ in range(3)] == [[READ_ALL]] * 3
    assert poll(frame(b"", command=1) + frame(tag_list())) == [ACTIVATE, READ_ALL]


NONSENSE = {
    "no cell voltage": tag_list({0x79: b"\x06\1\x0c\xe4\2\0\0"}),
    "all off for no reason": tag_list({0x8C: b"\0\0"}),
}


@pytest.mark.parametrize("info", NONSENSE.values(), ids=NONSENSE)
def test_a_single_faulty_reading_is_refused_and_believed_when_it_stays(info: bytes) -> None:
    poll, good, bad = Polled(), frame(tag_list()), frame(info)
    poll(bad)  # nothing better is known
    for _ in range(2):
        poll(good)
        for _ in range(2):
            with pytest.raises(Implausible):
                poll(bad)
        poll(bad)


@pytest.mark.parametrize(
    "changes",
    [{0x8B: b"\0\x02"}, {0xAB: b"\0", 0xAC: b"\0"}, {0x8C: b"\0\2"}],
    ids=["a warning", "switched off by the user", "only charging off"],
)
def test_switches_that_are_off_for_a_reason_are_believed_at_once(changes: Tags) -> None:
    poll = Polled()
    poll(frame(tag_list()))
    poll(frame(tag_list({0x8C: b"\0\0", **changes})))
    assert poll.session.readings()[""].charge_allowed is False


# ---- detection


def test_detection_names_what_it_found() -> None:
    assert jk.DRIVER.detection.proof(jk.decode(tag_list(), {})) == "JK with 4 cells"
    with pytest.raises(WrongDevice):
        jk.DRIVER.detection.proof({})


# ---- framing

REPLIES = [bytes.fromhex(case.data["exchanges"][0]["rx"][0]) for case in cases("jk")]
NOISE = st.binary(max_size=40).map(lambda noise: noise.replace(b"N", b"n"))


@given(
    parts=st.lists(st.tuples(NOISE, st.sampled_from(REPLIES)), min_size=1, max_size=3),
    tail=NOISE,
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_a_stream_cut_anywhere_with_noise_yields_the_same_frames(
    parts: list[tuple[bytes, bytes]], tail: bytes, cuts: list[int]
) -> None:
    stream = b"".join(noise + reply for noise, reply in parts) + tail
    assert all_of(stream, cuts) == [reply for _, reply in parts]


@given(st.integers(1, 284), st.integers(0, 3))
def test_a_torn_frame_does_not_spoil_the_next(size: int, which: int) -> None:
    whole = REPLIES[which]
    assert all_of(whole[: min(size, len(whole) - 1)] + whole)[-1:] == [whole]


@given(st.integers(0, 284), st.integers(1, 255))
def test_a_wrong_byte_is_never_believed(place: int, change: int) -> None:
    spoilt = bytearray(REPLIES[3])
    spoilt[place] ^= change
    assert all_of(bytes(spoilt)) == []


@pytest.mark.parametrize("false", [b"NW", b"NW\0\x01", b"NW\xff\xff", b"NW\x02\x50" + bytes(16), READ_ALL])
def test_a_false_header_or_an_echo_does_not_hold_up_the_answer(false: bytes) -> None:
    answer = Answer(jk.READ)
    assert answer.feed(false + REPLIES[0]) is True
    assert [item.raw for item in answer.frames] == [REPLIES[0]]


def test_uploads_that_nobody_asked_for_are_no_answer() -> None:
    answer = Answer(jk.READ)
    assert answer.feed(frame(tag_list(), kind=2)) is False
    assert answer.foreign == 1


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_random_bytes_are_dropped_without_an_exception(chunks: list[bytes]) -> None:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk.replace(b"\xaa", b"NW")
        assert all(isinstance(item, Dropped | Frame) for item in jk.split(buffer))
        assert len(buffer) <= 602


@given(st.binary(max_size=300), st.booleans())
def test_a_random_list_is_read_or_refused(info: bytes, begins_well: bool) -> None:
    info = tag_list()[: len(info) % 90] + info if begins_well else info
    known: Values = {}
    try:
        values = jk.decode(info, known)
    except (FrameError, DeviceRefused):
        return
    assert isinstance(jk.DRIVER.assemble(values, {})[""], Reading)


# ---- the simulator, by the bytes of the sheet


def test_the_simulator_answers_and_obeys() -> None:
    pack = Pack.of(1, cells=8)
    device = build(pack, {})
    short = bytes.fromhex("4E57001200000000060300000000006800000128")
    one = bytes.fromhex("4E5700130000000003030083000000006800000 1A9".replace(" ", ""))
    off = bytes.fromhex("4E57001400000000020302AC000000000068000001D4")
    assert len(device.answer(bytearray(READ_ALL))[0]) > 200
    assert device.answer(bytearray(short)) == device.answer(bytearray(READ_ALL))
    voltage = device.answer(bytearray(one))[0]
    assert (voltage[8], voltage[10], voltage[11]) == (3, 1, 0x83)
    assert int.from_bytes(voltage[12:14], "big") == round(pack.voltage * 100)
    assert device.answer(bytearray(ACTIVATE))[0][8] == 1
    acknowledge = device.answer(bytearray(b"\xff\x4e" + off))[0]
    assert (acknowledge[8], acknowledge[10], acknowledge[11]) == (2, 1, 0xAC)
    assert (pack.charge_switch, pack.discharge_switch) == (True, False)
    spoilt = bytearray(READ_ALL)
    spoilt[-1] ^= 1
    assert device.answer(spoilt) == []
    assert device.answer(bytearray(b"NW\xff\xff") + READ_ALL) != []
