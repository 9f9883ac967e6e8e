"""An inverter on a virtual bus: the real output feeds it, fifty beats a second, by a clock that the test moves."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import can

import dbc
from gateway.model import Snapshot
from outputs.can_bms.build import build
from outputs.can_bms.dbc_file import load
from outputs.can_bms.dialect import Frame
from outputs.can_bms.prepare import prepare
from outputs.can_bms.settings import Settings
from outputs.inverter.keys import Value
from outputs.output import Output
from tests import make

CYCLE = 20  # ms
CHANNELS = count()


def hurried(folder: Path, dialect: str = "pylontech", says: str = "") -> Path:
    """The dialect's file with a cycle of 20 ms, and signals that the inverter's 0x305 has."""
    file = folder / f"{dialect}.dbc"
    text = dbc.path(dialect).read_text().replace(" 1000;", f" {CYCLE};")
    file.write_text(re.sub(r"(BO_ 773 .* Inverter\n)", rf"\1{says}", text))
    return file


class Inverter:
    """Hears the output, and may speak to it."""

    def __init__(self, output: Output, channel: str, file: Path) -> None:
        self.output, self.now = output, 1000.0
        self._bus = can.Bus(interface="virtual", channel=channel)
        self._dialect = load("", file)

    def publish(self, **changes: Any) -> Snapshot:
        """Have a Snapshot of this moment published."""
        snapshot = make.snapshot(self.now, **changes)
        self.output.publish(snapshot)
        return snapshot

    async def hears(self) -> dict[str, Value]:
        """What a beat from now on says; {} while nothing is sent."""
        self.drain()
        await asyncio.sleep(3 * CYCLE / 1000)
        return self._dialect.decode(Frame(m.arbitration_id, bytes(m.data)) for m in self.drain())

    def drain(self) -> list[can.Message]:
        """All that came since the last look."""
        found = []
        while (message := self._bus.recv(0)) is not None:
            found.append(message)
        return found

    def say(self, can_id: int, data: bytes = bytes(8), **more: Any) -> None:
        """Send a frame."""
        self._bus.send(can.Message(arbitration_id=can_id, data=data, **{"is_extended_id": False, **more}))

    @property
    def status(self) -> dict[str, Any]:
        """What the output says of itself."""
        return dict(self.output.status())

    def close(self) -> None:
        """Leave the bus."""
        self._bus.shutdown()


def refused(command: object) -> Any:
    """No commander: the CAN output commands nothing."""
    raise AssertionError(command)


@asynccontextmanager
async def feeding(folder: Path, says: str = "", **settings: Any) -> AsyncIterator[Inverter]:
    """The output on a virtual bus of its own, and who listens there; `says`: see `hurried`."""
    channel, found = f"inverter-{next(CHANNELS)}", []  # type: str, list[Inverter]
    file = hurried(folder, says=says)
    output = build(
        prepare(Settings(interface="virtual", channel=channel, dbc=file, **settings)),
        lambda: found[0].now,
        refused,
        "test",
    )
    inverter = Inverter(output, channel, file)
    found.append(inverter)
    await output.start()
    await until(lambda: inverter.status["connected"])
    try:
        yield inverter
    finally:
        await output.stop()
        inverter.close()


async def until(holds: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for something true."""
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < end, "did not happen in time"
        await asyncio.sleep(0.005)
