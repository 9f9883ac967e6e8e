"""What wakes the D-Bus thread besides its connections: a knock of another thread, and what has become due.

Both come by one source of GLib that is added once and whose ready time is set: an older PyGObject (3.42 of Debian 12;
3.50 of Debian 13 is well) never frees what it makes for a callback that is handed to GLib.  Those are 112 bytes for
each timeout_add or idle_add, 5 MB a day where sixteen packs are published.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from gi.repository import GLib

from gateway.supervise import Supervisor

NEVER: Final = math.inf
LONGEST: Final = 1e9  # s; GLib counts microseconds in 63 bits


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
        self.due = time.monotonic() + min(seconds, LONGEST)
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
        self._door: int | None = None  # an eventfd, while somebody is there to hear
        self._at_the_door = threading.Lock()
        self._waiting: set[Alarm] = set()
        self._told = NEVER  # s, time.monotonic(); the ready time that GLib was told
        self._number = 0  # of the source
        self._source: Any = None

    def begin(self) -> None:
        """From now on alarms go off and knocks are heard, also of those who knocked before; when the main loop runs."""
        self._door = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._number = GLib.io_add_watch(self._door, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, self._woken)
        self._source = GLib.MainContext.default().find_source_by_id(self._number)
        self._wake_at(self._earliest())

    def alarm(self, action: Callable[[], object]) -> Alarm:
        """One for this, not set."""
        return Alarm(self, action)

    def knock(self) -> None:
        """From any thread."""
        with self._at_the_door:
            if self._door is not None:
                os.eventfd_write(self._door, 1)

    def wait_for(self, alarm: Alarm) -> None:
        """It was set."""
        self._waiting.add(alarm)
        if alarm.due < self._told:
            self._wake_at(alarm.due)

    def end(self) -> None:
        """Nothing goes off any more; on the D-Bus thread."""
        if self._source is not None:
            GLib.source_remove(self._number)
        self._source = None
        self._waiting.clear()

    def close(self) -> None:
        """Let go of the door; who knocks from now on is not heard."""
        with self._at_the_door:
            door, self._door = self._door, None
        if door is not None:
            os.close(door)

    def _woken(self, door: int, condition: int) -> bool:
        """GLib's callback: somebody knocked, or the ready time has come.  GLib forgets one that fails."""
        with self._supervisor.trying():
            self._go_off(door, condition)
        self._wake_at(self._earliest())
        return bool(GLib.SOURCE_CONTINUE)

    def _go_off(self, door: int, condition: int) -> None:
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

    def _earliest(self) -> float:
        return min(map(_due, self._waiting), default=NEVER)

    def _wake_at(self, due: float) -> None:
        if due != self._told and self._source is not None:
            self._told = due
            self._source.set_ready_time(math.ceil(max(0.0, due) * 1e6) if due < NEVER else -1)


def _due(alarm: Alarm) -> float:
    return alarm.due
