"""What is known of one BMS while its link stands: the polling plan's memory.  No I/O and no clock of its own.

Each step of the plan knows when it was answered.  What is known together is as old as the oldest answer that control
values (voltage, current, cells, temperatures, switches, limits of the BMS) rest on; one step's answer that is too old
is forgotten alone: cells do not count as known because the pack voltage still comes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bms_drivers.kit.declare import Driver, Poll, Values
from gateway.model import CONTROL, Reading


@dataclass(slots=True)
class _Step:
    """One poll's memory."""

    poll: Poll
    next_due: float = -math.inf  # s, monotonic
    values: Values = field(default_factory=dict)
    misses: int = 0
    at: float = -math.inf  # s, monotonic; when it was answered
    tells: bool = False  # of values that limits rest on
    tried: bool = False  # it was answered, or asked often enough in vain, since the link stands
    patience: float = 0.0  # s after its answer from which on that ages

    def __post_init__(self) -> None:
        """What is asked slowly on purpose is not old before its period, and the misses its driver allows, are over."""
        self.patience = max(self.poll.every * (1 + self.poll.keep), self.poll.slow)


class Session:
    """The plan of one driver with one battery's settings: what is due, and what was learnt."""

    START_TRIES = (
        2  # a once-only question that was not answered twice is given up (sheets: "two tries, then do without")
    )

    def __init__(self, driver: Driver, settings: Mapping[str, Any] | None = None) -> None:
        self.driver = driver = driver.made_for(settings)
        self.setup = driver.setup(settings)
        self._steps = {poll.name: _Step(poll, tells=_tells(poll)) for poll in driver.plan}
        self._repeated = [step for step in self._steps.values() if step.poll.every != math.inf]
        self._once = [step for step in self._steps.values() if step.poll.every == math.inf]
        self._telling = {name: step for name, step in self._steps.items() if step.tells}
        self.known: Values = {}
        self._told: Values = {}  # what we commanded; outlives every missed answer

    def due(self, now: float, *, once: bool | None = None) -> list[Poll]:
        """The steps of the plan to be asked now, in order: all, those that are asked `once`, or the others."""
        steps = self._steps.values() if once is None else self._once if once else self._repeated
        return [step.poll for step in steps if step.next_due <= now]

    def learnt(self, poll: Poll, values: Values, at: float) -> None:
        """`poll` was answered at `at` [s, monotonic]."""
        step = self._steps[poll.name]
        gone = not step.values.keys() <= values.keys()
        step.values, step.misses, step.at, step.tried = values, 0, at, True
        step.next_due = at + poll.every if poll.every else -math.inf
        if gone:  # what it told last time and does not tell now is not known any more
            self._relearn()
        self.known.update(values)

    def missed(self, poll: Poll, now: float) -> None:
        """`poll` was not answered, or not usably: its values live on for `poll.keep` misses, then are unknown."""
        step = self._steps[poll.name]
        step.misses += 1
        if poll.every and step.misses >= self.START_TRIES:
            step.next_due = now + max(60.0, min(poll.every, 3600.0))  # tried again now and then
        if poll.give_up and step.misses >= poll.give_up:
            step.next_due = now + 3600.0
        if step.misses >= self.START_TRIES and (step.next_due > now or self._heard()):
            step.tried = True  # nobody waits for what is not asked soon
        if poll.every != math.inf and step.misses > poll.keep and step.values:
            step.values = {}
            self._relearn()

    def _heard(self) -> bool:
        """Has the device told anything since the link stands?  Until then no silence says what it has not."""
        return any(step.values for step in self._steps.values())

    def answers(self, poll: Poll) -> bool:
        """Was `poll` answered when it was last asked?"""
        step = self._steps[poll.name]
        return bool(step.values) and not step.misses

    def untried(self) -> list[str]:
        """Steps that limits rest on and that may yet be answered for the first time since the link stands.

        Until then it is not known what this BMS has, and a battery without cells or sensors would be limited by none.
        """
        return [name for name, step in self._telling.items() if not step.tried]

    def in_vain(self, name: str) -> bool:
        """Is the value called `name` told by a step that is asked again and again, and not answered now?"""
        return any(name in step.poll.gives and not step.values for step in self._repeated)

    def awaits(self, name: str) -> bool:
        """May a step tell the value called `name` that was not tried yet since the link stands?"""
        return any(name in step.poll.gives and not step.tried for step in self._steps.values())

    def dated(self) -> float | None:
        """From when on [s, monotonic] what is known ages: its oldest control answer, never later than the newest.

        None = nothing is known that limits could rest on.
        """
        oldest, newest = math.inf, -math.inf
        for step in self._telling.values():
            if step.values:
                oldest, newest = min(oldest, step.at + step.patience), max(newest, step.at)
        return None if newest == -math.inf else min(oldest, newest)

    def expire(self, before: float) -> None:
        """Forget what counts as answered before that [s, monotonic], each step alone; what is asked once, never."""
        old = [step for step in self._repeated if step.values and step.at + step.patience < before]
        for step in old:
            step.values = {}
        if old:
            self._relearn()

    def ask_again(self, name: str) -> None:
        """Make the step `name` due at once, after a write that changes what it reads."""
        self._steps[name].next_due = -math.inf

    def told(self, values: Values) -> None:
        """A control write ended; `values` is what its talk returned."""
        self._told.update(values)
        self.known.update(values)

    def forget(self) -> None:
        """The link was lost: another device may be there when it is back, and what was asked in vain is asked again.

        To be called between rounds: in the middle of one it would take away what has just been answered.
        """
        for step in self._steps.values():
            step.values, step.misses, step.next_due, step.at, step.tried = {}, 0, -math.inf, -math.inf, False
        self._relearn()

    def readings(self) -> Mapping[str, Reading]:
        """What is known now, a Reading a pack.  Raises FrameError when the values contradict each other."""
        return self.driver.assemble(self.known, self.setup)

    def _relearn(self) -> None:
        self.known.clear()
        self.known.update(self._told)
        for step in self._steps.values():
            self.known.update(step.values)


def _tells(poll: Poll) -> bool:
    """Do limits rest on what it tells, again and again?"""
    return poll.every != math.inf and not CONTROL.isdisjoint(poll.gives)
