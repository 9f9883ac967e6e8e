"""CPU time of decoding one full poll, for every driver, from the recording that answers most of it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.kit.declare import ONCE, CanAsk, Driver, Frame, Poll, Question
from bms_drivers.kit.decode import recorded_settings
from bms_drivers.kit.framing import Answer
from bms_drivers.kit.session import Session
from bms_drivers.links import rtu
from bms_drivers.links.replay import ReplayLink
from gateway.model import GatewayError

Row = tuple[str, str, str]
VECTORS = Path("tests/vectors")
BATCHES, ROUNDS = 400, 2  # small ones: many a batch then runs undisturbed


def decoding(folder: Path, seconds: float) -> Iterator[Row]:
    """Splitting, decoding and assembling of one poll, without any link."""
    for name in registry.names():
        driver = registry.load(name)
        cases = [json.loads(file.read_text()) for file in sorted((VECTORS / name).glob("*.json"))]
        if not cases:
            continue  # nothing of it was ever recorded
        polls, answered = max((measured(driver, case) for case in cases), key=lambda found: found[1])
        yield f"decode: one poll of a {name}, {answered} answers", f"{1000 * polls:.3f} ms", "< 0.3 ms"


class Bus:
    """A recorded CAN bus; what is heard on it is looked for once, as that is the link's work and not decoding."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self._recording = ReplayLink(case)
        self._heard: dict[str, Sequence[Frame] | None] = {}

    def heard(self, step: str, question: CanAsk) -> Sequence[Frame] | None:
        """The frames that answer a step's question; on a bus it has but one."""
        if step not in self._heard:
            self._heard[step] = self._recording.heard(question)
        return self._heard[step]


def measured(driver: Driver, case: Mapping[str, Any]) -> tuple[float, int]:
    """s for one poll of this recording, and how many answers it took."""
    session = Session(driver, recorded_settings(driver, case))
    bus = Bus(case)
    replies = {exchange["tx"]: bytes.fromhex("".join(exchange["rx"])) for exchange in case.get("exchanges", ())}
    steps = [poll for poll in driver.plan if poll.every != ONCE]
    answered = sum(led(session, poll, replies, bus) for poll in steps)
    try:
        took = [batch(session, steps, replies, bus) for _ in range(BATCHES)]
    except GatewayError:
        return 0.0, 0
    return min(took), answered  # what else the machine does only ever adds


def batch(session: Session, steps: Sequence[Poll], replies: Mapping[str, bytes], bus: Bus) -> float:
    """s of CPU for one poll, of many.  Raises GatewayError where no Reading comes out."""
    began = time.process_time()
    for _ in range(ROUNDS):
        for poll in steps:
            led(session, poll, replies, bus)
        session.readings()
    return (time.process_time() - began) / ROUNDS


def led(session: Session, poll: Poll, replies: Mapping[str, bytes], bus: Bus) -> int:
    """Lead one step over the recorded replies; how many there were."""
    talk, count = poll.talk(session.setup, session.known), 0
    try:
        question = next(talk)
        while (frames := heard(poll.name, question, replies, bus)) is not None:
            count += 1
            question = talk.send(frames)
    except StopIteration as end:
        session.learnt(poll, end.value, 0.0)
    except GatewayError:
        return count
    return count


def heard(step: str, question: Question, replies: Mapping[str, bytes], bus: Bus) -> Sequence[Frame] | None:
    """The frames of the recorded answer."""
    if isinstance(question, CanAsk):
        return bus.heard(step, question)
    ask = rtu.on_line(question)
    answer = Answer(ask)
    whole = answer.feed(replies.get(ask.request.hex(), b""))
    return answer.frames if whole or (ask.partial and answer.frames) else None
