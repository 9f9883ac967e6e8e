"""A current or SoC sensor of the bank on D-Bus, as a shunt is on Venus OS.  Sheet: limits.md 5.5.

Asked once a second on a thread of its own, since D-Bus may keep one waiting.  Gone from the bus, or without a value:
not known at once.  Present but not answering: not known after STALE_AFTER.  What is not known falls back to the BMSs.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import dbus
import dbus.bus

from gateway.model import External

log = logging.getLogger("bms_gateway.external")

EVERY: Final = 1.0  # s
PATIENCE: Final = 2.0  # s for one answer
STALE_AFTER: Final = 60.0  # s; sheet: 5.5
ITEM: Final = "com.victronenergy.BusItem"
SLOW: Final = frozenset({"org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout"})
RANGES: Final = {"current": (-5000.0, 5000.0), "soc": (0.0, 100.0)}  # A, %

Known = tuple[float, float]
"""A value and when it was told [s, monotonic]."""


class ExternalSensor:
    """One D-Bus service of which a current [A, + = charging], an SoC [%], or both are read."""

    def __init__(
        self, service: str, paths: dict[str, str], address: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`paths`: "current" and "soc" -> object path; `address` of the D-Bus daemon."""
        self._service, self._paths, self._address, self._clock = service, paths, address, clock
        self._known: dict[str, Known] = {}
        self._faults = dict.fromkeys(paths, "has not answered yet")
        self._said = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="external-sensor", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question under way is not waited for."""
        self._end.set()

    def values(self) -> External:
        """What the sensor says, as of now; None = fall back to the BMSs."""
        now, known = self._clock(), dict(self._known)
        young = {name: value for name, (value, at) in known.items() if now - at < STALE_AFTER}
        faults = [f"{self._paths[n]} {self._faults[n] or 'does not answer'}" for n in self._paths if n not in young]
        said = f"{self._service}: {', '.join(faults)}" if faults else ""
        return External(current=young.get("current"), soc=young.get("soc"), fault=said)

    # ---- on the thread

    def _run(self) -> None:
        bus: Any = None
        while not self._end.is_set():
            try:
                bus = bus or dbus.bus.BusConnection(self._address)
                for name in self._paths:
                    self._ask(bus, name)
            except dbus.DBusException as problem:
                bus = None
                for name in self._paths:
                    self._lose(name, f"cannot be asked ({problem.get_dbus_message() or problem})")
            self._report()
            self._end.wait(EVERY)
        if bus is not None:
            bus.close()

    def _ask(self, bus: Any, name: str) -> None:
        """One value.  Raises DBusException when the connection itself has ended."""
        try:
            told = bus.call_blocking(self._service, self._paths[name], ITEM, "GetValue", "", (), timeout=PATIENCE)
        except dbus.DBusException as problem:
            if not bus.get_is_connected():
                raise
            if problem.get_dbus_name() not in SLOW:
                self._lose(name, f"is not there ({problem.get_dbus_message()})")
            return
        least, most = RANGES[name]
        if isinstance(told, int | float) and least <= told <= most:  # NaN fails this, too
            self._known[name], self._faults[name] = (float(told), self._clock()), ""
        else:
            shown = f"{told:g}" if isinstance(told, int | float) else "no number"
            self._lose(name, f"says {shown}, expected {least:g}..{most:g}")

    def _lose(self, name: str, fault: str) -> None:
        self._faults[name] = fault
        self._known.pop(name, None)

    def _report(self) -> None:
        """One line when it goes, one when it is back."""
        fault = self.values().fault
        if fault and not self._said:
            log.error("external sensor: %s; the BMSs' own values are used", fault)
        elif self._said and not fault:
            log.info("external sensor: %s answers again", self._service)
        self._said = bool(fault)
