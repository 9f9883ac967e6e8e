"""What has happened lately, for people: health, alarms, charge modes, limits that went and came back, commands.

The newest few hundred are kept in memory; the log has them all.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal

from gateway.model import BatteryState, Health, Snapshot

Kind = Literal["battery", "alarm", "mode", "limits", "guard", "note", "command"]
KEPT: Final = 500
WORDS: Final = {0: "over", 1: "warning", 2: "ALARM"}
STANDING: Final = attrgetter("name", "health", "joined")  # of a battery
WEIGHT: Final = {Health.ONLINE: 0, Health.STARTING: 0, Health.STALE: 1, Health.LOST: 2}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    wall: float  # s since the epoch
    kind: Kind
    about: str  # a battery, an alarm, a limit
    text: str  # a sentence
    level: int = 0  # as alarms have it: 0 good to know, 1 warning, 2 alarm


class Events:
    """The newest events, the oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._before: Snapshot | None = None
        self.count = 0  # of all that ever were: tells a reader whether there is something new

    def __iter__(self) -> Iterator[Event]:
        return iter(self._kept)

    def add(self, event: Event) -> None:
        """Note one."""
        self._kept.append(event)
        self.count += 1

    def look(self, snapshot: Snapshot) -> None:
        """Note what has changed since the last Snapshot."""
        before, self._before = self._before, snapshot
        if before is not None:
            for event in changes(before, snapshot):
                self.add(event)


def story(snapshot: Snapshot) -> tuple[object, ...]:
    """Of a Snapshot what `changes` asks for, and the evidence: while it is the same, nothing has happened."""
    bank, decision = snapshot.bank, snapshot.decision
    return (
        tuple(map(STANDING, bank.batteries)), bank.complete, decision.alarms, decision.charge_mode,
        decision.ccl > 0.0, decision.dcl > 0.0, snapshot.guard,
        object() if decision.notes else None,  # a note is always new
    )  # fmt: skip


def changes(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    """What is worth a line between two Snapshots."""
    yield from _batteries(before, after)
    if before.decision.alarms != after.decision.alarms:
        yield from _alarms(before, after)
    if before.decision.charge_mode != after.decision.charge_mode:
        text = f"{before.decision.charge_mode} -> {after.decision.charge_mode}"
        yield Event(after.wall, "mode", "charge mode", text.replace("_", " "))
    if after.bank.complete:
        yield from _limits(before, after)
    if before.guard != after.guard:
        yield Event(after.wall, "guard", "guard", after.guard or "the limits keep all invariants again",
                    2 if after.guard else 0)  # fmt: skip
    for note in after.decision.notes:
        yield Event(after.wall, "note", "bank", note)


def _batteries(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    known = {battery.name: battery for battery in before.bank.batteries}
    for battery in after.bank.batteries:
        old = known.get(battery.name)
        if old is None or (old.health is battery.health and old.joined == battery.joined):
            continue
        level = max(WEIGHT[battery.health], int(not battery.joined))
        yield Event(after.wall, "battery", battery.name, _condition(battery), level)


def _condition(battery: BatteryState) -> str:
    words = battery.health.value if battery.joined else f"{battery.health.value}, kept out of the bank"
    return f"{words}: {battery.remark}" if battery.remark else words


def _alarms(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    was, now = before.decision.alarms, after.decision.alarms
    for name in dict.fromkeys((*was, *now)):
        if (level := now.get(name, 0)) != was.get(name, 0):
            yield Event(after.wall, "alarm", name, f"{name.replace('_', ' ')}: {WORDS.get(level, level)}", level)


def _limits(before: Snapshot, after: Snapshot) -> Iterator[Event]:
    """Only when a direction is closed or opened: ramps would drown all else."""
    for name, was, now, caps in (
        ("charge", before.decision.ccl, after.decision.ccl, after.decision.ccl_caps),
        ("discharge", before.decision.dcl, after.decision.dcl, after.decision.dcl_caps),
    ):
        if (was > 0.0) == (now > 0.0) and before.bank.complete:
            continue
        why = next((cap.why for cap in caps if cap.value <= 0.0), "")
        text = f"{name} current {now:.1f} A" + (f": {why}" if why else "")
        yield Event(after.wall, "limits", name, text, 0 if now > 0.0 else 1)
