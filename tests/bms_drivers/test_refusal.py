"""No driver takes another BMS for its own: its detection is led over what every other one was recorded to say."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.declare import CanAsk, Driver, Frame, Question, Registers, Talk, Values
from bms_drivers.kit.detect import Found, recognised
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.replay import ReplayLink
from gateway.model import DeviceRefused, FrameError, LinkTimeout

VECTORS = Path(__file__).parent.parent / "vectors"
NAMES = registry.names()
Stream = bytes | list[Mapping[str, Any]]  # what a line says, or a CAN bus: frames as in recordings


def heard(name: str) -> Iterator[tuple[str, Stream]]:
    """All that the recordings of one BMS hold, a stream a file; and again with each answer in turn as the first."""
    for file in sorted((VECTORS / name).glob("*.json")):
        case = json.loads(file.read_text())
        if frames := case.get("frames"):
            yield file.stem, frames
            yield f"{file.stem} as bytes", bytes.fromhex("".join(frame["data"] for frame in frames))
        answers = [bytes.fromhex("".join(exchange["rx"])) for exchange in case.get("exchanges", ())]
        for first in range(len(answers)):
            yield f"{file.stem} from answer {first} on", b"".join(answers[first:] + answers[:first])


def converse_with(talk: Talk, stream: Stream) -> Values:
    """Lead a talk with a device that says the same whatever it is asked."""
    try:
        question = next(talk)
        while True:
            try:
                frames = answered(question, stream)
            except LinkTimeout as problem:
                question = talk.throw(problem)
            else:
                question = talk.send(frames)
    except StopIteration as end:
        learnt: Values = end.value
        return learnt


def answered(question: Question, stream: Stream) -> list[Frame]:
    if isinstance(question, CanAsk) or not isinstance(stream, bytes):
        if isinstance(question, CanAsk) and not isinstance(stream, bytes):
            return list(asyncio.run(ReplayLink({"frames": stream}).exchange(question)))
        raise LinkTimeout("another kind of bus")
    ask = rtu.question(question) if isinstance(question, Registers) else question
    answer = Answer(ask)
    if not answer.feed(stream) and not (ask.partial and answer.frames):
        raise LinkTimeout("nothing that fits")
    if isinstance(question, Registers):
        rtu.checked(question, answer.frames)
    return answer.frames


def taken_for(driver: Driver, setup: Values, stream: Stream) -> str:
    """What the driver believes to have found; "" = it refused."""
    known: Values = {}
    for number, name in enumerate(driver.detection.polls):
        try:
            known.update(converse_with(driver.poll(name).talk(setup, known), stream))
        except (LinkTimeout, FrameError, DeviceRefused):
            if number == 0:
                return ""
    try:
        return driver.detection.proof(known)
    except FrameError:
        return ""


def meet(one: str, other: str) -> bool:
    """Can both be at the other end of one port?  A frame that a cable and the air share is told apart by the port."""
    kinds = [
        {"serial" if kind == "modbus" else kind for kind in registry.load(name).transports} for name in (one, other)
    ]
    return not kinds[0].isdisjoint(kinds[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_of_another_bms_is_refused(name: str) -> None:
    driver = registry.load(name)
    detection = driver.detection
    setups = [driver.setup(setup) for setup in (*detection.setups, *detection.siblings, *detection.overheard)]
    others = [(other, *case) for other in NAMES if other != name and meet(name, other) for case in heard(other)]
    taken = [(other, case) for other, case, stream in others if any(taken_for(driver, s, stream) for s in setups)]
    print(f"{name}: refuses {len(others) - len(taken)} of {len(others)} streams, at {len(setups)} addresses each")
    assert taken == []


@pytest.mark.parametrize("name", NAMES)
def test_zeros_and_noise_are_refused(name: str) -> None:
    driver = registry.load(name)
    for stream in (bytes(600), b"\xff" * 600, bytes(range(256)) * 3, b"~" * 400, b"\r\n" * 200, b"$GPGGA,1,2*47\r\n"):
        assert not taken_for(driver, driver.setup({}), stream)


@pytest.mark.parametrize("name", [name for name in NAMES if "can" in registry.load(name).transports])
@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x55])
def test_its_identifiers_with_nothing_in_them_are_refused(name: str, byte: int) -> None:
    own = {(f["id"], f["ext"]) for _, stream in heard(name) if not isinstance(stream, bytes) for f in stream}
    stream = [{"id": id_, "ext": ext, "data": f"{byte:02x}" * 8} for id_, ext in sorted(own)]
    assert stream
    driver = registry.load(name)
    assert not taken_for(driver, driver.setup({}), stream)


@pytest.mark.parametrize("name", [name for name in NAMES if registry.load(name).detection.polls])
def test_its_own_recordings_are_taken(name: str) -> None:
    """The check of the checks: a driver does recognise its own, where it has its answers in their order."""
    driver = registry.load(name)

    async def found(file: Path) -> list[Found]:
        return [one async for one in recognised(ReplayLink(json.loads(file.read_text())), driver)]

    assert any(asyncio.run(found(file)) for file in sorted((VECTORS / name).glob("*.json")))
