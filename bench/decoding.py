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
PASSES, BATCHES, ROUNDS = 4, 100, 2  # small ones: many a batch then runs undisturbed


def decoding(folder: Path, seconds: float) -> Iterator[Row]:
    """Splitting, decoding and assembling of one poll, without any link; in several passes over all drivers.

    A computer may be slower for seconds, and what else it does only ever adds: the quickest pass counts.
    """
    drivers = {name: registry.load(name) for name in registry.names()}
    recorded = {name: _fullest(driver) for name, driver in drivers.items()}
    known = {name: case for name, (case, answers) in recorded.items() if answers}
    passes = [{name: measured(drivers[name], case) for name, case in known.items()} for _ in range(PASSES)]
    for name in known:
        least = min(found[name] for found in passes)
        what = f"decode: one poll of a {name}, {recorded[name][1]} answers"
        yield what, f"{1000 * least:.3f} ms", "< 0.3 ms"


def _fullest(driver: Driver) -> tuple[Mapping[str, Any], int]:
    """The recording that answers most of one poll, and how many answers those are; empty: nothing was recorded."""
    cases = [json.loads(file.read_text()) for file in sorted((VECTORS / driver.name).glob("*.json"))]
    counted = [(case, Played(driver, case).answers()) for case in cases]
    return max(counted, key=lambda found: found[1], default=({}, 0))


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


class Played:
    """A driver and a recording, one poll of which can be led again and again."""

    def __init__(self, driver: Driver, case: Mapping[str, Any]) -> None:
        self._session = Session(driver, recorded_settings(driver, case))
        self._bus = Bus(case)
        self._replies = {
            exchange["tx"]: bytes.fromhex("".join(exchange["rx"])) for exchange in case.get("exchanges", ())
        }
        self._steps = [poll for poll in driver.plan if poll.every != ONCE]

    def poll(self) -> int:
        """Lead every step; how many answers there were."""
        return sum(led(self._session, step, self._replies, self._bus) for step in self._steps)

    def answers(self) -> int:
        """To one poll; 0 where no Reading comes of them."""
        try:
            count = self.poll()
            self._session.readings()
        except GatewayError:
            return 0
        return count

    def batch(self) -> float:
        """s of CPU for one poll, of many."""
        began = time.process_time()
        for _ in range(ROUNDS):
            self.poll()
            self._session.readings()
        return (time.process_time() - began) / ROUNDS


def measured(driver: Driver, case: Mapping[str, Any]) -> float:
    """s for one poll of this recording."""
    played = Played(driver, case)
    played.poll()
    return min(played.batch() for _ in range(BATCHES))


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
