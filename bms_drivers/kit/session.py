"""What is known of one BMS while its link stands: the polling plan's memory.  No I/O and no clock of its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bms_drivers.kit.declare import Driver, Poll, Values
from gateway.model import Reading


@dataclass(slots=True)
class _Step:
    """One poll's memory."""

    poll: Poll
    next_due: float = -math.inf  # s, monotonic
    values: Values = field(default_factory=dict)
    misses: int = 0


class Session:
    """The plan of one driver with one battery's settings: what is due, and what was learnt."""

    START_TRIES = (
        2  # a once-only question that was not answered twice is given up (sheets: "two tries, then do without")
    )

    def __init__(self, driver: Driver, settings: Mapping[str, Any] | None = None) -> None:
        self.driver = driver
        self.setup = driver.setup(settings)
        self._steps = {poll.name: _Step(poll) for poll in driver.plan}
        self.known: Values = {}
        self._told: Values = {}  # what we commanded; outlives every missed answer

    def due(self, now: float) -> list[Poll]:
        """The steps of the plan to be asked now, in order."""
        return [step.poll for step in self._steps.values() if step.next_due <= now]

    def learnt(self, poll: Poll, values: Values, now: float) -> None:
        """`poll` was answered."""
        step = self._steps[poll.name]
        step.values, step.misses = values, 0
        step.next_due = now + poll.every if poll.every else -math.inf
        self.known.update(values)

    def missed(self, poll: Poll, now: float) -> None:
        """`poll` was not answered, or not usably: its values live on for `poll.keep` misses, then are unknown."""
        step = self._steps[poll.name]
        step.misses += 1
        if poll.every and step.misses >= self.START_TRIES:
            step.next_due = now + max(60.0, min(poll.every, 3600.0))  # tried again now and then
        if poll.give_up and step.misses >= poll.give_up:
            step.next_due = now + 3600.0
        if poll.every != math.inf and step.misses > poll.keep and step.values:
            step.values = {}
            self._relearn()

    def ask_again(self, name: str) -> None:
        """Make the step `name` due at once, after a write that changes what it reads."""
        self._steps[name].next_due = -math.inf

    def told(self, values: Values) -> None:
        """A control write ended; `values` is what its talk returned."""
        self._told.update(values)
        self.known.update(values)

    def forget(self) -> None:
        """The link was lost: another device may be there when it is back."""
        for step in self._steps.values():
            step.values, step.misses, step.next_due = {}, 0, -math.inf
        self._relearn()

    def readings(self) -> Mapping[str, Reading]:
        """What is known now, a Reading a pack.  Raises FrameError when the values contradict each other."""
        return self.driver.assemble(self.known, self.setup)

    def _relearn(self) -> None:
        self.known.clear()
        self.known.update(self._told)
        for step in self._steps.values():
            self.known.update(step.values)
