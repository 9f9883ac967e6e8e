"""Limit scenarios, schema "limits/1": a battery, settings, and inputs over time.  Sheet: limits.md chapter 17.

Beyond that schema a scenario may give `limits` (as in gateway.yaml, laid over the defaults) and, among a row's
inputs, more names of a Reading, and `answers: false` for a BMS that falls silent.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from gateway.limits.correct import correct
from gateway.limits.engine import evaluate
from gateway.limits.memory import Memory
from gateway.limits.reference_options import from_reference
from gateway.limits.sense import told
from gateway.limits.settings import LimitSettings
from gateway.limits.site import Site
from gateway.model import BankState, BatteryState, ConfigError, Decision, Extreme, Health, Reading
from gateway.model.validation import validated

MOST_STEPS: Final = 5_000_000  # evaluations; a scenario of more has a mistake in its times
STALE, LOST = 10.0, 60.0  # s without an answer; sheet: 8.2
NEAR: Final = ("cvl", "ccl", "dcl", "soc")
EXACT: Final = ("charge_mode", "soc_reset", "soc_resets_sent", "allow_charge", "allow_discharge")

Cells = tuple[float | None, ...]
Some = TypeVar("Some")


class Strict(BaseModel):
    """What a scenario file may hold."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Inputs(Strict):
    """Changed inputs, by their names in a Reading."""

    cell_voltages: Cells | None = None
    lowest_cell_voltage: float | None = None
    highest_cell_voltage: float | None = None
    voltage: float | None = None
    current: float | None = None
    soc: float | None = None
    temperatures: Cells | None = None
    mosfet_temperature: float | None = None
    charge_allowed: bool | None = None
    discharge_allowed: bool | None = None
    max_charge_current: float | None = None
    max_discharge_current: float | None = None
    max_battery_voltage: float | None = None
    min_battery_voltage: float | None = None
    alarms: dict[str, int] | None = None
    answers: bool | None = None


class Row(Strict):
    """What changes at one time, and what is expected of the evaluation then."""

    t: float
    in_: Inputs = Field(default_factory=Inputs, alias="in")
    out: dict[str, Any] | None = None
    tol: dict[str, float] = {}


class Pack(Strict):
    """The battery of a scenario."""

    cell_count: int | None = Field(default=None, ge=1, le=400)
    capacity: float | None = Field(default=None, gt=0)


class Scenario(BaseModel):
    """One scenario file."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    name: str = ""
    title: str = ""
    mode: str = Field(default="linear", pattern="^(linear|step)$")
    config: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    battery: Pack = Pack()
    initial_state: dict[str, Any] = {}
    t0: float = 0.0
    dt: float = Field(default=1.0, gt=0)
    stateless: bool = False
    tolerance: dict[str, float] = {}
    rows: list[Row] = Field(min_length=1)

    @property
    def settings(self) -> LimitSettings:
        """Raises ConfigError."""
        settings = from_reference({"CHARGE_MODE": 2 if self.mode == "step" else 1, **self.config})
        return in_words(partial(validated, LimitSettings), _laid(settings.plain(), self.limits), "limits")


def _laid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on it, section by section."""
    sections = {key: _laid(base[key], value) for key, value in over.items() if isinstance(base.get(key), Mapping)}
    return {**base, **over, **sections}


@dataclass(frozen=True, slots=True)
class Moment:
    """One evaluation: its time since t0 [s], what was decided, and how many charges have been completed."""

    t: float
    reading: Reading
    decision: Decision
    full_events: int
    row: Row | None = None  # of the file, where one has this time


def load(path: Path) -> Scenario:
    """The scenario in a file.  Raises ConfigError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}), expected a limits scenario") from None
    return scenario(data, str(path))


def scenario(data: Any, source: str = "scenario") -> Scenario:
    """The scenario in `data`, which messages call `source`.  Raises ConfigError."""
    found = in_words(Scenario.model_validate, data, source)
    try:
        _ = found.settings
    except ConfigError as error:
        raise ConfigError(*(f"{source}: {problem}" for problem in error.problems)) from None
    times = [row.t for row in found.rows]
    if any(later < sooner for sooner, later in pairwise(times)):
        raise ConfigError(f"{source}: rows must be in the order of their t")
    if not found.stateless and (times[-1] - times[0]) / found.dt > MOST_STEPS:
        raise ConfigError(f"{source}: more than {MOST_STEPS} evaluations from t {times[0]:g} to {times[-1]:g} s")
    return found


def in_words(made: Callable[[Any], Some], data: Any, source: str) -> Some:
    """What is `made` of `data`.  Raises ConfigError with a line per mistake."""
    try:
        return made(data)
    except ValidationError as error:
        raise ConfigError(*(f"{source}: {line}" for e in error.errors() for line in _lines(e))) from None


def _lines(error: ErrorDetails) -> list[str]:
    """One objection, with the keys it is about."""
    if found := told(error):
        return [f"{one.keys[0]}: {one.text}" for one in found]
    return [f"{_where(error['loc'])}{error['msg']}"]


def _where(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return f"{path}: " if path else ""


# ---- running


@dataclass(slots=True)
class _Bms:
    """What the BMS says, and since when it does not."""

    inputs: dict[str, Any] = field(default_factory=dict)
    good_at: float = 0.0  # s
    good_in_a_row: int = 100

    def change(self, row: Row) -> None:
        """Take a row's inputs over."""
        self.inputs |= {name: getattr(row.in_, name) for name in row.in_.model_fields_set}

    def state(self, t: float, settings: LimitSettings) -> BatteryState:
        """The battery at `t`."""
        answers = self.inputs.get("answers") is not False
        self.good_in_a_row = self.good_in_a_row + 1 if answers else 0
        self.good_at = t if answers else self.good_at
        age = t - self.good_at
        health = Health.LOST if age >= LOST else Health.STALE if age >= STALE else Health.ONLINE
        return BatteryState(
            name="battery",
            reading=correct(self.reading(), settings),
            age=age,
            health=health,
            good_in_a_row=self.good_in_a_row,
        )

    def reading(self) -> Reading:
        """What it said last."""
        given = {name: value for name, value in self.inputs.items() if name != "answers"}
        cells = given.get("cell_voltages") or ()
        lists = {name: given.get(name) or () for name in ("cell_voltages", "temperatures")}
        voltage, soc, capacity = given.get("voltage"), given.get("soc"), given.get("capacity")
        if voltage is None and cells and None not in cells:
            voltage = sum(cells)
        remaining = capacity * soc / 100 if capacity is not None and soc is not None else None
        more = {"voltage": voltage, "remaining_capacity": remaining, "alarms": given.get("alarms") or {}}
        return Reading(**{**given, **lists, **more})


def run(whole: Scenario) -> Iterator[Moment]:
    """Every evaluation from the first row to the last; of a stateless scenario only its rows.  Raises ConfigError."""
    settings = whole.settings
    site = Site(limits=settings)
    bms = _Bms({"capacity": whole.battery.capacity, "cell_count": whole.battery.cell_count, "temperatures": (25.0,)})
    bms.inputs |= {"charge_allowed": True, "discharge_allowed": True}
    memory = start_of(whole, whole.t0)
    for t, rows in _times(whole):
        for row in rows:
            bms.change(row)
        if whole.stateless:
            memory = start_of(whole, whole.t0 + t)
        state = bms.state(t, settings)
        decision, memory = evaluate(single(state), site, memory, t, whole.t0 + t)
        yield Moment(t, bms.reading(), decision, memory.full_events, rows[-1] if rows else None)


def _times(whole: Scenario) -> Iterator[tuple[float, list[Row]]]:
    """Each time of evaluation with the rows that are to be applied before it."""
    if whole.stateless:
        yield from ((row.t, [row]) for row in whole.rows)
        return
    pending, step = list(reversed(whole.rows)), 0
    start = pending[-1].t
    while pending:
        t, rows = start + step * whole.dt, []
        while pending and pending[-1].t <= t + 1e-6:
            rows.append(pending.pop())
        yield t, rows
        step += 1


def start_of(whole: Scenario, wall: float) -> Memory:
    """What an earlier run left behind, by the scenario; its clock is right and no time passed in between."""
    kept = {"date": wall, **whole.initial_state}
    if "soc_calc" in kept:
        kept["batteries"] = {"battery": {"soc_calc": kept.pop("soc_calc")}}
    return Memory.restore(kept, 0.0, wall)


def single(state: BatteryState) -> BankState:
    """A bank of one battery (which has a reading); what is measured is not known while it is silent."""
    reading = state.reading or Reading()
    online = state.health is Health.ONLINE
    low, high = reading.min_cell, reading.max_cell
    return BankState(
        batteries=(state,), complete=True, health=state.health, age=state.age,
        voltage=reading.voltage if online else None, current=reading.current if online else None,
        power=reading.power if online else None, soc=reading.soc, capacity=reading.capacity,
        remaining_capacity=reading.remaining_capacity, online=int(online), offline=int(not online),
        min_cell=None if low is None else Extreme(low, state.name),
        max_cell=None if high is None else Extreme(high, state.name), alarms=reading.alarms,
    )  # fmt: skip


# ---- results


def out(moment: Moment) -> dict[str, Any]:
    """The fields of a row's "out"."""
    decision = moment.decision
    return {
        "cvl": decision.cvl,
        "ccl": decision.ccl,
        "dcl": decision.dcl,
        "charge_mode": decision.charge_mode,
        "soc": decision.soc,
        "soc_reset": decision.soc_reset,
        "soc_resets_sent": moment.full_events,
        "allow_charge": decision.allow_charge,
        "allow_discharge": decision.allow_discharge,
        "ccl_reason": list(decision.ccl_reason),
        "dcl_reason": list(decision.dcl_reason),
    }


def differences(whole: Scenario, moment: Moment) -> list[str]:
    """What of the expectations of this moment's row does not hold, one sentence each; [] without expectations."""
    if moment.row is None or moment.row.out is None:
        return []
    have, want = out(moment), moment.row.out
    near = dict.fromkeys(NEAR, 0.0) | whole.tolerance | moment.row.tol
    wrong: list[str] = [name for name in EXACT if name in want and have[name] != want[name]]
    wrong += [name for name in NEAR if name in want and not _close(have[name], want[name], near[name])]
    return [f"t={moment.t:g} {name}: {have[name]}, expected {want[name]}" for name in wrong]


def _close(have: float | None, want: float | None, tolerance: float) -> bool:
    if have is None or want is None:
        return have is want
    return abs(have - want) <= tolerance + 1e-9
