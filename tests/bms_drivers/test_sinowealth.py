"""Sinowealth: check bytes, alarms, sensors and refused packs that the recordings do not show.  From sinowealth.md."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers.kit.declare import Frame
from bms_drivers.kit.framing import Answer
from bms_drivers.links import converse
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sinowealth import Sinowealth, build, check
from bms_drivers.sinowealth import DRIVER, alarms, ask
from gateway.model import Implausible, LinkTimeout
from tests.sims.wire import Wire, poll, raised, session

CAPTURED = {1: "0e7dbf", 2: "0e7d85", 3: "0e7e9a", 4: "0e7ef8", 5: "0e7fe9", 6: "0e7ed4", 7: "0e7fc5", 8: "0e7d19"}


def device(**pack: object) -> Sinowealth:
    return build(Pack.of(4, cells=4, **pack), {})  # type: ignore[arg-type]


# ---- replies


@pytest.mark.parametrize("asked", CAPTURED)
@pytest.mark.parametrize("sent", CAPTURED)
def test_a_reply_to_another_register_is_none(asked: int, sent: int) -> None:
    answer = Answer(ask(asked))
    assert answer.feed(bytes.fromhex(CAPTURED[sent])) is (asked == sent)


@pytest.mark.parametrize("register", range(1, 0x19))
def test_the_echo_of_a_request_is_no_reply(register: int) -> None:
    question = ask(register)
    assert not Answer(question).feed(question.request)
    assert not Answer(question).feed(question.request * 3)


@given(noise=st.binary(min_size=1, max_size=30), cuts=st.lists(st.integers(0, 33), max_size=4))
def test_nothing_behind_noise_is_taken_for_a_reply(noise: bytes, cuts: list[int]) -> None:
    question, reply = ask(1), bytes.fromhex(CAPTURED[1])
    stream = noise + reply
    if check(question.request + stream[:3]) == 0:
        return  # the noise is a reply by chance
    answer = Answer(question)
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        assert not answer.feed(stream[start:end])


def test_bytes_behind_a_reply_do_not_spoil_it() -> None:
    answer = Answer(ask(1))
    assert answer.feed(bytes.fromhex(CAPTURED[1]) + b"\xff")
    assert len(answer.frames) == 1


def test_four_bytes_are_asked_where_the_sheet_says() -> None:
    assert {register for register in range(1, 0x19) if ask(register).request[2] == 4} == {0x10, 0x11, 0x12}


# ---- alarms

BITS = {  # section 6: high byte, low byte
    14: "bms_cable", 13: "short_circuit", 12: "high_voltage", 11: "low_temperature", 10: "low_charge_temperature",
    9: "high_temperature", 8: "high_charge_temperature", 3: "high_discharge_current", 2: "high_charge_current",
    1: "low_voltage", 0: "high_voltage",
}  # fmt: skip


@pytest.mark.parametrize("bit", range(16))
def test_each_bit_raises_its_alarm_and_no_other(bit: int) -> None:
    levels = alarms([Frame(kind=0x16, payload=(1 << bit).to_bytes(2, "big"))], {}, {})["alarms"]
    assert {name: level for name, level in levels.items() if level} == ({BITS[bit]: 2} if bit in BITS else {})


@pytest.mark.parametrize("name", sorted(set(BITS.values())))
def test_the_simulators_alarms_arrive(name: str) -> None:
    board = device()
    board.pack.alarms = {name}
    assert raised(poll(session("sinowealth"), board)) == {name: 2}


# ---- current, sensors, cells


@pytest.mark.parametrize("current", [-7.5, 0.0, 7.5])
def test_the_boards_own_word_gives_the_sign(current: float) -> None:
    assert poll(session("sinowealth"), device(current=current)).current == current
    turned = device(current=current)
    turned._pack_status = lambda: (current < 0) << 2 | (current > 0) << 3  # type: ignore[method-assign]
    assert poll(session("sinowealth"), turned).current == -current


@pytest.mark.parametrize("sensors", [1, 2])
def test_a_second_sensor_counts_only_where_it_is_fitted(sensors: int) -> None:
    board = build(Pack.of(4, cells=4), {"sensors": sensors})
    plan = session("sinowealth")
    for _ in range(2):  # a recording is polled once
        assert poll(plan, board).temperatures == pytest.approx(board.pack.temperatures[:sensors], abs=0.06)


def test_a_sensor_that_falls_silent_keeps_its_place() -> None:
    plan, board = session("sinowealth"), device()
    for _ in range(2):
        poll(plan, board)
    for _ in range(3):
        plan.missed(plan.driver.poll("sensor_1"), 0.0)
    first, second = plan.readings()[""].temperatures
    assert first is None
    assert second is not None


def test_without_the_count_nothing_is_read() -> None:
    class Mute(Sinowealth):
        def answer(self, received: bytearray) -> list[bytes]:
            return [] if received[1] == 0x17 else super().answer(received)

    with pytest.raises(LinkTimeout):
        poll(session("sinowealth"), Mute(Pack.of(4, cells=4), 2))


def test_a_missing_cell_fails_the_poll() -> None:
    class Gap(Sinowealth):
        def answer(self, received: bytearray) -> list[bytes]:
            return [] if received[1] == 3 else super().answer(received)

    board, plan = Gap(Pack.of(4, cells=4), 2), session("sinowealth")
    plan.known["cell_count"] = 4
    with pytest.raises(LinkTimeout):
        asyncio.run(converse(Wire(board), plan.driver.poll("cells").talk(plan.setup, plan.known)))


def test_a_pack_of_more_than_ten_cells_is_refused() -> None:
    board = device()
    board.pack.cells += board.pack.cells * 2  # its count cannot say so; the voltage register holds another cell
    board._register = lambda register: (  # type: ignore[method-assign]
        round(board.pack.cells[register - 1] * 1000).to_bytes(2, "big") if register <= 12 else bytes((0, 1, 0, 0))
    )
    with pytest.raises(Implausible, match="voltage"):
        poll(session("sinowealth"), board)


def test_nothing_can_be_written() -> None:
    assert not DRIVER.controls
