"""A simulated device on a pseudo-terminal, with the timing of a serial line."""

import asyncio
import os
import termios
import tty
from pathlib import Path
from typing import Final

from bms_drivers.kit.declare import Driver
from bms_drivers.links import Link
from bms_drivers.links.factory import open_link
from bms_drivers.sims.faults import Faults
from bms_drivers.sims.sim import Simulator
from gateway.model import ConfigError

BITS_PER_BYTE: Final = 10
GAP: Final = 0.25  # s of silence after which a request that has only begun is forgotten, as devices do
PIECE: Final = 0.03  # s; a line delivers bytes as they come, here in pieces of so long
CHUNK: Final = 4096


def _left_behind(link: Path) -> bool:
    """Is it a link as we make them?  What a killed simulator left may lead to somebody else's terminal by now."""
    return link.is_symlink() and link.readlink().is_relative_to("/dev/pts")


class PtyDevice:
    """Answers on `path`; wakes up only when something is asked.  The packs live between two requests."""

    def __init__(
        self, simulator: Simulator, faults: Faults | None = None, link: Path | None = None, *others: Simulator
    ) -> None:
        """`link` is a stable name for the pty, removed at the end; `others` share the line, each by its address."""
        self.simulators = (simulator, *others)
        self.faults = faults or Faults()
        self.path = Path()
        self.requests = 0
        self._link = link
        self._master = self._slave = -1
        self._received = [bytearray() for _ in self.simulators]
        self._lived = 0.0  # s, loop time
        self._heard_at = 0.0  # s, loop time
        self._busy_until = 0.0  # s, loop time: when the last byte of what is being said is out
        self._pending: set[asyncio.TimerHandle] = set()

    @property
    def simulator(self) -> Simulator:
        """The first, mostly the only one."""
        return self.simulators[0]

    async def start(self) -> None:
        """Open the pty.  Raises ConfigError when the stable name cannot be made; a file that is there is kept."""
        if self._link is not None and self._link.exists() and not _left_behind(self._link):
            raise ConfigError(f"{self._link}: is there and no link of a simulator; expected a name that is free")
        self._master, self._slave = os.openpty()  # the slave stays open here, so that a gateway may close and reopen it
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = Path(os.ttyname(self._slave))
        self._name_it()
        loop = asyncio.get_running_loop()
        self._lived = loop.time()
        loop.add_reader(self._master, self._heard)

    def _name_it(self) -> None:
        """Make the stable name."""
        if self._link is None:
            return
        try:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.path)
        except OSError as problem:
            self._let_go()
            raise ConfigError(f"{self._link}: cannot be made: {problem.strerror}") from None

    def _let_go(self) -> None:
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def link(self, *drivers: Driver) -> Link:
        """A serial link to it.  Raises ConfigError for drivers that cannot share one."""
        return open_link(str(self.path), *drivers)

    async def close(self) -> None:
        """Unplug it."""
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        for handle in self._pending:
            handle.cancel()
        self._let_go()
        if self._link is not None and self._link.is_symlink() and self._link.readlink() == self.path:
            self._link.unlink()  # unless another device has taken the name meanwhile

    def wake(self) -> None:
        """It was off: what was asked meanwhile nobody heard, and what it was saying is cut off."""
        termios.tcflush(self._master, termios.TCIFLUSH)
        for waiting in self._pending:
            waiting.cancel()
        for buffer in self._received:
            buffer.clear()
        self._pending, self._busy_until = set(), 0.0

    def _heard(self) -> None:
        try:
            received = os.read(self._master, CHUNK)
        except OSError:
            return
        now = asyncio.get_running_loop().time()
        if now - self._heard_at > GAP:
            for buffer in self._received:
                buffer.clear()
        self._heard_at = now
        for simulator, buffer in zip(self.simulators, self._received, strict=True):
            buffer += received
            simulator.pack.advance(now - self._lived)
            for reply in simulator.answer(buffer):
                self.requests += 1
                spoilt, late = self.faults.spoil(reply)
                if spoilt:
                    self._say(spoilt, simulator.turnaround + late)
        self._lived = now

    def _say(self, reply: bytes, after: float) -> None:
        """Begin in `after` s, or when the line is free; each piece is written when its last byte would have come."""
        loop = asyncio.get_running_loop()
        self._pending = {waiting for waiting in self._pending if waiting.when() > loop.time()}
        at = max(loop.time() + after, self._busy_until)
        byte_time = BITS_PER_BYTE / self.simulator.baud
        size = max(1, round(PIECE / byte_time))
        for start in range(0, len(reply), size):
            piece = reply[start : start + size]
            at += len(piece) * byte_time
            self._pending.add(loop.call_at(at, self._write, piece))
        self._busy_until = at

    def _write(self, reply: bytes) -> None:
        try:
            os.write(self._master, reply)
        except (BlockingIOError, OSError):
            return  # nobody reads: a real line would lose it, too
