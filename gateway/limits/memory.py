"""What the limit logic remembers from one evaluation to the next; all of it frozen, a new one each time.

What survives a restart (limits.md chapter 12) is written with dates of the gateway's own calendar, because monotonic
times mean nothing after it; absurd values are dropped one by one, never believed and never a crash.  The time off
counts for days and for nothing else: nobody looked, so no absorption went on and no hold ran out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.limits.calendar import Calendar, date_in, moved, passed, resumed
from gateway.limits.flow import Window
from gateway.limits.history import History
from gateway.model.records import replace

DAY: Final = 86400.0  # s
LONG_AGO: Final = -float("inf")  # s, monotonic
MOST: Final = 1e6  # no voltage and no current of ours gets so far


class Seen(NamedTuple):
    """The last known value of each input, and when it was known [s, monotonic]."""

    values: Mapping[str, float]  # of those that were known when the battery was looked at last
    at: float  # when that was
    older: Mapping[str, tuple[float, float]]  # of the others: value and time

    def last(self, name: str) -> tuple[float, float] | None:
        """Value and time of one input; None = it was never known."""
        return (self.values[name], self.at) if name in self.values else self.older.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all inputs that were ever known."""
        return (*self.values, *self.older)


NOTHING_SEEN: Final = Seen({}, 0.0, {})


@dataclass(frozen=True)
class Recovery:
    """One current limit of one battery on its way back up (limits.md 4.3)."""

    amps: float | None = None  # A, allowed now
    rising_since: float | None = None  # s, monotonic: first evaluation whose target was higher
    base: float = 0.0  # A, at that time
    target: float | None = None  # A, what the rules allow, without hold and ramp
    apart: bool = False  # was left out of the bank (lost, switch open) and is not yet back at its target


@dataclass(frozen=True)
class BatteryMemory:
    """What is remembered of one battery."""

    charge: Recovery = Recovery()
    discharge: Recovery = Recovery()
    seen: Seen = NOTHING_SEEN
    cells: int | None = None  # in series, the most that were seen
    sensors: int = 0  # cell sensors, the most that were seen
    capacity: float | None = None  # Ah, as last known
    silent: bool = False  # did not answer at the last evaluation
    lost: bool = False  # went stale and has not yet given three good reads
    gone: bool = False  # and was lost meanwhile: what comes back may be another device
    back: "BatteryMemory | None" = None  # what that one has shown since it answers
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

    def persisted(self) -> dict[str, Any]:
        """What a restart may know: the counter, the limits that hold and ramp start from, what a silent one bounds."""
        kept: dict[str, Any] = {
            "soc_calc": self.soc_to_store, "charge": self.charge.amps, "discharge": self.discharge.amps,
        }  # fmt: skip
        if self.lost:
            kept |= {
                "lost": True, "blocked": self.blocked, "capacity": self.capacity, "company": sorted(self.company),
                "charge_before": self.charge_before, "discharge_before": self.discharge_before,
            }  # fmt: skip
        return {name: value for name, value in kept.items() if value is not None}


@dataclass(frozen=True)
class Voltage:
    """The control voltage of the bank and its hold and ramp (limits.md 3.4)."""

    volts: float | None = None
    limited_at: float | None = None  # s, monotonic: last time a cell limited it
    base: float = 0.0  # V, at the end of the hold
    at: float | None = None  # s, monotonic, of the last evaluation
    over_since: float | None = None  # s, monotonic: a cell clearly above its limit, and nothing lower told since


@dataclass(frozen=True)
class Memory:
    """The whole state; Memory() is a gateway that starts for the first time."""

    allow_max: bool = True
    absorbing_since: float | None = None  # s, monotonic
    absorbing_first: float | None = None  # s, monotonic: start that no imbalance moves, for the maximum time
    fallen_since: float | None = None  # s, monotonic: absorbing, but the voltage is not there
    phase: str = ""  # the last charge mode; "" = none yet in this run
    transition_from: float = 0.0  # V, control voltage when float began
    transition_at: float = 0.0  # s, monotonic
    rebulk_since: float | None = None  # s, monotonic: cells apart
    together: bool = False  # in this float the cells were once nearer than the re-bulk difference
    soc_unsettled: bool = False  # full event below the re-bulk SoC: float until the SoC makes sense (Q9)
    voltage: Voltage = Voltage()
    reset_requested: bool = False
    reset_reached: float = 0.0  # date; 0 = never
    first_start: float = 0.0  # date of the first run ever; 0 = this is its first evaluation
    last_full: float = 0.0  # date
    full_events: int = 0
    soc: float | None = None  # %, last published
    force_charge: bool = False  # a charge from the grid is asked for
    high_soc_at: float = 0.0  # date when the SoC was last high enough to count as full; 0 = never
    batteries: Mapping[str, BatteryMemory] = field(default_factory=dict)
    remote_charge: Recovery = Recovery()  # what limits from outside leave of the bank's, and let go of
    remote_discharge: Recovery = Recovery()
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
    calendar: Calendar = field(default_factory=Calendar)
    now: float = 0.0

    @property
    def date(self) -> float:
        """s since the epoch, by the gateway's own calendar."""
        return self.calendar.date

    def at(self, now: float, wall: float, looked: float) -> "Memory":
        """The same at another time: the calendar runs on, and dates noted in doubt move with it.

        `looked` [s, monotonic]: when it was looked before that.
        """
        calendar, by = passed(self.calendar, now, wall)
        if not by:
            return replace(self, calendar=calendar, now=looked)
        history = replace(self.history, last_full_charge=moved(self.history.last_full_charge, self.calendar, by))
        return replace(
            self,
            now=looked,
            calendar=calendar,
            reset_reached=moved(self.reset_reached, self.calendar, by),
            first_start=moved(self.first_start, self.calendar, by),
            last_full=moved(self.last_full, self.calendar, by),
            high_soc_at=moved(self.high_soc_at, self.calendar, by),
            history=history,
        )

    def renamed(self, names: Mapping[str, str]) -> "Memory":
        """The same, where batteries are called otherwise now: old name -> new."""
        if not names:
            return self
        batteries = {called(name, names): _accompanied(kept, names) for name, kept in self.batteries.items()}
        return replace(self, batteries=batteries)

    @property
    def silent(self) -> dict[str, float | None]:
        """Ah as last known, by name, of those that went and have not proven themselves since."""
        return {name: kept.capacity for name, kept in self.batteries.items() if kept.lost}

    def persisted(self) -> dict[str, Any]:
        """What a restart may know, as JSON."""
        return {
            "date": round(self.date, 3),
            "date_doubted_from": self.calendar.doubted_from,
            "allow_max_voltage": self.allow_max,
            "max_voltage_start_time": self._dated(self.absorbing_since),
            "max_voltage_first_time": self._dated(self.absorbing_first),
            "limited_voltage": self.voltage.volts if self.voltage.limited_at is not None else None,
            "soc_unsettled": self.soc_unsettled,
            "soc_reset_requested": self.reset_requested,
            "force_charge": self.force_charge,
            "soc_reset_last_reached": self.reset_reached,
            "first_start": self.first_start,
            "last_full": self.last_full,
            "high_soc_at": self.high_soc_at,
            "batteries": {name: kept for name, battery in self.batteries.items() if (kept := battery.persisted())},
            "history": self.history.persisted(),
        }

    def _dated(self, since: float | None) -> float | None:
        """The date of a moment of the monotonic clock."""
        return None if since is None else round(self.date - (self.now - since), 3)

    @classmethod
    def restore(cls, data: Mapping[str, Any], now: float, wall: float, *, forgotten: bool = False) -> "Memory":
        """Memory of an earlier run; whatever is absurd in `data` counts as not there.

        forgotten  there was such a run, but what it knew cannot be read: not known is not "never"
        """
        data = data if isinstance(data, Mapping) else {}
        history = History.restore(data.get("history"))
        stored = date_in(data.get("date"))
        known = [date_in(data.get(name)) or 0.0 for name in DATES]
        date = max(stored or 0.0, history.last_full_charge, *known) or (wall if forgotten else 0.0)
        allow_max = data.get("allow_max_voltage") is not False
        absorbed = _absorbed(data, "max_voltage_start_time", stored) if allow_max else None
        longest = _absorbed(data, "max_voltage_first_time", stored)
        volts = _number(data.get("limited_voltage"))
        return cls(
            allow_max=allow_max,
            absorbing_since=None if absorbed is None else now - absorbed,
            absorbing_first=None if absorbed is None else now - max(absorbed, longest or 0.0),
            fallen_since=None if absorbed is None else LONG_AGO,
            voltage=Voltage() if volts is None else Voltage(volts=volts, limited_at=now, base=volts, at=now),
            soc_unsettled=data.get("soc_unsettled") is True,
            reset_requested=data.get("soc_reset_requested") is True,
            force_charge=data.get("force_charge") is True,
            reset_reached=date if forgotten else _date(data.get("soc_reset_last_reached"), date),
            first_start=date if forgotten else _date(data.get("first_start"), date),
            last_full=_date(data.get("last_full"), date),
            high_soc_at=_date(data.get("high_soc_at"), date),
            batteries=_batteries(data.get("batteries"), now),
            history=history,
            calendar=resumed(date, _doubt(data), now, wall) if date else Calendar(),
            now=now,
        )


def called(name: str, names: Mapping[str, str]) -> str:
    """What the battery `name` is called by `names` (old -> new); of a pack behind a device, as "rack/2"."""
    device, slash, pack = name.partition("/")
    return f"{names.get(device, device)}{slash}{pack}"


def _accompanied(kept: BatteryMemory, names: Mapping[str, str]) -> BatteryMemory:
    """With the new names of those that shared with it."""
    return replace(kept, company=frozenset([called(name, names) for name in kept.company]))


DATES: Final = ("soc_reset_last_reached", "first_start", "last_full", "high_soc_at", "max_voltage_start_time")
"""Stored dates; the calendar goes on at the latest of them at least."""


def _date(value: Any, date: float) -> float:
    """A stored date; 0 = never.  One that is absurd is not known, so that its days count from now on."""
    if value is None or (value == 0 and not isinstance(value, bool)):
        return 0.0
    return date_in(value) or date


def _doubt(data: Mapping[str, Any]) -> float | None:
    """Since when a time off may be missing in the stored date; None = it was known."""
    doubted = data.get("date_doubted_from")
    return None if doubted is None else date_in(doubted) or 0.0


def _absorbed(data: Mapping[str, Any], name: str, stored: float | None) -> float | None:
    """s of absorption until the state was stored (0 where that is not known); None = no absorption, or absurd."""
    started = date_in(data.get(name))
    if started is None:
        return None
    seconds = 0.0 if stored is None else stored - started
    return seconds if 0 <= seconds <= DAY else None


def _number(value: Any) -> float | None:
    """A number from 0 on, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MOST else None  # NaN fails this, too


def _lost(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a battery that was silent when the run ended: it is so until it has proven itself, and may be another one."""
    company = values.get("company")
    return {
        "lost": True,
        "gone": True,
        "blocked": values.get("blocked") is not False,
        "charge_before": _number(values.get("charge_before")),
        "discharge_before": _number(values.get("discharge_before")),
        "capacity": _number(values.get("capacity")) or None,
        "company": frozenset(map(str, company)) if isinstance(company, list) else frozenset(),
    }


def _batteries(data: Any, now: float) -> dict[str, BatteryMemory]:
    """The SoC counters and last limits of an earlier run, those that can be, and who was silent."""
    found = {}
    for name, kept in data.items() if isinstance(data, Mapping) else ():
        values = kept if isinstance(kept, Mapping) else {}
        soc = _number(values.get("soc_calc"))
        battery = BatteryMemory(
            stored_soc=soc if soc is not None and soc <= 100 else None,
            charge=Recovery(_number(values.get("charge"))),
            discharge=Recovery(_number(values.get("discharge"))),
            **(_lost(values) if values.get("lost") is True else {}),
        )
        if battery != BatteryMemory():
            found[str(name)] = battery
    return found
