"""What every output is given, a Snapshot, and what it must promise.

* `publish` returns at once: it only keeps the newest Snapshot.  A slow bus drops old ones and delays nobody.
* Nothing is emitted before `snapshot.bank.complete`, and nothing is emitted as it stands past `snapshot.valid_until`
  (the gateway itself hangs): then the output goes to its safe state, 0 A both ways and the alarm that its bus knows.
* A missing or dying bus degrades this output alone: it says so once, retries, and comes back by itself.
* Time is `clock()`, monotonic seconds, the clock that stamped the Snapshot.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gateway.model import Command, Outcome, Restricted, Snapshot

if TYPE_CHECKING:
    from gateway.events import Events

Clock = Callable[[], float]


class Commander(Protocol):
    """The way back, for what may be asked of the gateway.  To be called on the event loop."""

    def __call__(self, command: Command) -> "asyncio.Future[list[Outcome]]":
        """Have a command performed; the future holds what became of it, for each battery."""

    def restrict(self, source: str, data: object) -> Restricted:
        """Follow or refuse an order for limits from outside, which only tighten.  Sheet: face.md 6."""

    def refuse(self, source: str, why: str, asked: object) -> Restricted:
        """Note an order that the door itself does not let in."""


class Output(Protocol):
    """One way out of the house.  Built by the registry from its settings; owns its connection and its timer."""

    name: str  # "can_bms", "venus_dbus"

    async def start(self) -> None:
        """Begin; a bus that is not there yet is no error, it is retried in the background."""

    def publish(self, snapshot: Snapshot) -> None:
        """Take the newest state.  Called from the event loop, every 1.25 s at least; must not block or raise."""

    async def stop(self) -> None:
        """Leave the bus in order."""

    def status(self) -> Mapping[str, object]:
        """For `status` and the live view: {"connected": bool, "problem": str, counters...}."""


@runtime_checkable
class Reporter(Protocol):
    """An output that also hears how its inverter measures the current."""

    def reported_current(self) -> float | None:
        """A, + = charging the battery; None = the inverter does not say, or has not said it lately."""


@runtime_checkable
class Bounded(Protocol):
    """An output whose system stops discharging at some SoC, and says at which."""

    def discharge_floor(self) -> float | None:
        """%; None = it does not say."""


@runtime_checkable
class Apart(Protocol):
    """An output that does its work in a thread of its own.

    It is given a Snapshot as the last thing of a decision: a thread that wakes before that fights with the event loop
    for the interpreter.
    """

    apart: bool


@runtime_checkable
class Historian(Protocol):
    """An output that keeps curves."""

    async def last_hour(self) -> Mapping[str, Any]:
        """Those of the last hour, as plain data: {"start", "step", "values": {name: {"value": [...]}}}."""


class House(Protocol):
    """What the gateway tells of itself beyond a Snapshot; called on the event loop."""

    @property
    def events(self) -> "Events":
        """What has happened lately."""

    @property
    def directory(self) -> Path | None:
        """Where state is kept; None = nowhere."""

    @property
    def audit(self) -> Iterable[Mapping[str, Any]]:
        """What was asked for from outside, the oldest first (gateway/remote.py)."""

    def state(self) -> Mapping[str, Any]:
        """Everything, as `status --json` has it."""

    def curves(self) -> Mapping[str, Any]:
        """The limit curves by battery, "" = the bank (gateway/curves.py)."""


@runtime_checkable
class Resident(Protocol):
    """An output that shows more of the house than a Snapshot holds."""

    def move_in(self, house: House) -> None:
        """Before it is started: this is the house that it will be asked about."""
