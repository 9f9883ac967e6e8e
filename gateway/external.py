"""What others on D-Bus tell the gateway: a shunt that measures the bank.  Sheet: limits.md 5.5."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.model import External
from gateway.watched import Wanted, Watched

log = logging.getLogger("bms_gateway.external")

STALE_AFTER: Final = 60.0  # s; sheet: 5.5
RANGES: Final = {"current": (-5000.0, 5000.0, 0.0), "soc": (0.0, 100.0, 5.0)}  # A, %; s between two questions


class ExternalSensor:
    """One D-Bus service of which a current [A, + = charging] is read each second, an SoC [%] every 5 s, or both."""

    def __init__(
        self, service: str, paths: Mapping[str, str], address: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`paths`: "current" and "soc" -> object path; `address` of the D-Bus daemon."""
        wanted = {name: Wanted(path, *RANGES[name]) for name, path in paths.items()}
        self._watched = Watched(service, wanted, address, every=1.0, stale_after=STALE_AFTER, clock=clock)
        self._said = False

    def start(self) -> None:
        """Begin to ask."""
        self._watched.start(self._report)

    def stop(self) -> None:
        """Ask no more."""
        self._watched.stop()

    def values(self) -> External:
        """What the sensor says, as of now; None = fall back to the BMSs."""
        known, fault = self._watched.values(), self._watched.fault()
        said = f"{self._watched.service}: {fault}" if fault else ""
        return External(current=known.get("current"), soc=known.get("soc"), fault=said)

    def _report(self) -> None:
        """One line when it goes, one when it is back."""
        fault = self.values().fault
        if fault and not self._said:
            log.error("external sensor: %s; the BMSs' own values are used", fault)
        elif self._said and not fault:
            log.info("external sensor: %s answers again", self._watched.service)
        self._said = bool(fault)
