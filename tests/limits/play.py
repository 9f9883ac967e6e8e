"""A bank on stage: readings change, seconds pass, decisions are made.  For the tests of the rules."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.bank import aggregate
from gateway.limits import LimitSettings, Memory, Site, evaluate
from gateway.limits.correct import correct
from gateway.limits.reference_options import from_reference
from gateway.model import BankState, BatteryState, Decision, External, Health, Reading
from tests.make import reading

WALL = 1_750_000_000.0


def settings(**sections: Any) -> LimitSettings:
    """Default limits with what is given laid over them: settings(absorption={"time": 60})."""
    tree = LimitSettings().model_dump(by_alias=True)
    return LimitSettings.model_validate(_laid(tree, sections))


def sheet(**sections: Any) -> LimitSettings:
    """The numbers of the sheet's worked examples, where our defaults are others, with what is given laid over them."""
    return LimitSettings.model_validate(_laid(from_reference({}).model_dump(by_alias=True), sections))


def _laid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    inner = {key: _laid(base[key], value) for key, value in over.items() if isinstance(base.get(key), dict)}
    return {**base, **over, **inner}


WIDE = {"by_cell_voltage": {"charge": {"points": [3.5, 3.55, 3.6, 3.65], "fractions": [1, 0.5, 0.05, 0]}}}
"""A charge table that does not interfere at 3.45 V."""


def cells(volts: float, *others: float, count: int = 16) -> tuple[float, ...]:
    """`count` cells, the first of them `others`, the rest at `volts`."""
    return (*others, *[volts] * (count - len(others)))


@dataclass
class Silent:
    """How a battery's link fares."""

    good_at: float = 0.0
    good_in_a_row: int = 100
    answers: bool = True


@dataclass
class Play:
    """Batteries, a site, the time and the memory."""

    limits: LimitSettings = field(default_factory=LimitSettings)
    batteries: dict[str, Reading] = field(default_factory=lambda: {"a": reading()})
    options: dict[str, Any] = field(default_factory=dict)  # of the Site
    memory: Memory = field(default_factory=Memory)
    now: float = 100.0
    wall: float = WALL
    complete: bool = True
    external: External | None = None
    decision: Decision | None = None

    def __post_init__(self) -> None:
        self.site = Site(limits=self.limits, **self.options)
        self.links = {name: Silent(self.now) for name in self.batteries}

    def set(self, battery: str = "", **changes: Any) -> "Play":
        """Change what batteries (all, or one) say; a pack voltage follows its cells."""
        for name in [battery] if battery else list(self.batteries):
            known = [volts for volts in changes.get("cell_voltages", ()) if volts is not None]
            voltage = {"voltage": sum(known)} if known and "voltage" not in changes else {}
            self.batteries[name] = replace(self.batteries[name], **{**changes, **voltage})
        return self

    def silence(self, battery: str = "a") -> "Play":
        """This BMS stops answering."""
        self.links[battery].answers = False
        return self

    def answer(self, battery: str = "a") -> "Play":
        """It answers again."""
        self.links[battery].answers = True
        return self

    def bank(self) -> BankState:
        """The bank now."""
        states = [self._state(name) for name in self.batteries]
        return aggregate(states, complete=self.complete, external=self.external)

    def _state(self, name: str) -> BatteryState:
        link = self.links[name]
        age = self.now - link.good_at
        health = Health.LOST if age >= 60 else Health.STALE if age >= 10 else Health.ONLINE
        return BatteryState(
            name=name,
            reading=correct(self.batteries[name], self.site.of(name)),
            age=age,
            health=health,
            good_in_a_row=link.good_in_a_row,
        )

    def look(self) -> Decision:
        """One evaluation, now."""
        for link in self.links.values():
            link.good_in_a_row = link.good_in_a_row + 1 if link.answers else 0
            link.good_at = self.now if link.answers else link.good_at
        self.decision, self.memory = evaluate(self.bank(), self.site, self.memory, self.now, self.wall)
        return self.decision

    def run(self, seconds: float, dt: float = 1.0) -> Decision:
        """Let `seconds` pass, evaluating every `dt`, and once at the end."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            step = min(dt, end - self.now)
            self.now += step
            self.wall += step
            found = self.look()
        return found

    def until(self, holds: Callable[[Decision], bool], most: float = 20000.0) -> float:
        """Seconds until a decision holds."""
        start = self.now
        while not holds(self.run(1)):
            assert self.now - start < most, self.decision
        return self.now - start

    def restart(self, down: float = 0.0) -> "Play":
        """The process ends; after `down` seconds another one starts with what was stored."""
        data = self.memory.persisted()
        self.wall += down
        self.now = 5.0
        self.links = {name: Silent(self.now) for name in self.batteries}
        self.memory = Memory.restore(data, self.now, self.wall)
        return self
