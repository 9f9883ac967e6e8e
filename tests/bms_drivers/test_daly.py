"""Daly: every alarm bit, the sign of the current, and control writes byte for byte against the recordings."""

import struct
from datetime import datetime

import pytest

from bms_drivers.daly import DRIVER, FAULTS, LEVELS, alarms, frame, pack, split, switches
from bms_drivers.kit.declare import Ask, Frame
from bms_drivers.kit.session import Session
from gateway.model import DeviceRefused

SETUP = DRIVER.setup({})


def raised(byte: int, bits: int) -> dict[str, int]:
    data = bytearray(8)
    data[byte] = bits
    return {name: level for name, level in alarms(bytes(data), {})["alarms"].items() if level}


@pytest.mark.parametrize(("place", "name"), LEVELS.items())
def test_two_bits_are_two_levels(place: tuple[int, int], name: str) -> None:
    byte, bit = place
    assert [raised(byte, pair << bit) for pair in (1, 2, 3)] == [{name: 1}, {name: 2}, {name: 2}]


@pytest.mark.parametrize(("place", "names"), FAULTS.items())
def test_faults_of_the_board_are_level_2(place: tuple[int, int], names: tuple[str, ...]) -> None:
    assert raised(place[0], 1 << place[1]) == dict.fromkeys(names, 2)


@pytest.mark.parametrize(("byte", "bits"), [(2, 0x30), (3, 0xFC), (6, 0xF0), (7, 0xFF)])
def test_reserved_bits_and_the_fault_code_raise_nothing(byte: int, bits: int) -> None:
    assert raised(byte, bits) == {}


@pytest.mark.parametrize(
    ("raw", "state", "amps"),
    [(30021, 2, -2.1), (29970, 1, 3.0), (30100, 1, 10.0), (30000, 0, 0.0), (30050, 0, -5.0)],
)
def test_the_state_byte_gives_the_sign(raw: int, state: int, amps: float) -> None:
    session = Session(DRIVER)
    session.known |= {"_raw_current": raw, "_state": state}
    assert session.readings()[""].current == pytest.approx(amps)


@pytest.mark.parametrize("state", [1, 2])
def test_the_sign_that_was_learnt_holds_while_the_board_says_stationary(state: int) -> None:
    session, amps = Session(DRIVER), []
    for raw, said in ((30100, state), (30010, 0), (30010, 0)):
        block = struct.pack(">4H", 130, 0, raw, 500)
        session.learnt(DRIVER.poll("pack"), pack(block, session.known), 0.0)
        session.learnt(DRIVER.poll("switches"), switches(bytes((said, 1, 1)) + bytes(5), session.known), 0.0)
        amps.append(session.readings()[""].current)
    assert amps == pytest.approx([10.0, 1.0, 1.0] if state == 1 else [-10.0, -1.0, -1.0])


def asked(action: str, value: float, known: dict[str, object] | None = None) -> str:
    question = next(DRIVER.controls[action].talk(value, SETUP, known or {}))
    assert isinstance(question, Ask)
    return question.request.hex()


def test_writes_are_those_of_the_recordings() -> None:
    assert asked("charge", 1.0) == "a540da080100000000000000c8"
    assert asked("charge", 0.0) == "a540da080000000000000000c7"
    assert asked("discharge", 0.0) == "a540d9080000000000000000c6"
    when = datetime(2022, 12, 13, 21, 29, 39).timestamp()
    assert asked("soc", 30.0, {"_wall": when}) == "a5402108160c0d151d27012cc3"


def test_the_soc_is_not_written_while_the_clock_is_not_set() -> None:
    with pytest.raises(DeviceRefused, match="here it is 1970; set this clock first"):
        asked("soc", 100.0, {"_wall": 86400.0})


def test_an_acknowledge_of_another_state_is_a_refusal() -> None:
    talk = DRIVER.controls["charge"].talk(0.0, SETUP, {})
    next(talk)
    with pytest.raises(DeviceRefused):
        talk.send([Frame(kind=0xDA, payload=b"\1" + bytes(7), address=1)])


def test_there_is_no_balance_command() -> None:
    assert "balance" not in DRIVER.controls


def test_an_echo_of_our_own_request_is_no_answer() -> None:
    question = next(DRIVER.poll("pack").talk(SETUP, {}))
    assert isinstance(question, Ask)
    echo = next(split(bytearray(question.request)))
    assert isinstance(echo, Frame)
    assert not question.answers(echo)
    answer = next(split(bytearray(frame(1, 0x90, bytes(8)))))
    assert isinstance(answer, Frame)
    assert question.answers(answer)


def test_board_3_is_asked_by_its_own_host_byte() -> None:
    question = next(DRIVER.poll("pack").talk(DRIVER.setup({"address": 3}), {}))
    assert isinstance(question, Ask)
    assert question.request[:3].hex() == "a54290"
