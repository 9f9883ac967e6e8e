"""Where the values of the list come from: functions of a Subject, before anything is rounded."""

import math
from collections.abc import Mapping, Sequence

from gateway.model import Cap, Extreme, Reading
from outputs.values.value import Field, Keyed, Source, Subject
from outputs.view import SAID_AT_MOST


def seen(name: str) -> Field:
    """A value that bank and battery have alike."""
    return Field(name)


def limit(name: str) -> Field:
    """A limit, fit to be obeyed."""
    return Field(f"limits.{name}")


def snapshot_has(name: str) -> Source:
    """A field of the Snapshot."""
    return lambda subject: getattr(subject.snapshot, name)


def bank_has(name: str) -> Source:
    """A field of the BankState."""
    return lambda subject: getattr(subject.snapshot.bank, name)


def decided(name: str) -> Source:
    """A field of the Decision."""
    return lambda subject: getattr(subject.snapshot.decision, name)


def link(name: str) -> Source:
    """A field of the BatteryState."""
    return lambda subject: getattr(subject.state, name)


def reading_has(name: str) -> Source:
    """A field of a battery's last reading."""
    return lambda subject: getattr(_reading(subject), name)


def identity(name: str) -> Field:
    """What it is, and how it is reached."""
    return Field(f"about.{name}")


def external(name: str) -> Source:
    """What the sensor outside says, where there is one."""
    return lambda subject: getattr(subject.snapshot.bank.external, name, None)


def of_bms(name: str) -> Field:
    """What the BMSs say themselves, where something else counts."""
    return Field("bms", name)


def lived(name: str) -> Field:
    """A figure of the history; None until there is one, for a counter that begins at 0 anew would be counted twice."""
    return Field("life", name)


def alarm(name: str) -> Field:
    """An alarm's level."""
    return Keyed("alarms", name)


def extreme(name: str) -> Field:
    """The value of a highest or lowest one."""
    return Field(name, "value")


def place(name: str) -> Source:
    """Where a highest or lowest value is: "rack-1:3"; only the battery where nobody knows which cell."""

    def of(subject: Subject) -> str | None:
        found: Extreme | None = getattr(subject.view, name)
        if found is None:
            return None
        owner = _only_battery(subject)
        if not owner:
            return found.where or None
        number = found.where[1:]  # C3, T2, as Victron writes it
        return f"{owner}:{number}" if number else owner

    return of


def _only_battery(subject: Subject) -> str:
    if subject.state is not None:
        return subject.state.name
    members = [battery.name for battery in subject.snapshot.bank.batteries if battery.control]
    return members[0] if len(members) == 1 else ""


def remaining(subject: Subject) -> float | None:
    """Ah, by the SoC where nobody counts them."""
    view = subject.view
    if view.remaining_capacity is not None or view.capacity is None or view.soc is None:
        return view.remaining_capacity
    return view.capacity * view.soc / 100.0


def cell_difference(subject: Subject) -> float | None:
    """V between the lowest and the highest cell."""
    if subject.state is None:
        ends = subject.snapshot.bank.min_cell, subject.snapshot.bank.max_cell
        low, high = [None if end is None else end.value for end in ends]
    else:
        low, high = _reading(subject).min_cell, _reading(subject).max_cell
    return None if low is None or high is None else high - low


def cells_sum(subject: Subject) -> float | None:
    """V that the cells that are listed add up to; None unless every one is known."""
    known = [volts for volts in subject.view.single.cell_voltages if volts is not None]
    return sum(known) if known and len(known) == len(subject.view.single.cell_voltages) else None


def charge_cycles(subject: Subject) -> float | None:
    """The BMS's count, else ours."""
    own = subject.view.charge_cycles
    return own if own is not None or subject.view.life is None else subject.view.life.charge_cycles


def blocked_for(subject: Subject) -> float | None:
    """s since loss of a BMS keeps the limits at 0; None while it does not."""
    since = subject.snapshot.decision.blocked_since
    return None if since is None else max(0.0, subject.snapshot.at - since)


def sentence(name: str) -> Source:
    """The sentences of the caps that make a limit."""

    def of(subject: Subject) -> str:
        offered: Sequence[Cap] = getattr(subject.snapshot.decision, f"{name}_caps")
        least = min((cap.value for cap in offered), default=0.0)
        said = dict.fromkeys(cap.why for cap in offered if cap.value <= least + 1e-9)
        return "; ".join(said)[:SAID_AT_MOST]

    return of


def caps(name: str) -> Source:
    """Every cap of a limit, the tightest first."""

    def of(subject: Subject) -> list[dict[str, object]]:
        offered: Sequence[Cap] = getattr(subject.snapshot.decision, name)
        return [_cap(cap) for cap in sorted(offered, key=lambda cap: cap.value)]

    return of


def _cap(cap: Cap) -> dict[str, object]:
    value = round(cap.value, 4) if math.isfinite(cap.value) else None
    return {"value": value, "rule": cap.rule, "why": cap.why, "setting": cap.setting, "battery": cap.battery}


def switches(subject: Subject) -> Mapping[str, bool | None]:
    """What of the BMS's switches conducts."""
    reading = _reading(subject)
    return {way: getattr(reading, f"{way}_allowed") for way in ("charge", "discharge", "balance")}


def _reading(subject: Subject) -> Reading:
    return (subject.state.reading if subject.state is not None else None) or Reading()
