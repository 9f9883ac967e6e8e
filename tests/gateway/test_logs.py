"""Log lines and readers that stop reading: real pipes, real threads."""

import fcntl
import logging
import os
import re
import select
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.logs import LogQueue, Writer

F_SETPIPE_SZ = 1031  # linux/fcntl.h
PAGE = 4096  # bytes; the smallest pipe


class Pipe:
    """A small pipe with a log that writes to it."""

    def __init__(self, kept: int) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, F_SETPIPE_SZ, PAGE)
        self.lines = LogQueue(kept)
        self.writer = Writer(self.lines, logging.Formatter("%(levelname)s %(message)s"), self.writing)
        self.log = logging.Logger("test")
        self.log.addHandler(self.lines)

    def read(self, until: str) -> str:
        """All that comes, up to a line that contains `until`."""
        text = ""
        while until not in text or not text.endswith("\n"):
            assert select.select([self.reading], [], [], 10.0)[0], f"nothing more came after {text!r}"
            text += os.read(self.reading, PAGE).decode()
        return text


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(kept=10)
    yield made
    os.close(made.reading)
    made.writer.stop(1.0)
    os.close(made.writing)


def fill(pipe: Pipe, lines: int) -> None:
    for number in range(lines):
        pipe.log.warning("line %d %s", number, "x" * 500)


def test_a_reader_that_stops_keeps_nobody_waiting_and_is_told_later_what_it_missed(pipe: Pipe) -> None:
    pipe.writer.start()
    began = time.monotonic()
    fill(pipe, 300)
    assert time.monotonic() - began < 1.0
    assert pipe.lines.dropped > 250
    text = ""
    while (place := told(text)) < 300:
        text += pipe.read("\n")
    assert place == 300, "everything is told, though nothing new happens"
    pipe.log.warning("line 300 and on it goes")
    assert told(text + pipe.read("goes")) == 301


def told(text: str) -> int:
    """How many lines the text tells of: those that are there, in their order, and those that it says are missing."""
    place = 0
    for shown, missing in re.findall(r"line (\d+) |WARNING (\d+) log lines? (?:is|are) missing", text):
        assert shown in ("", str(place)), "what is missing is told where it is missing"
        place += int(missing or 1)
    return place


def test_the_gap_is_told_before_the_line_that_follows_it(pipe: Pipe) -> None:
    fill(pipe, 13)  # nobody writes yet
    assert pipe.lines.dropped == 3
    for _ in range(2):
        pipe.lines.lines.get()
    pipe.log.error("after the gap")
    pipe.writer.start()
    last = pipe.read("after the gap").splitlines()[-2:]
    assert last == ["WARNING 3 log lines are missing here: they could not be written in time", "ERROR after the gap"]


def test_the_end_does_not_wait_for_a_reader_that_takes_nothing(pipe: Pipe) -> None:
    pipe.writer.start()
    fill(pipe, 300)
    began = time.monotonic()
    pipe.writer.stop(0.2)
    assert time.monotonic() - began < 1.0


def test_what_is_left_is_written_at_the_end(pipe: Pipe) -> None:
    pipe.writer.start()
    for number in range(9):
        pipe.log.warning("%d", number)
    pipe.writer.stop()
    assert pipe.read("8") == "".join(f"WARNING {number}\n" for number in range(9))


def test_a_descriptor_that_refuses_to_wait_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    pipe.writer.start()
    fill(pipe, 10)
    assert re.findall(r"line (\d+)", pipe.read("line 9")) == [str(number) for number in range(10)]


def test_lines_that_a_full_disk_refused_are_counted_and_told_when_it_has_room() -> None:
    pipe = Pipe(kept=10)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, pipe.writing)
    pipe.writer.start()
    for _ in range(5):
        pipe.log.warning("lost")
    pipe.writer.stop()
    assert pipe.lines.dropped >= 5
    pipe.lines.gap()

    reading, writing = os.pipe()
    lines = LogQueue()
    writer = Writer(lines, logging.Formatter("%(message)s"), full)
    lines.handle(logging.makeLogRecord({"msg": "lost"}))
    writer.start()
    deadline = time.monotonic() + 5
    while not lines.dropped and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    os.dup2(writing, full)
    lines.handle(logging.makeLogRecord({"msg": "kept"}))
    writer.stop()
    assert os.read(reading, PAGE).decode().splitlines() == [
        "1 log line is missing here: they could not be written in time", "kept",
    ]  # fmt: skip


def test_what_is_missing_is_told_at_the_end_too(pipe: Pipe) -> None:
    pipe.lines.lost(3)
    pipe.writer.start()
    pipe.writer.stop()
    assert "3 log lines are missing here" in pipe.read("missing")


def test_a_loss_is_counted_whole_or_not_yet() -> None:
    """Else a line that comes between the two counts stands where the word about the loss belongs."""
    lines = LogQueue()
    lines.acquire()  # as while a line is being taken
    thread = threading.Thread(target=lines.lost, args=(1,))
    thread.start()
    thread.join(0.1)
    assert (lines.dropped, thread.is_alive()) == (0, True)
    lines.release()
    thread.join()
    assert lines.dropped == 1
    assert lines.gap() is not None


def test_a_traceback_and_odd_letters_get_through(pipe: Pipe) -> None:
    pipe.writer.start()
    try:
        raise ValueError("Größe \udcff")
    except ValueError:
        pipe.log.exception("a defect in %s", "Küche")
    text = pipe.read("ValueError: ")
    assert "ERROR a defect in Küche\nTraceback" in text
    assert "Größe \\udcff" in text
