"""How much may be done at a time, by messages that go out and wishes that come in.  Pure."""

from typing import Final

WISHES: Final = (
    10.0  # commands in a row from one door; who writes a switch each second must not wear out a BMS's memory
)
AGAIN: Final = 1.0  # s until one more
TINY: Final = 1e-9


class Allowance:
    """So many at once, and one more after every `refill` [s]."""

    def __init__(self, most: float, refill: float) -> None:
        self.most, self.refill = most, refill
        self._left, self._at = most, float("-inf")  # how many were left, and when [s]

    def left(self, now: float) -> float:
        """How many may be taken now, and a part of the next."""
        return min(self.most, self._left + (now - self._at) / self.refill)

    def wait(self, now: float, many: float = 1.0) -> float:
        """Seconds until so many are left."""
        lacking = many - self.left(now)
        return lacking * self.refill if lacking > TINY else 0.0

    def take(self, now: float) -> bool:
        """Take one, if one is left."""
        left = self.left(now)
        taken = left >= 1.0 - TINY
        self._left, self._at = left - taken, now
        return taken
