"""The way to one CAN bus: opened in the background, reopened when it fails, never waited for.

A bus that is missing or dead is said once in the log, retried with a delay that grows to 10 s, and said again when
it is back.  Frames are sent one by one, by us: the kernel's broadcast manager would repeat stale limits for ever.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import can

from outputs.can_bms.dialect import Frame

log = logging.getLogger("bms_gateway.can_bms")

RETRY_FIRST: Final = 0.5  # s
RETRY_MOST: Final = 10.0  # s
FULL_MOST: Final = 5  # sendings in a row that a full buffer is put up with before the bus is reopened
READ_MOST: Final = 100  # frames taken from the bus at a time
BUS_OFF: Final = 0x40  # class bit of a SocketCAN error frame (linux/can/error.h)
DIRECT: Final = ("socketcan", "virtual")  # kinds of bus whose send() returns at once
DRIVER_FAULTS: Final = (can.CanError, OSError, ValueError, ImportError)  # what python-can's interfaces raise

Opener = Callable[[], can.BusABC]


@dataclass(slots=True)
class Counters:
    """What happened on the bus since the start."""

    frames_sent: int = 0
    send_errors: int = 0
    reopened: int = 0
    bus_off: int = 0


@dataclass(slots=True)
class Bus:
    """Supervises one bus.  `opener` may block: it runs in a thread."""

    name: str
    opener: Opener
    direct: bool = True  # send() returns at once; otherwise it runs in a thread of its own
    problem: str = "not opened yet"
    counters: Counters = field(default_factory=Counters)
    last_sent: float | None = None  # s, time.monotonic()
    _bus: can.BusABC | None = None
    _opening: "asyncio.Task[None] | None" = None
    _sender: ThreadPoolExecutor | None = None
    _pending: "Future[None] | None" = None
    _delay: float = 0.0
    _full: int = 0
    _said: bool = False
    _unopened: bool = False  # it could not even be opened
    _stopped: bool = False

    @property
    def connected(self) -> bool:
        """The bus is open and the last sending went well."""
        return self._bus is not None and not self._said

    def start(self) -> None:
        """Begin to open, in the background."""
        self._reopen()

    async def stop(self) -> None:
        """Close; frames that wait in a thread are given up."""
        self._stopped = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._sender is not None:
            self._sender.shutdown(wait=False, cancel_futures=True)
        self._close()

    def send(self, frames: Sequence[Frame]) -> bool:
        """Hand all frames to the bus; False when it could not take them.  Never blocks, never raises."""
        if self._bus is None:
            return False
        if self.direct:
            return self._done(frames, _try(self._bus, frames))
        return self._send_in_thread(self._bus, frames)

    def receive(self) -> list[can.Message]:
        """Frames that came in since the last call; error frames are taken note of and left out."""
        found: list[can.Message] = []
        if self._bus is None:
            return found
        try:
            while len(found) < READ_MOST and (message := self._bus.recv(0)) is not None:
                found.append(message)
        except DRIVER_FAULTS as fault:
            self._failed(f"cannot read: {fault}")
        for message in found:
            if message.is_error_frame and message.arbitration_id & BUS_OFF:
                self.counters.bus_off += 1
                self._failed("bus off: check wiring, termination and bitrate; set restart-ms 100 on the interface")
        return [message for message in found if not message.is_error_frame]

    # ---- sending

    def _send_in_thread(self, bus: can.BusABC, frames: Sequence[Frame]) -> bool:
        """For buses whose send() may block, such as serial adapters: one sending at a time, the newest or none."""
        if self._pending is not None and not self._pending.done():
            self.counters.send_errors += 1
            self.problem = "the adapter does not take frames"
            return False
        if self._sender is None:
            self._sender = ThreadPoolExecutor(1, "can_bms")
        loop = asyncio.get_running_loop()

        def work() -> None:
            fault = _try(bus, frames)
            loop.call_soon_threadsafe(self._done, frames, fault)

        self._pending = self._sender.submit(work)
        return True

    def _done(self, frames: Sequence[Frame], fault: Exception | None) -> bool:
        if fault is None:
            self.counters.frames_sent += len(frames)
            self.last_sent = time.monotonic()
            self._full, self._delay = 0, 0.0
            self._well()
            return True
        self.counters.send_errors += 1
        self._full = self._full + 1 if _is_full(fault) else FULL_MOST
        if self._full < FULL_MOST:
            self._say(f"transmit buffer full: nobody on the bus acknowledges ({fault})")
        else:
            self._failed(f"cannot send: {fault}")
        return False

    # ---- opening and closing

    def _failed(self, problem: str) -> None:
        """Give the bus up and open it anew."""
        self._say(problem)
        self._close()
        self._reopen()

    def _close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            try:
                bus.shutdown()
            except DRIVER_FAULTS as fault:
                log.debug("%s: closing: %s", self.name, fault)

    def _reopen(self) -> None:
        if not self._stopped and (self._opening is None or self._opening.done()):
            self._opening = asyncio.get_running_loop().create_task(self._open(), name=f"open {self.name}")

    async def _open(self) -> None:
        while self._bus is None:
            if self._delay:
                await asyncio.sleep(self._delay)
            self._delay = min(RETRY_MOST, max(RETRY_FIRST, self._delay * 2))
            self.counters.reopened += 1
            try:
                self._bus = await asyncio.to_thread(self.opener)
            except DRIVER_FAULTS as fault:
                self._unopened = True
                self._say(f"cannot open: {fault}")
        self._full = 0
        log.info("%s: open", self.name)
        if not self._said or self._unopened:
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


def opener(interface: str, channel: str, bitrate: int, listen_to: Sequence[int]) -> Opener:
    """How to open the bus; of what others send only the ids `listen_to` are let through."""
    filters: list[can.typechecking.CanFilter] = [{"can_id": can_id, "can_mask": 0x1FFFFFFF} for can_id in listen_to]

    def work() -> can.BusABC:
        logging.getLogger("can").setLevel(logging.CRITICAL)  # it logs every failed try; we say it once
        more: dict[str, int] = {} if interface in DIRECT else {"bitrate": bitrate}
        return can.Bus(channel=channel, interface=interface, can_filters=filters or None, **more)  # type: ignore[arg-type]

    return work


def _try(bus: can.BusABC, frames: Sequence[Frame]) -> Exception | None:
    """Send all frames; the first fault ends it."""
    try:
        for frame in frames:
            bus.send(can.Message(arbitration_id=frame.id, is_extended_id=frame.extended, data=frame.data), timeout=0)
    except DRIVER_FAULTS as fault:
        return fault
    return None


def _is_full(fault: Exception) -> bool:
    code = getattr(fault, "error_code", None) or getattr(fault, "errno", None)
    return code in (errno.ENOBUFS, errno.EAGAIN) or "buffer full" in str(fault)
