"""What wakes the D-Bus thread besides its connections: a knock of another thread, and what has become due.

Both come by one source of GLib that is added once and whose ready time is set: an older PyGObject (3.42 of Debian 12;
3.50 of Debian 13 is well) never frees what it makes for a callback that is handed to GLib.  Those are 112 bytes for
each timeout_add or idle_add, 5 MB a day where sixteen packs are published.
"""

import math
import os
import time
from collections.abc import Callable
from typing import Final

from gi.repository import GLib

from gateway.supervise import Supervisor

NEVER: Final = math.inf


class Alarm:
    """Has something done once, so long after it was set.  To be used on the D-Bus thread."""

    __slots__ = ("_alarms", "action", "due")

    def __init__(self, alarms: "Alarms", action: Callable[[], object]) -> None:
        self._alarms, self.action = alarms, action
        self.due = NEVER  # s, time.monotonic()

    @property
    def is_set(self) -> bool:
        """It will go off."""
        return self.due < NEVER

    def set(self, seconds: float) -> None:
        """Go off then, whatever it was set to."""
        self.due = time.monotonic() + seconds
        self._alarms.wait_for(self)

    def set_sooner(self, seconds: float) -> None:
        """Go off then, if not sooner."""
        if time.monotonic() + seconds < self.due:
            self.set(seconds)

    def clear(self) -> None:
        """Do not go off."""
        self.due = NEVER


class Alarms:
    """The source, and all that are set."""

    def __init__(self, knocked: Callable[[], object], supervisor: Supervisor) -> None:
        """`knocked` is called on the D-Bus thread, once or more after a `knock`."""
        self._knocked, self._supervisor = knocked, supervisor
        self._door = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._waiting: set[Alarm] = set()
        self._ready = NEVER  # s, time.monotonic(); to this the source is set
        self._number = GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, self._door, GLib.IOCondition.IN, self._woken)
        self._source = GLib.MainContext.default().find_source_by_id(self._number)

    def alarm(self, action: Callable[[], object]) -> Alarm:
        """One for this, not set."""
        return Alarm(self, action)

    def knock(self) -> None:
        """From any thread."""
        os.eventfd_write(self._door, 1)

    def wait_for(self, alarm: Alarm) -> None:
        """It was set."""
        self._waiting.add(alarm)
        if alarm.due < self._ready:
            self._wake_at(alarm.due)

    def end(self) -> None:
        """Nothing goes off any more; on the D-Bus thread."""
        if self._source is not None:
            GLib.source_remove(self._number)
        self._source = None
        self._waiting.clear()

    def close(self) -> None:
        """Let go of the door, when nobody knocks any more."""
        os.close(self._door)

    def _woken(self, door: int, condition: int) -> bool:
        """GLib's callback: somebody knocked, or the ready time has come.  GLib forgets one that fails."""
        self._ready = -NEVER  # until all is done that is due
        if condition:
            with self._supervisor.trying():
                os.eventfd_read(door)
                self._knocked()
        now = time.monotonic()
        for alarm in sorted([alarm for alarm in self._waiting if alarm.due <= now], key=_due):
            if alarm.due <= now:  # one that went off before it may have cleared or set it
                alarm.clear()
                with self._supervisor.trying():
                    alarm.action()
        self._waiting = {alarm for alarm in self._waiting if alarm.is_set}
        self._wake_at(min(map(_due, self._waiting), default=NEVER))
        return bool(GLib.SOURCE_CONTINUE)

    def _wake_at(self, due: float) -> None:
        self._ready = due
        if self._source is not None:
            self._source.set_ready_time(math.ceil(due * 1e6) if due < NEVER else -1)


def _due(alarm: Alarm) -> float:
    return alarm.due
