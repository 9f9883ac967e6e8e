"""CAN buses, by python-can: frames that BMSs send unasked, and those they are asked with.

The bus is filtered in the kernel: what nobody listens to never wakes the gateway.  Whoever asks to hear an identifier
listens to it from then on.
"""

import asyncio
import errno
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, TypeVar

import can

from bms_drivers.kit.declare import EXTENDED, CanAsk, CanId, Frame, Question
from bms_drivers.links.link import Counters, FrameTap
from gateway.can_faults import ask_whether_up, explained
from gateway.model import LinkClosed, LinkTimeout
from gateway.supervise import Supervisor

log = logging.getLogger("bms_gateway.can")

WAITING_MOST: Final = 1000  # frames kept for a reader that is slow; then the oldest go
AT_ONCE: Final = 64  # frames read in one go, so that a full bus does not keep the rest of the gateway waiting
LOOK: Final = 0.2  # s; how long the thread of a bus without a file descriptor sleeps at most
NOTHING: Final = CanId(0, extended=True)  # in the filter while nobody listens: an empty one lets all through
KEPT_MOST: Final = 4096  # frames of different identifiers that are kept


Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class CanFrame:
    """One frame as it was on the bus."""

    id: int
    data: bytes
    extended: bool = False
    at: float = 0.0  # s, monotonic; when it was read

    @property
    def kind(self) -> int:
        """The identifier as in `Frame.kind`."""
        return self.id | EXTENDED if self.extended else self.id


class CanLink:
    """One CAN bus.  Keeps the newest frame of each id, and of each thing that one id takes turns to tell."""

    def __init__(
        self,
        channel: str,
        *,
        interface: str = "socketcan",
        bitrate: int | None = None,
        ids: Iterable[tuple[int, bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ids` are the (id, extended) to be received from the start, filtered in the kernel where it can; None = all.

        `bitrate` [bit/s] matters to interfaces other than SocketCAN, whose rate the system sets.
        """
        self.channel, self.interface, self.bitrate = channel, interface, bitrate
        self.counters: Counters = Counter()
        self.frame_tap: FrameTap | None = None
        self.newest: dict[tuple[int, bool], CanFrame] = {}
        self._all = ids is None
        self._since = {CanId(id_, extended): 0.0 for id_, extended in ids or ()}  # listened to: from when on
        self._parts: dict[tuple[CanId, int, int], CanFrame] = {}  # by listener's id, the frame's own, and which it is
        self._clock = clock
        self._bus: can.BusABC | None = None
        self._why = f"{channel}: the CAN bus is not open"
        self._news = asyncio.Event()
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
            raise LinkClosed(explained(self.channel, problem)) from None
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1
        self.newest.clear()
        self._parts.clear()
        self._since = {wanted: self._clock() for wanted in self._since}
        self._watch(self._bus, asyncio.get_running_loop())

    def _open_bus(self) -> can.BusABC:
        rate: dict[str, Any] = {} if self.bitrate is None else {"bitrate": self.bitrate}
        bus = can.Bus(channel=self.channel, interface=self.interface, can_filters=self._filters(), **rate)
        ask_whether_up(bus)
        return bus

    def _filters(self) -> can.typechecking.CanFilters | None:
        return None if self._all else [_filter(wanted) for wanted in self._since or (NOTHING,)]

    async def close(self) -> None:
        """Let go of the bus; ends all `frames`; may be called at any time."""
        self.drop()

    def drop(self) -> None:
        """As close."""
        bus, self._bus = self._bus, None
        if bus is None:
            return
        descriptor = _descriptor(bus)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
        bus.shutdown()
        self._news.set()
        for reader in self._readers:
            _put(reader, None)

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """What was heard, at once if it is there already.  Raises LinkTimeout, LinkClosed."""
        if not isinstance(question, CanAsk):
            raise TypeError(f"{self.channel}: a {type(question).__name__} cannot be asked on a CAN bus")
        self.expect(question.hears)
        since, until = -float("inf"), max(self._since[wanted] for wanted in question.hears) + question.settle
        if question.anew or (question.sends and question.awaits):
            since = self._clock()
            until = since + question.settle
        for wanted, data in question.sends:
            await self.send(CanFrame(wanted.id, data, wanted.extended))
        frames = await self._heard(question, since, until)
        if not frames or not (question.partial or question.whole(frames)):
            self.counters["timeout"] += 1
            raise LinkTimeout(f"{self.channel}: {question} not heard")
        return frames

    async def _heard(self, question: CanAsk, since: float, until: float) -> list[Frame]:
        """The frames, as soon as they are all, at the latest by `until`.  Raises LinkClosed."""
        while True:
            self._news.clear()
            if self._bus is None:
                self._gone()
            frames = self._fresh(question, since)
            if question.whole(frames) or (left := until - self._clock()) <= 0:
                return frames
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()

    def _fresh(self, question: CanAsk, since: float) -> list[Frame]:
        """The newest frame of each kind that the question is about, none of them too old."""
        since = max(since, self._clock() - question.life)
        return [
            Frame(frame.kind, frame.data, raw=frame.data, at=frame.at)
            for wanted in question.hears
            for (heard, _, _), frame in self._parts.items()
            if heard == wanted and frame.at >= since
        ]

    def expect(self, hears: Iterable[CanId]) -> None:
        """From now on these are received, too, or as soon as the bus is open.  Raises LinkClosed."""
        new = [wanted for wanted in hears if wanted not in self._since]
        if not new:
            return
        self._since.update(dict.fromkeys(new, self._clock()))
        if self._bus is None:
            return
        try:
            self._bus.set_filters(self._filters())
        except (can.CanError, OSError) as problem:
            self.drop()
            raise LinkClosed(explained(self.channel, problem)) from None

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
            self.drop()
            raise LinkClosed(explained(self.channel, problem)) from None
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
        with self._supervisor.trying(lambda fault: self.drop()):
            try:
                for _ in range(AT_ONCE):
                    message = bus.recv(0)
                    if message is None:
                        return
                    self._take(message)
            except (can.CanError, OSError) as problem:
                self._why = explained(self.channel, problem)
                self.drop()

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
            except (can.CanError, OSError) as problem:
                self._why = explained(self.channel, problem)
                tell(self._close_if, bus)

    def _close_if(self, bus: can.BusABC) -> None:
        """Close, unless another bus was opened meanwhile."""
        if self._bus is bus:
            self.drop()

    def _take(self, message: can.Message) -> None:
        if message.is_error_frame or message.is_remote_frame:
            self.counters["error_frames" if message.is_error_frame else "noise"] += 1
            return
        frame = CanFrame(message.arbitration_id, bytes(message.data), message.is_extended_id, self._clock())
        self.counters["replies"] += 1
        self._show("rx", frame)
        self._keep(frame)
        self._news.set()
        for reader in self._readers:
            if _put(reader, frame):
                self.counters["overrun"] += 1

    def _keep(self, frame: CanFrame) -> None:
        """As the newest of its kind, for everybody who listens to it."""
        _renew(self.newest, (frame.id, frame.extended), frame)
        for wanted in self._since:
            if wanted.fits(frame.kind):
                _renew(self._parts, (wanted, frame.id, wanted.which(frame.data)), frame)

    def _show(self, way: Literal["tx", "rx"], frame: CanFrame) -> None:
        """What goes over the bus, for whoever listens and for `run --log debug`."""
        if self.frame_tap is not None:
            self.frame_tap(way, frame)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s %03X %s", self.channel, way, frame.id, frame.data.hex(" "))

    # ---- errors

    def _gone(self) -> NoReturn:
        raise LinkClosed(self._why)


def _filter(wanted: CanId) -> can.typechecking.CanFilter:
    return {"can_id": wanted.id, "can_mask": wanted.bits, "extended": wanted.extended}


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


def _renew(kept: dict[Key, CanFrame], key: Key, frame: CanFrame) -> None:
    """Keep the frame in place of the last of its kind; too many, and the kind that was not heard for longest goes."""
    kept.pop(key, None)
    kept[key] = frame
    if len(kept) > KEPT_MOST:
        del kept[next(iter(kept))]


def _put(queue: "asyncio.Queue[CanFrame | None]", frame: CanFrame | None) -> bool:
    """Add to the queue; True when the oldest had to make room."""
    full = queue.full()
    if full:
        queue.get_nowait()
    queue.put_nowait(frame)
    return full
