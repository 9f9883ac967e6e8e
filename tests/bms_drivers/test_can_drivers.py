"""BMSs on a CAN bus: what takes more than one frame.  Expected values: the sheets of each."""

import pytest

from bms_drivers import daly_can, jbd_can
from bms_drivers.kit.declare import EXTENDED, Frame, Values
from bms_drivers.kit.session import Session


@pytest.mark.parametrize(
    ("values", "capacity"),
    [
        ({"capacity": 200.0, "_capacity": 100.0}, 200.0), ({"_capacity": 100.0}, 100.0),
        ({"capacity": None, "_capacity": 100.0}, 100.0), ({"_capacity": None}, None), ({}, None),
    ],
)  # fmt: skip
def test_jbd_capacity_is_that_of_the_bank_else_the_boards(values: Values, capacity: float | None) -> None:
    assert jbd_can.finish(values, {})["capacity"] == capacity


def heard(session: Session, step: str, kind: int, data: str) -> None:
    """The step is answered with one frame."""
    poll = session.driver.poll(step)
    talk = poll.talk(session.setup, session.known)
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send([Frame(kind=kind | EXTENDED, payload=bytes.fromhex(data))])
    session.learnt(poll, end.value.value, 0.0)


@pytest.mark.parametrize(("state", "amps"), [("01", [10.0, 1.0, 1.0]), ("02", [-10.0, -1.0, -1.0])])
def test_daly_keeps_the_sign_it_learnt_while_the_board_says_stationary(state: str, amps: list[float]) -> None:
    session, found = Session(daly_can.DRIVER), []
    for raw, said in (("7594", state), ("753a", "00"), ("753a", "00")):
        heard(session, "pack", 0x18904001, f"02120000{raw}0200")
        heard(session, "switches", 0x18934001, f"{said}01010000000000")
        found.append(session.readings()[""].current)
    assert found == pytest.approx(amps)
