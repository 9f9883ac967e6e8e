"""Bytes in and out of an open pyserial port under asyncio, waking up as seldom as the system allows.

Linux wakes a waiting program only when a number of bytes named before is there: VMIN of a tty (with VTIME 0) and
SO_RCVLOWAT of a TCP socket both hold for epoll.  So one answer of known size costs one wake-up, at any baud rate.
"""

import asyncio
import fcntl
import os
import socket
import stat
import struct
import termios
from typing import Any, Final, Protocol

from gateway.waking import Wait

VMIN_MOST: Final = 255  # bytes; VMIN is one byte wide
CHUNK: Final = 4096  # bytes; what a tty buffers at most
READS_AT_ONCE: Final = 16  # so that a flood on one port cannot hold up the others
STEP: Final = 0.01  # s between looks at a port that cannot be waited for
ATTRIBUTES: Final = 64  # bytes, more than the kernel's struct termios has anywhere
CONTROLS: Final = 17  # offset of the control characters in it: asm-generic/termbits.h, so on x86, ARM and RISC-V
NONE_HELD: Final = bytes(struct.calcsize("i"))  # what FIONREAD says where nothing is there


class Pipe(Protocol):
    """An open port.  All methods raise OSError once the device is gone."""

    wakes: int  # how often the loop was woken for input
    network: bool  # what was sent may be on its way for minutes, and come nevertheless

    def expect(self, need: int) -> None:
        """Do not wake before `need` bytes are there."""

    async def receive(self, need: int, until: float) -> bytes:
        """What has come, as soon as that is `need` bytes or more; at `until` [s, loop time] whatever there is."""

    def drain(self) -> bytes:
        """What has come unasked."""

    async def write(self, data: bytes) -> int:
        """Hand over as much of `data` as is taken at once; returns how many bytes that was."""

    async def close(self) -> None:
        """Let go of the device."""


class FdPipe:
    """A port with a file descriptor: tty, pty or TCP socket."""

    def __init__(self, port: Any) -> None:
        """`port` is an open pyserial object with fileno()."""
        self._port, self._fd = port, port.fileno()
        self._loop = asyncio.get_running_loop()
        self._inbox = b""
        self._wanted = 1
        self._threshold = 0  # as set in the kernel
        self._waiting: Wait | None = None
        self._gone: OSError | None = None
        self.wakes = 0
        self._is_tty = stat.S_ISCHR(os.fstat(self._fd).st_mode)
        self.network = not self._is_tty
        self._socket = None if self._is_tty else socket.socket(fileno=os.dup(self._fd))
        self._attributes = bytearray()
        if self._is_tty:
            self._attributes += fcntl.ioctl(self._fd, termios.TCGETS, bytes(ATTRIBUTES))
            self._attributes[CONTROLS + termios.VTIME] = 0
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
        os.set_blocking(self._fd, False)
        self.expect(1)
        self._loop.add_reader(self._fd, self._readable)

    def expect(self, need: int) -> None:
        """Set the kernel's threshold, where it differs: each change is a system call, on USB even a message."""
        self._wanted = need
        threshold = need - len(self._inbox)
        if threshold == self._threshold:
            return
        threshold = min(VMIN_MOST, max(1, threshold))
        if threshold == self._threshold or self._gone:
            return
        self._threshold = threshold
        try:
            if self._socket is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, threshold)
            else:
                self._attributes[CONTROLS + termios.VMIN] = threshold
                fcntl.ioctl(self._fd, termios.TCSETS, self._attributes)  # termios.tcsetattr makes four calls of it
        except (OSError, termios.error) as problem:
            self._lost(OSError(*problem.args))

    async def receive(self, need: int, until: float) -> bytes:
        """As Pipe.receive."""
        self.expect(need)
        if len(self._inbox) < need and self._gone is None:
            self._waiting = wait = Wait(loop=self._loop)
            timer = self._loop.call_at(until, wait.over)
            try:
                await wait
            finally:
                timer.cancel()
                self._waiting = None
        if len(self._inbox) < need:
            self._read()
        return self._take()

    def drain(self) -> bytes:
        """As Pipe.drain."""
        if not self._inbox and self._gone is None and not self._unread():
            return b""
        self._read()
        return self._take() if self._inbox or self._gone else b""

    def _unread(self) -> bool:
        """Does the system hold bytes for us?  True where it does not say."""
        try:
            return fcntl.ioctl(self._fd, termios.FIONREAD, NONE_HELD) != NONE_HELD
        except OSError:
            return True

    async def write(self, data: bytes) -> int:
        """As Pipe.write."""
        if self._gone is not None:
            raise self._gone
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    async def close(self) -> None:
        """As Pipe.close.  A tty closes at once; a socket as pyserial closes it, which takes a moment."""
        self._loop.remove_reader(self._fd)
        self._gone = self._gone or OSError("closed")
        if self._waiting is not None:
            self._waiting.over()
        if self._socket is not None:
            self._socket.close()
            await asyncio.to_thread(self._port.close)
        else:
            self._forgo()
            self._port.close()

    def _forgo(self) -> None:
        """Give the tty back: others may open it, and unsent bytes do not hold up the closing."""
        try:
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        except (OSError, termios.error):
            return  # unplugged: nothing is left to give back

    def _take(self) -> bytes:
        if not self._inbox and self._gone is not None:
            raise self._gone
        data, self._inbox = self._inbox, b""
        return data

    def _readable(self) -> None:
        """The loop's callback.  Reads at once: left for later, the loop would be woken for the same bytes again."""
        self.wakes += 1
        self._read(self._wanted)
        if self._waiting is not None and (len(self._inbox) >= self._wanted or self._gone is not None):
            self._waiting.over()

    def _read(self, enough: int = -1) -> None:
        """Take all that is there, or exactly `enough`: a tty may hand over 64 bytes at a time though it holds more."""
        reads = 0 if self._gone is not None else READS_AT_ONCE
        for _ in range(reads):
            try:
                data = os.read(self._fd, CHUNK)
            except BlockingIOError:
                break
            except OSError as problem:
                self._lost(problem)
                break
            if not data:
                self._lost(OSError("the other end has gone"))
                break
            self._inbox += data
            if len(self._inbox) == enough:
                break  # an answer of known size: what is behind it is looked for before the next question
        if self._waiting is None:
            self._inbox = self._inbox[-CHUNK:]  # a device that talks on unasked must not fill the memory

    def _lost(self, problem: OSError) -> None:
        self._loop.remove_reader(self._fd)
        self._gone = problem
        if self._waiting is not None:
            self._waiting.over()


class PolledPipe:
    """A port that has no file descriptor (rfc2217://, loop://): looked at every 10 ms while an answer is due."""

    def __init__(self, port: Any) -> None:
        """`port` is an open pyserial object whose time-out is 0."""
        self._port = port
        self.wakes = 0
        self.network = True

    def expect(self, need: int) -> None:
        """There is nothing to set."""

    async def receive(self, need: int, until: float) -> bytes:
        """As Pipe.receive."""
        loop = asyncio.get_running_loop()
        data = self.drain()
        while len(data) < need and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(STEP, left))
            self.wakes += 1
            data += self.drain()
        return data

    def drain(self) -> bytes:
        """As Pipe.drain."""
        data: bytes = self._port.read(max(1, self._port.in_waiting))
        return data

    async def write(self, data: bytes) -> int:
        """As Pipe.write; in a thread, as such a port may block."""
        await asyncio.to_thread(self._port.write, data)
        return len(data)

    async def close(self) -> None:
        """As Pipe.close; in a thread, as it joins one."""
        await asyncio.to_thread(self._port.close)


def pipe_of(port: Any) -> Pipe:
    """The pipe that suits an open pyserial object."""
    try:
        port.fileno()
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return PolledPipe(port)
    return FdPipe(port)
