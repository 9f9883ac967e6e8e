"""When a service may send: changes wait for their turn, falling limits and alarms do not.  Pure.

A GX is small, and every message wakes five of its processes: one a second and service is enough.  So many are allowed
in the long run, and a second one now and then, so that a reading that comes late does not delay all that follow.
What changes with time alone (ramps, ages, averages) never takes the place of a measurement that comes a moment later:
it goes out only where a message is left for that.
Sheet: venus-dbus.md section 8.
"""

import enum
from typing import Final

from outputs.allowance import TINY, Allowance
from outputs.view import View

MESSAGES: Final = 2.0  # in a row, one an interval in the long run
EXTRA: Final = 3.0  # early messages in a row
REFILL: Final = 5.0  # s until an early message may be sent again


class Haste(enum.IntEnum):
    """How soon a change must be out.

    usual  the interval may pass first
    soon   a limit or an alarm changed: early, as long as that remains rare
    now    a limit fell to 0, a permission went, an alarm rose
    """

    USUAL = 0
    SOON = 1
    NOW = 2


def haste(sent: View | None, view: View) -> Haste:
    """How urgent `view` is for those who saw `sent` last."""
    if sent is None:
        return Haste.NOW
    if view.limits == sent.limits and view.alarms == sent.alarms and view.error == sent.error:
        return Haste.USUAL
    return Haste.NOW if _withdrawn(sent, view) or _risen(sent, view) else Haste.SOON


def _withdrawn(sent: View, view: View) -> bool:
    """A permission or a current went away."""
    before, after = sent.limits, view.limits
    return any(
        (old or 0.0) > 0.0 and not new
        for old, new in (
            (before.ccl, after.ccl), (before.dcl, after.dcl), (before.cvl, after.cvl),
            (before.allow_charge, after.allow_charge), (before.allow_discharge, after.allow_discharge),
        )
    )  # fmt: skip


def _risen(sent: View, view: View) -> bool:
    return view.error != sent.error or any(level > sent.alarms.get(name, 0) for name, level in view.alarms.items())


class Pace:
    """Spaces the messages of one service; `interval` [s]."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._usual, self._extra = Allowance(MESSAGES, interval), Allowance(EXTRA, REFILL)
        self._fresh = float("-inf")  # s, when the last one went out that carried a new reading

    def wait(self, now: float, urgency: Haste, *, fresh: bool = True) -> float:
        """Seconds until a message of such urgency may go out; 0 = now.  `fresh`: it carries a new reading."""
        if urgency is Haste.NOW or (urgency is Haste.SOON and self._extra.left(now) >= 1.0 - TINY):
            return 0.0
        if not fresh:
            return self._usual.wait(now, MESSAGES)
        return max(self._usual.wait(now), self._fresh + self.interval / 2.0 - now, 0.0)

    def sent(self, now: float, *, fresh: bool = True) -> None:
        """A message went out."""
        self._fresh = now if fresh else self._fresh
        if not self._usual.take(now):
            self._extra.take(now)
