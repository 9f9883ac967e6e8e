"""Who talks on a bus: frames by id, how often, with what gaps, and who may have sent them.

A frame that came back through the kernel was sent by this host (python-can: `is_rx` is False); another one with an id
of a battery comes from another BMS, and one with an id that a dialect expects of inverters from the inverter.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import can

from outputs.can_bms.dbc_file import load, names
from outputs.can_bms.dialect import Dialect
from outputs.can_bms.others import FAMILY

Id = tuple[int, bool]
"""CAN id, and whether it has 29 bits."""

HERE: Final = "this host"
INVERTER: Final = "inverter"
BMS: Final = "another BMS"
UNKNOWN: Final = "?"
INVERTERS: Final = frozenset({0x305, 0x306, 0x307})
"""Sheet: can-inverter-protocols.md sections 1, 3 and 4."""
OVERHEAD, OVERHEAD_29 = 47, 67  # bits of a data frame without data and stuff bits, gap included; ISO 11898-1
STUFFED: Final = 1.1  # about a tenth of stuff bits


@dataclass(slots=True)
class Speaker:
    """One id from one side."""

    id: Id
    here: bool
    first: float  # s
    last: float  # s
    count: int = 0
    gap: float | None = None  # s between the last two
    longest: float = 0.0  # s
    data: bytes = b""

    def hears(self, message: can.Message) -> None:
        """Count one of its frames."""
        if self.count:
            self.gap = max(0.0, message.timestamp - self.last)
            self.longest = max(self.longest, self.gap)
        self.last, self.data = message.timestamp, bytes(message.data)
        self.count += 1


@dataclass(slots=True)
class Speakers:
    """Everybody on a bus."""

    all: dict[tuple[Id, bool], Speaker] = field(default_factory=dict)
    bits: float = 0.0  # that all frames took on the bus, about

    def hears(self, message: can.Message) -> Speaker:
        """Count a data frame; whose it is."""
        key = (message.arbitration_id, bool(message.is_extended_id)), not message.is_rx
        found = self.all.setdefault(key, Speaker(*key, message.timestamp, message.timestamp))
        found.hears(message)
        self.bits += STUFFED * ((OVERHEAD_29 if key[0][1] else OVERHEAD) + 8 * len(message.data))
        return found

    def load(self, bitrate: int, seconds: float) -> float:
        """Share of the bus' time that was taken [0..1]."""
        return self.bits / bitrate / seconds

    def of(self, who: str) -> list[Speaker]:
        """Those that are `who`, by id."""
        return sorted((s for s in self.all.values() if sender(s.id, here=s.here) == who), key=lambda s: s.id)


def sender(can_id: Id, *, here: bool, dialect: Dialect | None = None) -> str:
    """Who sent a frame, as far as that can be known."""
    dialects = [dialect] if dialect else list(shipped().values())
    if here:
        return HERE
    if can_id[0] in INVERTERS or any(can_id[0] in one.keep_alive for one in dialects):
        return INVERTER
    return BMS if can_id in FAMILY or any(can_id in one.ids for one in dialects) else UNKNOWN


def resembles(ids: Iterable[Id]) -> list[str]:
    """Dialects that have all of these ids, those with the fewest others first; [] = none has."""
    heard = frozenset(ids)
    fitting = [name for name, dialect in shipped().items() if heard and heard <= dialect.ids]
    return sorted(fitting, key=lambda name: len(shipped()[name].ids))


def listener(interface: str, channel: str) -> can.BusABC:
    """A bus on which everything is read, also what this host sends.  Raises what python-can's interfaces raise."""
    logging.getLogger("can").setLevel(logging.CRITICAL)  # what it logs it also raises
    return can.Bus(interface=interface, channel=channel)


@cache
def shipped() -> Mapping[str, Dialect]:
    """Every dialect that comes with the gateway."""
    return {name: load(name) for name in names()}


def listed(speakers: Iterable[Speaker]) -> str:
    """Their ids, for people."""
    return ", ".join(dict.fromkeys(_numbers(speakers)))


def _numbers(speakers: Iterable[Speaker]) -> Iterator[str]:
    for speaker in speakers:
        yield f"0x{speaker.id[0]:08X}" if speaker.id[1] else f"0x{speaker.id[0]:03X}"
