"""CPU time of one cycle towards an inverter: the Snapshot's values into frames, for every dialect."""

import time
from collections.abc import Iterator
from pathlib import Path

from outputs.can_bms.dbc_file import load, names
from outputs.can_bms.dialect import Dialect
from outputs.inverter.values import values_of
from tests import make

Row = tuple[str, str, str]
ROUNDS = 200


def encoding(folder: Path, seconds: float) -> Iterator[Row]:
    """The first cycle after loading, and the usual one."""
    snapshot = make.snapshot()
    for name in names():
        dialect = load(name)
        cold, frames = cycle(dialect, snapshot)
        began = time.process_time()
        for _ in range(ROUNDS):
            cycle(dialect, snapshot)
        usual = (time.process_time() - began) / ROUNDS
        yield f"encode: {frames} frames of {name}, cold / usual", f"{1000 * cold:.2f} / {1000 * usual:.2f} ms", "< 2 ms"


def cycle(dialect: Dialect, snapshot: make.Snapshot) -> tuple[float, int]:
    """s for one cycle, and how many frames it has."""
    began = time.process_time()
    frames = dialect.encode({**dialect.defaults, **values_of(snapshot, dialect.keys)})
    return time.process_time() - began, len(frames)
