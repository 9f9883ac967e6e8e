"""What the limit logic remembers from one evaluation to the next; all of it frozen, a new one each time.

What survives a restart (limits.md chapter 12) is written with wall-clock times, because monotonic ones mean nothing
after it; absurd values are dropped one by one, never believed and never a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.limits.flow import Window
from gateway.limits.history import History

DAY: Final = 86400.0  # s

Seen = tuple[float, float]
"""The last known value of an input, and when it was known [s, monotonic]."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One current limit of one battery on its way back up (limits.md 4.3)."""

    amps: float | None = None  # A, allowed now
    rising_since: float | None = None  # s, monotonic: first evaluation whose target was higher
    base: float = 0.0  # A, at that time
    target: float | None = None  # A, what the rules allow, without hold and ramp
    apart: bool = False  # was left out of the bank (lost, switch open) and is not yet back at its target


@dataclass(frozen=True, slots=True)
class BatteryMemory:
    """What is remembered of one battery."""

    charge: Recovery = Recovery()
    discharge: Recovery = Recovery()
    seen: Mapping[str, Seen] = field(default_factory=dict)  # input -> last known value
    cells: int | None = None  # in series, the most that were seen
    sensors: int = 0  # cell sensors, the most that were seen
    capacity: float | None = None  # Ah, as last known
    silent: bool = False  # did not answer at the last evaluation
    lost: bool = False  # went stale and has not yet given three good reads
    gone: bool = False  # and was lost meanwhile: what comes back may be another device
    blocked: bool = False  # it contributes nothing until it has given them
    safe: bool = True  # its cells were safe when it last answered
    charge_before: float | None = None  # A, what it was allowed when it went, or less as it said since
    discharge_before: float | None = None  # A
    company: frozenset[str] = frozenset()  # the other members when it went
    stored_soc: float | None = None  # %, the counter of an earlier run
    counted_ah: float | None = None  # Ah, the SoC counter
    counted_soc: float | None = None  # %, the same
    counted_at: float | None = None  # s, monotonic
    bms_soc: float | None = None  # %, by the BMS at that time
    empty_since: float | None = None  # s, monotonic: lowest cell at its minimum while discharging

    @property
    def soc_to_store(self) -> float | None:
        """%, of the counter; a counter that has not begun keeps what was stored."""
        return self.stored_soc if self.counted_soc is None else self.counted_soc


@dataclass(frozen=True, slots=True)
class Voltage:
    """The control voltage of the bank and its hold and ramp (limits.md 3.4)."""

    volts: float | None = None
    limited_at: float | None = None  # s, monotonic: last time a cell limited it
    base: float = 0.0  # V, at the end of the hold
    at: float | None = None  # s, monotonic, of the last evaluation


@dataclass(frozen=True, slots=True)
class Memory:
    """The whole state; Memory() is a gateway that starts for the first time."""

    allow_max: bool = True
    absorbing_since: float | None = None  # s, monotonic
    absorbing_wall: float | None = None  # s since the epoch, the same; kept so that it is stored unchanged
    absorbing_first: float | None = None  # s, monotonic: start that no imbalance moves, for the maximum time
    phase: str = ""  # the last charge mode; "" = none yet in this run
    transition_from: float = 0.0  # V, control voltage when float began
    transition_at: float = 0.0  # s, monotonic
    rebulk_since: float | None = None  # s, monotonic: cells apart
    soc_unsettled: bool = False  # full event below the re-bulk SoC: float until the SoC makes sense (Q9)
    voltage: Voltage = Voltage()
    reset_requested: bool = False
    reset_reached: float = 0.0  # s since the epoch; 0 = never
    first_start: float = 0.0  # s since the epoch, of the first run ever; 0 = this is its first evaluation
    last_full: float = 0.0  # s since the epoch
    full_events: int = 0
    soc: float | None = None  # %, last published
    force_charge: bool = False  # a charge from the grid is asked for
    batteries: Mapping[str, BatteryMemory] = field(default_factory=dict)
    blocked_since: float | None = None  # s, monotonic
    imbalance_since: float | None = None
    over_charge_since: float | None = None
    over_discharge_since: float | None = None
    history: History = field(default_factory=History)
    window: Window = field(default_factory=Window)
    current_average: float | None = None  # A
    timed_at: float | None = None  # s, monotonic: when time_to_go was worked out
    time_to_go: int | None = None  # s
    time_to_soc: Mapping[float, int | None] = field(default_factory=dict)  # SoC point -> s
    now: float = 0.0
    wall: float = 0.0

    def persisted(self) -> dict[str, Any]:
        """What a restart may know, as JSON."""
        return {
            "allow_max_voltage": self.allow_max,
            "max_voltage_start_time": self.absorbing_wall,
            "soc_unsettled": self.soc_unsettled,
            "soc_reset_requested": self.reset_requested,
            "force_charge": self.force_charge,
            "soc_reset_last_reached": self.reset_reached,
            "first_start": self.first_start,
            "last_full": self.last_full,
            "batteries": {
                name: {"soc_calc": battery.soc_to_store}
                for name, battery in self.batteries.items()
                if battery.soc_to_store is not None
            },
            "history": self.history.persisted(),
        }

    @classmethod
    def restore(cls, data: Mapping[str, Any], now: float, wall: float) -> "Memory":
        """Memory of an earlier run; whatever is absurd in `data` counts as not there."""
        data = data if isinstance(data, Mapping) else {}
        allow_max = data.get("allow_max_voltage") is not False
        started = _time(data.get("max_voltage_start_time"), wall)
        if started is None or wall - started > DAY or not allow_max:
            started = None
        absorbing = None if started is None else now - (wall - started)
        return cls(
            allow_max=allow_max,
            absorbing_since=absorbing,
            absorbing_wall=started,
            absorbing_first=absorbing,
            soc_unsettled=data.get("soc_unsettled") is True,
            reset_requested=data.get("soc_reset_requested") is True,
            force_charge=data.get("force_charge") is True,
            reset_reached=_time(data.get("soc_reset_last_reached"), wall) or 0.0,
            first_start=_time(data.get("first_start"), wall) or 0.0,
            last_full=_time(data.get("last_full"), wall) or 0.0,
            batteries=_batteries(data.get("batteries")),
            history=History.restore(data.get("history")),
            now=now,
            wall=wall,
        )


def _time(value: Any, wall: float) -> float | None:
    """A time in the past, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= wall else None  # NaN fails this, too


def _batteries(data: Any) -> dict[str, BatteryMemory]:
    """The SoC counters of an earlier run, those that can be."""
    found = {}
    for name, kept in data.items() if isinstance(data, Mapping) else ():
        soc = kept.get("soc_calc") if isinstance(kept, Mapping) else None
        if isinstance(soc, int | float) and not isinstance(soc, bool) and 0 <= soc <= 100:
            found[str(name)] = BatteryMemory(stored_soc=float(soc))
    return found
