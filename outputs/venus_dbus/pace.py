"""When a service may send: changes wait for the interval, falling limits and alarms do not.  Pure.

A GX is small, and every message wakes five of its processes: about one a second and service is enough.  A message
that carries a new reading waits for the one before that did, and for no other: what changes with time alone (ramps,
ages, averages) must not take the place of a measurement that comes a moment later.
Sheet: venus-dbus.md section 8.
"""

import enum
from typing import Final

from outputs.view import View

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
        self._last: float | None = None  # s, when the last message went out
        self._fresh = float("-inf")  # s, when the last one went out that carried a new reading
        self._extra = EXTRA

    def wait(self, now: float, urgency: Haste, *, fresh: bool = True) -> float:
        """Seconds until a message of such urgency may go out; 0 = now.  `fresh`: it carries a new reading."""
        if self._last is None or urgency is Haste.NOW:
            return 0.0
        left = (self._fresh if fresh else self._last) + self.interval - now
        if urgency is Haste.SOON and self._extra + (now - self._last) / REFILL >= 1.0:
            return 0.0
        return max(0.0, left)

    def sent(self, now: float, *, fresh: bool = True) -> None:
        """A message went out."""
        self._fresh = now if fresh else self._fresh
        if self._last is not None:
            since = now - self._last
            self._extra = min(EXTRA, self._extra + since / REFILL)
            if since < self.interval:
                self._extra = max(0.0, self._extra - 1.0)
        self._last = now
