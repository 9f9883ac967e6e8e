"""All outputs together; what goes wrong in one stays in it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from gateway.model import GatewayError, Snapshot
from gateway.supervise import Supervisor, Trying, words
from outputs.output import Apart, Bounded, Output, Reporter

Feed = tuple[str, Trying, Callable[[Snapshot], None]]

log = logging.getLogger("bms_gateway")

PATIENCE: Final = 10.0  # s for one output to start or to stop


class Outlets:
    """Feeds every output.  No method raises, and none lets one output keep another waiting."""

    def __init__(self, outputs: Mapping[str, Output]) -> None:
        self._outputs = outputs
        self._reporters, self._bounded = _reporters(outputs), _bounded(outputs)
        self._supervisors = _supervisors(outputs)
        self._feeds = self._prepared(outputs)
        self._faults: dict[tuple[str, str], str] = {}  # output and what it was to do -> what went wrong when it did

    async def start(self) -> None:
        """Start all."""
        await self._all("start", lambda output: output.start(), self._outputs)

    async def stop(self) -> None:
        """Stop all, those that did not start included."""
        await self._all("stop", lambda output: output.stop(), self._outputs)

    async def change(self, outputs: Mapping[str, Output]) -> None:
        """Feed these from now on: what is gone is stopped, then what is new is started; the rest never notices."""
        before, self._outputs = self._outputs, outputs
        self._reporters, self._bounded = _reporters(outputs), _bounded(outputs)
        gone = {name: output for name, output in before.items() if outputs.get(name) is not output}
        new = {name: output for name, output in outputs.items() if before.get(name) is not output}
        self._supervisors |= _supervisors(new)
        self._feeds = self._prepared(outputs)  # at once: all are fed while those that are gone take long to stop
        await self._all("stop", lambda output: output.stop(), gone)
        self._faults = {key: fault for key, fault in self._faults.items() if key[0] not in gone}
        await self._all("start", lambda output: output.start(), new)

    def _prepared(self, outputs: Mapping[str, Output]) -> tuple[list[Feed], list[Feed]]:
        """How each is given a state, which is done each second; apart those that have a thread of their own."""
        feeds: tuple[list[Feed], list[Feed]] = [], []
        for name, output in outputs.items():
            trying = self._supervisors[name].trying(partial(self._failed, name, "publish"))
            feeds[isinstance(output, Apart)].append((name, trying, output.publish))
        return feeds

    def publish(self, snapshot: Snapshot) -> None:
        """Give the newest state to those who are at home in the event loop."""
        self._feed(self._feeds[0], snapshot)

    def hand_over(self, snapshot: Snapshot) -> None:
        """Give it to those who have a thread of their own; the last thing of a decision."""
        self._feed(self._feeds[1], snapshot)

    def _feed(self, feeds: Sequence[Feed], snapshot: Snapshot) -> None:
        for name, trying, publish in feeds:
            if self._faults:
                self._faults.pop((name, "publish"), None)
            with trying:
                publish(snapshot)

    def reported_currents(self) -> tuple[float, ...]:
        """A, + = charging, of each inverter that says it."""
        found = [self._reported(name, output) for name, output in self._reporters.items()]
        return tuple([amps for amps in found if amps is not None])

    def discharge_floor(self) -> float | None:
        """SoC [%] at which somebody outside stops discharging; None = nobody says it."""
        for name, output in self._bounded.items():
            with self._supervisors[name].trying():
                return output.discharge_floor()
        return None

    def status(self) -> dict[str, dict[str, Any]]:
        """What each says of itself; a defect of ours comes before its own problem."""
        return {name: self._status(name, output) for name, output in self._outputs.items()}

    def _reported(self, name: str, output: Reporter) -> float | None:
        with self._supervisors[name].trying():
            return output.reported_current()
        return None

    def _status(self, name: str, output: Output) -> dict[str, Any]:
        status: dict[str, Any] = {"connected": False}
        self._faults.pop((name, "status"), None)
        with self._supervisors[name].trying(partial(self._failed, name, "status")):
            status |= output.status()
        faults = [fault for (whose, _), fault in self._faults.items() if whose == name]
        return {**status, "problem": "; ".join(faults)} if faults else status

    async def _all(self, what: str, work: Callable[[Output], Awaitable[None]], outputs: Mapping[str, Output]) -> None:
        await asyncio.gather(*(self._one(name, what, work(output)) for name, output in outputs.items()))

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


def _reporters(outputs: Mapping[str, Output]) -> dict[str, Reporter]:
    return {name: output for name, output in outputs.items() if isinstance(output, Reporter)}


def _bounded(outputs: Mapping[str, Output]) -> dict[str, Bounded]:
    return {name: output for name, output in outputs.items() if isinstance(output, Bounded)}


def _supervisors(outputs: Mapping[str, Output]) -> dict[str, Supervisor]:
    return {name: Supervisor(f"output {name}") for name in outputs}
