"""One RS485 line in a thread of its own, which alone opens, reads and writes the port.

Whatever the event loop does, a question is answered 5 to 50 ms after its last byte from what was made ahead
(`sayings`), by rules that hold at the moment of writing:

* Nothing is sent unasked: one question for our address, one answer; of several that came together the last one.
* Never while bytes still come: after the last one the line is quiet for QUIET first.
* Never later than LATEST after the earliest moment at which the question can have been whole.  The line is looked at
  every WAIT at least, so a process that stood still finds its questions too old, and drops them.
* What may be said is looked up in the last step before writing, by the clock that stamped the Snapshot.
* What the port has not sent in its time is taken back: an adapter that stands must not send it later.

An echo (adapters without direction control) is recognised by its bytes and is no question.
Sheet: rs485-inverter-protocols.md section 0 and trap 12.
"""

import errno
import fcntl
import logging
import os
import select
import struct
import termios
import threading
import time
from contextlib import suppress
from typing import Any, Final

import serial

from gateway.model import GatewayError
from gateway.opening import opening_failed
from gateway.supervise import Supervisor, words
from outputs.output import Clock
from outputs.rs485_bms.heard import Dialect, Heard, Request
from outputs.rs485_bms.sayings import SILENCE, Sayings
from outputs.rs485_bms.watch import Watch

log = logging.getLogger("bms_gateway.rs485_bms")

QUIET: Final = 0.005  # s of silence before an answer, and between two looks at bytes that come
WAIT: Final = 0.08  # s between two looks at a line on which nothing comes
LATEST: Final = 0.15  # s after which an answer is late, and not sent
STALE: Final = 0.25  # s of silence after which a question that has only begun is forgotten
ECHO: Final = 0.15  # s beyond its time on the line until which an answer may come back
STUCK: Final = 0.1  # s beyond its time on the line after which an answer is taken back
LOOK_EVERY: Final = 1.0  # s between two looks at whether the inverter still asks
CHUNK: Final = 4096
FLOOD: Final = 0.5  # s that bytes may come without a pause; no question takes so long
KEPT_MOST: Final = 512  # bytes of a flood; no question is longer
RETRY_FIRST, RETRY_MOST = 0.5, 10.0  # s
BITS: Final = 10  # of a byte: start, eight data, stop
NOT_OPEN: Final = "not opened yet"


class Line:
    """Answers on one port.  `sayings` is replaced as a whole by the event loop."""

    def __init__(self, port: str, baud: int, dialect: Dialect, watch: Watch, clock: Clock) -> None:
        self.name, self.problem = port, NOT_OPEN
        self.sayings: Sayings = SILENCE
        self.watch, self.counters = watch, watch.counters
        self.longest = 0.0  # s from the last byte that was read to the answer
        self.last: tuple[bytes, bytes] = b"", b""  # question and answer
        self._baud, self._dialect, self._clock = baud, dialect, clock
        self._supervisor = Supervisor(port)
        self._port: Any = None
        self._fd, self._poll = -1, select.poll()
        self._buffer = bytearray()
        self._looked = 0.0  # s, before the last look at the line: nothing that comes later was there then
        self._heard_at = 0.0  # s, when the last bytes were looked for
        self._sent = b""
        self._busy_until = self._echo_until = 0.0  # s, when the last byte of the answer is out, and back
        self._looks = 0.0  # s, when the watch looked last
        self._delay = 0.0  # s, before the port is opened again
        self._hung = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"rs485 {port}", daemon=True)

    @property
    def connected(self) -> bool:
        """The port is open."""
        return self._port is not None

    def start(self) -> None:
        """Begin; a port that is not there is tried again and again."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Fall silent and let go of the port; False when that took longer than `timeout` [s]."""
        self.sayings = SILENCE
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # ---- the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._supervisor.trying(self._defect):
                try:
                    self._turn()
                except (OSError, termios.error) as fault:
                    self._failed(f"gone ({words(fault)}); unplugged?")
        self._close()

    def _turn(self) -> None:
        """Open the port, or listen once and answer."""
        if self._port is None:
            self._stopping.wait(self._delay)
            self._delay = min(RETRY_MOST, max(RETRY_FIRST, 2 * self._delay))
            if not self._stopping.is_set():
                self._open()
            return
        request = self._listen()
        if request is not None:
            self._answer(*request)
        self._take_back()
        now = time.monotonic()
        if now - self._looks >= LOOK_EVERY:
            self._looks = now
            self.watch.look(now)
            self._say_whether_it_hangs()

    def _defect(self, fault: Exception) -> None:
        """Begin anew, and not at once: a defect that comes each time must not burn the processor."""
        self._failed(f"a defect: {words(fault)}")

    # ---- listening

    def _listen(self) -> tuple[Request, float] | None:
        """What is to be answered, and the earliest moment [s] at which it can have been whole."""
        if not self._poll.poll(1000 * WAIT):
            at = time.monotonic()
            if not self._poll.poll(0):
                self._looked = at
                self._forget()
                return None
        self._forget()
        came, earliest, begun = bytearray(), 0.0, time.monotonic()
        while True:
            at = time.monotonic()
            chunk = self._read()
            if not chunk:
                raise OSError(errno.EIO, "the device has gone")
            earliest, self._looked = self._looked, at
            came += chunk
            del came[:-KEPT_MOST]
            if not self._poll.poll(1000 * QUIET):
                break
            if self._stopping.is_set() or at - begun > FLOOD:
                break  # and what comes next is not waited for
            time.sleep(QUIET)  # more comes: let it gather
        self._heard_at = at
        request = self._understood(bytes(came))
        return None if request is None or at - begun > FLOOD else (request, earliest)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, CHUNK)
        except BlockingIOError:
            return b""

    def _forget(self) -> None:
        """A question that has only begun, once the line was silent for so long."""
        if self._buffer and time.monotonic() - self._heard_at > STALE:
            self.watch.heard([], bytes(self._buffer), self._heard_at)
            self.counters["torn"] += 1
            self._buffer.clear()

    def _understood(self, came: bytes) -> Request | None:
        """The question that ends what has come, if it is for us and whole."""
        self._buffer += came
        del self._buffer[:-KEPT_MOST]
        echoed = self._sent and self._heard_at < self._echo_until  # later the same bytes may be a question
        if echoed and (at := self._buffer.find(self._sent)) >= 0:
            del self._buffer[at : at + len(self._sent)]
            self.counters["echo"] += 1
        heard: list[Heard] = list(self._dialect.split(self._buffer))
        if heard:
            self.watch.heard(heard, came, self._heard_at)
        requests = [one for one in heard if isinstance(one, Request)]
        self.counters["overtaken"] += sum(one.ours for one in requests[:-1])
        last = requests[-1] if requests else None
        if last is None or not last.ours or self._buffer:
            return None  # none for us, or another one has begun
        return last

    # ---- answering

    def _answer(self, request: Request, earliest: float) -> None:
        """The writer: the last look at what may be said, and at the time."""
        if self._busy_until and self._waiting():
            self.counters["talked_over"] += 1  # the last answer is not out yet: the line is not ours to speak on
            return
        image, answer = None, b""
        while (newest := self.sayings.at(self._clock())) is not image:  # it may change, or end, while this is done
            image = newest
            answer = self._dialect.reply(request, image) if image is not None else b""
        now = time.monotonic()
        if not answer or now - earliest > LATEST:
            self.counters["late" if answer else "withheld"] += 1
            return
        written = os.write(self._fd, answer)
        if written < len(answer):
            raise OSError(errno.EAGAIN, "the port takes no bytes")
        if time.monotonic() - earliest > LATEST:  # the process stood still within the last step
            termios.tcflush(self._fd, termios.TCOFLUSH)
            self.counters["taken_back"] += 1
            return
        self._sent, self.last = answer, (request.raw, answer)
        self._busy_until = now + len(answer) * BITS / self._baud
        self._echo_until = self._busy_until + ECHO
        self.longest = max(self.longest, now - self._heard_at)
        self.counters["answers"] += 1
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: rx %s tx %s", self.name, request.raw.hex(), answer.hex())

    def _waiting(self) -> int:
        """Bytes that the port has not sent yet."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4)))
        return int(count)

    def _take_back(self) -> None:
        """What should have left long ago."""
        if self._busy_until and time.monotonic() > self._busy_until + STUCK:
            self._busy_until = 0.0
            if self._waiting():
                raise OSError(errno.EIO, "the adapter does not send")

    # ---- the port

    def _open(self) -> None:
        try:
            self._port = serial.Serial(self.name, self._baud, timeout=0, exclusive=True)
            self._fd = self._port.fileno()
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            termios.tcflush(self._fd, termios.TCIOFLUSH)
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)
        except (OSError, termios.error, ValueError) as fault:
            self._close()
            self._say(str(_told(self.name, fault)))
            return
        self._buffer.clear()
        self._sent, self._busy_until, self._looked = b"", 0.0, time.monotonic()
        self.counters["opened"] += 1
        self._delay = 0.0
        log.info("%s: open, %s at %d bit/s", self.name, self._dialect.name, self._baud)
        self._say("")

    def _close(self) -> None:
        """Let go of the port; what is not sent yet is not sent."""
        port, self._port, self._fd = self._port, None, -1
        if port is not None:
            with suppress(OSError, termios.error):
                termios.tcflush(port.fileno(), termios.TCIOFLUSH)
                fcntl.ioctl(port.fileno(), termios.TIOCNXCL)
            with suppress(OSError, termios.error):
                port.close()

    def _failed(self, problem: str) -> None:
        self.counters["failed"] += 1
        self._close()
        self._delay = max(RETRY_FIRST, self._delay)
        self._say(f"{self.name}: {problem}")

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s; trying on", problem)
        elif self.problem not in ("", NOT_OPEN) and not problem:
            log.warning("%s: works again", self.name)
        self.problem = problem

    def _say_whether_it_hangs(self) -> None:
        hangs = self.sayings.hangs(self._clock())
        if hangs and not self._hung:
            log.error("%s: the gateway hangs: answering 0 A both ways", self.name)
        self._hung = hangs


def _told(port: str, fault: Exception) -> GatewayError:
    """What a failed opening means."""
    problem = fault if isinstance(fault, OSError) else OSError(*fault.args)
    return opening_failed(port, problem)
