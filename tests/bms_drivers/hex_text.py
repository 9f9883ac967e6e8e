"""Frames of hex text to test with, built by hand."""

from typing import Any

from bms_drivers.kit.declare import Ask, Question, Talk, Values
from bms_drivers.kit.framing import Answer


def frame(version: int, address: int, cid1: int, code: int, info: bytes = b"", start: str = "~") -> bytes:
    """A whole frame; `code` is CID2 of a request, the return code of a reply."""
    length = 2 * len(info)
    nibbles = sum(int(digit, 16) for digit in f"{length:03X}")
    text = f"{version:02X}{address:02X}{cid1:02X}{code:02X}{(16 - nibbles) % 16:X}{length:03X}{info.hex().upper()}"
    return f"{start}{text}{(0x10000 - sum(text.encode())) % 0x10000:04X}\r".encode()


def sent(question: Question) -> str:
    """The request as text, without its CR."""
    assert isinstance(question, Ask)
    return question.request.decode().removesuffix("\r")


def led(talk: Talk, *replies: bytes) -> Values:
    """What a talk learns when its questions are answered so.  Raises what it raises, AssertionError for no answer."""
    question = next(talk)
    for raw in replies:
        assert isinstance(question, Ask)
        answer = Answer(question)
        assert answer.feed(raw), f"{raw!r} is no answer: {answer.dropped}, {answer.foreign} foreign"
        try:
            question = talk.send(answer.frames)
        except StopIteration as end:
            learnt: Values = end.value
            return learnt
    raise AssertionError(f"asks on: {question}")


def unanswered(talk: Talk, raw: bytes) -> Answer:
    """What is left of bytes that do not answer the first question of a talk."""
    question = next(talk)
    assert isinstance(question, Ask)
    answer = Answer(question)
    assert not answer.feed(raw)
    return answer


def raised(values: Values) -> dict[str, int]:
    """The alarms above 0."""
    alarms: dict[str, Any] = values["alarms"]
    return {name: level for name, level in alarms.items() if level}
