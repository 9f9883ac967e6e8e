"""`port: simulated`: the driver's simulator, in this very process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.sims.faults import Faults
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.pty import PtyDevice
from bms_drivers.sims.sim import Device, Simulator, build, cells_of
from bms_drivers.sims.spi import SpiDevice
from gateway.extras import needed
from gateway.model import ConfigError


async def simulated(
    driver: str,
    setup: Mapping[str, Any],
    *,
    seed: int,
    faults: Faults | None = None,
    link: Path | None = None,
    channel: str = "",
    addresses: Sequence[int] = (),
    cells: int | None = None,
    **pack: Any,
) -> Device:
    """A started device that answers like `driver`'s BMS, or like several on one line, one at each of `addresses`.

    One for a CAN bus is on the SocketCAN interface `channel`, else on a bus within this process.

    Raises ConfigError for a driver without a simulator, and for a number of cells that the BMS cannot have.
    """
    if driver not in registry.simulated():
        raise ConfigError(f"{driver}: has no simulator, expected one of {', '.join(registry.simulated())}")
    setups = [{**setup, "address": address} for address in addresses] or [dict(setup)]
    count = cells_of(driver, cells)
    first, *others = [build(driver, Pack.of(seed + n, cells=count, **pack), own) for n, own in enumerate(setups)]
    device = _device(driver, [first, *others], faults, link, channel)
    await device.start()
    return device


def _device(
    driver: str, simulators: Sequence[Simulator], faults: Faults | None, link: Path | None, channel: str
) -> Device:
    """What carries them: a bus or a line.  Raises MissingPart."""
    first, *others = simulators
    if registry.load(driver).transports == ("can",):
        with needed("a simulator on a CAN bus"):
            from bms_drivers.sims.can_bus import CanDevice

        return CanDevice(first, faults, channel, *others)
    if registry.load(driver).spi is not None:
        return SpiDevice(first, faults)
    return PtyDevice(first, faults, link, *others)
