"""A simulated chip on an SPI bus, in this very process: it stands behind an SpiLink in place of the kernel's device."""

import asyncio
from pathlib import Path

from bms_drivers.kit.declare import Driver
from bms_drivers.links import Link
from bms_drivers.links.factory import spi_line
from bms_drivers.links.spi import SpiLink
from bms_drivers.sims.faults import Faults
from bms_drivers.sims.sim import Simulator

FLOATING = 0xFF  # what is read where nothing drives the line


class _Bus:
    """What a link opens: as much of spidev.SpiDev as it uses."""

    def __init__(self, device: "SpiDevice") -> None:
        self.xfer2 = device.transfer

    def close(self) -> None:
        """The device stays."""


class SpiDevice:
    """Answers each transfer at once: an SPI chip is clocked by its master, so that it is never late."""

    def __init__(self, simulator: Simulator, faults: Faults | None = None) -> None:
        """The pack lives between two transfers."""
        self.simulators = (simulator,)
        self.faults = faults or Faults()
        self.path = Path(f"spi:simulated-{id(self):x}")
        self._lived = 0.0  # s, loop time

    @property
    def simulator(self) -> Simulator:
        """The only one."""
        return self.simulators[0]

    async def start(self) -> None:
        """Live from now on."""
        self._lived = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Nothing to let go of."""

    def wake(self) -> None:
        """Nothing waits for it."""

    def link(self, *drivers: Driver) -> Link:
        """A link to it."""
        return SpiLink(str(self.path), spi_line(drivers), lambda where, line: _Bus(self))

    def transfer(self, values: list[int]) -> list[int]:
        """As many bytes come in as go out, whatever is wrong."""
        now = asyncio.get_running_loop().time()
        self.simulator.pack.advance(now - self._lived)
        self._lived = now
        reply, _ = self.faults.spoil(b"".join(self.simulator.answer(bytearray(values))))
        return [*reply, *[FLOATING] * len(values)][: len(values)]
