"""Whatever comes over a CAN bus, a driver raises nothing but the errors of frames, and reads its own among it."""

import asyncio
import math
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.kit import can, registry
from bms_drivers.kit.declare import CanAsk, CanId
from bms_drivers.kit.decode import decode, recorded_settings
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.replay import ReplayLink, can_frame
from gateway.model import FrameError, LinkTimeout, Reading
from tests.vectors import Case, cases

NAMES = [name for name in registry.names() if registry.load(name).transports == ("can",)]
CASES = [case for name in NAMES for case in cases(name)]
named = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.data['driver']}-{case}")
Frames = Sequence[Mapping[str, Any]]


def read(case: Case, frames: Frames) -> Reading:
    found = decode(registry.load(case.data["driver"]), {**case.data, "frames": list(frames)})
    assert found.errors == []
    return found.readings[""]


def heard(name: str, config: Mapping[str, Any]) -> list[CanId]:
    """The identifiers that the driver listens to, settled as in a recording."""
    session, found = Session(registry.load(name), config), []
    session.known.update({"cell_count": 16, "_sensors": 4, "_source": 0x8D})
    for poll in session.driver.plan:
        question = next(poll.talk(session.setup, session.known))
        assert isinstance(question, CanAsk)
        found += question.hears
    return found


@named
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_frames_in_any_order_give_the_same_reading(case: Case, seed: int) -> None:
    frames = list(case.data["frames"])
    random.Random(seed).shuffle(frames)
    assert read(case, frames) == read(case, case.data["frames"])


@named
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_frames_of_others_between_change_nothing(case: Case, data: st.DataObject) -> None:
    own = heard(case.data["driver"], recorded_settings(registry.load(case.data["driver"]), case.data))
    frames = list(case.data["frames"])
    for _ in range(data.draw(st.integers(1, 20))):
        extended = data.draw(st.booleans())
        other = {"id": data.draw(st.integers(0, (1 << (29 if extended else 11)) - 1)), "ext": extended,
                 "data": data.draw(st.binary(max_size=8)).hex()}  # fmt: skip
        if not any(wanted.fits(can_frame(other).kind) for wanted in own):
            frames.insert(data.draw(st.integers(0, len(frames))), other)
    assert read(case, frames) == read(case, case.data["frames"])


@named
def test_a_frame_that_is_repeated_counts_as_it_is_last(case: Case) -> None:
    frames = [{**frame, "data": "00" * 8} for frame in case.data["frames"]] + list(case.data["frames"])
    names = {frame["id"] for frame in case.data["frames"]}
    if len(names) == len(case.data["frames"]):  # where an identifier tells one thing only
        assert read(case, frames) == read(case, case.data["frames"])
    assert read(case, [*case.data["frames"], *case.data["frames"]]) == read(case, case.data["frames"])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_content_of_its_own_frames_raises_only_frame_errors(name: str, data: st.DataObject) -> None:
    config = cases(name)[0].data.get("config", {})
    session = Session(registry.load(name), config)
    content = st.binary(min_size=data.draw(st.sampled_from([0, 8])), max_size=8)
    frames = [
        {"id": wanted.id, "ext": wanted.extended, "data": data.draw(content).hex()}
        for wanted in heard(name, config) for _ in range(data.draw(st.integers(0, 2)))
    ]  # fmt: skip
    link = ReplayLink({"frames": frames})
    for poll in session.due(0.0):
        try:
            session.learnt(poll, asyncio.run(converse(link, poll.talk(session.setup, session.known))), 0.0)
        except (FrameError, LinkTimeout):
            session.missed(poll, 0.0)
    try:
        session.readings()
    except FrameError:
        return


@named
def test_every_frame_left_out_leaves_no_value_of_its_own(case: Case) -> None:
    """What is told without a frame was told by another one; no value is made of nothing."""
    whole = read(case, case.data["frames"])
    for number in range(len(case.data["frames"])):
        rest = [frame for n, frame in enumerate(case.data["frames"]) if n != number]
        found = decode(registry.load(case.data["driver"]), {**case.data, "frames": rest})
        for reading in found.readings.values():
            assert len(reading.cell_voltages) in (0, len(whole.cell_voltages))
            assert reading.voltage is None or whole.voltage == pytest.approx(reading.voltage, abs=0.2)
            assert reading.soc is None or reading.soc == pytest.approx(whole.soc, abs=0.5)


FLOATS = """VERSION ""

BU_: Battery

BO_ 768 Pack: 8 Battery
 SG_ voltage : 0|32@1- (1,0) [0|0] "V" Battery
 SG_ charge_cycles : 32|32@1- (1,0) [0|0] "" Battery

SIG_VALTYPE_ 768 voltage : 1;
SIG_VALTYPE_ 768 charge_cycles : 1;
"""


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_floating_point_number_that_nobody_measured_is_not_known(number: float, tmp_path: Path) -> None:
    (tmp_path / "floats.dbc").write_text(FLOATS)
    file = can.Dbc(tmp_path / "floats.dbc")
    assert file.values("Pack", struct.pack("<ff", number, number)) == {"voltage": None, "charge_cycles": None}
    assert file.values("Pack", struct.pack("<ff", 52.5, 80.0)) == {"voltage": 52.5, "charge_cycles": 80}
