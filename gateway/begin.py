"""The first second of the service: another process reads its configuration while this one imports what runs by it."""

import asyncio
from importlib import import_module
from pathlib import Path
from types import ModuleType

from gateway.config.handed import handed
from gateway.config.prepared import Prepared


def begin(config: Path, socket: Path | None, level: str, watchdog: float | None) -> None:
    """Run the gateway of `config` until a signal says stop.  Raises GatewayError where it cannot begin."""
    prepared, service = asyncio.run(_both(config))
    service.serve(config, prepared, socket, level, watchdog)


async def _both(config: Path) -> tuple[Prepared, ModuleType]:
    reading = asyncio.create_task(handed(config))
    service = await asyncio.to_thread(import_module, "gateway.service")
    return await reading, service
