"""CAN buses, by python-can: frames that BMSs send unasked, and those they are asked with."""

import asyncio
import errno
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import can

from bms_drivers.kit.declare import Frame, Question
from bms_drivers.links.link import Counters
from gateway.model import LinkClosed
from gateway.supervise import Supervisor

log = logging.getLogger("bms_gateway.can")

WAITING_MOST: Final = 1000  # frames kept for a reader that is slow; then the oldest go
AT_ONCE: Final = 64  # frames read in one go, so that a full bus does not keep the rest of the gateway waiting
LOOK: Final = 0.2  # s; how long the thread of a bus without a file descriptor sleeps at most


@dataclass(frozen=True, slots=True)
class CanFrame:
    """One frame as it was on the bus."""

    id: int
    data: bytes
    extended: bool = False
    at: float = 0.0  # s, monotonic; when it was read


class CanLink:
    """One CAN bus.  Keeps the newest frame of each id."""

    def __init__(
        self,
        channel: str,
        *,
        interface: str = "socketcan",
        bitrate: int | None = None,
        ids: Iterable[tuple[int, bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ids` are the (id, extended) to be received, filtered in the kernel where it can; None = all.

        `bitrate` [bit/s] matters to interfaces other than SocketCAN, whose rate the system sets.
        """
        self.channel, self.interface, self.bitrate = channel, interface, bitrate
        self.counters: Counters = Counter()
        self.newest: dict[tuple[int, bool], CanFrame] = {}
        self._filters = None if ids is None else [_filter(id_, extended) for id_, extended in ids]
        self._clock = clock
        self._bus: can.BusABC | None = None
        self._readers: set[asyncio.Queue[CanFrame | None]] = set()
        self._opened = 0
        self._supervisor = Supervisor(f"reader of {channel}")

    async def open(self) -> None:
        """Open the bus, if it is not open.  Raises LinkClosed."""
        if self._bus is not None:
            return
        try:
            self._bus = await asyncio.to_thread(self._open_bus)
        except (can.CanError, OSError, ValueError) as problem:
            raise LinkClosed(self._refused(problem)) from None
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1
        self._watch(self._bus, asyncio.get_running_loop())

    def _open_bus(self) -> can.BusABC:
        rate: dict[str, Any] = {} if self.bitrate is None else {"bitrate": self.bitrate}
        return can.Bus(channel=self.channel, interface=self.interface, can_filters=self._filters, **rate)

    async def close(self) -> None:
        """Let go of the bus; ends all `frames`; may be called at any time."""
        self._close()

    def _close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is None:
            return
        descriptor = _descriptor(bus)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
        bus.shutdown()
        for reader in self._readers:
            _put(reader, None)

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """A CAN bus takes no byte-stream questions."""
        raise TypeError(f"{self.channel}: a {type(question).__name__} cannot be asked on a CAN bus")

    async def frames(self) -> AsyncIterator[CanFrame]:
        """All frames from now on.  Raises LinkClosed when the bus is not or no longer there."""
        if self._bus is None:
            self._gone()
        queue: asyncio.Queue[CanFrame | None] = asyncio.Queue(WAITING_MOST)
        self._readers.add(queue)
        try:
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            self._readers.discard(queue)
        self._gone()

    async def send(self, frame: CanFrame) -> None:
        """Send one frame, without waiting for room.  Raises LinkClosed."""
        if self._bus is None:
            self._gone()
        message = can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=frame.extended)
        try:
            self._bus.send(message, timeout=0)
        except (can.CanError, OSError) as problem:
            if _full(problem):
                self.counters["unsent"] += 1
                return
            self._close()
            raise LinkClosed(self._refused(problem)) from None
        self.counters["requests"] += 1
        self._show("tx", frame)

    # ---- receiving

    def _watch(self, bus: can.BusABC, loop: asyncio.AbstractEventLoop) -> None:
        """Read in the loop where the bus has a file descriptor, else in a thread."""
        descriptor = _descriptor(bus)
        if descriptor is not None:
            loop.add_reader(descriptor, self._read, bus)
        else:
            threading.Thread(target=self._read_in_thread, args=(bus, loop), name=self.channel, daemon=True).start()

    def _read(self, bus: can.BusABC) -> None:
        with self._supervisor.trying(lambda fault: self._close()):
            try:
                for _ in range(AT_ONCE):
                    message = bus.recv(0)
                    if message is None:
                        return
                    self._take(message)
            except (can.CanError, OSError):
                self._close()

    def _read_in_thread(self, bus: can.BusABC, loop: asyncio.AbstractEventLoop) -> None:
        def tell(work: Callable[..., None], *words: Any) -> None:
            try:
                loop.call_soon_threadsafe(work, *words)
            except RuntimeError:
                return  # the loop was closed while the thread slept

        with self._supervisor.trying(lambda fault: tell(self._close_if, bus)):
            try:
                while self._bus is bus and not loop.is_closed():
                    message = bus.recv(LOOK)
                    if message is not None:
                        tell(self._take, message)
            except (can.CanError, OSError):
                tell(self._close_if, bus)

    def _close_if(self, bus: can.BusABC) -> None:
        """Close, unless another bus was opened meanwhile."""
        if self._bus is bus:
            self._close()

    def _take(self, message: can.Message) -> None:
        if message.is_error_frame or message.is_remote_frame:
            self.counters["noise"] += 1
            return
        frame = CanFrame(message.arbitration_id, bytes(message.data), message.is_extended_id, self._clock())
        self.counters["replies"] += 1
        self._show("rx", frame)
        self.newest[frame.id, frame.extended] = frame
        for reader in self._readers:
            if _put(reader, frame):
                self.counters["overrun"] += 1

    def _show(self, way: str, frame: CanFrame) -> None:
        """What goes over the bus, for `run --log debug`."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s %03X %s", self.channel, way, frame.id, frame.data.hex(" "))

    # ---- errors

    def _gone(self) -> NoReturn:
        raise LinkClosed(f"{self.channel}: the CAN bus is not open")

    def _refused(self, problem: Exception) -> str:
        code = getattr(problem, "error_code", None) or getattr(problem, "errno", None)
        if code == errno.EAFNOSUPPORT:
            return f"{self.channel}: this system's kernel has no SocketCAN loaded; load it with: modprobe can_raw"
        if code in (errno.ENODEV, errno.ENETDOWN, errno.ENXIO):
            advice = f"ip link set {self.channel} up type can bitrate 500000"
            return f"{self.channel}: no such CAN interface, or it is down; bring it up with: {advice}"
        return f"{self.channel}: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}"


def _filter(id_: int, extended: bool) -> can.typechecking.CanFilter:
    return {"can_id": id_, "can_mask": 0x1FFFFFFF if extended else 0x7FF, "extended": extended}


def _descriptor(bus: can.BusABC) -> int | None:
    """The bus's file descriptor, if the loop can wait for it."""
    try:
        descriptor = bus.fileno()
    except NotImplementedError:
        return None
    return descriptor if descriptor >= 0 else None


def _full(problem: Exception) -> bool:
    """The sending buffer is full: nobody on the bus acknowledges."""
    code = getattr(problem, "error_code", None) or getattr(problem, "errno", None)
    return code in (errno.ENOBUFS, errno.EAGAIN) or "timed out" in str(problem).lower()


def _put(queue: "asyncio.Queue[CanFrame | None]", frame: CanFrame | None) -> bool:
    """Add to the queue; True when the oldest had to make room."""
    full = queue.full()
    if full:
        queue.get_nowait()
    queue.put_nowait(frame)
    return full
