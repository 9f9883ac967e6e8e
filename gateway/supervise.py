"""The one rule for whatever must not end: every task, thread and callback of the house tries its work in here.

What is expected to go wrong is caught where something can be done about it (model/errors.py).  What nobody expected is
a defect: said once a kind, counted, a failed try like any other, and whoever does the work goes on.  This is the only
broad `except` of the house.  Stands on the ground floor: it imports nothing of ours.
"""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType

log = logging.getLogger("bms_gateway.supervise")


class Supervisor:
    """Keeps one unit of work going; to be used by one task or thread at a time."""

    def __init__(self, name: str) -> None:
        """`name` says in the log whose work it is: "rack-1", "can_bms can0"."""
        self.name = name
        self.faults: Counter[str] = Counter()  # kind -> how often
        self._plainly = Trying(self._note, None, ())  # holds nothing of a single try, so one serves all

    def trying(
        self, failed: Callable[[Exception], None] | None = None, *, passing: tuple[type[Exception], ...] = ()
    ) -> "Trying":
        """Any exception of the block ends the block only, and is told to `failed`; a cancelled task stays cancelled.

        What is `passing` is expected here, and goes on to whoever can do something about it.
        """
        return Trying(self._note, failed, passing) if failed or passing else self._plainly

    async def keep(self, work: Callable[[], Awaitable[None]], pause: float = 1.0) -> None:
        """Do `work` until it ends by itself; when a defect ends it, begin again after `pause` s."""
        ended = False
        while not ended:
            with self.trying():
                await work()
                ended = True
            if not ended:
                await asyncio.sleep(pause)

    def _note(self, fault: Exception) -> None:
        kind = f"{type(fault).__name__} at {_place(fault)}"
        self.faults[kind] += 1
        if self.faults[kind] == 1:
            log.error("%s: a defect, please report it: %s (%s); said once, it goes on", self.name, words(fault), kind)
            log.debug("%s: %s", self.name, kind, exc_info=fault)


class Trying:
    """Tries of one kind: the broad `except` itself, as a context manager that costs two calls."""

    __slots__ = ("_failed", "_note", "_passing")

    def __init__(
        self,
        note: Callable[[Exception], None],
        failed: Callable[[Exception], None] | None,
        passing: tuple[type[Exception], ...],
    ) -> None:
        self._note, self._failed, self._passing = note, failed, passing

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None) -> bool:
        """Swallows what nobody expected, and says so."""
        if fault is None:
            return False
        if not isinstance(fault, Exception) or isinstance(fault, self._passing):
            return False
        self._note(fault)
        if self._failed is not None:
            self._failed(fault)
        return True


def words(fault: Exception) -> str:
    """What `fault` says, on one line; its kind where it says nothing."""
    return " ".join(str(fault).split()) or type(fault).__name__


def _place(fault: Exception) -> str:
    """file:line where it was raised."""
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
