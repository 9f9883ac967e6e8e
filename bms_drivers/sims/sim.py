"""What a simulated device is: bytes in, bytes out, around a pack that lives.  Timing and faults are its carrier's."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from bms_drivers.kit.declare import Driver
from bms_drivers.links import Link
from bms_drivers.sims.faults import Faults
from bms_drivers.sims.pack import Pack
from gateway.model import ConfigError

CELLS: Final = range(3, 25)  # cells a simulated pack may have, unless the device's module says otherwise
USUAL: Final = 16  # cells


class Simulator(Protocol):
    """A device that answers as the BMS does.  Written from the sheet alone: it must not share the driver's tables."""

    pack: Pack
    baud: int
    turnaround: float  # s from the end of a request to the first byte of the reply

    def answer(self, received: bytearray) -> list[bytes]:
        """Take whole requests off `received` and return the replies, one bytes object each; noise is eaten."""


class Device(Protocol):
    """A simulated device that is plugged in: a pty, a chip on an SPI bus."""

    faults: Faults
    path: Path  # what its port is called

    @property
    def simulators(self) -> tuple[Simulator, ...]:
        """What answers there, mostly one."""

    @property
    def simulator(self) -> Simulator:
        """The first of them."""

    async def start(self) -> None:
        """Plug it in.  Raises ConfigError where that cannot be."""

    async def close(self) -> None:
        """Unplug it."""

    def wake(self) -> None:
        """It was off: what was asked meanwhile nobody heard, and what it was saying is cut off."""

    def link(self, *drivers: Driver) -> Link:
        """A link to it that suits `drivers`; `open` it before use."""


def build(name: str, pack: Pack, settings: Mapping[str, Any] | None = None) -> Simulator:
    """The simulator of the driver called `name`.  Raises ModuleNotFoundError for a driver that has none."""
    simulator: Simulator = import_module(f"bms_drivers.sims.{name}").build(pack, dict(settings or {}))
    return simulator


def cells_of(name: str, wanted: int | None = None) -> int:
    """How many cells the device called `name` gets: `wanted`, else 16 or the most it can have.  Raises ConfigError."""
    possible: range = getattr(import_module(f"bms_drivers.sims.{name}"), "CELLS", CELLS)
    if wanted is None:
        return min(USUAL, possible[-1])
    if wanted not in possible:
        raise ConfigError(f"{name}: cannot have {wanted} cells, expected {possible[0]}..{possible[-1]}")
    return wanted
