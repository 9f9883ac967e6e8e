"""What the tries of one battery say of its link, and when that is worth a line in the log.

One outage is not a flaky link: it is told as stale and lost.  So the tries of an outage never count here; those that
fail while the battery is online count once a good read shows that they were no outage.  Sheet: limits.md 8.2.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import sub
from typing import Final

from gateway.model import GatewayError, LinkTimeout
from gateway.supervise import words

FLAKY_WINDOW: Final = 300.0  # s
FLAKY_SHARE: Final = 0.2  # of the reads in the window
FLAKY_LEAST: Final = 20  # reads before a share means anything
SAID_FIRST: Final = 5.0  # s from the first question of a battery that never answered to a line in the log
SAID_AGAIN: Final = 60.0  # s from the line that one is stale or lost to the next
PAUSE_GROWS: Final = 5.0  # times from line to line
PAUSE_MOST: Final = 3600.0  # s
USELESS: Final = ("checksum", "length", "noise", "foreign", "torn", "late")  # a link's counters of what it dropped


def dropped_by(counters: Mapping[str, int]) -> tuple[int, ...]:
    """How often a link has dropped what came, of each kind of USELESS."""
    return tuple(map(counters.get, USELESS, repeat(0)))


class Tries:
    """The reads of the last minutes that were tried while the link was up."""

    def __init__(self) -> None:
        self._results: deque[tuple[float, bool]] = deque()  # s monotonic, was it good
        self._bad = 0  # of these; counted as they come and go, since every state asks
        self._open: list[float] = []  # failures since the last good read: an outage perhaps

    def good(self, now: float) -> None:
        """A good read: what failed before it was no outage."""
        if self._open:
            self._results.extend([(at, False) for at in self._open])
            self._bad += len(self._open)
            self._open.clear()
        self._results.append((now, True))

    def failed(self, now: float) -> None:
        """A read failed while the battery was online."""
        self._open.append(now)

    def outage(self) -> None:
        """The battery is told as silent: what failed since its last good read is that outage."""
        self._open.clear()

    def flaky(self, now: float) -> bool:
        """Did too many fail?"""
        while self._results and self._results[0][0] < now - FLAKY_WINDOW:
            _, good = self._results.popleft()
            self._bad -= not good
        return len(self._results) >= FLAKY_LEAST and self._bad > FLAKY_SHARE * len(self._results)


class Trouble:
    """What is wrong with one battery's link, in words, and when that is worth a line: ever less often, up to hourly."""

    def __init__(self) -> None:
        self.remark = "no answer yet"  # why it is not online; "" = all is well
        self._mute = False  # at the last failure nothing was said
        self._useless: Counter[str] = Counter()  # what came since the last good read and was no answer
        self._since: float | None = None  # s, monotonic
        self._again_at = math.inf  # s, monotonic
        self._pause = PAUSE_MOST

    def __str__(self) -> str:
        """The remark, and what came instead of an answer."""
        if not self.remark or not (self._useless or self._mute):
            return self.remark
        came = ", ".join(f"{count} {kind}" for kind, count in self._useless.items())
        return f"{self.remark}; " + (f"what came was no answer: {came}" if came else "nothing came")

    def asked(self, now: float) -> None:
        """A question is asked; if it is the first of all, silence is worth a line soon."""
        if self._since is None:
            self._begin(now, SAID_FIRST)

    def told(self, since: float, now: float) -> None:
        """The log has just said that it is silent, `since` when [s, monotonic]."""
        self._begin(now, SAID_AGAIN)
        self._since = since

    def came(self, dropped: Sequence[int], before: Sequence[int]) -> None:
        """Note what a link has dropped since `before`, both as told by `dropped_by`."""
        if dropped == before:
            return
        for kind, more in zip(USELESS, map(sub, dropped, before), strict=True):
            if more:
                self._useless[kind] += more

    def failed(self, problem: Exception) -> None:
        """A round that gave nothing."""
        self.remark = str(problem) if isinstance(problem, GatewayError) else f"a defect: {words(problem)}"
        self._mute = isinstance(problem, LinkTimeout)

    def over(self) -> None:
        """A good read."""
        self.remark, self._mute = "", False
        self._useless.clear()

    def due(self, now: float) -> float | None:
        """How long it has lasted [s], when it is time to say so again; else None."""
        if self._since is None or now < self._again_at:
            return None
        self._pause = min(PAUSE_MOST, self._pause * PAUSE_GROWS)
        self._again_at = now + self._pause
        return now - self._since

    def _begin(self, now: float, pause: float) -> None:
        self._since, self._pause, self._again_at = now, pause, now + pause
