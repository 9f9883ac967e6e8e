"""`port: simulated`: the driver's simulator, in this very process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.sims.faults import Faults
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.pty import PtyDevice
from bms_drivers.sims.sim import build, cells_of
from gateway.model import ConfigError


async def simulated(
    driver: str,
    setup: Mapping[str, Any],
    *,
    seed: int,
    faults: Faults | None = None,
    link: Path | None = None,
    addresses: Sequence[int] = (),
    cells: int | None = None,
    **pack: Any,
) -> PtyDevice:
    """A started device that answers like `driver`'s BMS, or like several on one line, one at each of `addresses`.

    Raises ConfigError for a driver without a simulator, and for a number of cells that the BMS cannot have.
    """
    if driver not in registry.simulated():
        raise ConfigError(f"{driver}: has no simulator, expected one of {', '.join(registry.simulated())}")
    setups = [{**setup, "address": address} for address in addresses] or [dict(setup)]
    count = cells_of(driver, cells)
    first, *others = [build(driver, Pack.of(seed + n, cells=count, **pack), own) for n, own in enumerate(setups)]
    device = PtyDevice(first, faults, link, *others)
    await device.start()
    return device
