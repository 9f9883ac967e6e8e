"""The CAN output: every second, on a timer of its own, what the newest Snapshot says.

    silent   nothing may be told yet, or any more: zeros at start make inverters raise alarms
    normal   otherwise: what was decided, or the safe state

Which of them it is, and what is told, is the same for every bus: see `outputs.inverter.teller`.
For an inverter that is not heard the safe state lasts: some answer only what they hear.
Beats are absolute deadlines, so the period does not drift; one that was missed is not made up for.  A decision that
comes within a twentieth of a period of a beat is told at once: it is fresh then, and one wake-up does for both.  Where
decisions come in between, beats move towards them, a fiftieth of a period earlier each.
Sheet: can-inverter-protocols.md sections 10 and 11.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import can

from gateway.model import GatewayError, Snapshot
from gateway.supervise import Supervisor, words
from outputs.can_bms.brand import ANY, Brand
from outputs.can_bms.bus import Bus
from outputs.can_bms.dialect import Dialect, Frame
from outputs.can_bms.encoded import Encoded
from outputs.can_bms.inverter import Inverter
from outputs.can_bms.others import Others
from outputs.can_bms.settings import Settings
from outputs.inverter.keys import Value, Values
from outputs.inverter.quirks import Shaper
from outputs.inverter.teller import WAITING, Teller
from outputs.output import Clock

log = logging.getLogger("bms_gateway.can_bms")

RATE_OVER: Final = 10  # beats over which the frame rate is taken
LEAD: Final = 0.05  # of the period: so long a beat waits for a decision, or comes before its time
MOVE: Final = 0.02  # of the period: so much earlier comes a beat that none was near to


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
        self._teller = Teller(
            bus.name, log, dialect.keys, self._shaper, settings.silence_after, complete=self._complete
        )
        bus.heard, bus.sent, bus.freed = self._heard, self._went, self._restart_beats
        self._encode = Encoded(dialect).encode
        self._trying = Supervisor(bus.name).trying(self._defect)
        self._beat = 0
        self._due = 0.0
        self._lead = LEAD * dialect.period  # s
        self._told = float("-inf")  # s, loop time, of the newest Snapshot
        self._timer: asyncio.TimerHandle | None = None
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
        """Keep the newest Snapshot; the first complete one is sent at once, and one that comes when a beat is due."""
        self._teller.take(snapshot)
        if self._timer is None:
            return
        if self._silent == WAITING and snapshot.bank.complete:
            self._silent = ""
            self._restart_beats()
            return
        self._told = now = asyncio.get_running_loop().time()
        if now >= self._due - self._lead:
            self._due = now + self._dialect.period
            self._set_timer(self._due + self._lead)
            self._beat_now()

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
            "safe_state": self._teller.safe,
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
        first = self._bus.problem or self._others.problem or self._silent or self._teller.safe
        return first or self._inverter.problem(now) or self._clamping()

    # ---- the timer

    def _restart_beats(self) -> None:
        """Beat now, and from now on."""
        self._due = asyncio.get_running_loop().time()
        self._set_timer(self._due)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._tick)

    def _tick(self) -> None:
        """No decision came when the beat was due."""
        now, period = asyncio.get_running_loop().time(), self._dialect.period
        hung = now - self._due > 2 * self._lead  # then go on from here: two beats must not come together
        self._due = (now if hung else self._due) + period
        if now - self._told < period:
            self._due -= min(MOVE * period, now - self._told)
        self._set_timer(self._due)  # first, so that no fault below can stop the beat
        self._beat_now()

    def _beat_now(self) -> None:
        with self._trying:
            self._beat_once(self._clock())

    def _defect(self, fault: Exception) -> None:
        self._frames = self._nothing(f"a defect: {words(fault)}")

    def _beat_once(self, now: float) -> None:
        frames = self._what_to_send(now)
        taken = self._bus.beat(frames)
        self._inverter.watch(now, told=taken and bool(frames))
        self._others.look((), now)  # they fall silent on a bus that is gone, too
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
        unheard = self._inverter.missing(now) if self._settings.keepalive == "require" else ""
        told = self._teller.tell(now, unheard)
        return self._nothing(told.silent) if told.values is None else self._encoded(told.values)

    def _complete(self, values: Values) -> Values:
        """With what the gateway says of itself."""
        name = self._settings.manufacturer or self._brand.manufacturer
        own: dict[str, Value] = {"manufacturer": name} if name else {}
        return self._dialect.unmistakable({**self._dialect.defaults, **values, **own})

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
