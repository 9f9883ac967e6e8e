"""The jk_pb driver against records built by hand from its sheet (jk_pb.md)."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers import jk_pb
from bms_drivers.kit.declare import Ask, Dropped, Frame, Question, Splitter, Talk, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.replay import ReplayLink
from bms_drivers.sims.jk_pb import build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, FrameError, LinkTimeout, Reading, WrongDevice
from tests.vectors import cases

SETTINGS, STATUS, ABOUT = 1, 2, 3
REGISTER = {ABOUT: "161C", SETTINGS: "161E", STATUS: "1620"}
ACKNOWLEDGES = {  # sheet sections 3, 8
    (0, STATUS): "001016200001059A", (0, SETTINGS): "0010161E00016456",
    (3, STATUS): "03101620000105A9", (3, SETTINGS): "0310161E00016465", (3, ABOUT): "0310161C0001C5A5",
    (1, STATUS): "011016200001044B", (1, SETTINGS): "0110161E00016587",
}  # fmt: skip
Fields = Mapping[int, tuple[int, int]]  # offset -> (value, bytes)


def record(kind: int, fields: Fields | None = None, texts: Mapping[int, bytes] | None = None, byte5: int = 0) -> bytes:
    raw = bytearray(300)
    raw[:6] = b"\x55\xaa\xeb\x90" + bytes((kind, byte5))
    for at, (value, width) in (fields or {}).items():
        raw[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    for at, text in (texts or {}).items():
        raw[at : at + len(text)] = text
    raw[299] = sum(raw[:299]) & 0xFF
    return bytes(raw)


PACK: Fields = {  # 4 cells of 3.3 V, discharging with 7.98 A
    **{6 + 2 * n: (3300 + n, 2) for n in range(4)}, 70: (0b1111, 4), 144: (203, 2), 150: (13206, 4), 154: (105384, 4),
    158: (-7980, 4), 162: (195, 2), 164: (-55, 2), 172: (0, 1), 173: (55, 1), 174: (155219, 4), 178: (270000, 4),
    182: (62, 4), 190: (97, 1), 198: (1, 1), 199: (1, 1), 214: (0xFF, 1), 254: (203, 2), 256: (194, 2), 258: (199, 2),
}  # fmt: skip
LIMITS: Fields = {
    10: (2600, 4), 18: (3600, 4), 38: (3450, 4), 42: (3375, 4), 50: (60000, 4), 62: (100000, 4), 114: (4, 4),
    118: (1, 4), 122: (1, 4), 126: (1, 4), 130: (280000, 4), 270: (3, 4),
}  # fmt: skip
TEXTS = {
    6: b"JK_PB2A16S20P", 22: b"15A", 30: b"15.41", 46: b"BB02", 62: b"1234", 78: b"240914", 86: b"40119491480",
    102: b"JK-BMS", 118: b"136913",
}  # fmt: skip


def reply(kind: int, raw: bytes, address: int = 3, pad: bytes = b"") -> bytes:
    return raw + pad + bytes.fromhex(ACKNOWLEDGES[address, kind])


def reading_of(
    status: bytes | None, settings: bytes | None = None, about: bytes | None = None, address: int = 3
) -> Reading:
    """What one round of the plan makes of these records."""
    link = Bus({STATUS: status, SETTINGS: settings, ABOUT: about}, address)

    async def run() -> Reading:
        session = Session(jk_pb.DRIVER, {"address": address})
        for poll in session.due(0.0):
            try:
                session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), 0.0)
            except LinkTimeout:
                session.missed(poll, 0.0)
        return session.readings()[""]

    return asyncio.run(run())


class Bus:
    """A unit that sends the given records; at address 0 it does so without being asked."""

    def __init__(self, records: Mapping[int, bytes | None], address: int) -> None:
        self.records, self.address = records, address
        self.asked: list[bytes] = []
        self.counters = ReplayLink({}).counters

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def exchange(self, question: Question) -> Sequence[Frame]:
        assert isinstance(question, Ask)
        self.asked.append(question.request)
        answer, whole = Answer(question), False
        for kind, raw in self.records.items():
            heard = not self.address or question.request[2:4].hex().upper() == REGISTER[kind]
            if raw is not None and heard:
                whole = answer.feed(reply(kind, raw, self.address)) or whole
        if not whole and not (question.partial and answer.frames):
            raise LinkTimeout("no answer")
        return answer.frames


def raised(reading: Reading) -> dict[str, int]:
    return {name: level for name, level in reading.alarms.items() if level}


def all_of(split: Splitter, stream: bytes, cuts: Sequence[int] = ()) -> list[bytes]:
    """The frames in `stream`, fed in pieces."""
    buffer, found = bytearray(), []
    for start, end in pairwise([0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]):
        buffer += stream[start:end]
        found += [item.raw for item in split(buffer) if isinstance(item, Frame)]
    return found


def first(poll: str, address: int) -> Ask:
    asked = next(jk_pb.DRIVER.poll(poll).talk({"address": address}, {}))
    assert isinstance(asked, Ask)
    return asked


# ---- requests and writes


@pytest.mark.parametrize(
    ("poll", "address", "sent"),
    [
        ("about", 1, "0110161C0001020000D3CD"), ("about", 2, "0210161C0001020000C73D"),
        ("about", 3, "0310161C0001020000CAAD"), ("about", 15, "0F10161C00010200009FAD"),
        ("settings", 1, "0110161E0001020000D22F"), ("settings", 2, "0210161E0001020000C6DF"),
        ("settings", 3, "0310161E0001020000CB4F"), ("settings", 15, "0F10161E00010200009E4F"),
        ("status", 1, "011016200001020000D6F1"), ("status", 2, "021016200001020000C201"),
        ("status", 3, "031016200001020000CF91"), ("status", 15, "0F10162000010200009A91"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(poll: str, address: int, sent: str) -> None:
    asked = first(poll, address)
    assert asked.request == bytes.fromhex(sent)
    assert asked.size == 308


@pytest.mark.parametrize(
    ("action", "value", "sent", "acknowledge"),
    [
        ("charge", 0, "01101070000204000000 00394B", "01101070000244D3"),
        ("charge", 1, "01101070000204000000 01F88B", "01101070000244D3"),
        ("discharge", 0, "01101074000204000000 0038B8", "0110107400020512"),
        ("discharge", 1, "01101074000204000000 01F978", "0110107400020512"),
        ("balance", 0, "01101078000204000000 0038ED", "011010780002C511"),
        ("balance", 1, "01101078000204000000 01F92D", "011010780002C511"),
    ],
)
def test_a_switch_is_written_with_the_frame_of_the_sheet(action: str, value: int, sent: str, acknowledge: str) -> None:
    talk = jk_pb.DRIVER.controls[action].talk(value, {"address": 1}, {})
    asked = next(talk)
    assert isinstance(asked, Ask)
    assert asked.request == bytes.fromhex(sent)
    answer = Answer(asked)
    assert answer.feed(asked.request) is False  # an adapter's echo is no acknowledge
    assert answer.feed(bytes.fromhex("0210107000024 4E0".replace(" ", ""))) is False  # nor is another unit's
    assert answer.feed(bytes.fromhex(acknowledge)) is True
    with pytest.raises(StopIteration):
        talk.send(answer.frames)


def test_a_modbus_exception_is_a_refusal() -> None:
    body = bytes.fromhex("019002")
    link = ReplayLink(
        {"exchanges": [{"tx": "01101070000204 00000000 394B".replace(" ", ""), "rx": [jk_pb.with_crc(body).hex()]}]}
    )
    with pytest.raises(DeviceRefused, match="exception 2"):
        asyncio.run(converse(link, jk_pb.DRIVER.controls["charge"].talk(0, {"address": 1}, {})))


@pytest.mark.parametrize(("action", "name"), [("charge", 198), ("discharge", 199)])
def test_a_switch_is_confirmed_by_its_fet(action: str, name: int) -> None:
    control = jk_pb.DRIVER.controls[action]
    on, off = reading_of(record(STATUS, PACK)), reading_of(record(STATUS, {**PACK, name: (0, 1)}))
    assert (control.confirmed(1, on), control.confirmed(0, on)) == (True, False)
    assert (control.confirmed(1, off), control.confirmed(0, off)) == (False, True)
    assert control.confirmed(1, Reading()) is None


# ---- values


def test_three_records_become_a_reading() -> None:
    reading = reading_of(record(STATUS, PACK), record(SETTINGS, LIMITS), record(ABOUT, texts=TEXTS))
    assert (reading.voltage, reading.current) == (13.206, -7.98)
    assert (reading.soc, reading.soh, reading.charge_cycles) == (55, 97, 62)
    assert reading.cell_voltages == (3.3, 3.301, 3.302, 3.303)
    assert (reading.temperatures, reading.mosfet_temperature) == ((19.5, -5.5, 19.4, 19.9), 20.3)
    assert (reading.capacity, reading.remaining_capacity) == (280.0, 155.219)
    assert (reading.max_charge_current, reading.max_discharge_current) == (60.0, 100.0)
    assert (reading.cell_overvoltage_protection, reading.cell_undervoltage_protection) == (3.6, 2.6)
    assert reading.max_battery_voltage == 13.8
    assert (reading.charge_allowed, reading.discharge_allowed, reading.balance_allowed) == (True, True, True)
    assert (reading.balancing, reading.heating) == (False, False)
    assert raised(reading) == {}
    assert (reading.manufacturer, reading.model, reading.serial_number) == ("JK", "JK_PB2A16S20P", "40119491480")
    assert (reading.hardware_version, reading.firmware_version) == ("15A", "15.41")
    assert (reading.production_date, reading.custom_name) == ("2024-09-14", None)


def test_without_settings_the_capacity_is_the_boards_and_the_rest_unknown() -> None:
    reading = reading_of(record(STATUS, PACK))
    assert reading.capacity == 270.0
    assert (reading.balance_allowed, reading.max_charge_current, reading.max_battery_voltage) == (None, None, None)


def test_a_board_that_requests_no_voltage_has_no_voltage_limit() -> None:
    reading = reading_of(record(STATUS, PACK), record(SETTINGS, {**LIMITS, 38: (0, 4)}))
    assert reading.max_battery_voltage is None


def test_settings_outlive_missed_answers_and_not_a_lost_link() -> None:
    session = Session(jk_pb.DRIVER)
    settings = session.driver.poll("settings")
    session.learnt(settings, jk_pb.decode_settings(record(SETTINGS, LIMITS)), 0.0)
    for _ in range(100):
        session.missed(settings, 0.0)
    assert session.readings()[""].max_charge_current == 60.0
    session.forget()
    assert session.readings()[""].max_charge_current is None


@pytest.mark.parametrize("byte5", [0, 5, 77])
def test_byte_5_is_no_part_of_the_type(byte5: int) -> None:
    assert reading_of(record(STATUS, PACK, byte5=byte5)).voltage == 13.206


@pytest.mark.parametrize(("state", "working"), [(0, False), (1, True), (2, True)])
def test_the_balancer_works_when_it_moves_charge(state: int, working: bool) -> None:
    assert reading_of(record(STATUS, {**PACK, 172: (state, 1)})).balancing is working


def test_cells_are_those_of_the_mask() -> None:
    assert reading_of(record(STATUS, {**PACK, 70: (0b1101, 4)})).cell_voltages == (3.3, 3.302, 3.303)
    with pytest.raises(BadLength):
        reading_of(record(STATUS, {**PACK, 70: (0, 4)}))


@pytest.mark.parametrize(
    ("changes", "firmware", "celsius"),
    [
        ({}, b"15.41", (19.5, -5.5, 19.4, 19.9)),
        ({}, b"11.48", (19.5, -5.5)),
        ({256: (0, 2), 258: (0, 2)}, b"15.41", (19.5, -5.5)),
        ({256: (-2000, 2), 258: (0, 2)}, b"15.41", (19.5, -5.5, 0.0)),
        ({164: (-2000, 2)}, b"V15", (19.5, 19.4, 19.9)),
    ],
)  # fmt: skip
def test_only_sensors_that_are_there_are_reported(changes: Fields, firmware: bytes, celsius: tuple[float, ...]) -> None:
    about = record(ABOUT, texts={**TEXTS, 30: firmware})
    assert reading_of(record(STATUS, {**PACK, **changes}), about=about).temperatures == celsius


def test_a_mosfet_sensor_that_is_not_fitted_is_unknown() -> None:
    assert reading_of(record(STATUS, {**PACK, 144: (-2000, 2)})).mosfet_temperature is None


@pytest.mark.parametrize(
    ("text", "name"), [(b"garage", "garage"), (b"Input Userdata", None), (b"JK-BMS", None), (b"", None)]
)
def test_the_factory_name_is_none(text: bytes, name: str | None) -> None:
    texts = {**TEXTS, 102: text.ljust(16, b"\0")}
    assert reading_of(record(STATUS, PACK), about=record(ABOUT, texts=texts)).custom_name == name


def test_passwords_are_not_kept() -> None:
    values = asyncio.run(
        converse(Bus({ABOUT: record(ABOUT, texts=TEXTS)}, 3), jk_pb.DRIVER.poll("about").talk({"address": 3}, {}))
    )
    assert "1234" not in repr(values).replace("40119491480", "")
    assert "136913" not in repr(values)


ALARMS = {
    0: ("bms_cable", 1), 1: ("high_internal_temperature", 2), 2: ("internal_failure", 2), 3: ("internal_failure", 2),
    4: ("high_cell_voltage", 2), 5: ("high_voltage", 2), 6: ("high_charge_current", 2), 7: ("short_circuit", 2),
    8: ("high_charge_temperature", 2), 9: ("low_charge_temperature", 2), 10: ("internal_failure", 2),
    11: ("low_cell_voltage", 2), 12: ("low_voltage", 2), 13: ("high_discharge_current", 2), 14: ("short_circuit", 2),
    15: ("high_temperature", 2), 16: ("internal_failure", 2), 17: ("internal_failure", 2), 20: ("internal_failure", 2),
    21: ("high_temperature", 1), 22: ("internal_failure", 1), 24: ("short_circuit", 2),
    25: ("high_discharge_current", 2), 26: ("high_discharge_current", 2), 27: ("low_temperature", 2),
}  # fmt: skip


@pytest.mark.parametrize("bit", range(32))
def test_each_alarm_bit_raises_its_alarm(bit: int) -> None:
    expected = dict([ALARMS[bit]]) if bit in ALARMS else {}
    reading = reading_of(record(STATUS, {**PACK, 166: (1 << bit, 4)}))
    assert raised(reading) == expected
    assert "low_soc" not in reading.alarms


def test_an_alarm_is_not_lowered_by_a_warning_of_the_same_name() -> None:
    both = {**PACK, 166: (1 << 15 | 1 << 21, 4)}
    assert raised(reading_of(record(STATUS, both))) == {"high_temperature": 2}


# ---- a bus master that is listened to


def test_address_0_sends_nothing() -> None:
    bus = Bus({STATUS: record(STATUS, PACK), SETTINGS: record(SETTINGS, LIMITS)}, 0)

    async def run() -> None:
        session = Session(jk_pb.DRIVER, {"address": 0})
        for poll in session.due(0.0):
            session.learnt(poll, await converse(bus, poll.talk(session.setup, session.known)), 0.0)

    asyncio.run(run())
    assert set(bus.asked) == {b""}
    for control in jk_pb.DRIVER.controls.values():
        with pytest.raises(DeviceRefused):
            next(control.talk(0, {"address": 0}, {}))


def test_a_master_is_heard_with_status_and_settings() -> None:
    reading = reading_of(record(STATUS, PACK), record(SETTINGS, LIMITS), address=0)
    assert (reading.current, reading.capacity, reading.max_charge_current) == (-7.98, 280.0, 60.0)
    assert reading.untold == ()
    partial = reading_of(record(STATUS, PACK), address=0)
    assert partial.capacity == 270.0
    assert set(partial.untold) == {"max_charge_current", "max_discharge_current", "max_battery_voltage"}
    assert reading_of(record(STATUS, PACK)).untold == (), "one that is asked may lack them for good"


def test_a_master_that_tells_its_settings_alone_is_not_heard() -> None:
    with pytest.raises(LinkTimeout):
        asyncio.run(converse(Bus({SETTINGS: record(SETTINGS, LIMITS)}, 0), status_talk({"address": 0})))


def test_a_unit_that_a_master_polls_is_overheard_and_never_asked() -> None:
    bus = Bus({STATUS: record(STATUS, PACK), SETTINGS: record(SETTINGS, LIMITS)}, 3)
    heard = {"address": 3, "listen": True}
    with pytest.raises(LinkTimeout):
        asyncio.run(converse(bus, status_talk(heard)))
    assert bus.asked == [b""], "and this unit says nothing unless it is asked"
    answer = Answer(next(status_talk(heard)))  # type: ignore[arg-type]
    assert answer.feed(reply(STATUS, record(STATUS, PACK), 0)) is False, "the master's own"
    assert answer.feed(bytes.fromhex("031016200001020000CF91") + reply(STATUS, record(STATUS, PACK), 3)) is True


def status_talk(setup: dict[str, Any]) -> Talk:
    return jk_pb.DRIVER.poll("status").talk(setup, {})


def test_only_the_masters_own_records_are_taken_from_its_bus() -> None:
    asked = first("status", 0)
    other = record(STATUS, {**PACK, 173: (1, 1)})
    answer = Answer(asked)
    assert answer.feed(bytes.fromhex("031016200001020000CF91")) is False
    assert answer.feed(reply(STATUS, other, 3)) is False
    assert answer.feed(reply(SETTINGS, record(SETTINGS, LIMITS), 0)) is False
    assert answer.feed(reply(STATUS, record(STATUS, PACK), 0)) is True
    assert [item.payload[173] for item in answer.frames] == [55]
    assert answer.foreign == 2


# ---- detection


def test_detection_wants_3_to_32_cells() -> None:
    proof = jk_pb.DRIVER.detection.proof
    assert proof(jk_pb.decode_status(record(STATUS, PACK))) == "JK inverter BMS with 4 cells"
    assert "DIP" in proof({"cell_voltages": (3.3,) * 16, "_master": True})
    for values in ({}, jk_pb.decode_status(record(STATUS, {**PACK, 70: (3, 4)}))):
        with pytest.raises(WrongDevice):
            proof(values)


def test_detection_tries_every_address() -> None:
    assert [setup["address"] for setup in jk_pb.DRIVER.detection.setups] == [*range(1, 16)]
    assert [setup["address"] for setup in jk_pb.DRIVER.detection.overheard] == [*range(16)]


# ---- framing

REPLIES = [bytes.fromhex(part) for case in cases("jk_pb") for e in case.data["exchanges"] for part in e["rx"]]
NOISE = st.binary(max_size=40).map(lambda noise: noise.replace(b"\x55", b"\0"))


@pytest.mark.parametrize("pad", [b"", b"\0", b"\0\0"])
@pytest.mark.parametrize("trailing", [b"", b"\0"])
@pytest.mark.parametrize("echo", [b"", bytes.fromhex("031016200001020000CF91")])
def test_pads_and_an_echo_do_no_harm(pad: bytes, trailing: bytes, echo: bytes) -> None:
    answer = Answer(first("status", 3))
    assert answer.feed(echo + reply(STATUS, record(STATUS, PACK), 3, pad) + trailing) is True
    assert answer.frames[0].payload == record(STATUS, PACK)
    assert len(answer.dropped) == bool(echo)


@pytest.mark.parametrize(
    "stream",
    [
        reply(STATUS, record(STATUS, PACK), 1),  # another unit
        reply(SETTINGS, record(SETTINGS, LIMITS), 3),  # another record
        record(STATUS, PACK)
        + bytes.fromhex(ACKNOWLEDGES[3, SETTINGS]),  # record and acknowledge do not belong together
        record(STATUS, PACK) + bytes(20),  # no acknowledge
        record(STATUS, PACK) + bytes.fromhex("03101620000105A8"),  # its CRC is wrong
        record(9, PACK) + bytes.fromhex(ACKNOWLEDGES[3, STATUS]),  # no such record
        bytes.fromhex(ACKNOWLEDGES[3, STATUS]),
    ],
)
def test_what_is_no_answer_is_not_taken(stream: bytes) -> None:
    assert Answer(first("status", 3)).feed(stream + bytes(4)) is False


@given(
    parts=st.lists(st.tuples(NOISE, st.sampled_from(REPLIES)), min_size=1, max_size=3),
    tail=NOISE,
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_a_stream_cut_anywhere_with_noise_yields_the_same_frames(
    parts: list[tuple[bytes, bytes]], tail: bytes, cuts: list[int]
) -> None:
    stream = b"".join(noise + whole for noise, whole in parts) + tail
    assert all_of(jk_pb.split, stream, cuts) == [whole for _, whole in parts]


@given(st.integers(1, 307), st.sampled_from(REPLIES))
def test_a_torn_reply_does_not_spoil_the_next(size: int, whole: bytes) -> None:
    assert all_of(jk_pb.split, whole[:size] + whole + bytes(10))[-1:] == [whole]


@given(st.integers(0, 307), st.integers(1, 255))
def test_a_wrong_byte_is_never_believed(place: int, change: int) -> None:
    spoilt = bytearray(reply(STATUS, record(STATUS, PACK), 3))
    spoilt[place] ^= change
    assert all_of(jk_pb.split, bytes(spoilt) + bytes(4)) == []


@given(st.lists(st.binary(max_size=350), max_size=6), st.sampled_from([jk_pb.split, jk_pb.split_write]))
def test_random_bytes_are_dropped_without_an_exception(chunks: list[bytes], split: Splitter) -> None:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk.replace(b"\xaa", b"\x55\xaa\xeb\x90").replace(b"\x0b", b"\x10")
        assert all(isinstance(item, Dropped | Frame) for item in split(buffer))
        assert len(buffer) < 310


@given(st.binary(min_size=293, max_size=293), st.sampled_from([STATUS, SETTINGS, ABOUT]))
def test_a_random_record_is_read_or_refused(data: bytes, kind: int) -> None:
    poll = {STATUS: "status", SETTINGS: "settings", ABOUT: "about"}[kind]
    bus, known = Bus({kind: record(kind, texts={6: data})}, 3), Values()
    try:
        values = asyncio.run(converse(bus, jk_pb.DRIVER.poll(poll).talk({"address": 3}, known)))
    except (FrameError, DeviceRefused):
        return
    assert isinstance(jk_pb.DRIVER.assemble(values, {"address": 3})[""], Reading)


@given(noise=NOISE, cuts=st.lists(st.integers(0, 100), max_size=4))
def test_a_write_is_acknowledged_through_noise(noise: bytes, cuts: list[int]) -> None:
    acknowledge = bytes.fromhex("01101070000244D3")
    noise = noise.replace(b"\x10", b"").replace(b"\x90", b"")
    assert all_of(jk_pb.split_write, noise + acknowledge, cuts) == [acknowledge]


# ---- the simulator, by the bytes of the sheet


def test_the_simulator_answers_at_its_address_and_obeys() -> None:
    pack = Pack.of(1, cells=16)
    device = build(pack, {"address": 3})
    answer = device.answer(bytearray.fromhex("FF031016200001020000CF91"))
    assert len(answer) == 1
    assert answer[0][:5] == b"\x55\xaa\xeb\x90\x02"
    assert answer[0][299] == sum(answer[0][:299]) & 0xFF
    assert answer[0].endswith(bytes.fromhex("03101620000105A9"))
    assert device.answer(bytearray.fromhex("031016200001020000CF90")) == []
    assert device.answer(bytearray.fromhex("011016200001020000D6F1")) == []
    off = jk_pb.with_crc(bytes.fromhex("0310107800020400000000"))
    assert device.answer(bytearray(off)) == [jk_pb.with_crc(bytes.fromhex("031010780002"))]
    assert (pack.balance_switch, pack.charge_switch) == (False, True)


def test_settings_read_back_what_was_written_to_the_simulator() -> None:
    pack = Pack.of(1, cells=16)
    device: Any = build(pack, {})
    on_off = "011010700002040000000 0394B".replace(" ", "")
    assert device.answer(bytearray.fromhex(on_off)) == [bytes.fromhex("01101070000244D3")]
    settings = device.answer(bytearray.fromhex("0110161E0001020000D22F"))[0]
    assert (settings[118], settings[122], settings[126]) == (0, 1, 1)
    assert pack.charge_switch is False
