"""The limits that others ask for: who asked for what, until when, and a note of every order.

Not kept over a restart: whoever automates asks again.  The loss of a broker or a network ends none before its time.
Time is the monotonic clock's, which no correction of the date moves.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.model import Command, CommandError, RemoteLimit, Restricted, Restriction
from gateway.model.errors import printable
from gateway.model.restriction import TTL, Key, restriction
from outputs.allowance import Allowance

log = logging.getLogger("bms_gateway.remote")

NOTED: Final = 200  # orders
BURST: Final = 5  # orders that one source may give at once; two numbers of an automation come in the same moment
EACH: Final = 1.0  # s in which it may give one more
SOURCES: Final = 16
NOTE_EACH: Final = 60.0  # s in which one more refusal of a source is noted, behind as many as orders at once
SHOWN, SHOWN_KEYS = 40, 8  # characters of what was asked, and keys of it, that are noted


class _Source:
    """What one source may still do, and the note of its last refusal."""

    def __init__(self) -> None:
        self.orders, self.notes = Allowance(BURST, EACH), Allowance(BURST, NOTE_EACH)
        self.refusal: dict[str, Any] = {}


class Remote:
    """All sources' limits.  No method raises."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        most: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """`most` tells by key what is allowed at most anyway [A]; a key that is not there has no such limit."""
        self._clock, self._wall, self._most = clock, wall, most
        self._limits: dict[tuple[str, Key], RemoteLimit] = {}
        self._sources: dict[str, _Source] = {}
        self._strangers = _Source()  # all for whom there is no room
        self._number = 0
        self.audit: deque[dict[str, Any]] = deque(maxlen=NOTED)

    def active(self) -> tuple[RemoteLimit, ...]:
        """Those in force now; one that has just ended is said once."""
        now = self._clock()
        for key, limit in list(self._limits.items()):
            if limit.expires <= now:
                del self._limits[key]
                log.info("%s: %s ends, its time is over", limit.source, words_of(limit.key, limit.value))
                self._note(limit.source, "expired", {limit.key: limit.value}, {limit.key: None})
        return tuple(self._limits.values())

    def asked(self, source: str, data: Any) -> Restricted:
        """An order as data; see model.restriction."""
        try:
            return self.order(restriction(source, data))
        except CommandError as problem:
            return self.refused(source, str(problem), data)

    def order(self, order: Restriction) -> Restricted:
        """Have what one source asks for; what others asked for stays."""
        if why := self._too_many(order.source):
            return self.refused(order.source, why, dict(order.values))
        self._number += 1
        before = self._of(order.source)
        for key in order.values or [key for source, key in self._limits if source == order.source]:
            self._set(order, key)
        after = self._of(order.source)
        asked = {TTL: order.ttl, **{str(key): value for key, value in order.values.items()}}
        note = self._told(order, before, after)
        self._note(order.source, "limit", before, after, asked=asked, note=note)
        return Restricted(True, note, tuple(self._limits.values()), self._number)

    def clear(self) -> Restricted:
        """End the limits of every source: for the one who stands at the machine."""
        before = {f"{limit.source}.{limit.key}": limit.value for limit in self._limits.values()}
        self._limits.clear()
        self._number += 1
        note = f"ended: {', '.join(before) or 'there were none'}"
        log.info("cli: every limit asked for from outside %s", note)
        self._note("cli", "clear", before, {}, note=note)
        return Restricted(True, note, (), self._number)

    def refused(self, source: str, why: str, asked: Any = None) -> Restricted:
        """An order that is not followed, and why; what is in force stays."""
        self._number += 1
        why = printable(why)
        known = self._source(source)
        again = known.refusal.get("note") == why and known.refusal is self.audit[-1]
        if again or (any(note is known.refusal for note in self.audit) and not known.notes.take(self._clock())):
            known.refusal["times"] = known.refusal.get("times", 1) + 1  # a flood must fill neither log nor audit
        else:
            log.warning("%s: an order is refused: %s", source, why)
            self._note(source, "refused", self._of(source), self._of(source), asked=_short(asked), note=why)
            known.refusal = self.audit[-1]
        return Restricted(False, why, tuple(self._limits.values()), self._number)

    def commanded(self, command: Command, notes: list[str]) -> None:
        """Note a command to a BMS and what became of it."""
        about = printable(f"{command.battery[:SHOWN] or 'every battery'}: {command.words}")
        self._note(command.source or "gateway", about, {}, {}, note="; ".join(notes))

    # ---- parts

    def _of(self, source: str) -> dict[str, float]:
        return {key: limit.value for (whose, key), limit in self._limits.items() if whose == source}

    def _set(self, order: Restriction, key: Key) -> None:
        value = order.values.get(key)
        if value is None or order.ends:
            self._limits.pop((order.source, key), None)
            return
        expires, until = self._clock() + order.ttl, self._wall() + order.ttl
        self._limits[order.source, key] = RemoteLimit(key, value + 0.0, order.source, expires, until)

    def _told(self, order: Restriction, before: Mapping[str, float], after: Mapping[str, float]) -> str:
        """The sentence about it; the log has one for each change and none for a renewal."""
        if not after:
            note = f"{order.source} asks for no limit any longer"
        else:
            note = f"{order.source} asks for {', '.join(self._words(key, value) for key, value in after.items())}"
            note += f"; this order lasts {order.ttl:g} s, unless renewed" if not order.ends else ""
        if before != after:
            log.info("%s", note)
        return note

    def _words(self, key: str, value: float) -> str:
        most = self._most().get(key)
        vain = most is not None and value > most
        return words_of(key, value) + (f" (no effect: {most:g} A is the configured maximum)" if vain else "")

    def _too_many(self, source: str) -> str:
        """Why this source has to wait; "" = it need not."""
        known = self._source(source)
        if known is self._strangers:
            return f"more than {SOURCES} sources give orders"
        if not known.orders.take(self._clock()):
            return f"more than one order a second, and {BURST} at once, is not followed"
        return ""

    def _source(self, name: str) -> _Source:
        if len(self._sources) < SOURCES:
            return self._sources.setdefault(name, _Source())
        return self._sources.get(name, self._strangers)

    def _note(self, source: str, what: str, before: Mapping[str, Any], after: Mapping[str, Any], **more: Any) -> None:
        at = {"when": round(self._wall(), 3), "monotonic": round(self._clock(), 3)}
        self.audit.append({**at, "source": source, "what": what, "before": dict(before), "after": dict(after), **more})


def words_of(key: str, value: float) -> str:
    """ "at most 20 A of charge"."""
    return {
        "ccl": f"at most {value:g} A of charge",
        "dcl": f"at most {value:g} A of discharge",
        "soc_min": f"no discharge at or below {value:g} %",
        "soc_max": f"no charge at or above {value:g} %",
    }[key]


def _short(asked: Any) -> Any:
    """What was asked, as far as it is small and flat enough to be kept."""
    if isinstance(asked, dict):
        return {printable(str(key)[:SHOWN]): _plain(value) for key, value in list(asked.items())[:SHOWN_KEYS]}
    return _plain(asked)


def _plain(asked: Any) -> Any:
    if isinstance(asked, bool | int | float) or asked is None:
        return asked if asked == asked and abs(asked or 0) < 1e9 else "no number"
    return printable(asked[:SHOWN]) if isinstance(asked, str) else type(asked).__name__
