"""What the limit logic remembers from one evaluation to the next; all of it frozen, a new one each time.

What survives a restart (limits.md chapter 12) is written with wall-clock times, because monotonic ones mean nothing
after it; absurd values are dropped one by one, never believed and never a crash.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.limits.history import History

DAY: Final = 86400.0  # s


@dataclass(frozen=True, slots=True)
class Recovery:
    """One current limit of one battery on its way back up (limits.md 4.3)."""

    amps: float | None = None  # A, published now
    rising_since: float | None = None  # s, monotonic: first evaluation whose target was higher
    base: float = 0.0  # A, at that time


@dataclass(frozen=True, slots=True)
class Seen:
    """The last known value of an input, and when it was known."""

    value: float
    at: float  # s, monotonic


@dataclass(frozen=True, slots=True)
class BatteryMemory:
    """What is remembered of one battery."""

    charge: Recovery = Recovery()
    discharge: Recovery = Recovery()
    seen: Mapping[str, Seen] = field(default_factory=dict)  # input -> last known value
    lost: bool = False  # went stale and has not yet given three good reads
    safe: bool = True  # its cells were safe when it went
    charge_before: float | None = None  # A, its own limit when it went
    discharge_before: float | None = None  # A
    stored_soc: float | None = None  # %, the counter of an earlier run
    counted_ah: float | None = None  # Ah, the SoC counter
    counted_soc: float | None = None  # %, the same
    counted_at: float | None = None  # s, monotonic
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
    absorbing_first: float | None = None  # s, monotonic: start that no imbalance moves, for the maximum time
    phase: str = ""  # the last charge mode; "" = none yet in this run
    transition_from: float = 0.0  # V, control voltage when float began
    transition_at: float = 0.0  # s, monotonic
    rebulk_since: float | None = None  # s, monotonic: cells apart
    soc_unsettled: bool = False  # full event below the re-bulk SoC: float until the SoC makes sense (Q9)
    voltage: Voltage = Voltage()
    reset_requested: bool = False
    reset_reached: float = 0.0  # s since the epoch; 0 = never
    last_full: float = 0.0  # s since the epoch
    full_events: int = 0
    soc: float | None = None  # %, last published
    batteries: Mapping[str, BatteryMemory] = field(default_factory=dict)
    blocked_since: float | None = None  # s, monotonic
    imbalance_since: float | None = None
    over_charge_since: float | None = None
    over_discharge_since: float | None = None
    history: History = field(default_factory=History)
    current_average: float | None = None  # A
    time_to_go: int | None = None  # s
    time_to_soc: Mapping[float, int] = field(default_factory=dict)  # SoC point -> s
    now: float = 0.0
    wall: float = 0.0

    def persisted(self) -> dict[str, Any]:
        """What a restart may know, as JSON."""
        started = None if self.absorbing_since is None else self.wall - (self.now - self.absorbing_since)
        return {
            "allow_max_voltage": self.allow_max,
            "max_voltage_start_time": started,
            "soc_reset_requested": self.reset_requested,
            "soc_reset_last_reached": self.reset_reached,
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
        started = _time(data.get("max_voltage_start_time"), wall)
        absorbing = None if started is None or wall - started > DAY else now - (wall - started)
        allow_max = data.get("allow_max_voltage")
        return cls(
            allow_max=allow_max if isinstance(allow_max, bool) else True,
            absorbing_since=absorbing,
            absorbing_first=absorbing,
            reset_requested=data.get("soc_reset_requested") is True,
            reset_reached=_time(data.get("soc_reset_last_reached"), wall) or 0.0,
            last_full=_time(data.get("last_full"), wall) or 0.0,
            batteries=_batteries(data.get("batteries")),
            history=History.restore(data.get("history")),
            now=now,
            wall=wall,
        )


def _time(value: Any, wall: float) -> float | None:
    """A time in the past, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 < value <= wall else None


def _batteries(data: Any) -> dict[str, BatteryMemory]:
    """The SoC counters of an earlier run, those that can be."""
    found = {}
    for name, kept in data.items() if isinstance(data, Mapping) else ():
        soc = kept.get("soc_calc") if isinstance(kept, Mapping) else None
        if isinstance(soc, int | float) and not isinstance(soc, bool) and 0 <= soc <= 100:
            found[str(name)] = BatteryMemory(stored_soc=float(soc))
    return found
