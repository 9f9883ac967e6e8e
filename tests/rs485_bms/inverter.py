"""An inverter at the far end of a real pty: it asks the real output, by a clock that the test moves."""

import asyncio
import os
import select
import threading
import time
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from gateway.model import Snapshot
from gateway.wire import hex_frame
from outputs.output import Output
from outputs.rs485_bms.build import build
from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.heard import Dialect
from outputs.rs485_bms.modbus import sealed
from outputs.rs485_bms.prepare import prepare
from outputs.rs485_bms.settings import Settings
from outputs.rs485_bms.wire import Wire
from tests import make as made

PATIENCE = 0.2  # s that an inverter waits
TRIES = 5


class Line:
    """A pty: the inverter's end, and the path of the battery's."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = Path(os.ttyname(self._slave))

    def say(self, data: bytes) -> None:
        """Put bytes on the line."""
        os.write(self.master, data)

    def hear(self, seconds: float = PATIENCE, quiet: float = 0.02) -> tuple[bytes, float]:
        """What comes within so long, until it is quiet again, and after how many seconds it began."""
        begun, came, first = time.monotonic(), b"", 0.0
        while select.select([self.master], [], [], quiet if came else max(0.0, begun + seconds - time.monotonic()))[0]:
            first = first or time.monotonic() - begun
            came += os.read(self.master, 4096)
        return came, first

    def close(self) -> None:
        """Unplug it."""
        os.close(self.master)
        os.close(self._slave)


@contextmanager
def bridged(line: Line) -> Iterator[str]:
    """The path of another pty whose bytes go to and fro between it and `line`: for programs that open a port."""
    other, stop = Line(), threading.Event()

    def carry() -> None:
        ends = {line.master: other.master, other.master: line.master}
        while not stop.is_set():
            for end in select.select(list(ends), [], [], 0.05)[0]:
                os.write(ends[end], os.read(end, 4096))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield str(other.path)
    finally:
        stop.set()
        thread.join()
        other.close()


class Inverter:
    """Asks, in the words of one dialect."""

    def __init__(self, output: Output, line: Line, dialect: Dialect) -> None:
        self.output, self.line, self.dialect, self.now = output, line, dialect, 1000.0

    def publish(self, **changes: Any) -> Snapshot:
        """Have a Snapshot of this moment published."""
        snapshot = made.snapshot(self.now, **changes)
        self.output.publish(snapshot)
        return snapshot

    async def ask(self, question: bytes, seconds: float = PATIENCE) -> bytes:
        """The answer; b"" = silence."""
        self.line.say(question)
        return (await asyncio.to_thread(self.line.hear, seconds))[0]

    async def told(self, question: bytes) -> bytes:
        """The answer, which must come; asked again as inverters do, since a busy machine may miss the moment."""
        for _ in range(TRIES):
            if answer := await self.ask(question):
                return answer
        raise AssertionError(f"no answer to {question!r}: {self.status}")

    async def values(self, question: bytes) -> dict[str, Any]:
        """What the answer says, which must come."""
        return self.dialect.read(question, await self.told(question))

    @property
    def status(self) -> dict[str, Any]:
        """What the output says of itself."""
        return dict(self.output.status())


def pylon(command: int, info: bytes = b"", address: int = 2, version: int = 0x20) -> bytes:
    """A question of Pylontech's."""
    return hex_frame(version, address, 0x46, command, info)


def read(start: int, count: int, unit: int = 1, function: int = 3) -> bytes:
    """A question for registers."""
    return sealed(bytes((unit, function)) + start.to_bytes(2, "big") + count.to_bytes(2, "big"))


def refused(command: object) -> Any:
    """No commander: this output commands nothing."""
    raise AssertionError(command)


@asynccontextmanager
async def asking(dialect: str = "pylontech", **settings: Any) -> AsyncIterator[Inverter]:
    """The output on a line of its own, and who asks there."""
    line, found = Line(), []  # type: Line, list[Inverter]
    chosen = Settings(port=str(line.path), dialect=dialect, **settings)
    output = build(prepare(chosen), lambda: found[0].now, refused, "test")
    wire = chosen.wire if isinstance(chosen.wire, Wire) else Wire()
    inverter = Inverter(output, line, make(dialect, wire, chosen.address))
    found.append(inverter)
    await output.start()
    await until(lambda: inverter.status["connected"])
    try:
        yield inverter
    finally:
        await output.stop()
        line.close()


async def until(holds: Any, seconds: float = 5.0) -> None:
    """Wait for something true."""
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < end, "did not happen in time"
        await asyncio.sleep(0.005)
