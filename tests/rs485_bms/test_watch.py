"""What is said of an inverter that asks, does not ask, or asks somebody else, and of a line that is wired wrongly."""

import logging

import pytest

from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.watch import Watch
from outputs.rs485_bms.wire import Wire
from tests.rs485_bms.inverter import pylon, read
from tests.rs485_bms.uart import exchanged

NEVER = "the inverter has not asked: its battery setting, the pins of its socket, or A and B swapped"


class Line:
    """A watch, fed as the line feeds it."""

    def __init__(self, dialect: str = "pylontech") -> None:
        self.watch = Watch("/dev/ttyX", dialect, 2 if dialect == "pylontech" else 1, 9600, asks_within=10.0)
        self.now = 100.0
        self._dialect = make(dialect, Wire())

    def hears(self, raw: bytes, times: int = 1, every: float = 0.8) -> str:
        """What is said after these bytes came so often."""
        for _ in range(times):
            buffer = bytearray(raw)
            self.watch.heard(list(self._dialect.split(buffer)), raw, self.now)
            self.watch.look(self.now)
            self.now += every
        return self.says()

    def says(self, later: float = 0.0) -> str:
        """What is wrong, so many seconds later."""
        self.now += later
        self.watch.look(self.now)
        return self.watch.second_battery(self.now) or self.watch.symptom(self.now)


def test_an_inverter_that_asks_is_told_with_how_often_and_when(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()
    assert line.says() == "" and line.watch.state(line.now) == "never asked"
    assert line.says(10.0) == NEVER
    with caplog.at_level(logging.INFO):
        assert line.hears(pylon(0x63) + pylon(0x61), 20) == ""
        assert line.watch.state(line.now) == "asking"
        assert [(ask["what"], ask["count"], ask["every"], ask["ago"]) for ask in line.watch.asks(line.now)] == [
            ("63", 20, 0.8, 0.8), ("61", 20, 0.8, 0.8),
        ]  # fmt: skip
        assert line.says(9.1) == "" or "stopped" in line.says()
        assert line.says(0.2) == "the inverter has stopped asking (silent for 10 s)"
        assert line.hears(pylon(0x63)) == ""
    said = caplog.messages[1:]
    assert [text.partition(": ")[2] for text in said] == [
        "the inverter asks", "the inverter has stopped asking (silent for 10 s)", "the inverter asks",
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", ["pylontech", "growatt", "voltronic"])
@pytest.mark.parametrize("question", [pylon(0x61), pylon(0x63), pylon(0x42, b"\x02"), read(0x10, 27), read(0x13, 17)])
def test_exchanged_wires_are_recognised(dialect: str, question: bytes) -> None:
    line, garbage = Line(dialect), exchanged(question)
    assert garbage and garbage != question
    said = line.hears(garbage, 15)
    assert said.startswith("bytes come, but no question is among them: A and B swapped"), (said, garbage)


def test_a_question_for_another_address_or_in_another_dialect_is_told() -> None:
    assert Line().hears(pylon(0x61, address=0x12), 15) == (
        "the battery at address 0x12 is asked, not the one at 0x02: set address"
    )
    foreign = Line().hears(read(0x10, 27), 15)
    assert foreign == "the battery is asked in growatt or voltronic, not in pylontech: set dialect"
    assert "is asked in pylontech, not in growatt" in Line("growatt").hears(pylon(0x63), 15)


def test_a_search_for_further_batteries_is_no_fault() -> None:
    assert Line().hears(pylon(0x63) + pylon(0x61, address=0x12), 20) == ""


def test_a_second_battery_is_told(caplog: pytest.LogCaptureFixture) -> None:
    line, dialect = Line(), make("pylontech", Wire())
    (request,) = dialect.split(bytearray(pylon(0x61)))
    answer = dialect.reply(request, dialect.image({}, []))  # type: ignore[arg-type]
    assert line.hears(pylon(0x61) + answer, 2) == ""
    assert line.hears(pylon(0x61) + answer, 3).startswith("another battery answers on this line")
    assert len([text for text in caplog.messages if "another battery" in text]) == 1
    assert line.hears(pylon(0x61), 80) == ""


def test_damaged_questions_are_two_masters_or_noise() -> None:
    line = Line()
    damaged = pylon(0x06).replace(b"FD", b"FE")
    assert line.hears(pylon(0x61) + damaged, 2) == ""
    assert "were damaged: two masters, no ground wire, or noise" in line.hears(pylon(0x61) + damaged, 5)
    assert line.hears(pylon(0x61), 80) == ""
