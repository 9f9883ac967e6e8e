"""An inverter on a pty, in a process of its own, that asks as recordings show and notes when each answer came.

python -m bench.asker LINK HABIT    LINK is the port that the gateway opens; asks when a file LINK.go is there.
                                    A line a question: "answer" and s from its last byte to the first of the answer, or
                                    "missing", "silent" (not ours), "foreign" (not ours, answered), "unasked", "wrong"
"""

import itertools
import os
import random
import select
import sys
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.model import FrameError, GatewayError
from gateway.wire import hex_frame
from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.modbus import sealed
from outputs.rs485_bms.wire import Wire

BYTE: Final = 10 / 9600  # s on the line
PATIENCE: Final = 0.2  # s that is waited for an answer; the shortest that is known of a reader
QUIET: Final = 0.02  # s of silence that ends an answer


@dataclass(frozen=True, slots=True)
class Habit:
    """What is asked in turn, and how often; sheet: rs485-inverter-protocols.md sections 4 and 5."""

    dialect: str
    period: float  # s between two questions
    questions: tuple[tuple[bytes, bool], ...]  # and whether it is ours to answer


def _pylon(command: int, address: int = 2) -> bytes:
    return hex_frame(0x20, address, 0x46, command)


def _read(start: int, count: int) -> bytes:
    return sealed(bytes((1, 3)) + start.to_bytes(2, "big") + count.to_bytes(2, "big"))


def _group(address: int) -> tuple[tuple[bytes, bool], ...]:
    """As an Anenji: limits, values, and a search for one more group."""
    return (_pylon(0x63), True), (_pylon(0x61), True), (_pylon(0x61, address), False)


HABITS: Final = {
    "anenji": Habit("pylontech", 0.8, tuple(itertools.chain(*map(_group, (0x12, 0x22, 0x32, 0x42))))),
    "growatt": Habit("growatt", 0.5, ((_read(1, 15), True), (_read(0x70, 17), True), (_read(0x10, 27), True))),
    "hasty": Habit("pylontech", 0.1, ((_pylon(0x63), True), (_pylon(0x62), True))),
}


def main(link: str, habit: str) -> None:
    """Ask until ended."""
    near, port = os.openpty()  # the port stays open here, so that the gateway may close and reopen it
    tty.setraw(port)
    os.set_blocking(near, False)
    Path(link).symlink_to(os.ttyname(port))
    while not Path(f"{link}.go").exists():
        time.sleep(BYTE)
    for line in _asked(near, HABITS[habit]):
        print(line, flush=True)


def _asked(near: int, habit: Habit) -> Iterator[str]:
    dialect, due = make(habit.dialect, Wire()), time.monotonic()
    for question, ours in itertools.cycle(habit.questions):
        due = max(due + habit.period, time.monotonic())
        if _hear(near, due + random.uniform(-0.1, 0.1) * habit.period - time.monotonic())[0]:
            yield "unasked"
        asked = _say(near, question)
        answer, at = _hear(near, PATIENCE)
        if not answer:
            yield "missing" if ours else "silent"
        elif not ours:
            yield "foreign"
        else:
            try:
                dialect.read(question, answer)
            except (FrameError, GatewayError) as problem:
                yield f"wrong {problem}"
            else:
                yield f"answer {at - asked:.6f}"


def _say(near: int, question: bytes) -> float:
    """Byte by byte, as a line does; when the last one was there [s]."""
    for byte in question:
        time.sleep(BYTE)
        os.write(near, bytes((byte,)))
    return time.monotonic()


def _hear(near: int, seconds: float) -> tuple[bytes, float]:
    """What comes within so long, until it is quiet again, and when it began [s]."""
    end, came, first = time.monotonic() + seconds, b"", 0.0
    while select.select([near], [], [], QUIET if came else max(0.0, end - time.monotonic()))[0]:
        first = first or time.monotonic()
        came += os.read(near, 4096)
    return came, first


if __name__ == "__main__":
    main(*sys.argv[1:])
