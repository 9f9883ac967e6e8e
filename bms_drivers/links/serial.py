"""Serial ports and what pyserial reaches like one: /dev/ttyUSB0, /dev/serial/by-id/..., socket://, rfc2217://.

The processor's time goes into wake-ups, so the link sleeps until the answer can be whole: by the size that the
question announces or that its last answer had.  An answer of another size costs a little patience, not a time-out.
"""

import asyncio
import termios
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import serial

from bms_drivers.kit.declare import Ask, Frame, Question, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.link import Counters, Tap
from bms_drivers.links.pipe import CHUNK, STEP, Pipe, pipe_of
from gateway.model import LinkClosed, LinkTimeout
from gateway.opening import opening_failed
from gateway.waking import pause

BITS_PER_BYTE: Final = 10  # start, eight data, stop
PATIENCE: Final = 0.1  # s beyond the usual, after which an answer may be shorter than the last one was
PIECE: Final = 16  # bytes; an answer of unknown size is looked at in pieces of this line time
REMEMBERED: Final = 256  # requests whose answers' sizes are kept
HELD_BACK: Final = 10.0  # s without a byte, after which what a network connection still brings would be too old
LATE_RTU: Final = 0.3  # s of silence after a time-out: a late RTU answer does not say which registers it holds


class SerialLink:
    """A byte-stream bus.  Closes itself when the device goes; `open` tries again."""

    def __init__(
        self, url: str, baud: int, *, quiet: float = 0.02, turnaround: float = 0.03, parity: str = "N"
    ) -> None:
        """`url` as pyserial takes it; `quiet` [s] of silence before each request; the rest as SerialLine."""
        self.url, self.baud, self.quiet, self.turnaround, self.parity = url, baud, quiet, turnaround, parity
        self.counters: Counters = Counter()
        self.tap: Tap | None = None
        self._pipe: Pipe | None = None
        self._loop: asyncio.AbstractEventLoop  # since it was opened
        self._opened = 0
        self._last_byte = float("-inf")  # s, loop time; when the bus was last heard or spoken to
        self._heard_at = float("-inf")  # s, loop time; of the last byte, or of the opening
        self._free_at = float("-inf")  # s, loop time; not before may the next request go
        self._sizes: dict[bytes, int] = {}  # request -> bytes that its last answer took
        self._unanswered: Answer | None = None
        self._byte_time = (BITS_PER_BYTE + (parity != "N")) / baud  # s

    @property
    def wakes(self) -> int:
        """How often input woke the program since the port was opened."""
        return self._pipe.wakes if self._pipe else 0

    # ---- opening and closing

    async def open(self) -> None:
        """Open the port, for this program alone.  Raises LinkClosed (not there, not allowed) or LinkBusy."""
        if self._pipe is not None:
            return
        self._loop = asyncio.get_running_loop()
        opening = self._loop.run_in_executor(None, self._open_port)
        try:
            self._pipe = pipe_of(await asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise
        except OSError as problem:
            raise opening_failed(self.url, problem) from None
        except termios.error as problem:  # unplugged within the last millisecond
            raise opening_failed(self.url, OSError(*problem.args)) from None
        except ValueError as problem:  # UnicodeError is one: what cannot be the name of a host
            raise LinkClosed(f"{self.url}: cannot be opened ({problem})") from None
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1
        self._heard_at = self._loop.time()
        self._unanswered = None

    def _open_port(self) -> Any:
        """May block: runs in a thread."""
        parity = "N" if _is_pty(self.url) else self.parity
        return serial.serial_for_url(self.url, baudrate=self.baud, parity=parity, timeout=0, exclusive=True)

    async def close(self) -> None:
        """Let go of the port; may be called at any time."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            await pipe.close()

    # ---- asking

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As Link.exchange; Registers are read by Modbus RTU.

        Raises LinkTimeout, LinkClosed, and DeviceRefused for a Modbus exception.
        """
        if isinstance(question, Registers):
            late = 0.0 if question.silent else LATE_RTU  # a scan asks another unit next, or leaves
            return rtu.checked(question, await self._ask(rtu.question(question), late=late))
        return await self._ask(question if isinstance(question, Ask) else rtu.on_line(question))

    async def hear(self, seconds: float) -> bytes:
        """What comes within so long, as soon as something does; b"" = nothing.  Sends nothing.  Raises LinkClosed."""
        pipe = self._there()
        try:
            chunk = await pipe.receive(1, self._loop.time() + seconds)
        except OSError as problem:
            await self._gone(problem)
        if chunk:
            self._heard(chunk)
        return chunk

    async def forget(self) -> None:
        """Drop what has come so far.  Raises LinkClosed."""
        pipe = self._there()
        try:
            pipe.drain()
        except OSError as problem:
            await self._gone(problem)

    def _there(self) -> Pipe:
        if self._pipe is None:
            raise LinkClosed(f"{self.url}: not open")
        return self._pipe

    async def _gone(self, problem: OSError) -> NoReturn:
        await self.close()
        raise LinkClosed(f"{self.url}: gone ({problem.strerror or problem}); unplugged?") from None

    async def _ask(self, ask: Ask, late: float = 0.0) -> Sequence[Frame]:
        """Ask as often as allowed; after a time-out, keep the bus quiet for `late` s."""
        pipe = self._there()
        try:
            for _ in range(max(1, ask.tries)):
                frames = await self._attempt(pipe, ask)
                if frames is not None:
                    return frames
                self._free_at = self._loop.time() + late
        except OSError as problem:
            await self._gone(problem)
        if pipe.network and self._loop.time() - self._heard_at > HELD_BACK:
            await self.close()  # it may hold answers back: those of long ago must not come for answers to the next
        what = f"no whole answer to {ask.request.hex()}" if ask.request else "nothing whole was heard"
        times = f", asked {ask.tries} times" if ask.tries > 1 else ""
        raise LinkTimeout(f"{self.url}: {what} within {ask.timeout:g} s{times}")

    async def _attempt(self, pipe: Pipe, ask: Ask) -> Sequence[Frame] | None:
        """Ask once, as soon as the bus has been quiet long enough; None when no whole answer came in time."""
        free_at = max(self._last_byte + max(self.quiet, ask.quiet), self._free_at)
        if (left := free_at - self._loop.time()) > 0:
            await pause(left)
        late, self._unanswered = self._unanswered, None
        if stale := pipe.drain():
            self._discard(stale, late, ask)
        answer, counters = Answer(ask), self.counters
        expected = self._sizes.get(ask.request) or ask.size or 1  # bytes; an echo counts; 1 = not known
        pipe.expect(expected)
        counters["requests"] += ask.request != b""
        sent = await self._send(pipe, ask) if ask.request else self._loop.time()
        whole = await self._listen(pipe, ask, answer, expected, sent)
        if answer.dropped:
            counters.update([dropped.reason for dropped in answer.dropped])
        counters["foreign"] += answer.foreign
        if whole or (ask.partial and answer.frames):
            counters["replies"] += 1
            return answer.frames
        counters["timeout"] += 1
        counters["torn"] += bool(answer.torn)
        self._unanswered = answer
        return None

    def _discard(self, stale: bytes, late: Answer | None, ask: Ask) -> None:
        """What came unasked is no answer to what is asked now; the answer that came too late is counted as such."""
        self._heard(stale)
        if late is not None and late.feed(stale):
            self.counters["late"] += 1
        elif ask.request:
            self.counters["noise"] += 1

    async def _send(self, pipe: Pipe, ask: Ask) -> float:
        """Hand the request to the port; returns when it is out [s, loop time].

        Raises LinkTimeout when the port does not take it.
        """
        request = ask.request
        taken = await pipe.write(request)
        if taken < len(request):
            await self._press(pipe, ask, request[taken:])
        self._last_byte = sent = self._loop.time() + len(request) * self._byte_time
        if self.tap is not None:
            self.tap("tx", request)
        return sent

    async def _press(self, pipe: Pipe, ask: Ask, left: bytes) -> None:
        """Hand over what the port did not take at once.  Raises LinkTimeout."""
        give_up = self._loop.time() + ask.timeout + len(ask.request) * self._byte_time
        while left:
            if self._loop.time() > give_up:
                raise LinkTimeout(f"{self.url}: the port takes no bytes; flow control, or a cable fault?")
            await asyncio.sleep(STEP)
            left = left[await pipe.write(left) :]

    async def _listen(self, pipe: Pipe, ask: Ask, answer: Answer, expected: int, sent: float) -> bool:
        """Sleep for `expected` bytes, then feed `answer` until it is whole (True) or the time since `sent` is up."""
        got, byte_time = 0, self._byte_time
        deadline = sent + ask.timeout + ask.size * byte_time
        limit = min(deadline, sent + ask.silent) if ask.silent else deadline  # while not a byte has come
        need = expected
        patient_until = sent + self.turnaround + need * byte_time + PATIENCE if need > 1 else deadline
        until = patient_until
        while True:
            chunk = await pipe.receive(need, min(until, limit))
            if chunk:
                now = self._heard(chunk)
                got, limit = got + len(chunk), deadline
                if answer.feed(chunk):
                    if got != self._sizes.get(ask.request):
                        self._remember(ask, got)
                    return True
            else:
                now = self._loop.time()
            if now >= limit:
                return False
            if expected > 1 and now < patient_until:  # it came with noise, an echo, or in two parts: the rest
                need = max(1, expected - answer.torn)
                patient_until = until = now + need * byte_time + PATIENCE
            elif chunk:  # the size is not known: look again a little later
                need, until = CHUNK, now + max(STEP, PIECE * byte_time)
            else:
                need, until = 1, deadline

    def _remember(self, ask: Ask, size: int) -> None:
        if not ask.request:
            return  # listening begins anywhere: the next time it takes another number of bytes
        if len(self._sizes) >= REMEMBERED and ask.request not in self._sizes:
            self._sizes.clear()
        self._sizes[ask.request] = size

    def _heard(self, data: bytes) -> float:
        """Note what came, and when [s, loop time]: now, which it returns."""
        self._last_byte = self._heard_at = now = self._loop.time()
        if self.tap is not None:
            self.tap("rx", data)
        return now


def _is_pty(url: str) -> bool:
    """A pseudo-terminal: it has no line, and refuses to be set to a parity."""
    return Path(url).resolve().is_relative_to("/dev/pts")


def _close_late(opening: "asyncio.Future[Any]") -> None:
    """The port that nobody waits for any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
