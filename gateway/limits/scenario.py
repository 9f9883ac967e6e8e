"""Limit scenarios, schema "limits/1": a battery, settings, and inputs over time.  Sheet: limits.md chapter 17."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.limits.engine import evaluate
from gateway.limits.memory import Memory
from gateway.limits.reference_options import from_reference
from gateway.limits.settings import LimitSettings
from gateway.limits.site import Site
from gateway.model import BankState, BatteryState, Decision, Extreme, Health, Reading

INPUTS: Final = frozenset(
    {
        "cell_voltages", "current", "soc", "temperatures", "mosfet_temperature", "charge_allowed",
        "discharge_allowed", "max_charge_current", "max_discharge_current",
    }
)  # fmt: skip
LISTS: Final = ("cell_voltages", "temperatures")


@dataclass(frozen=True, slots=True)
class Moment:
    """One evaluation: its time since t0 [s], what was decided, and how many charges have been completed."""

    t: float
    reading: Reading
    decision: Decision
    full_events: int
    row: Mapping[str, Any] | None = None  # the row of the file, where one has this time


def single(reading: Reading, name: str = "battery") -> BankState:
    """A bank of one battery that has just answered."""
    state = BatteryState(name=name, reading=reading, age=0.0, health=Health.ONLINE, good_in_a_row=100)
    low, high = reading.min_cell, reading.max_cell
    return BankState(
        batteries=(state,), complete=True, health=Health.ONLINE, age=0.0, voltage=reading.voltage,
        current=reading.current, power=reading.power, soc=reading.soc, capacity=reading.capacity,
        remaining_capacity=reading.remaining_capacity, online=1,
        min_cell=None if low is None else Extreme(low, name), max_cell=None if high is None else Extreme(high, name),
        alarms=reading.alarms,
    )  # fmt: skip


def settings_of(scenario: Mapping[str, Any]) -> LimitSettings:
    """The scenario's settings.  Raises ConfigError, pydantic.ValidationError."""
    mode = {"CHARGE_MODE": 2} if scenario.get("mode") == "step" else {}
    return from_reference({**mode, **scenario.get("config", {})})


def start_of(scenario: Mapping[str, Any], wall: float) -> Memory:
    """What an earlier run left behind, by the scenario."""
    kept = dict(scenario.get("initial_state") or {})
    if "soc_calc" in kept:
        kept["batteries"] = {"battery": {"soc_calc": kept.pop("soc_calc")}}
    return Memory.restore(kept, 0.0, wall)


def run(scenario: Mapping[str, Any]) -> Iterator[Moment]:
    """Every evaluation from the first row to the last; of a stateless scenario only its rows."""
    site = Site(limits=settings_of(scenario))
    rows: Sequence[Mapping[str, Any]] = scenario["rows"]
    t0, dt = float(scenario.get("t0", 0.0)), float(scenario.get("dt", 1.0))
    battery = scenario.get("battery", {})
    inputs: dict[str, Any] = {
        "capacity": battery.get("capacity"), "cell_count": battery.get("cell_count"), "temperatures": (25.0,),
        "charge_allowed": True, "discharge_allowed": True,
    }  # fmt: skip
    stateless = bool(scenario.get("stateless"))
    memory, t, pending = start_of(scenario, t0), float(rows[0]["t"]), list(rows)
    while pending:
        row = None
        while pending and pending[0]["t"] <= t + 1e-9:
            row = pending.pop(0)
            inputs.update(_inputs(row.get("in", {})))
            if stateless:
                break
        if stateless:
            memory = start_of(scenario, t0 + t)
        reading = _reading(inputs)
        decision, memory = evaluate(single(reading), site, memory, t, t0 + t)
        yield Moment(t, reading, decision, memory.full_events, row)
        t = float(pending[0]["t"]) if stateless and pending else t + dt


def _inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(given) - INPUTS
    if unknown:
        raise KeyError(f"unknown input {', '.join(sorted(unknown))}; there are {', '.join(sorted(INPUTS))}")
    return {name: tuple(value) if name in LISTS and value is not None else value for name, value in given.items()}


def _reading(inputs: Mapping[str, Any]) -> Reading:
    cells = [volts for volts in inputs.get("cell_voltages", ()) if volts is not None]
    soc, capacity = inputs.get("soc"), inputs.get("capacity")
    remaining = capacity * soc / 100 if capacity is not None and soc is not None else None
    return Reading(**{**inputs, "voltage": sum(cells) if cells else None, "remaining_capacity": remaining})


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
