"""JBD: every alarm bit, and control writes byte for byte against the recording."""

import json
from pathlib import Path

import pytest

from bms_drivers.jbd import DRIVER, PROTECTION, basic
from bms_drivers.kit.declare import Ask, Frame
from bms_drivers.kit.session import Session
from gateway.model import DeviceRefused, GatewayError, LinkTimeout

RECORDING = json.loads((Path(__file__).parent.parent / "vectors" / "jbd" / "control-mosfet.json").read_text())


def reply(word: int, switches: int = 3) -> Frame:
    """A basic reply of 4 cells whose protection word is `word`."""
    data = bytearray(23)
    data[16:18] = word.to_bytes(2, "big")
    data[20], data[21] = switches, 4
    return Frame(kind=3, payload=bytes(data))


@pytest.mark.parametrize("bit", range(16))
def test_each_protection_bit_raises_its_alarm_and_no_other(bit: int) -> None:
    alarms = basic([reply(1 << bit)], {}, {})["alarms"]
    expected = {PROTECTION[bit][0]} if bit in PROTECTION else set()
    assert {name for name, level in alarms.items() if level} == expected


@pytest.mark.parametrize(
    ("bit", "alarm"),
    [(0, "high_cell_voltage"), (3, "low_voltage"), (5, "low_charge_temperature"), (8, "high_charge_current")],
)
def test_some_bits_by_hand_from_the_sheet(bit: int, alarm: str) -> None:
    assert basic([reply(1 << bit)], {}, {})["alarms"][alarm] == 2


def test_what_moves_fastest_is_asked_last_and_a_round_needs_it() -> None:
    *_, last = Session(DRIVER).due(0.0, once=False)
    assert {"current", "alarms", "charge_allowed", "discharge_allowed"} <= set(last.gives) and last.essential


def asked(action: str, value: float, off: int = 0) -> str:
    question = next(DRIVER.controls[action].talk(value, {}, {"_off": off}))
    assert isinstance(question, Ask)
    return question.request.hex()


def test_switch_writes_are_those_of_the_recording() -> None:
    recorded = [exchange["tx"] for exchange in RECORDING["exchanges"]]
    assert asked("charge", 0.0) == recorded[0]
    assert asked("charge", 1.0, off=1) == recorded[2]
    assert asked("discharge", 0.0) == recorded[3]
    assert asked("discharge", 1.0, off=2) == recorded[4]


def test_one_switch_keeps_what_was_commanded_of_the_other() -> None:
    assert asked("discharge", 0.0, off=1) == "dd5ae1020003ff1a77", "sheet section 7: both off"


def test_a_refused_write_says_why() -> None:
    talk = DRIVER.controls["charge"].talk(0.0, {}, {})
    next(talk)
    with pytest.raises(DeviceRefused, match="0x81, not allowed"):
        talk.send([Frame(kind=0xE1, payload=b"", status=0x81)])


def test_the_soc_is_written_as_remaining_capacity_inside_factory_mode() -> None:
    talk = DRIVER.controls["soc"].talk(100.0, {}, {"capacity": 100.0})
    sent = []
    question = next(talk)
    for register in (0x00, 0xE0, 0x01):
        assert isinstance(question, Ask)
        sent.append(question.request.hex())
        try:
            question = talk.send([Frame(kind=register, payload=b"")])
        except StopIteration:
            break
    assert sent == ["dd5a00025678ff3077", "dd5ae0022710fee777", "dd5a01020000fffd77"]


ENTER, LEAVE = "dd5a00025678ff3077", "dd5a01020000fffd77"  # sheet section 7


def request(question: object) -> str:
    assert isinstance(question, Ask)
    return question.request.hex()


@pytest.mark.parametrize("problem", [LinkTimeout("silent"), DeviceRefused("status 0x83")])
@pytest.mark.parametrize(
    ("action", "capacity", "answered"), [("balance", None, 1), ("balance", None, 2), ("soc", 100.0, 1)]
)
def test_a_write_that_fails_does_not_leave_the_board_in_factory_mode(
    action: str, capacity: float | None, answered: int, problem: GatewayError
) -> None:
    talk = DRIVER.controls[action].talk(1.0, {}, {"capacity": capacity})
    assert request(next(talk)) == ENTER
    for _ in range(answered):
        talk.send([Frame(kind=0, payload=b"\0\2")])
    assert request(talk.throw(problem)) == LEAVE
    with pytest.raises(type(problem), match=str(problem)):
        talk.send([Frame(kind=1, payload=b"")])


def test_a_function_word_that_is_not_answered_does_not_leave_the_board_in_factory_mode() -> None:
    talk = DRIVER.poll("functions").talk({}, {})
    next(talk)
    assert request(talk.send([Frame(kind=0x2D, payload=b"", status=0x81)])) == ENTER
    talk.send([Frame(kind=0, payload=b"")])
    assert request(talk.throw(LinkTimeout("silent"))) == LEAVE
    with pytest.raises(LinkTimeout, match="silent"):
        talk.throw(LinkTimeout("nor is this answered"))
