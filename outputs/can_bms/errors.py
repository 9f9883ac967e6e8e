"""Error frames of SocketCAN: which fault each tells, how many of late, and what they mean together.

Source: linux/can/error.h.  What a driver does not report is not here; the controller's counters (`net.Link`) say more.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import can

from outputs.can_bms.net import PASSIVE_FROM, WARNING_FROM, Link

RECENT: Final = 10.0  # s
KEPT_MOST: Final = 2000  # faults of late; a bus that is shorted makes thousands a second

CLASSES: Final = {
    0x001: "tx-timeout",
    0x002: "arbitration-lost",
    0x010: "transceiver",
    0x020: "ack",
    0x040: "bus-off",
    0x100: "restarted",
}
"""Class bits in the id that are faults by themselves."""
CONTROLLER, PROTOCOL = 0x004, 0x008  # class bits with more in byte 1; in bytes 2 and 3
CONTROLS: Final = {0x01: "rx-overflow", 0x02: "tx-overflow", 0x0C: "warning", 0x30: "passive", 0x40: "active"}
TYPES: Final = {0x19: "bit", 0x02: "form", 0x04: "stuff"}  # bits of byte 2
PLACES: Final = {0x08: "crc", 0x18: "crc", 0x19: "ack", 0x1B: "ack"}  # byte 3

DAMAGED: Final = ("bit", "form", "stuff", "crc")
CHECK_BUS: Final = "check the wiring (CAN-H, CAN-L, ground) and 120 Ω at both ends"


def kinds(message: can.Message) -> Iterator[str]:
    """The faults that one error frame tells."""
    data = bytes(message.data).ljust(8, b"\0")
    found = [name for bit, name in CLASSES.items() if message.arbitration_id & bit]
    if message.arbitration_id & CONTROLLER:
        found += [name for bit, name in CONTROLS.items() if data[1] & bit]
    if message.arbitration_id & PROTOCOL:
        found += [name for bit, name in TYPES.items() if data[2] & bit]
        found += [PLACES[data[3]]] if data[3] in PLACES else []
    yield from dict.fromkeys(found)


class Tally:
    """Counts faults."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self._recent: deque[tuple[float, str]] = deque(maxlen=KEPT_MOST)

    def look(self, messages: Iterable[can.Message], now: float) -> list[str]:
        """Count what these error frames tell [`now` in s]; returns it, too."""
        found = [kind for message in messages for kind in kinds(message)]
        self.all.update(found)
        self._recent.extend((now, kind) for kind in found)
        return found

    def recent(self, now: float) -> Counter[str]:
        """What was told within the last 10 s."""
        return Counter(kind for at, kind in self._recent if now - at <= RECENT)


def advice(link: Link | None, recent: Mapping[str, int], *, heard: bool, stuck: bool) -> str:
    """What is wrong with the bus by its symptoms, for people; "" = nothing that is known.

    heard  a frame of somebody else was read of late
    stuck  frames wait in the kernel or in the adapter
    """
    damaged = [kind for kind in DAMAGED if recent.get(kind)]
    told = f" ({', '.join(damaged)} errors)" if damaged else ""
    rate = f" than {link.bitrate / 1000:g} kbit/s" if link and link.bitrate else ""
    receives_ill = link is not None and (link.rx_errors or 0) >= WARNING_FROM
    if damaged == ["bit"] and not receives_ill:
        return f"what we send is not what the bus shows{told}: another bitrate{rate}, or a short circuit; {CHECK_BUS}"
    if (damaged or receives_ill) and not heard:
        return f"somebody talks here but nothing can be read{told}: another bitrate{rate}? otherwise {CHECK_BUS}"
    if damaged or receives_ill:
        return f"frames are damaged on their way{told}: {CHECK_BUS}"
    passive = link is not None and (link.state == "error-passive" or (link.tx_errors or 0) >= PASSIVE_FROM)
    if stuck or passive or recent.get("ack"):
        return "nobody acknowledges our frames: bitrate, wiring, or nobody there"
    return ""
