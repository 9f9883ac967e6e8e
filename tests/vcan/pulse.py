"""When no thread of a process ran: the guest's kernel takes half a second and more to start another process, and the
host of both is busy elsewhere now and then."""

import threading
import time
from collections.abc import Iterable, Sequence

BEAT = 0.02  # s
STILL = 0.05  # s from one beat to the next


class Pulse:
    """A thread that only sleeps, and remembers from when to when (monotonic) it could not go on."""

    def __init__(self) -> None:
        self.stops: list[tuple[float, float]] = []
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        before = time.monotonic()
        while True:
            time.sleep(BEAT)
            now = time.monotonic()
            if now - before > STILL:
                self.stops.append((before, now))
            before = now


def still(stops: Iterable[Sequence[float]], begin: float, end: float) -> float:
    """s of these stops that are between `begin` and `end`."""
    return sum(max(0.0, min(end, after) - max(begin, before)) for before, after in stops)
