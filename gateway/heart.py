"""The heart: beats for whoever watches over the process, as long as decisions are really made.

    young Snapshot -> beat -> systemd (READY, WATCHDOG, STATUS), the fuse
    no Snapshot, or an old one -> no beat -> the watcher ends the process, and starts it anew

That the loop turns is not enough: one that turns and decides nothing falls silent as well.
"""

import asyncio
import faulthandler
import logging
from collections.abc import Callable
from typing import Final

from gateway.explain import number
from gateway.model import Snapshot
from gateway.notify import Manager

log = logging.getLogger("bms_gateway.heart")

BEAT: Final = 2.0  # s between beats
SOON: Final = 0.2  # s, before the first one
EARLY: Final = 4  # beats at least within the time a watcher allows


class Fuse:
    """Ends this process, with the place where each thread stands, when it was not fed for so long.

    For supervisors that start again what ended, and do not watch (daemontools).  Needs neither the loop nor Python's
    interpreter lock.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.feed()

    def feed(self) -> None:
        """Wait all that time from now."""
        faulthandler.dump_traceback_later(self.seconds, exit=True)


class Heart:
    """Tells the manager how the gateway is, and feeds it and the fuse."""

    def __init__(
        self,
        newest: Callable[[], Snapshot | None],
        clock: Callable[[], float],
        manager: Manager,
        fuse: Fuse | None = None,
    ) -> None:
        self._newest, self._clock, self._manager, self._fuse = newest, clock, manager, fuse
        self._begun, self._late, self._told = False, False, ""
        watched = [seconds for seconds in (manager.watchdog, fuse and fuse.seconds) if seconds]
        self.pause = min([BEAT, *(seconds / EARLY for seconds in watched)])

    @property
    def wanted(self) -> bool:
        """Somebody watches."""
        return self._manager.listens or self._fuse is not None

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(self.pause if self._begun else min(SOON, self.pause))

    def beat(self) -> bool:
        """Once, if the newest Snapshot still counts; was it so?"""
        snapshot, now = self._newest(), self._clock()
        if snapshot is None or now > snapshot.valid_until:
            self._missed(snapshot, now)
            return False
        self._late = False
        if not self._begun:
            self._manager.tell(READY="1")
            self._begun = True
        if (words := in_words(snapshot)) != self._told:
            self._manager.tell(STATUS=words)
            self._told = words
        self._manager.tell(WATCHDOG="1")
        if self._fuse is not None:
            self._fuse.feed()
        return True

    def leave(self) -> None:
        """The end is wanted."""
        self._manager.tell(STOPPING="1", STATUS="leaving every bus in order")

    def _missed(self, snapshot: Snapshot | None, now: float) -> None:
        """Said once; whoever watches does the rest."""
        if snapshot is not None and not self._late:
            log.error("no decision for %.0f s: the watchdog is not fed", now - snapshot.at)
            self._late = True


def in_words(snapshot: Snapshot) -> str:
    """One line: who answers, and the limits."""
    bank, decision = snapshot.bank, snapshot.decision
    answering = f"{bank.online} of {bank.online + bank.offline} batteries answer"
    if not bank.complete:
        return f"{answering}; nothing is emitted yet"
    limits = f"CVL {number(decision.cvl, 'V')}, CCL {number(decision.ccl, 'A', 0)}, DCL {number(decision.dcl, 'A', 0)}"
    return f"{answering}; {limits}, {decision.charge_mode}"
