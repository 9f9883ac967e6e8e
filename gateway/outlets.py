"""All outputs together; what goes wrong in one stays in it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from gateway.model import GatewayError, Snapshot
from gateway.supervise import Supervisor, words
from outputs.output import Output

log = logging.getLogger("bms_gateway")

PATIENCE: Final = 10.0  # s for one output to start or to stop


class Outlets:
    """Feeds every output.  No method raises, and none lets one output keep another waiting."""

    def __init__(self, outputs: Mapping[str, Output]) -> None:
        self._outputs = outputs
        self._supervisors = {name: Supervisor(f"output {name}") for name in outputs}
        self._faults: dict[tuple[str, str], str] = {}  # output and what it was to do -> what went wrong when it did

    async def start(self) -> None:
        """Start all."""
        await self._all("start", lambda output: output.start())

    async def stop(self) -> None:
        """Stop all, those that did not start included."""
        await self._all("stop", lambda output: output.stop())

    def publish(self, snapshot: Snapshot) -> None:
        """Give all the newest state."""
        for name, output in self._outputs.items():
            self._faults.pop((name, "publish"), None)
            with self._supervisors[name].trying(partial(self._failed, name, "publish")):
                output.publish(snapshot)

    def status(self) -> dict[str, dict[str, Any]]:
        """What each says of itself; a defect of ours comes before its own problem."""
        return {name: self._status(name, output) for name, output in self._outputs.items()}

    def _status(self, name: str, output: Output) -> dict[str, Any]:
        status: dict[str, Any] = {"connected": False}
        self._faults.pop((name, "status"), None)
        with self._supervisors[name].trying(partial(self._failed, name, "status")):
            status |= output.status()
        faults = [fault for (whose, _), fault in self._faults.items() if whose == name]
        return {**status, "problem": "; ".join(faults)} if faults else status

    async def _all(self, what: str, work: Callable[[Output], Awaitable[None]]) -> None:
        await asyncio.gather(*(self._one(name, what, work(output)) for name, output in self._outputs.items()))

    async def _one(self, name: str, what: str, work: Awaitable[None]) -> None:
        with self._supervisors[name].trying(partial(self._failed, name, what)):
            try:
                async with asyncio.timeout(PATIENCE):
                    await work
            except GatewayError as problem:
                log.error("output %s: %s", name, problem)
                self._faults[name, what] = str(problem)

    def _failed(self, name: str, what: str, fault: Exception) -> None:
        self._faults[name, what] = f"a defect ({what}): {words(fault)}"
