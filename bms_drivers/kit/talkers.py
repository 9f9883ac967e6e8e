"""Devices that talk without being asked and are no BMS: before anything is asked on a port, it is listened to.

Forms: NMEA 0183 sentences (a GPS, 4800 or 9600 baud), P1 telegrams of energy meters (9600 or 115200), VE.Direct text
(Victron chargers and monitors, 19200).
"""

import re
from collections.abc import Iterator
from typing import Final

from bms_drivers.kit.declare import Ask, Driver, Dropped, Frame, SerialLine
from bms_drivers.links.link import Link
from gateway.model import LinkTimeout, TalksByItself

RATES: Final = (9600, 19200, 115200, 4800)  # baud; at the wrong one there are bytes, too, but no words
LISTEN: Final = 2.2  # s; these talkers speak each second
AGAIN: Final = 1.3  # s at each further rate, once something was heard
STRAY: Final = 16  # bytes that a floating line may give

FORMS: Final = (
    ("a GPS or another NMEA instrument", re.compile(rb"[$!][A-Z]{2}[A-Z0-9]{3},[\x20-\x7e]*\*[0-9A-F]{2}\r?\n")),
    ("an energy meter (P1)", re.compile(rb"/[A-Za-z]{3}\d[\x20-\x7e]*\r?\n|\n\d-\d:\d+\.\d+\.\d+(\.\d+)?\(")),
    ("a Victron device (VE.Direct)", re.compile(rb"\r\n(PID|V|I|VPV|PPV|CS|SER#|FW|Checksum)\t")),
)


def named(heard: bytes) -> str:
    """Which of the talkers said this; "" = none that is known."""
    return next((name for name, form in FORMS if form.search(heard)), "")


async def listen(link: Link, seconds: float, request: bytes = b"") -> bytes:
    """What is said on `link` within so long, without being asked or after `request`; b"" = nothing."""
    ask = Ask(request, _chunks, complete=lambda frames: False, timeout=seconds, partial=True)
    try:
        frames = await link.exchange(ask)
    except LinkTimeout:
        return b""
    return b"".join(frame.payload for frame in frames)


class Said:
    """What somebody says on a port by itself: drivers that listen alike need not each wait for it."""

    def __init__(self) -> None:
        self._heard: dict[tuple[SerialLine | None, float], bytes] = {}

    async def heard(self, link: Link, driver: Driver) -> bytes:
        """All that is said within the driver's cycle."""
        line = driver.line and SerialLine(driver.line.baud, parity=driver.line.parity)
        alike = line, driver.detection.cycle
        if alike not in self._heard:
            self._heard[alike] = await listen(link, driver.detection.cycle)
        return self._heard[alike]


def too_much(heard: bytes) -> bool:
    """More than a floating line gives: somebody talks."""
    return len(heard) > STRAY


def refuse(where: str, heard: bytes) -> None:
    """Raises TalksByItself when what was heard is no BMS's and more than a floating line gives."""
    if name := named(heard):
        raise TalksByItself(f"{where}: {name} talks here; no BMS is looked for")
    if too_much(heard):
        raise TalksByItself(
            f"{where}: something talks here without being asked ({len(heard)} bytes, {heard[:8].hex()} ...)"
            " and is no BMS that is known; none is looked for"
        )


def _chunks(buffer: bytearray) -> Iterator[Frame | Dropped]:
    if buffer:
        yield Frame(0, bytes(buffer))
        buffer.clear()
