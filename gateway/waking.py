"""Waits that end where what they wait for comes about, not a turn of the event loop later.

A future has its task called by the loop in its next turn, and a turn looks at every descriptor and timer again.  Who
reads a battery waits four times a second, so it waits by these:

    reader or timer of the loop -> Wait.over -> the task goes on there and then, until it waits again

Stands on the ground floor: it imports nothing of ours.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context

Call = Callable[["Wait"], object]


class Wait(asyncio.Future[None]):
    """A future that is awaited once, by the task that made it: `await Wait(loop=loop)`.

    Otherwise it is as any other: cancelled, shielded, or awaited by several, it has them called in the next turn.
    """

    _goes_on: tuple[Call, Context] | None = None

    def add_done_callback(self, fn: Call, *, context: Context | None = None) -> None:
        """As Future.add_done_callback.  A task that awaits it brings the context in which it runs."""
        if context is not None:
            self._goes_on = fn, context
        super().add_done_callback(fn, context=context)

    def over(self) -> None:
        """What was waited for is here; nothing happens if the wait had ended already, or was cancelled.

        The task goes on at once where no other runs, so in a callback of the loop; else in the next turn.
        """
        if self.done():
            return
        goes_on = self._goes_on
        if goes_on is None or asyncio.current_task(self.get_loop()) is not None:
            self.set_result(None)
            return
        call, context = goes_on
        waits = self.remove_done_callback(call)  # else the loop would call it, too
        self.set_result(None)
        if waits:
            context.run(call, self)


async def pause(seconds: float) -> None:
    """As asyncio.sleep."""
    if seconds <= 0.0:
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    wait = Wait(loop=loop)
    timer = loop.call_at(loop.time() + seconds, wait.over)
    try:
        await wait
    except asyncio.CancelledError:
        timer.cancel()
        raise
