"""When Python looks for garbage: what reference counts do not free, a few objects an hour.

start     everything is looked at once, when all has been built: 30 ms here, some tenths of a second on a small GX
running   what was built by then is not looked at any more (`gc.freeze`); the rest is each 10 minutes, in less than a
          millisecond.  That also returns the spare tuples that CPython keeps, up to 2000 of each size: a tuple that is
          made of a generator takes one of ten places and leaves one of its own size, so they become more for days
another configuration   everything is looked at once: what it replaced is garbage, frozen or not

Sources: CPython, Modules/gcmodule.c (clear_freelists at a full collection), Objects/tupleobject.c.
"""

import asyncio
import gc
from typing import Final

SETTLED: Final = 10.0  # s after the start, when all parts have been loaded
EVERY: Final = 600.0  # s


async def kept_small() -> None:
    """Look for it now and then, for ever."""
    await asyncio.sleep(SETTLED)
    gc.collect()
    gc.freeze()
    while True:
        await asyncio.sleep(EVERY)
        gc.collect()


def replaced() -> None:
    """Much of what was built is not used any more."""
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
