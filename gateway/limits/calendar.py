"""The gateway's own date, by which days are counted; sheet: limits.md 3.7 and chapter 12.

A wall clock lies: a board without a clock battery starts in 1970 or where it stopped, is set right minutes or hours
later, and can be set wrong at any time.  So the date runs on by the monotonic clock alone, and the wall clock is asked
for one thing only: how long the gateway was off.  It is believed once it has run without a jump for SETTLE seconds,
and never where it says less than what surely passed.  Until then the gateway counts as not having been off at all:
what is due by days comes later rather than sooner, and no jump of the wall clock ever starts anything.
"""

from typing import Any, Final, NamedTuple

SETTLE: Final = 3600.0  # s without a jump until a wall clock is believed
JUMP: Final = 2.0  # s that it may differ from the monotonic clock between two looks
EARLIEST: Final = 1_735_689_600.0  # s since the epoch, 2025-01-01: before that this program was not yet written
LATEST: Final = 4_102_444_800.0  # s since the epoch, 2100-01-01


class Calendar(NamedTuple):
    """The date at one moment, and what the clocks said then; Calendar() has not begun."""

    date: float = 0.0  # s since the epoch; 0 = not begun
    now: float = 0.0  # s, monotonic
    wall: float = 0.0  # s since the epoch, by the wall clock
    steady_since: float = 0.0  # s, monotonic: since when the wall clock has not jumped
    doubted_from: float | None = 0.0  # the date since when a time off may be missing in it; None = all is in it

    @property
    def ahead(self) -> float:
        """s by which the wall clock is ahead of the date."""
        return self.wall - self.date if self.date else 0.0


def passed(calendar: Calendar, now: float, wall: float) -> tuple[Calendar, float]:
    """The calendar at `now` (monotonic) and `wall` (epoch), and by how many s a newly known time off moved the date."""
    if not calendar.date:
        begun = max(wall, 1.0)
        return Calendar(date=begun, now=now, wall=wall, steady_since=now), 0.0
    seconds = max(0.0, now - calendar.now)
    jumped = abs(wall - calendar.wall - seconds) > JUMP
    steady_since = now if jumped else calendar.steady_since
    after = Calendar(calendar.date + seconds, now, wall, steady_since, calendar.doubted_from)
    if after.doubted_from is None or not _believable(after):
        return after, 0.0
    moved = max(0.0, wall - after.date)
    return after._replace(date=after.date + moved, doubted_from=None), moved


def _believable(calendar: Calendar) -> bool:
    """Does the wall clock run steadily, at a time that can be?"""
    steady = calendar.now - calendar.steady_since >= SETTLE
    return steady and max(EARLIEST, calendar.date - JUMP) <= calendar.wall <= LATEST


def resumed(date: float, doubted_from: float | None, now: float, wall: float) -> Calendar:
    """The calendar of a new run that goes on at `date`; how long the gateway was off is not yet known."""
    doubted = date if doubted_from is None else min(doubted_from, date)
    whole = 0.0 if date < EARLIEST else doubted  # a clock that was never right: all of it may be anywhere
    return Calendar(date=date, now=now, wall=wall, steady_since=now, doubted_from=whole)


def moved(stamp: float, calendar: Calendar, by: float) -> float:
    """A date that was noted while `calendar` was in doubt, moved with it; 0 (never) stays."""
    doubted = calendar.doubted_from
    return stamp + by if stamp and doubted is not None and stamp >= doubted else stamp


def date_in(value: Any) -> float | None:
    """A stored date, or None for what cannot be one; a future one can: then the clock is wrong."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= LATEST else None  # NaN fails this, too
