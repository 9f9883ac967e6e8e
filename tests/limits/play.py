"""A bank on stage: readings change, seconds pass, decisions are made.  For the tests of the rules."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway import guard
from gateway.bank import Standings, aggregate, join
from gateway.limits import LimitSettings, Memory, Site, evaluate
from gateway.limits.correct import correct
from gateway.limits.reference_options import from_reference
from gateway.model import BankState, BatteryState, Decision, External, Health, Reading, RemoteLimit
from gateway.model.validation import validated
from gateway.plausible import plausible
from tests.make import reading

WALL = 1_750_000_000.0
AFTER, BEFORE = 12.0, 3.0  # s that are looked at one by one: after what was done last, and before what is asserted
CALM: Final = 8.0  # s between evaluations in the middle; every rule counts by the clock, and none more than 10 s


def settings(**sections: Any) -> LimitSettings:
    """Default limits with what is given laid over them: settings(absorption={"time": 60})."""
    tree = LimitSettings().plain()
    return validated(LimitSettings, _laid(tree, sections))


def sheet(**sections: Any) -> LimitSettings:
    """The numbers of the sheet's worked examples, where our defaults are others, with what is given laid over them."""
    return validated(LimitSettings, _laid(from_reference({}).plain(), sections))


def _laid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    inner = {key: _laid(base[key], value) for key, value in over.items() if isinstance(base.get(key), dict)}
    return {**base, **over, **inner}


WIDE = {"by_cell_voltage": {"charge": {"points": [3.5, 3.55, 3.6, 3.65], "fractions": [1, 0.5, 0.05, 0]}}}
"""A charge table that does not interfere at 3.45 V."""


def _top(limits: LimitSettings) -> float:
    reset = limits.soc_reset.cell_voltage if limits.soc_reset.after_days else 0.0
    return max(limits.cell_voltage.max, reset)


def cells(volts: float, *others: float, count: int = 16) -> tuple[float, ...]:
    """`count` cells, the first of them `others`, the rest at `volts`."""
    return (*others, *[volts] * (count - len(others)))


@dataclass
class Silent:
    """How a battery's link fares."""

    good_at: float = 0.0
    good_in_a_row: int = 100
    answers: bool = True
    said: Reading | None = None  # when it last answered


@dataclass(repr=False)
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
    inverters: tuple[float, ...] = ()  # A, as they report
    asked: tuple[RemoteLimit, ...] = ()  # limits from outside
    difference: float | None = None  # V per 16 cells, by which members are judged; None = all are members
    decision: Decision | None = None
    standings: Standings = field(default_factory=dict)
    guarded: guard.Memory = field(default_factory=dict)
    objection: str = ""  # of the guard, to the last decision
    seen: BankState = field(default_factory=BankState)  # by the last evaluation

    def __post_init__(self) -> None:
        self.site = Site(limits=self.limits, **self.options)
        self.links = {name: Silent(self.now) for name in self.batteries}

    def __repr__(self) -> str:
        """Short enough to be read where a law fails."""
        own = {name: self.site.of(name).charge_current.max for name in self.batteries}
        return f"Play(at {self.now:g} s, {own}, {self.standings or 'all members'})"

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
        if self.difference is not None:
            states, self.standings = join(states, self.standings, self.difference)
        bank = aggregate(states, complete=self.complete, external=self.external, difference=self.difference or 1.0)
        return replace(bank, inverter_currents=self.inverters)

    def _state(self, name: str) -> BatteryState:
        link = self.links[name]
        said = self.batteries[name] if link.answers or link.said is None else link.said
        age = self.now - link.good_at
        health = Health.LOST if age >= 60 else Health.STALE if age >= 10 else Health.ONLINE
        return BatteryState(
            name=name,
            reading=correct(plausible(said), self.site.of(name)),
            age=age,
            health=health,
            good_in_a_row=link.good_in_a_row,
        )

    def look(self) -> Decision:
        """One evaluation, now."""
        for link in self.links.values():
            link.good_in_a_row = link.good_in_a_row + 1 if link.answers else 0
            link.good_at = self.now if link.answers else link.good_at
        for name, link in self.links.items():
            link.said = self.batteries[name] if link.answers else link.said
        self.seen = bank = self.bank()
        self.decision, self.memory = evaluate(bank, self.site, self.memory, self.now, self.wall, self.asked)
        self.guarded = guard.learn(bank, self.guarded)
        self.objection = guard.broken(self.decision, bank, self.bounds(), self.guarded, self.asked)
        return self.decision

    def bounds(self) -> guard.Bounds:
        """The guard's own bounds, as the wiring reads them off the settings."""
        own = {name: self.site.of(name) for name in self.batteries}
        return guard.Bounds(
            cell_voltage={name: _top(limits) for name, limits in own.items()},
            voltage_drop=max(limits.voltage_drop for limits in own.values()),
            charge_current={name: limits.charge_current.max for name, limits in own.items()},
            discharge_current={name: limits.discharge_current.max for name, limits in own.items()},
            silence={
                n: 10.0 if limits.on_loss.block else limits.on_loss.timeout_minutes * 60 for n, limits in own.items()
            },
            float_voltage={name: limits.cell_voltage.float_ for name, limits in own.items()},
            cable_alarm=frozenset(name for name, limits in own.items() if limits.on_loss.alarm),
        )

    def run(self, seconds: float, dt: float | None = None) -> Decision:
        """Let `seconds` pass, evaluating every `dt`, and once at the end; each second at both ends where none is given.

        What happens by itself on the way is then seen up to CALM seconds late.
        """
        start, end = self.now, self.now + seconds
        while (left := end - self.now) > 1e-9:
            calm = dt is None and self.now - start >= AFTER and left > BEFORE + 1
            step = min(left - BEFORE, CALM) if calm else min(dt or 1.0, left)
            self.now += step
            self.wall += step
            found = self.look()
        return found

    def until(self, holds: Callable[[Decision], bool], most: float = 20000.0) -> float:
        """Seconds until a decision holds: after AFTER found in steps of CALM, the last one taken anew by the second."""
        start, before = self.now, self.twin()
        while not holds(self.run(step := CALM if self.now - start >= AFTER else 1.0, dt=step)):
            assert self.now - start < most, self.decision
            before = self.twin()
        vars(self).update(vars(before))
        while not holds(self.run(1)):
            assert self.now - start < most, self.decision
        return self.now - start

    def twin(self) -> "Play":
        """The same once more, to go another way."""
        other = copy(self)
        other.batteries, other.standings, other.guarded = {**self.batteries}, {**self.standings}, {**self.guarded}
        other.links = {name: copy(link) for name, link in self.links.items()}
        return other

    def restart(self, down: float = 0.0) -> "Play":
        """The process ends; after `down` seconds another one starts with what was stored."""
        data = self.memory.persisted()
        self.wall += down
        self.now = 5.0
        self.links = {name: Silent(self.now) for name in self.batteries}
        self.memory = Memory.restore(data, self.now, self.wall)
        self.guarded = guard.resumed(self.memory.silent)
        return self
