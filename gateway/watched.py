"""Numbers of another program's D-Bus service, asked now and then on a thread of their own: D-Bus may keep one waiting.

Gone from the bus, or without a value: not known at once.  Present but not answering: not known once it is too old.
A question and its answer wake half of a GX, so nothing is asked more often than it changes.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dbus
import dbus.bus

from gateway.supervise import Supervisor, words

PATIENCE: Final = 2.0  # s for one answer
ITEM: Final = "com.victronenergy.BusItem"
GONE: Final = "org.freedesktop.DBus.Error.ServiceUnknown"
SLOW: Final = frozenset({"org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a number is, and the range in which it can be."""

    path: str
    least: float
    most: float
    every: float = 0.0  # s between two questions; 0 = in each round


class Watched:
    """Some numbers of one service."""

    def __init__(
        self,
        service: str,
        wanted: Mapping[str, Wanted],
        address: str,
        *,
        every: float,
        stale_after: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`address` of the D-Bus daemon; ask `every` so many s; an answer counts for `stale_after` s."""
        self.service, self._wanted, self._address, self._clock = service, wanted, address, clock
        self._every, self._stale_after = every, stale_after
        self._known: dict[str, tuple[float, float]] = {}  # value, when it was told [s, monotonic]
        self._faults = dict.fromkeys(wanted, "has not answered yet")
        self._next: dict[str, float] = {}  # s, monotonic: when it is to be asked again
        self._bus: Any = None
        self._end = threading.Event()
        self._after: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="watched", daemon=True)

    def start(self, after: Callable[[], None] = lambda: None) -> None:
        """Begin to ask; `after` is called on the thread after each round."""
        self._after = after
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question under way is not waited for."""
        self._end.set()

    def values(self) -> dict[str, float]:
        """What is known now."""
        now, known = self._clock(), dict(self._known)
        return {name: value for name, (value, at) in known.items() if now - at < self._stale_after}

    def fault(self) -> str:
        """What is not known and why; "" = all is well."""
        young, faults = self.values(), dict(self._faults)
        missing = [name for name in self._wanted if name not in young]
        return ", ".join(f"{self._wanted[name].path} {faults[name] or 'does not answer'}" for name in missing)

    # ---- on the thread

    def _run(self) -> None:
        supervisor = Supervisor(f"reader of {self.service}")
        while not self._end.is_set():
            with supervisor.trying(lambda fault: self._disconnect(words(fault))):
                self._ask_all()
            with supervisor.trying():
                self._after()
            self._end.wait(self._every)
        with supervisor.trying():
            self._disconnect("is no longer asked")

    def _ask_all(self) -> None:
        try:
            self._bus = self._bus or dbus.bus.BusConnection(self._address)
            for name in self._due():
                self._ask(self._bus, name)
        except dbus.DBusException as problem:
            self._disconnect(problem.get_dbus_message() or str(problem))

    def _due(self) -> list[str]:
        """What is to be asked in this round."""
        now = self._clock()
        names = [name for name in self._wanted if self._next.get(name, now) <= now]
        self._next |= {name: now + self._wanted[name].every - self._every / 2 for name in names}
        return names

    def _disconnect(self, why: str) -> None:
        """Nothing is known any more; the next round connects anew."""
        for name in self._wanted:
            self._lose(name, f"cannot be asked ({why})")
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def _ask(self, bus: Any, name: str) -> None:
        """One of them.  Raises DBusException when the connection itself has ended."""
        try:
            told = bus.call_blocking(self.service, self._wanted[name].path, ITEM, "GetValue", "", (), timeout=PATIENCE)
        except dbus.DBusException as problem:
            if not bus.get_is_connected():
                raise
            gone = self._wanted if problem.get_dbus_name() == GONE else (name,)
            for each in gone if problem.get_dbus_name() not in SLOW else ():
                self._lose(each, f"is not there ({problem.get_dbus_message()})")
            return
        self._take(name, told)

    def _take(self, name: str, told: Any) -> None:
        """What was told of one of them."""
        wanted = self._wanted[name]
        if isinstance(told, int | float) and wanted.least <= told <= wanted.most:  # NaN fails this, too
            self._known[name], self._faults[name] = (float(told), self._clock()), ""
        else:
            shown = f"{told:g}" if isinstance(told, int | float) else "no number"
            self._lose(name, f"says {shown}, expected {wanted.least:g}..{wanted.most:g}")

    def _lose(self, name: str, fault: str) -> None:
        self._faults[name] = fault
        self._known.pop(name, None)
        self._next.pop(name, None)
