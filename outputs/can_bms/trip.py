"""One sending: a beat's frames on their way to the bus, and what is read there; and how a bus is let go of.

A frame that did not go out within a second of its beat is dropped, never sent late: an inverter must not be told
what was decided long ago.  A call into an adapter that hangs cannot be ended.  Whoever waits for it abandons the trip:
no further frame of it is sent, and the descriptor in which it hangs is pointed to nowhere, so that it never can be.

SocketCAN's send() only puts a frame in the kernel's queue, where it waits for as long as nobody on the bus acknowledges
the one before it, and nothing can take it back.  So no beat is queued behind one that still waits: what is late there
is one beat at most, and whoever sees the queue move on says the present state at once.
"""

import errno
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import can

FRESH: Final = 1.0  # s after its beat until which a frame may go out
READ_MOST: Final = 500  # frames taken from the bus at a time
MEMINFO: Final = struct.Struct("9I")  # getsockopt SO_MEMINFO, linux/sock_diag.h; the third: queued for sending, bytes
BUS_OFF: Final = 0x40  # class bit of a SocketCAN error frame (linux/can/error.h)
SO_MEMINFO: Final = 55  # asm-generic/socket.h, since Linux 4.12


class Trip:
    """May be made in a thread; its fields tell how far it came."""

    def __init__(self, bus: can.BusABC, frames: Sequence[can.Message], *, direct: bool) -> None:
        """`direct`: the bus's send() returns at once; nothing is ever late there."""
        self.frames = frames
        self.doing = "read"
        self.sent = 0
        self.heard: list[can.Message] = []
        self.abandoned = False  # set by whoever waits no longer
        self.held = False  # nothing was sent: frames of an earlier beat still wait in the kernel
        self._bus, self._direct = bus, direct
        self._began = time.monotonic()
        self._deadline = self._began + FRESH
        self._ending = threading.Lock()
        self._over = False

    @property
    def late(self) -> int:
        """Frames that did not go out; to be asked when it is over."""
        return len(self.frames) - self.sent

    def go(self) -> None:
        """Read what came, then send until the adapter has taken it all.  Raises what the driver raises."""
        try:
            while len(self.heard) < READ_MOST and (message := self._bus.recv(0)) is not None:
                self.heard.append(message)
            self.doing = "send"
            if any(map(says_off, self.heard)):
                return
            self.held = bool(self.frames) and queued(self._bus) > 0
            if not self.held:
                self._send()
            if not self._direct:
                drain(self._bus)
        finally:
            with self._ending:
                self._over = True
                if self.abandoned:
                    self._bus.shutdown()  # nobody else will

    def go_on(self) -> None:
        """Send what a full queue did not take before.  Raises what the driver raises."""
        self._send()

    @property
    def waited(self) -> float:
        """s since its beat."""
        return time.monotonic() - self._began

    def abandon(self) -> None:
        """Let go of the bus in which this trip hangs.  May block; raises what the driver raises."""
        self.abandoned = True
        with self._ending:
            if self._over:
                close(self._bus)
            else:
                cut_off(self._bus)

    def _send(self) -> None:
        send, direct = self._bus.send, self._direct
        for frame in self.frames[self.sent :]:
            left = 0.0 if direct else self._deadline - time.monotonic()
            if self.abandoned or not (direct or left > 0.0):
                return
            send(frame, left)
            self.sent += 1


def queued(bus: can.BusABC) -> int:
    """Bytes that we handed to the kernel and that its queue still keeps; 0 where nobody knows."""
    found = getattr(bus, "socket", None)
    if isinstance(found, socket.socket):
        with suppress(OSError):  # an old kernel
            return int(MEMINFO.unpack(found.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[2])
    return 0


def says_off(message: can.Message) -> bool:
    """Whether it tells that the controller left the bus."""
    return message.is_error_frame and bool(message.arbitration_id & BUS_OFF)


def is_full(fault: Exception) -> bool:
    """Whether a sending failed because a queue is full."""
    code = getattr(fault, "error_code", None) or getattr(fault, "errno", None)
    return code in (errno.ENOBUFS, errno.EAGAIN) or "buffer full" in str(fault)


def close(bus: can.BusABC) -> None:
    """Close a bus; what its adapter has not taken is lost.  May block; raises what the driver raises."""
    discard(bus)
    bus.shutdown()


def drain(bus: can.BusABC) -> None:
    """Wait until a serial adapter has taken all that was written; what it did with it, nobody knows."""
    _of_terminal(_descriptor(bus), termios.tcdrain)


def discard(bus: can.BusABC) -> None:
    """Throw away what a serial adapter has not taken."""
    _of_terminal(_descriptor(bus), _flush)


def _flush(descriptor: int) -> None:
    termios.tcflush(descriptor, termios.TCOFLUSH)


def _of_terminal(descriptor: int | None, do: Callable[[int], object]) -> None:
    if descriptor is not None and os.isatty(descriptor):
        with suppress(termios.error):  # it was unplugged just now
            do(descriptor)


def cut_off(bus: can.BusABC) -> None:
    """Whatever a thread that hangs in this bus still writes is lost; not so where the driver has no descriptor.

    In this order: what is thrown away makes room, and the thread goes on writing at once.
    """
    descriptor = _descriptor(bus)
    if descriptor is not None:
        adapter = os.dup(descriptor)
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
        _of_terminal(adapter, _flush)
        os.close(adapter)


def _descriptor(bus: can.BusABC) -> int | None:
    try:
        descriptor = bus.fileno()
    except (NotImplementedError, can.CanError):
        return None
    return descriptor if descriptor >= 0 else None
