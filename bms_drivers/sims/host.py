"""`port: simulated`: the driver's simulator, in this very process."""

from collections.abc import Mapping
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
    cells: int | None = None,
    **pack: Any,
) -> PtyDevice:
    """A started device that answers like `driver`'s BMS.

    Raises ConfigError for a driver without a simulator, and for a number of cells that the BMS cannot have.
    """
    if driver not in registry.simulated():
        raise ConfigError(f"{driver}: has no simulator, expected one of {', '.join(registry.simulated())}")
    alive = Pack.of(seed, cells=cells_of(driver, cells), **pack)
    device = PtyDevice(build(driver, alive, setup), faults, link)
    await device.start()
    return device
