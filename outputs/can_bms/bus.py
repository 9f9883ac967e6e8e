"""The way to one CAN bus: opened in the background, reopened when it fails, never waited for.

    closed --opened--> open --a fault, or a frame stuck for 3 s--> closing --after a delay--> opened again

A bus that is missing or dead is said once in the log, retried with a delay that grows to 10 s, and said again when
it is back.  Frames are sent one by one, by us: the kernel's broadcast manager would repeat stale limits for ever.
Opening and closing may block, and so may sending with adapters on a serial port: each is done in a thread of its own.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import can

from gateway.supervise import Supervisor, words
from outputs.can_bms.aside import aside, attempt
from outputs.can_bms.dialect import Frame
from outputs.can_bms.trip import Trip, close

log = logging.getLogger("bms_gateway.can_bms")

RETRY_FIRST: Final = 0.5  # s
RETRY_MOST: Final = 10.0  # s
FULL_MOST: Final = 5  # sendings in a row that a full buffer is put up with before the bus is reopened
HANGS: Final = 3.0  # s that a sending may take before the bus is given up
HUNG_MOST: Final = 3  # threads that may hang in an adapter at a time; then one must come back first
PATIENCE: Final = 1.0  # s that an orderly end may take
BUS_OFF: Final = 0x40  # class bit of a SocketCAN error frame (linux/can/error.h)
DIRECT: Final = ("socketcan", "virtual")  # kinds of bus whose send() returns at once

Opener = Callable[[], can.BusABC]


@dataclass(slots=True)
class Counters:
    """What happened on the bus since the start."""

    frames_sent: int = 0
    frames_dropped: int = 0  # because of a fault, or too late to be sent
    send_errors: int = 0
    reopened: int = 0
    bus_off: int = 0


class Bus:
    """Supervises one bus.

    opener  may block: it runs in a thread
    direct  send() returns at once; otherwise it runs in a thread too
    heard   is told what was read on the bus, once a beat
    sent    is told when all frames of a beat went out
    """

    def __init__(self, name: str, opener: Opener, *, direct: bool = True) -> None:
        self.name, self.opener, self.direct = name, opener, direct
        self.heard: Callable[[list[can.Message]], object] = lambda messages: None
        self.sent: Callable[[int], object] = lambda frames: None
        self.problem = "not opened yet"
        self.counters = Counters()
        self._supervisor = Supervisor(name)
        self._bus: can.BusABC | None = None
        self._trip: Trip | None = None  # on its way in a thread
        self._watch: asyncio.TimerHandle | None = None  # over the trip
        self._retry: asyncio.TimerHandle | None = None
        self._delay = 0.0
        self._full = self._hung = 0
        self._said = self._unopened = self._stopped = False

    @property
    def connected(self) -> bool:
        """The bus is open and the last sending went well."""
        return self._bus is not None and not self._said

    def start(self) -> None:
        """Begin to open, in the background."""
        self._open_later()

    async def stop(self) -> None:
        """Close in order; what hangs is left behind."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
        end = asyncio.get_running_loop().time() + PATIENCE
        while self._trip is not None and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        if self._bus is not None:
            closed = asyncio.Event()
            self._let_go(lambda *_: closed.set())
            with suppress(TimeoutError):
                await asyncio.wait_for(closed.wait(), PATIENCE)

    def beat(self, frames: Sequence[Frame]) -> bool:
        """Read what came and send `frames`; False when the bus could not take them.  Never blocks, never raises."""
        if self._bus is None:
            return False
        if self._trip is not None:
            self.counters.send_errors += 1
            self._say("the adapter does not take frames")
            return False
        trip = Trip(self._bus, frames, direct=self.direct)
        if self.direct:
            return self._over(trip, *attempt(trip.go, self._supervisor))
        self._trip = trip
        self._watch = asyncio.get_running_loop().call_later(HANGS, self._hangs)
        aside(trip.go, partial(self._over, trip), self._supervisor)
        return True

    # ---- a trip and its end

    def _over(self, trip: Trip, _: object, fault: Exception | None) -> bool:
        if trip.abandoned:
            self._hung -= 1
            return False
        self._trip = None
        if self._watch is not None:
            self._watch.cancel()
        if not self._listen(trip.heard):
            return False
        self.counters.frames_sent += trip.sent
        self.counters.frames_dropped += trip.late
        if fault is None and not trip.late:
            return self._well_sent(trip.sent)
        self.counters.send_errors += 1
        if fault is None:
            self._say("the adapter is slow: frames that were too late were dropped")
        elif _is_full(fault) and self._full < FULL_MOST - 1:
            self._full += 1
            self._say(f"transmit buffer full: nobody on the bus acknowledges ({fault})")
        else:
            self._failed(f"cannot {trip.doing}: {words(fault)}")
        return False

    def _well_sent(self, frames: int) -> bool:
        if frames:
            self._full, self._delay = 0, 0.0
            self._well()
            self.sent(frames)
        return True

    def _listen(self, messages: Sequence[can.Message]) -> bool:
        """Hand on what was read; False when it says that the bus is off."""
        self.heard([message for message in messages if not message.is_error_frame])
        if any(message.is_error_frame and message.arbitration_id & BUS_OFF for message in messages):
            self.counters.bus_off += 1
            self._failed("bus off: check wiring, termination and bitrate; set restart-ms 100 on the interface")
            return False
        return True

    def _hangs(self) -> None:
        """The watch: a frame has been on its way for too long."""
        if self._trip is not None:
            self.counters.send_errors += 1
            self.counters.frames_dropped += self._trip.late
            self._hung += 1
            self._failed(f"the adapter has not taken a frame for {HANGS:g} s")

    # ---- opening and closing

    def _failed(self, problem: str) -> None:
        """Give the bus up and open it anew."""
        self._say(problem)
        self._let_go(lambda *_: self._open_later())

    def _let_go(self, then: Callable[..., object]) -> None:
        """Close the bus, or cut it off from a thread that hangs in it."""
        bus, self._bus = self._bus, None
        trip, self._trip = self._trip, None
        if trip is not None:
            trip.abandoned = True
        if bus is not None:
            aside(partial(close, bus) if trip is None else trip.abandon, then, self._supervisor)

    def _open_later(self) -> None:
        if not self._stopped:
            self._retry = asyncio.get_running_loop().call_later(self._delay, self._open)
            self._delay = min(RETRY_MOST, max(RETRY_FIRST, self._delay * 2))

    def _open(self) -> None:
        if self._hung >= HUNG_MOST:
            self._open_later()
            return
        self.counters.reopened += 1
        aside(self.opener, self._opened, self._supervisor)

    def _opened(self, bus: can.BusABC | None, fault: Exception | None) -> None:
        if fault is not None:
            self._unopened = True
            self._say(f"cannot open: {words(fault)}")
            self._open_later()
            return
        self._bus, self._full = bus, 0
        log.info("%s: open", self.name)
        if self._stopped:
            self._let_go(lambda *_: None)
        elif not self._said or self._unopened:
            self._well()
        self._unopened = False

    # ---- words

    def _say(self, problem: str) -> None:
        if not self._said:
            log.warning("%s: %s; trying on", self.name, problem)
        self.problem, self._said = problem, True

    def _well(self) -> None:
        if self._said:
            log.warning("%s: works again", self.name)
        self.problem, self._said = "", False


def opener(interface: str, channel: str, bitrate: int, listen_to: Sequence[tuple[int, bool]]) -> Opener:
    """How to open the bus; of what others send only the ids `listen_to` (id, 29 bits) wake SocketCAN's socket."""
    filters: list[can.typechecking.CanFilter] = [
        {"can_id": can_id, "can_mask": 0x1FFFFFFF, "extended": extended} for can_id, extended in listen_to
    ]
    more: dict[str, Any] = {"receive_own_messages": False} if interface in DIRECT else {"bitrate": bitrate}
    if interface == "socketcan":  # elsewhere recv(0) gives up at the first frame that a filter drops
        more["can_filters"] = filters

    def work() -> can.BusABC:
        logging.getLogger("can").setLevel(logging.CRITICAL)  # it logs every failed try; we say it once
        return can.Bus(channel=channel, interface=interface, **more)

    return work


def _is_full(fault: Exception) -> bool:
    code = getattr(fault, "error_code", None) or getattr(fault, "errno", None)
    return code in (errno.ENOBUFS, errno.EAGAIN) or "buffer full" in str(fault)
