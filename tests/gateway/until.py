"""Waiting in a test for what will be so."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Raises TimeoutError when it is not so within that time."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
