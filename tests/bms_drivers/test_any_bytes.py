"""Whatever comes down a cable, a driver raises nothing but the errors of frames, and finds every whole frame."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Ask, Dropped, Frame, Poll, Question, Registers, Talk
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import rtu
from gateway.model import DeviceRefused, FrameError, LinkTimeout

VECTORS = Path(__file__).parent.parent / "vectors"
OWN_FILES = {"modbus_map": {"map": str(VECTORS / "modbus_map" / "acme.yaml")}}  # a user's own tables
NAMES = [name for name in registry.names() if registry.load(name).transports != ("can",)]  # frames: test_any_frames.py


def recorded(name: str) -> list[bytes]:
    """Every answer that was recorded of this BMS; notifications are pieces of one."""
    answers: list[str] = []
    for file in sorted((VECTORS / name).glob("*.json")):
        case = json.loads(file.read_text())
        for exchange in case["exchanges"]:
            answers += ["".join(exchange["rx"])] if case["transport"] == "ble" else exchange["rx"]
    return [bytes.fromhex(answer) for answer in answers]


def begun(session: Session) -> Iterator[tuple[Poll, Talk, Question]]:
    """The steps of the plan that ask something, each led to its first question."""
    for poll in session.driver.plan:
        for more in ({}, {"cell_count": 16}):
            talk = poll.talk(session.setup, {**session.known, **more})
            try:
                question = next(talk)
            except (StopIteration, LinkTimeout):
                continue  # known already, not to be asked of this device, or not before more is known
            yield poll, talk, question
            break


def session_of(name: str) -> Session:
    """One that knows what some steps need of others."""
    session = Session(registry.load(name), OWN_FILES.get(name))
    session.known.update({"_cells": 16, "_sensors": 2})
    return session


def asks(name: str) -> list[Ask]:
    """The first question of each step of the plan, as it goes over a line."""
    questions = [question for _, _, question in begun(session_of(name))]
    return [rtu.question(question) if isinstance(question, Registers) else question for question in questions]


def frames_in(ask: Ask, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    """All frames of a stream in pieces, whoever they are for."""
    buffer, found = bytearray(), []
    for piece in pieces:
        buffer += piece
        found += [(item.kind, item.payload) for item in ask.split(buffer) if isinstance(item, Frame)]
    return found


def ending_whole(ask: Ask, answers: list[bytes]) -> list[bytes]:
    """The same; two answers that a frame lies across are one, as nothing can come between them."""
    pieces: list[bytes] = []
    for answer in answers:
        parts = [*pieces[-1:], answer]
        if len(frames_in(ask, parts)) > sum(len(frames_in(ask, [part])) for part in parts):
            pieces[-1] += answer
        else:
            pieces.append(answer)
    return pieces


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_stream_cut_anywhere_gives_the_same_frames(name: str, data: st.DataObject) -> None:
    ask, answers = asks(name)[0], recorded(name)
    stream = b"".join(answers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert frames_in(ask, pieces) == frames_in(ask, [stream])


@pytest.mark.parametrize("name", NAMES)
def test_noise_between_frames_hides_none(name: str) -> None:
    ask, rng = asks(name)[0], random.Random(4)
    answers = ending_whole(ask, recorded(name))
    whole = frames_in(ask, answers)
    noisy = [rng.choices(range(1, 0x40), k=5) for _ in answers]  # bytes that begin no frame
    assert frames_in(ask, [bytes(noise) + answer for noise, answer in zip(noisy, answers, strict=True)]) == whole


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None)
@given(junk=st.binary(max_size=700))
def test_random_bytes_raise_nothing(name: str, junk: bytes) -> None:
    for ask in asks(name):
        answer = Answer(ask)
        answer.feed(junk)
        assert all(isinstance(dropped, Dropped) for dropped in answer.dropped)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_sound_frames_with_any_content_raise_only_frame_errors(name: str, data: st.DataObject) -> None:
    session = session_of(name)
    sizes = {len(payload) for _, payload in frames_in(asks(name)[0], recorded(name))}
    least, most = (min(sizes), max(sizes)) if len(sizes) == 1 else (0, 320)  # one size: the splitter sees to it
    content = st.binary(min_size=least, max_size=most)
    for poll, talk, question in begun(session):
        words = question.count * 2 if isinstance(question, Registers) else None  # a link sees to their number
        payload = data.draw(content if words is None else st.binary(min_size=words, max_size=words))
        status = data.draw(st.integers(0, 255))
        kind = data.draw(st.integers(0, 255))
        try:
            talk.send([Frame(kind=kind, payload=payload, address=1, status=status)])
        except StopIteration as end:
            session.learnt(poll, end.value, 0.0)
        except (FrameError, DeviceRefused, LinkTimeout):
            continue
    try:
        session.readings()
    except FrameError:
        return
