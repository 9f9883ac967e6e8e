"""What an inverter may be told now, whatever the bus: what was decided, the safe state, or nothing.

    told       when
    nothing    not every battery answered yet, or what must be told was never known
    decided    otherwise
    safe       the BMS is lost and limits are blocked, or the Snapshot is past its deadline (a hanging gateway), or what
               must be told is not known any more, or the inverter is not heard (if so required): 0 A both ways,
               enables cleared, system error and communication alarm; measurements as last known
    nothing    safe for longer than `patience`: the inverter raises its own alarm

What must be told (`keys.REQUIRED`) is repeated as last known for a minute while a BMS answers, then the state is safe:
live limits beside a SoC of yesterday mislead.  While no BMS answers, limits.md 8.2 bounds how long the limits stand;
what was stopped before is not let go by that silence.
What is told, in every state, is shaped by the quirks of the brand (`quirks`).
Sheet: limits.md section 8.2, can-inverter-protocols.md sections 10 and 11.
"""

import logging
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from gateway.model import Health, Snapshot
from outputs.inverter.keys import REQUIRED, Value, Values
from outputs.inverter.quirks import Shaper
from outputs.inverter.values import Every, safe

LAST_KNOWN: Final = 60.0  # s that what must be told is repeated as last known; limits.md 4.5 has the same patience
WAITING: Final = "nothing is sent before every battery answered"

Told = Values
Source = Callable[[Snapshot], Told]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be told: `values`, or nothing because of `silent`."""

    values: Told | None
    silent: str = ""
    since: float | None = None  # s, since when nobody vouches for the battery; None = somebody does


class Teller:
    """Decides for one bus; remembers what was last known, and says in its log when 0 A is told and when not."""

    def __init__(
        self,
        bus: str,
        log: logging.Logger,
        keys: Container[str],
        shaper: Shaper,
        patience: float | None,
        *,
        complete: Callable[[Told], Told] = dict,
        source: Source | None = None,
    ) -> None:
        """`keys`: what the dialect carries; `patience` [s] of the safe state, None = for ever.

        `source` says what a Snapshot holds, `complete` adds what is the gateway's own: what follows from the values
        alone.  While a source says the very same object, nothing is made of it anew.
        """
        self.safe = ""  # why 0 A is told; "" = what was decided is
        self.snapshot: Snapshot | None = None
        self.shaper = shaper
        self._bus, self._log, self._keys, self._patience = bus, log, keys, patience
        self._complete, self._source = complete, source or Every(keys)
        self._required = tuple([key for key in REQUIRED if key in keys])  # what inverters must be told
        self._all = frozenset(self._required)
        self._known: dict[str, Value] = {}  # of that, what was known last
        self._known_at: dict[str, float] = {}  # s, and when
        self._said: Told | None = None  # by the source, the last time
        self._whole: Told = {}  # the same, completed
        self._old_since: float | None = None  # s, something of it is too old
        self._last: Told = {}  # the values that were told last, before they were shaped

    def take(self, snapshot: Snapshot) -> None:
        """Keep the newest Snapshot.

        One that is not complete is of other batteries than before: what was known of those counts no more.
        """
        self.snapshot = snapshot
        if not snapshot.bank.complete:
            self._known, self._known_at, self._old_since, self._said = {}, {}, None, None
            self.shaper.forget()

    def tell(self, now: float, unheard: str = "") -> Verdict:
        """What may be told at `now` [s]; `unheard` says why the inverter cannot be counted on, where it must be."""
        snapshot = self.snapshot
        if snapshot is None or not snapshot.bank.complete:
            return Verdict(None, WAITING)
        values = self._last = self._values(snapshot)
        if missing := self._missing(values):
            return Verdict(None, f"nothing is sent while not known: {', '.join(missing)}")
        since, why = lost(snapshot, now)
        if since is None:
            since, why = self._outdated(snapshot)
        self._explain(why or unheard)
        if since is not None and self._patience is not None and now - since >= self._patience:
            return Verdict(None, f"{why}; 0 A was sent for {self._patience:g} s", since)
        told = safe(values, self._keys) if since is not None or unheard else values
        return Verdict(self.shaper.shape(told, snapshot, now), since=since)

    def foretell(self, now: float) -> Told:
        """What will have to be told when the gateway hangs: beside what `tell` told last."""
        told = safe(self._last, self._keys)
        return told if self.snapshot is None else self.shaper.foresee(told, self.snapshot, now)

    def _values(self, snapshot: Snapshot) -> Told:
        """The Snapshot's values; what must be told and is not known any more stays as it was last known."""
        said = self._source(snapshot)
        known = [key for key in self._required if key in said] if self._missing(said) else self._required
        self._known_at.update(dict.fromkeys(known, snapshot.at))
        if said is not self._said:
            self._known.update({key: said[key] for key in known})
            self._whole = self._complete({**self._known, **said})
            self._said = said
        return self._whole

    def _missing(self, values: Told) -> list[str]:
        """What must be told and is not there."""
        return [] if values.keys() >= self._all else [key for key in self._required if key not in values]

    def _outdated(self, snapshot: Snapshot) -> tuple[float | None, str]:
        """Since when something that must be told is too old to stand beside live limits [s], and what it is."""
        if snapshot.at - min(self._known_at.values(), default=snapshot.at) <= LAST_KNOWN:
            self._old_since = None
            return None, ""
        old = [key for key, at in self._known_at.items() if snapshot.at - at > LAST_KNOWN]
        if self._old_since is None and snapshot.bank.health is Health.ONLINE:
            self._old_since = snapshot.at
        if self._old_since is None:  # or nobody answers any more: limits.md 8.2 says how long the limits stand
            return None, ""
        return self._old_since, f"not known for more than {LAST_KNOWN:g} s: {', '.join(old)}"

    def _explain(self, why: str) -> None:
        """Log when 0 A is told instead of what was decided, and when that ends."""
        if why != self.safe:
            if why:
                self._log.error("%s: %s: sending 0 A both ways", self._bus, why)
            else:
                self._log.warning("%s: sending the limits as decided again", self._bus)
        self.safe = why


def lost(snapshot: Snapshot, now: float) -> tuple[float | None, str]:
    """Since when nobody vouches for the battery [s], and why; None = somebody does."""
    if snapshot.decision.blocked_since is not None:
        return snapshot.decision.blocked_since, "the BMS is lost"
    if now > snapshot.valid_until:
        return snapshot.valid_until, f"no decision since {snapshot.valid_until - snapshot.at:.0f} s (the gateway hangs)"
    return None, ""
