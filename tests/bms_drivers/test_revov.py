"""Revov: what its one constructed recording does not show, by its sheet (revov.md)."""

import pytest

from bms_drivers.kit.declare import Ask
from bms_drivers.kit.framing import Answer
from bms_drivers.revov import DRIVER, data, frame, voltage
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.revov import build
from gateway.model import BadLength, Reading, WrongDevice
from tests.sims.wire import poll, session


def ask(step: str) -> Ask:
    question = next(DRIVER.poll(step).talk({}, {}))
    assert isinstance(question, Ask)
    return question


def block(count: int = 16, raw: int = 3330, volts: int = 5328) -> bytes:
    content = bytearray(80)
    content[1] = count
    for at in range(2, 2 + 2 * min(count, 21), 2):
        content[at : at + 2] = raw.to_bytes(2, "big")
    content[44:46], content[68:70], content[72:74] = ((n).to_bytes(2, "big") for n in (10000, 42, volts))
    return bytes(content)


def reading(content: bytes) -> Reading:
    answer = Answer(ask("data"))
    assert answer.feed(frame(0x01, content))
    return DRIVER.assemble(data(answer.frames, {}, {}), {})[""]


@pytest.mark.parametrize(
    ("step", "request_"), [("model", "7C013300FE0D"), ("version", "7C014200800D"), ("data", "7C010100020D")]
)
def test_requests_are_the_sheets_constants(step: str, request_: str) -> None:
    assert ask(step).request.hex().upper() == request_


def test_an_echo_or_another_commands_answer_is_none() -> None:
    answer = Answer(ask("model"))
    assert not answer.feed(ask("model").request + frame(0x42, b"V1.0"))
    assert answer.foreign == 2


def test_a_wrong_check_byte_is_dropped_and_00_means_none() -> None:
    good = frame(0x33, b"REVOV-16S")
    for last, accepted in ((good[-2], True), (0, True), (good[-2] ^ 1, False)):
        assert Answer(ask("model")).feed(good[:-2] + bytes((last,)) + good[-1:]) is accepted
    assert good[-2] != 0


def test_a_torn_reply_is_no_answer_and_hides_none() -> None:
    good = frame(0x01, block())
    answer = Answer(ask("data"))
    assert not answer.feed(good[:50])
    assert answer.torn
    assert not answer.feed(good[:30])
    assert answer.feed(good)


def test_0d_inside_the_data_ends_nothing() -> None:
    assert reading(block(raw=0x0D0D)).cell_voltages == (3.341,) * 16


@pytest.mark.parametrize(("raw", "volts"), [(3330, 3.33), (9999, 9.999), (33300, 3.33), (12000, 1.2)])
def test_cells_are_sent_in_either_of_two_scales(raw: int, volts: float) -> None:
    assert reading(block(raw=raw)).cell_voltages[0] == volts


@pytest.mark.parametrize(
    ("raw", "total", "volts"),
    [(5328, 53.28, 53.28), (53280, 53.3, 53.28), (5000, 53.28, 53.28), (0, 53.28, 53.28), (999, 9.9, 9.9)],
)
def test_the_voltage_is_believed_only_near_the_cells_sum(raw: int, total: float, volts: float) -> None:
    assert voltage(raw, total) == volts


def test_what_is_not_known_is_not_made_up() -> None:
    got = reading(block())
    assert (got.capacity, got.charge_cycles, got.cell_count) == (100.0, 42, 16)
    assert (got.current, got.soc, got.temperatures, got.charge_allowed, got.alarms) == (None, None, (), None, {})
    assert reading(block()[:44] + bytes(36)).capacity is None


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(BadLength):
        reading(block(count=22))
    with pytest.raises(BadLength):
        reading(block()[:60])
    with pytest.raises(WrongDevice):
        reading(block(raw=0))
    with pytest.raises(BadLength):
        reading(bytes(80))


def test_a_device_without_check_bytes_is_read() -> None:
    pack = Pack.of(1)
    got = poll(session("revov"), build(pack, {"no_check": True}))
    assert (got.model, got.firmware_version) == ("REVOV-SIM", "V1.0")
    assert got.voltage == pytest.approx(pack.voltage, abs=0.01)


def test_detection_wants_a_model_and_cells() -> None:
    good = {"model": "REVOV-16S", "cell_voltages": (3.3,) * 16}
    assert DRIVER.detection.proof(good) == "Revov REVOV-16S with 16 cells"
    for spoilt in ({"model": None}, {"cell_voltages": ()}, {"cell_voltages": (9.9,)}):
        with pytest.raises(WrongDevice):
            DRIVER.detection.proof({**good, **spoilt})


def test_the_unknown_command_is_answered_by_the_simulator_only() -> None:
    device = build(Pack.of(1), {})
    (reply,) = device.answer(bytearray.fromhex("7C010600F80D"))
    assert reply[:4].hex() == "7c010604"
    assert device.answer(bytearray.fromhex("7C013300FF0D")) == [], "a wrong check byte"
    assert device.answer(bytearray(frame(0x77))) == []
