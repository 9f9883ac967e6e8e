"""The CAN output: every second, on a timer of its own, what the newest Snapshot says.

    state      when                                               on the bus
    silent     not every battery answered yet, or what must be    nothing: zeros at start make inverters raise alarms
               sent was never known
    normal     otherwise                                          what was decided
    safe       the BMS is lost and limits are blocked, or the     0 A both ways, enables cleared, system error and
               Snapshot is past its deadline (a hanging gateway)  communication alarm; measurements as last known
               or what must be sent is not known any more,
               or the inverter is not heard (if so required)
    silent     safe for longer than `silence_after`               nothing: the inverter raises its own alarm

What must be sent (`keys.REQUIRED`) is repeated as last known for a minute while a BMS answers, then the state is safe:
live limits beside a SoC of yesterday mislead.  While no BMS answers, limits.md 8.2 bounds how long the limits stand;
what was stopped before is not let go by that silence.
For an inverter that is not heard the safe state lasts: some answer only what they hear.
What goes out, in every state, is shaped by the quirks of the brand (`quirks`).
Beats are absolute deadlines, so the period does not drift; a beat that was missed is not made up for.
Sheet: limits.md section 8.2, can-inverter-protocols.md sections 10 and 11.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import can

from gateway.model import GatewayError, Health, Snapshot
from gateway.supervise import Supervisor, words
from outputs.can_bms.brand import ANY, Brand
from outputs.can_bms.bus import Bus
from outputs.can_bms.dialect import Dialect, Frame
from outputs.can_bms.encoded import Encoded
from outputs.can_bms.inverter import Inverter
from outputs.can_bms.keys import REQUIRED, Value
from outputs.can_bms.others import Others
from outputs.can_bms.quirks import Shaper
from outputs.can_bms.settings import Settings
from outputs.can_bms.values import safe, values_of
from outputs.output import Clock

log = logging.getLogger("bms_gateway.can_bms")

RATE_OVER: Final = 10  # beats over which the frame rate is taken
LAST_KNOWN: Final = 60.0  # s that what must be sent is repeated as last known; limits.md 4.5 has the same patience
WAITING: Final = "nothing is sent before every battery answered"


class CanOutput:
    """Feeds one inverter.  Costs one wake-up a beat."""

    name = "can_bms"

    def __init__(
        self,
        settings: Settings,
        dialect: Dialect,
        bus: Bus,
        others: Others,
        clock: Clock,
        brand: Brand = ANY,
        inverter: Inverter | None = None,
    ) -> None:
        self._settings, self._dialect, self._bus, self._clock = settings, dialect, bus, clock
        self._brand, self._others = brand, others
        self._inverter = inverter or Inverter(bus.name, brand, dialect.keep_alive)
        self._shaper = Shaper(brand.quirks, dialect.keys)
        bus.heard, bus.sent, bus.freed = self._heard, self._went, self._restart_beats
        self._encode = Encoded(dialect).encode
        self._supervisor = Supervisor(bus.name)
        self._snapshot: Snapshot | None = None
        self._known: dict[str, tuple[float, Value]] = {}  # what inverters must be told: when last known [s], and what
        self._old_since: float | None = None  # s, something of it is too old
        self._beat = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._safe = ""  # why 0 A is sent; "" = what was decided is
        self._silent = WAITING  # why nothing is sent; "" = frames go out
        self._clamped: tuple[str, ...] = ()
        self._clamps = 0  # values that were clamped, since the start
        self._there: frozenset[str] = frozenset()  # names of the values that were sent last
        self._unsaid: list[str] = []  # what stands in for what is not known
        self._frames: list[Frame] = []
        self._sent: deque[tuple[float, int]] = deque(maxlen=RATE_OVER)  # (s, time.monotonic(), frames)
        self._sent_at: float | None = None  # s, the same, of the last beat that was sent; None = one failed since
        self._longest_gap = 0.0  # s between two beats in a row that were sent

    # ---- what every output does

    async def start(self) -> None:
        """Open the bus in the background and start the timer."""
        self._bus.start()
        self._restart_beats()

    def publish(self, snapshot: Snapshot) -> None:
        """Keep the newest Snapshot; the first complete one is sent at once.

        One that is not complete is of other batteries than before: what was known of those counts no more.
        """
        self._snapshot = snapshot
        if not snapshot.bank.complete:
            self._known, self._old_since = {}, None
            self._shaper.forget()
        if self._silent == WAITING and snapshot.bank.complete and self._timer is not None:
            self._silent = ""
            self._restart_beats()

    async def stop(self) -> None:
        """Fall silent: a gateway that comes back soon goes on within the inverter's own time-out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._bus.stop()

    def status(self) -> Mapping[str, object]:
        """For `status` and the live view."""
        now = self._clock()
        count = self._bus.counters
        return {
            "connected": self._bus.connected,
            "problem": self._problem(now),
            "dialect": self._dialect.name,
            "towards": self._settings.inverter or "",
            "bus": self._bus.name,
            "silent": bool(self._silent),
            "silent_reason": self._silent,
            "safe_state": self._safe,
            "frames_sent": count.frames_sent,
            "frames_dropped": count.frames_dropped,
            "send_errors": count.send_errors,
            "bus_off": count.bus_off,
            "opened": count.reopened,
            "interface": self._bus.interface.status() if self._bus.interface else {},
            "rate": self._rate(time.monotonic()),
            "longest_gap": round(self._longest_gap, 4),
            "keepalive_age": None if self._inverter.heard_at is None else round(now - self._inverter.heard_at, 1),
            "inverter": self._inverter.state(now),
            "inverter_reports": self._inverter.reports(now),
            "inverter_asks": self._inverter.asks(now),
            "other_bms": self._others.seen,
            "other_bms_frames": self._others.frames,
            "clamped": list(self._clamped),
            "clamps": self._clamps,
            "not_known": list(self._unsaid),
            "otherwise": [] if self._silent else [asdict(change) for change in self._shaper.changes],
            "last_frames": [str(frame) for frame in self._frames],
        }

    def reported_current(self) -> float | None:
        """A, + = charging, as the inverter measures it."""
        return self._inverter.current(self._clock())

    def _problem(self, now: float) -> str:
        first = self._bus.problem or self._others.problem or self._silent or self._safe
        return first or self._inverter.problem(now) or self._clamping()

    # ---- the timer

    def _restart_beats(self) -> None:
        """Beat now, and from now on."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._due = loop.time()
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        period = self._dialect.period
        self._due += period
        if self._due <= loop.time():  # the loop hung: go on from here, in step
            self._due += (loop.time() - self._due) // period * period + period
        self._timer = loop.call_at(self._due, self._tick)  # first, so that no fault below can stop the beat
        with self._supervisor.trying(self._defect):
            self._beat_once(self._clock())

    def _defect(self, fault: Exception) -> None:
        self._frames = self._nothing(f"a defect: {words(fault)}")

    def _beat_once(self, now: float) -> None:
        frames = self._what_to_send(now)
        taken = self._bus.beat(frames)
        self._inverter.watch(now, told=taken and bool(frames))
        self._frames = frames if taken else []
        if self._frames:
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s: tx %s", self._bus.name, " ".join(map(str, self._frames)))
            self._beat += 1
        else:
            self._sent_at = None

    def _went(self, frames: int) -> None:
        """The bus: all frames of a beat went out."""
        now = time.monotonic()
        self._sent.append((now, frames))
        self._longest_gap = max(self._longest_gap, now - (self._sent_at or now))
        self._sent_at = now

    def _heard(self, messages: Sequence[can.Message]) -> None:
        """The bus: what was read on it."""
        now = self._clock()
        self._inverter.look(messages, now)
        self._others.look(messages, now)

    # ---- what to say

    def _what_to_send(self, now: float) -> list[Frame]:
        if self._snapshot is None or not self._snapshot.bank.complete:
            return self._nothing(WAITING)
        values = self._values(self._snapshot)
        missing = [key for key in REQUIRED if key not in values and key in self._dialect.keys]
        if missing:
            return self._nothing(f"nothing is sent while not known: {', '.join(missing)}")
        since, why = _lost(self._snapshot, now)
        if since is None:
            since, why = self._outdated(self._snapshot)
        unheard = self._inverter.missing(now) if self._settings.keepalive == "require" else ""
        self._explain_safe_state(why or unheard)
        patience = self._settings.silence_after
        if since is not None and patience is not None and now - since >= patience:
            return self._nothing(f"{why}; 0 A was sent for {patience:g} s")
        is_safe = since is not None or bool(unheard)
        told = safe(values, self._dialect.keys) if is_safe else values
        return self._encoded(self._shaper.shape(told, self._snapshot, now))

    def _values(self, snapshot: Snapshot) -> dict[str, Value]:
        """The Snapshot's values; what must be told and is not known any more stays as it was last known."""
        values = values_of(snapshot, self._dialect.keys)
        self._known.update((key, (snapshot.at, values[key])) for key in REQUIRED if key in values)
        known = {key: value for key, (_, value) in self._known.items()}
        name = self._settings.manufacturer or self._brand.manufacturer
        own: dict[str, Value] = {"manufacturer": name} if name else {}
        return self._dialect.unmistakable({**self._dialect.defaults, **known, **values, **own})

    def _outdated(self, snapshot: Snapshot) -> tuple[float | None, str]:
        """Since when something that must be sent is too old to stand beside live limits [s], and what it is."""
        old = [key for key, (at, _) in self._known.items() if snapshot.at - at > LAST_KNOWN]
        if not old:
            self._old_since = None
        elif self._old_since is None and snapshot.bank.health is Health.ONLINE:
            self._old_since = snapshot.at
        if self._old_since is None:  # or nobody answers any more: limits.md 8.2 says how long the limits stand
            return None, ""
        return self._old_since, f"not known for more than {LAST_KNOWN:g} s: {', '.join(old)}"

    def _encoded(self, values: Mapping[str, Value]) -> list[Frame]:
        self._explain_stand_ins(values)
        clamped: list[str] = []
        try:
            dlc = self._settings.dlc or self._brand.dlc
            frames = self._encode(values, dlc, beat=self._beat, clamped=clamped)
        except GatewayError as problem:  # a value that is no number: it must not reach anybody
            return self._nothing(f"what cannot be said: {problem}")
        if tuple(clamped) != self._clamped:
            self._clamped = tuple(clamped)
            if clamped:
                log.warning("%s: %s", self._bus.name, self._clamping())
        self._clamps += len(clamped)
        self._tell("")
        return frames

    def _explain_stand_ins(self, values: Mapping[str, Value]) -> None:
        """Log what is sent, or not sent, for the lack of a value; that follows from which are there."""
        if values.keys() == self._there:
            return
        self._there = frozenset(values)
        unsaid = self._dialect.unsaid(values)
        if unsaid != self._unsaid and unsaid:
            log.info("%s: %s", self._bus.name, "; ".join(unsaid))
        self._unsaid = unsaid

    def _explain_safe_state(self, why: str) -> None:
        """Log when 0 A is sent instead of what was decided, and when that ends."""
        if why != self._safe:
            if why:
                log.error("%s: %s: sending 0 A both ways", self._bus.name, why)
            else:
                log.warning("%s: sending the limits as decided again", self._bus.name)
        self._safe = why

    def _nothing(self, why: str) -> list[Frame]:
        self._tell(why)
        self._beat = 0  # after a silence every frame goes out at once
        return []

    def _tell(self, silent: str) -> None:
        """Log a change between speaking and silence."""
        if silent != self._silent:
            if silent:
                log.warning("%s: silent: %s", self._bus.name, silent)
            elif self._silent != WAITING:
                log.warning("%s: sending again", self._bus.name)
        self._silent = silent

    def _clamping(self) -> str:
        return f"clamped to the range of {self._dialect.name}: {', '.join(self._clamped)}" if self._clamped else ""

    def _rate(self, now: float) -> float:
        """Frames per second over the last beats."""
        recent = [(at, count) for at, count in self._sent if now - at <= RATE_OVER * self._dialect.period]
        if len(recent) < 2 or now - recent[-1][0] > 2 * self._dialect.period:
            return 0.0
        return round(sum(count for _, count in recent[1:]) / (recent[-1][0] - recent[0][0]), 2)


def _lost(snapshot: Snapshot, now: float) -> tuple[float | None, str]:
    """Since when nobody vouches for the battery [s], and why; None = somebody does."""
    if snapshot.decision.blocked_since is not None:
        return snapshot.decision.blocked_since, "the BMS is lost"
    if now > snapshot.valid_until:
        return snapshot.valid_until, f"no decision since {snapshot.valid_until - snapshot.at:.0f} s (the gateway hangs)"
    return None, ""
