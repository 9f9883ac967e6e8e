"""The inverter's side of the bus: whether it is heard, and what it says of the battery.

    never heard --one of its frames--> answering --none for the brand's time-out--> silent --a frame--> answering

Some inverters send nothing at all, and one that does may be late, so its silence stops nothing unless
`keepalive: require` is set.  What it reports is read by the messages that the dialect's DBC file has from the node
`Inverter`; its ids count as standard and as 29-bit ones (Schneider).
Sheet: can-inverter-protocols.md sections 3, 4, 6, 7 and 10.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Final

import can

from dbc.table import Message
from outputs.can_bms.brand import Brand

log = logging.getLogger("bms_gateway.can_bms")

NEVER: Final = "never heard"
ANSWERING: Final = "answering"
CURRENT_MOST: Final = 3000.0  # A; what is beyond is no current: SMA marks "not valid" by -3276.8


class Inverter:
    """Listens to one inverter.  `now` is the output's clock, in s."""

    def __init__(self, bus: str, brand: Brand, ids: Iterable[int], messages: Sequence[Message] = ()) -> None:
        """`ids`: what the dialect knows that the inverter sends; the brand's own are added."""
        self.ids = frozenset((*ids, *brand.keepalive.ids, *(order.id for order in brand.orders)))
        self.heard_at: float | None = None
        self._bus, self._brand = bus, brand
        self._messages = {message.id: message for message in messages}
        self._reports: dict[str, float] = {}
        self._reported_at: dict[str, float] = {}
        self._asks: dict[tuple[int, int], float] = {}  # (id, byte) of an order -> when it was last given
        self._since: float | None = None  # when it could first have been heard
        self._said = self._asked = ""

    def look(self, messages: Iterable[can.Message], now: float) -> None:
        """Take note of what was read."""
        for message in messages:
            if message.arbitration_id in self.ids:
                self.heard_at = now
                if not message.is_remote_frame:
                    self._read(message, now)

    def watch(self, now: float, *, told: bool) -> None:
        """Once a beat: say in the log what changed.  `told`: the inverter is being sent frames, so it may answer."""
        if told and self._since is None:
            self._since = now
        state = self._state(now)
        if state != self._said and (state or self._said):
            self._log(state)
        self._said = state
        asks = self.asks(now)
        if asks and asks != self._asked:
            log.error("%s: the inverter asks: %s", self._bus, asks)
        self._asked = asks

    def state(self, now: float) -> str:
        """never heard, answering, or silent for so long."""
        if self.heard_at is None:
            return NEVER
        silent = now - self.heard_at
        return ANSWERING if silent < self._brand.keepalive.time_out else f"silent for {silent:.0f} s"

    def missing(self, now: float) -> str:
        """Why it cannot be counted on, for people; "" while it answers or may still do so."""
        return "" if self._state(now) in ("", ANSWERING) else f"the inverter is not heard ({self._expected()})"

    def problem(self, now: float) -> str:
        """What of it is worth a look; "" = nothing.  One that may be of those that send nothing is no problem."""
        if asks := self.asks(now):
            return f"the inverter asks: {asks}"
        return self.missing(now) if self.heard_at is not None or self._brand.keepalive.sent else ""

    def reports(self, now: float) -> dict[str, float]:
        """What it said within the time-out, by the names of the DBC."""
        return {key: value for key, value in self._reports.items() if self._is_new(self._reported_at[key], now)}

    def current(self, now: float) -> float | None:
        """A, + = charging the battery, as the inverter measures it; None = it does not say."""
        reported = self._brand.current
        value = None if reported is None else self.reports(now).get(reported.signal)
        if reported is None or value is None or not abs(value) <= CURRENT_MOST:
            return None
        return -value if reported.charging == "negative" else value

    def asks(self, now: float) -> str:
        """What it wants to be done; "" = nothing."""
        given = [o for o in self._brand.orders if self._is_new(self._asks.get((o.id, o.byte), -math.inf), now)]
        return ", ".join(order.says for order in given)

    def _state(self, now: float) -> str:
        """answering, silent, never; "" while it was not heard and has time left to begin."""
        if self.heard_at is not None:
            return ANSWERING if self._is_new(self.heard_at, now) else "silent"
        return "" if self._since is None or self._is_new(self._since, now) else "never"

    def _is_new(self, at: float, now: float) -> bool:
        return now - at < self._brand.keepalive.time_out

    def _expected(self) -> str:
        if self._brand.keepalive.sent is False:
            return "it is known to send nothing"
        return f"expected within {self._brand.keepalive.time_out:g} s"

    def _log(self, state: str) -> None:
        if state == ANSWERING:
            log.info("%s: the inverter answers", self._bus)
        elif state == "silent":
            log.warning("%s: the inverter has fallen silent; sending on", self._bus)
        elif self._brand.keepalive.sent:
            log.warning("%s: the inverter is not heard: cable, bit rate, or its battery setting", self._bus)
        else:
            log.info("%s: the inverter is not heard; some send nothing", self._bus)

    def _read(self, message: can.Message, now: float) -> None:
        for key, value in self._decoded(message).items():
            self._reports[key], self._reported_at[key] = value, now
        for order in self._brand.orders:
            if message.arbitration_id == order.id and len(message.data) > order.byte:
                if message.data[order.byte] == order.value:
                    self._asks[order.id, order.byte] = now
                else:
                    self._asks.pop((order.id, order.byte), None)

    def _decoded(self, message: can.Message) -> dict[str, float]:
        """The numbers in a frame; none of one that is no such frame."""
        known = self._messages.get(message.arbitration_id)
        return {} if known is None else {key: float(value) for key, value in known.values(bytes(message.data)).items()}
