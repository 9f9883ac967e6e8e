"""Runs apart: forks writers that save without a pause and kills each with SIGKILL at a random moment.

Prints one JSON line: how many rounds, how many kills hit a running save, and every file that was not a saved state.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from gateway.store import Store


def state(number: int) -> dict[str, Any]:
    """The state with this number; its size varies so that a torn mixture of two cannot look whole."""
    return {"number": number, "fill": chr(97 + number % 26) * (number * 7919 % 9000)}


def write_for_ever(directory: Path, first: int, saved: int) -> None:
    """Save one state after the other; tell the number of each that is said to be safe."""
    store = Store(directory)
    for number in range(first, first + 1_000_000):
        if store.save(state(number)):
            os.write(saved, number.to_bytes(4, "big"))


def round_of(directory: Path, first: int) -> int:
    """Fork a writer, kill it, return the last number that it called safe (0 = none)."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        write_for_ever(directory, first, write)
        os._exit(0)
    os.close(write)
    told = os.read(read, 4)  # on a busy machine the writer may take its time
    time.sleep(random.uniform(0.0, 0.006))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while block := os.read(read, 65536):
        told += block
    os.close(read)
    return int.from_bytes(told[-4:], "big") if told else 0


def main(directory: Path, rounds: int) -> None:
    """`rounds` kills, each followed by a look at what is there."""
    wrong, cut, number = [], 0, 0
    for _ in range(rounds):
        safe = max(number, round_of(directory, number + 1))
        cut += (directory / ".state.json.new").exists()
        loaded = Store(directory).load()
        number = loaded.get("number", 0)
        if loaded != (state(number) if number else {}) or number < safe:
            wrong.append({"number": number, "safe": safe})
    bad = [path.name for path in directory.glob("*.bad-*")]
    print(json.dumps({"rounds": rounds, "saves": number, "cut": cut, "wrong": wrong, "bad": bad}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
