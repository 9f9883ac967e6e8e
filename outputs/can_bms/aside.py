"""Work that may hang: done in a thread of its own for the event loop, which never waits for it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import can

from gateway.supervise import Supervisor

DRIVER_FAULTS: Final = (can.CanError, OSError, ValueError, ImportError)  # what python-can's interfaces raise

Result = TypeVar("Result")
Told = Callable[[Result | None, Exception | None], object]
"""Is given what the work gave, or the fault that ended it."""


def attempt(work: Callable[[], Result], supervisor: Supervisor) -> tuple[Result | None, Exception | None]:
    """What `work` gave, or the fault that ended it; one that no driver should raise is said as a defect."""
    defects: list[Exception] = []
    with supervisor.trying(defects.append):
        try:
            return work(), None
        except DRIVER_FAULTS as fault:
            return None, fault
    return None, defects[0]


def aside(work: Callable[[], Result], told: Told[Result], supervisor: Supervisor) -> None:
    """Do `work` in a thread and have `told` called on the running loop.

    Nobody waits for the thread: one that hangs is never heard of, and ends with the process.
    """
    loop = asyncio.get_running_loop()

    def tell(result: Result | None, fault: Exception | None) -> None:
        with supervisor.trying():
            told(result, fault)

    def run() -> None:
        outcome = attempt(work, supervisor)
        with suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=run, name=supervisor.name, daemon=True).start()
