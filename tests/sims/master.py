"""A master on RS485, as a process: asks the units of a simulated line for ever, before whoever listens on a pty.

python -m tests.sims.master DEVICE NAME WRITTEN PAUSE HEX...   NAME: the pty where it all can be heard; WRITTEN: a file,
to which every byte goes that a listener sends; PAUSE: s between two questions; HEX: the questions.
"""

import os
import select
import sys
import time
import tty
from pathlib import Path

ANSWERED_WITHIN = 0.6  # s of silence after which the next is asked


def main(device: str, name: str, written: str, pause: str, *questions: str) -> None:
    """Never ends by itself."""
    line = os.open(device, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    heard, listener = os.openpty()
    tty.setraw(listener)
    Path(name).symlink_to(os.ttyname(listener))
    Path(written).touch()
    while True:
        for question in map(bytes.fromhex, questions):
            _note(heard, written)
            os.write(line, question)
            os.write(heard, question)
            while select.select([line], [], [], ANSWERED_WITHIN if question else 0)[0]:
                os.write(heard, os.read(line, 4096))
                if not select.select([line], [], [], 0.05)[0]:
                    break
            time.sleep(float(pause))


def _note(heard: int, written: str) -> None:
    """Keep what a listener has said, if it has."""
    while select.select([heard], [], [], 0)[0]:
        with Path(written).open("ab") as file:
            file.write(os.read(heard, 4096))


if __name__ == "__main__":
    main(*sys.argv[1:])
