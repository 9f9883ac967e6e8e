"""The RS485 output: turns each Snapshot into answers, which the thread of the line gives when it is asked.

    state      when                                              on the line
    silent     nothing may be told yet, or any more              nothing, errors neither
    normal     otherwise                                         answers: what was decided, or the safe state
    hung       the newest Snapshot is past its deadline          0 A both ways and the alarm for a while, then nothing

What may be told is decided as on CAN (`outputs.inverter.teller`).  Encoding happens here, once a Snapshot: the answers
of the normal and of the hung state are both made ahead (`sayings`), so a loop that hangs delays none of them.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from gateway.model import GatewayError, Snapshot
from outputs.inverter.keys import Value
from outputs.inverter.quirks import Shaper
from outputs.inverter.teller import WAITING, Teller
from outputs.output import Clock
from outputs.rs485_bms.brand import Brand, Spoken
from outputs.rs485_bms.heard import Dialect, shown
from outputs.rs485_bms.line import Line
from outputs.rs485_bms.sayings import SILENCE, Sayings, sayings
from outputs.rs485_bms.settings import Settings
from outputs.rs485_bms.values import Values, filled, settled
from outputs.rs485_bms.watch import Watch

log = logging.getLogger("bms_gateway.rs485_bms")

PATIENCE: Final = 1.0  # s that an orderly end may take


class Rs485Output:
    """Feeds one inverter."""

    name = "rs485_bms"

    def __init__(
        self, settings: Settings, brand: Brand, spoken: Spoken, dialect: Dialect, clock: Clock, identity: str
    ) -> None:
        self._settings, self._spoken, self._dialect, self._clock = settings, spoken, dialect, clock
        self._identity = identity
        self._watch = Watch(settings.port, spoken.dialect, spoken.address, spoken.baud, brand.asks_within)
        self._line = Line(settings.port, spoken.baud, dialect, self._watch, clock)
        self._shaper = Shaper(brand.quirks, dialect.keys)
        self._teller = Teller(
            settings.port, log, dialect.keys, self._shaper, settings.silence_after,
            complete=self._complete, source=Values(dialect.keys),
        )  # fmt: skip
        self._silent = WAITING  # why nothing is answered; "" = questions are
        self._unsaid: list[str] = []  # what stands in for what is not known
        self._clamped: tuple[str, ...] = ()

    # ---- what every output does

    async def start(self) -> None:
        """Open the port in the background."""
        self._line.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Make the answers of this Snapshot; until they are made those of the last one stand, within its deadline."""
        self._teller.take(snapshot)
        made = SILENCE
        try:
            made = self._sayings(snapshot, self._clock())
        finally:
            self._line.sayings = made

    async def stop(self) -> None:
        """Fall silent at once, and let go of the port."""
        await asyncio.to_thread(self._line.stop, PATIENCE)

    def status(self) -> Mapping[str, object]:
        """For `status` and the live view."""
        now, line = time.monotonic(), self._line
        question, answer = line.last
        return {
            "connected": line.connected,
            "problem": self._problem(now),
            "dialect": self._dialect.name,
            "towards": self._settings.inverter or "",
            "port": line.name,
            "address": self._spoken.address,
            "baud": self._spoken.baud,
            "silent": bool(self._silent) or line.sayings.at(self._clock()) is None,
            "silent_reason": self._silent,
            "safe_state": self._teller.safe,
            "inverter": self._watch.state(now),
            "inverter_reports": {},
            "asks": self._watch.asks(now),
            "counters": dict(line.counters),
            "longest_answer": round(line.longest, 4),
            "clamped": list(self._clamped),
            "not_known": list(self._unsaid),
            "otherwise": [] if self._silent else [asdict(change) for change in self._shaper.changes],
            "last_frames": [shown(frame) for frame in (question, answer) if frame],
        }

    def _problem(self, now: float) -> str:
        """The gravest thing that is wrong, for people."""
        watch = self._watch
        first = self._line.problem or watch.second_battery(now) or self._silent or self._teller.safe
        return first or watch.symptom(now) or self._clamping()

    # ---- what to say

    def _sayings(self, snapshot: Snapshot, now: float) -> Sayings:
        told = self._teller.tell(now)
        if told.values is None:
            self._tell(told.silent)
            return SILENCE
        clamped: list[str] = []
        try:
            live = self._dialect.image(settled(told.values), clamped)
            hung = self._dialect.image(settled(self._teller.foretell(now)), [])
        except GatewayError as problem:  # a value that is no number: it must not reach anybody
            self._tell(f"what cannot be said: {problem}")
            return SILENCE
        self._note(tuple(dict.fromkeys(clamped)))
        self._tell("")
        return sayings(live, hung, snapshot.valid_until, told.since, self._settings.silence_after)

    def _complete(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """With what the gateway says of itself, and stand-ins."""
        made, self._unsaid = filled(values, self._identity)
        return {**made, "manufacturer": self._spoken.manufacturer} if self._spoken.manufacturer else made

    def _note(self, clamped: tuple[str, ...]) -> None:
        if clamped != self._clamped and clamped:
            log.warning("%s: held to the range of %s: %s", self._line.name, self._dialect.name, ", ".join(clamped))
        self._clamped = clamped

    def _tell(self, silent: str) -> None:
        """Log a change between answering and silence."""
        if silent != self._silent:
            if silent:
                log.warning("%s: silent: %s", self._line.name, silent)
            elif self._silent != WAITING:
                log.warning("%s: answering again", self._line.name)
        self._silent = silent

    def _clamping(self) -> str:
        return f"held to the range of {self._dialect.name}: {', '.join(self._clamped)}" if self._clamped else ""
