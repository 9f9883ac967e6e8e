"""The way to one CAN bus: opened in the background, reopened when it fails, never waited for.

    closed --opened--> open --a fault, or a frame stuck for 3 s--> closing --after a delay--> opened again

A bus that is missing or dead is said once in the log, retried with a delay that grows to 10 s, and said again when
it is back.  Frames are sent one by one, by us: the kernel's broadcast manager would repeat stale limits for ever.
Opening and closing may block, and so may sending with adapters on a serial port: each is done in a thread of its own.

With SocketCAN, frames may wait in the kernel for an acknowledgement.  Then nothing is queued behind them, and as soon
as they have left, `freed` has the present state said.  In bus-off nothing is sent: see `interface`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import can

from gateway.can_faults import ask_whether_up, explained
from gateway.supervise import Supervisor, words
from outputs.can_bms.aside import aside, attempt
from outputs.can_bms.dialect import Frame
from outputs.can_bms.interface import Interface
from outputs.can_bms.trip import Trip, close, is_full, queued, says_off

log = logging.getLogger("bms_gateway.can_bms")

RETRY_FIRST: Final = 0.5  # s
RETRY_MOST: Final = 10.0  # s
FULL_MOST: Final = 5  # sendings in a row that an adapter's full buffer is put up with before the bus is reopened
ROOM_EVERY: Final = 0.01  # s between two looks at a full queue
ROOM_WITHIN: Final = 0.08  # s that a beat's frames wait for room there; twenty take 5 ms at 500 kbit/s
QUEUE_EVERY: Final = 0.02  # s between two looks at a queue in which a beat is stuck
NO_ACK: Final = "nobody acknowledges our frames: bitrate, wiring, or nobody there"
HANGS: Final = 3.0  # s that a sending may take before the bus is given up
HUNG_MOST: Final = 3  # threads that may hang in an adapter at a time; then one must come back first
PATIENCE: Final = 1.0  # s that an orderly end may take
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
    held: int = 0  # beats that were not sent behind one that still waited


class Bus:
    """Supervises one bus.

    opener  may block: it runs in a thread
    direct  send() returns at once; otherwise it runs in a thread too
    interface  what the kernel knows of it, where the kernel has it
    heard   is told what was read on the bus, once a beat, where there was something
    sent    is told when all frames of a beat went out
    freed   is told when frames that had to wait are gone: what they said is old, so say the present state now
    """

    def __init__(self, name: str, opener: Opener, *, direct: bool = True, interface: Interface | None = None) -> None:
        self.name, self.opener, self.direct, self.interface = name, opener, direct, interface
        self.freed: Callable[[], object] = lambda: None
        self.heard: Callable[[list[can.Message]], object] = lambda messages: None
        self.sent: Callable[[int], object] = lambda frames: None
        self.problem = "not opened yet"
        self.counters = Counters()
        self._supervisor = Supervisor(name)
        self._bus: can.BusABC | None = None
        self._trip: Trip | None = None  # on its way in a thread
        self._watch: asyncio.TimerHandle | None = None  # over the trip
        self._retry: asyncio.TimerHandle | None = None
        self._room: asyncio.TimerHandle | None = None  # looks whether the kernel's queue moves on
        self._delay = 0.0
        self._full = self._hung = 0
        self._said = self._unopened = self._stopped = False
        self._frames: Sequence[Frame] = ()  # of the last beat: most are the same again
        self._messages: list[can.Message] = []  # the same, as python-can sends them

    @property
    def open(self) -> bool:
        """The socket or adapter is open, whether or not anything can be sent."""
        return self._bus is not None

    @property
    def connected(self) -> bool:
        """The bus is open and the last sending went well."""
        return self.open and not self._said

    def start(self) -> None:
        """Begin to open, in the background."""
        if self.interface is not None:
            self.interface.changed = self._changed
            self.interface.start()
        self._open_later()

    async def stop(self) -> None:
        """Close in order; what hangs is left behind."""
        self._stopped = True
        if self.interface is not None:
            self.interface.stop()
        for timer in (self._retry, self._room):
            if timer is not None:
                timer.cancel()
        if self.direct:
            self._trip = None  # it waited for room
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
        trip = Trip(self._bus, () if self._off else self._messages_of(frames), direct=self.direct)
        if self.direct:
            return self._over(trip, *attempt(trip.go, self._supervisor)) and not self._off
        self._trip = trip
        self._watch = asyncio.get_running_loop().call_later(HANGS, self._hangs)
        aside(trip.go, partial(self._over, trip), self._supervisor)
        return True

    def _messages_of(self, frames: Sequence[Frame]) -> list[can.Message]:
        """Frames that say what they said in the last beat are the same objects."""
        if frames != self._frames:
            before = dict(zip(self._frames, self._messages, strict=True))
            self._messages = [before[frame] if frame in before else message_of(frame) for frame in frames]
            self._frames = list(frames)
        return self._messages

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
        if fault is not None and self.direct and is_full(fault) and trip.waited < ROOM_WITHIN:
            self._trip = trip
            self._room = asyncio.get_running_loop().call_later(ROOM_EVERY, self._go_on, trip)
            return True
        self.counters.frames_sent += trip.sent
        self.counters.frames_dropped += trip.late
        if fault is None and not trip.late:
            return self._well_sent(trip.sent)
        self.counters.send_errors += 1
        self._badly_sent(trip, fault)
        return False

    def _go_on(self, trip: Trip) -> None:
        """There may be room again in the kernel's queue."""
        trip.heard = []
        self._over(trip, *attempt(trip.go_on, self._supervisor))

    def _badly_sent(self, trip: Trip, fault: Exception | None) -> None:
        if trip.held:
            self._holds()
        elif fault is None:
            self._say("the adapter is slow: frames that were too late were dropped")
        elif is_full(fault) and (self.direct or self._full < FULL_MOST - 1):
            self._full += 1
            self._say(f"transmit buffer full ({words(fault)}): {NO_ACK}")
        else:
            self._failed(f"cannot {trip.doing}: {words(fault)}")

    def _holds(self) -> None:
        """Frames of an earlier beat are stuck in the kernel, and what they say ages: replace it as soon as they go."""
        self.counters.held += 1
        self._stuck(True)
        self._say(f"frames wait in the kernel's queue: {NO_ACK}")
        self._room = asyncio.get_running_loop().call_later(QUEUE_EVERY, self._look_at_queue)

    def _look_at_queue(self) -> None:
        if self._bus is not None and queued(self._bus):
            self._room = asyncio.get_running_loop().call_later(QUEUE_EVERY, self._look_at_queue)
        else:
            self._stuck(False)
            self.freed()

    def _stuck(self, stuck: bool) -> None:
        if self._room is not None:
            self._room.cancel()
        self._room = None
        if self.interface is not None:
            self.interface.stuck = stuck

    def _well_sent(self, frames: int) -> bool:
        if frames:
            self._full, self._delay = 0, 0.0
            self._well()
            self.sent(frames)
        return True

    def _listen(self, messages: Sequence[can.Message]) -> bool:
        """Hand on what was read; False when it says that the bus is off."""
        if messages:
            self.heard([message for message in messages if not message.is_error_frame])
        if self.interface is not None:
            self.interface.listen(messages)
            if self._off:
                self._say(self.interface.problem)
            return not self._off
        if any(map(says_off, messages)):
            self.counters.bus_off += 1
            self._failed("bus off: check wiring, termination and bitrate; set restart-ms 100 on the interface")
            return False
        return True

    @property
    def _off(self) -> bool:
        return self.interface is not None and self.interface.off

    def _changed(self, off: bool) -> None:
        """The interface: it went to bus-off, or left it."""
        if off and self.interface is not None:
            self.counters.bus_off += 1
            self._say(self.interface.problem)
        else:
            self.freed()

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
        self._stuck(False)
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
            why = words(fault) if self.interface is None else explained(self.interface.channel, fault)
            self._say(f"cannot open: {why}")
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
            if self.interface is not None:
                self.interface.look()
        self.problem, self._said = problem, True

    def _well(self) -> None:
        if self._said:
            log.warning("%s: works again", self.name)
            if self.interface is not None:
                self.interface.look()
        self.problem, self._said = "", False


def message_of(frame: Frame) -> can.Message:
    """A frame as python-can sends it."""
    return can.Message(arbitration_id=frame.id, is_extended_id=frame.extended, data=frame.data)


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
        bus = can.Bus(channel=channel, interface=interface, **more)
        if interface == "socketcan":
            ask_whether_up(bus)
        return bus

    return work
