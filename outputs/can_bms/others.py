"""Frames of another BMS on our own bus: an inverter that hears two batteries obeys the one it heard last.

    nobody --one of its frames--> there --none for 5 s--> nobody

A bus never gives back what we sent ourselves, so whatever bears an id of ours comes from somebody else: another BMS,
or a second gateway.
"""

import logging
from collections.abc import Iterable
from typing import Final

import can

log = logging.getLogger("bms_gateway.can_bms")

GONE_AFTER: Final = 5.0  # s
FAMILY: Final = frozenset({(0x351, False), (0x355, False), (0x356, False)})
"""(id, 29 bits) that every low-voltage dialect but Growatt's sends.  Sheet: can-inverter-protocols.md section 0."""


class Others:
    """Counts and says what another BMS sends."""

    def __init__(self, bus: str, ours: Iterable[tuple[int, bool]]) -> None:
        """`ours`: (id, 29 bits) of the frames that we send."""
        self.ids = FAMILY | frozenset(ours)
        self.frames = 0
        self._bus = bus
        self._seen: dict[tuple[int, bool], float] = {}  # s, when last
        self._there = False

    def look(self, messages: Iterable[can.Message], now: float) -> None:
        """Take note of what was read [`now` in s]; says in the log when another BMS comes and when it is gone."""
        for message in messages:
            key = (message.arbitration_id, bool(message.is_extended_id))
            if key in self.ids and not message.is_remote_frame:
                self.frames += 1
                self._seen[key] = now
        if not self._seen:
            return
        self._seen = {key: at for key, at in self._seen.items() if now - at < GONE_AFTER}
        if bool(self._seen) is not self._there:
            self._there = bool(self._seen)
            log.warning("%s: %s", self._bus, self.problem or "the other BMS has been silent for 5 s")

    @property
    def problem(self) -> str:
        """What is wrong, for people; "" while nobody else is there."""
        if not self._seen:
            return ""
        return f"another BMS sends {', '.join(self.seen)} here: two batteries on one bus contradict each other"

    @property
    def seen(self) -> list[str]:
        """Ids that are there now."""
        return [f"0x{can_id:X}" for can_id, _ in sorted(self._seen)]
