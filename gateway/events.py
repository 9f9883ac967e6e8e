"""What changed, in sentences: the same for a running gateway and for one that is played again from a report."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from gateway.model import BatteryState, Health, Snapshot

KEPT: Final = 500
LEVELS: Final = ("over", "a warning", "an ALARM")
SILENT: Final = (Health.STALE, Health.LOST)


class Events:
    """Compares each Snapshot with the one before."""

    def __init__(self) -> None:
        self.noted: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._before: Snapshot | None = None

    def look(self, snapshot: Snapshot) -> str:
        """Note what is new; returns why it should not be forgotten, "" = nothing of that kind."""
        before, self._before = self._before, snapshot
        if before is None:
            return ""
        for what in _changes(before, snapshot):
            self.noted.append({"when": round(snapshot.wall, 3), "monotonic": round(snapshot.at, 3), "what": what})
        return next(_alarming(before, snapshot), "")


def _changes(old: Snapshot, new: Snapshot) -> Iterator[str]:
    if new.bank.complete and not old.bank.complete:
        yield "every battery is known, the outputs may speak"
    yield from _of_batteries(old, new)
    for name, level in new.decision.alarms.items():
        if level != old.decision.alarms.get(name, 0):
            yield f"{name}: {LEVELS[level]}"
    if new.decision.charge_mode != old.decision.charge_mode:
        yield f"charge mode {old.decision.charge_mode} -> {new.decision.charge_mode}"
    for limit in ("ccl", "dcl"):
        was, now = getattr(old.decision, limit), getattr(new.decision, limit)
        if (was == 0) is not (now == 0):
            why = ", ".join(getattr(new.decision, f"{limit}_reason"))
            yield f"{limit.upper()} {was:g} -> {now:g} A ({why})"
    if new.guard != old.guard:
        yield f"guard: {new.guard or 'the limits keep all invariants again'}"


def _of_batteries(old: Snapshot, new: Snapshot) -> Iterator[str]:
    known = {state.name: state for state in old.bank.batteries}
    for state in new.bank.batteries:
        before = known.get(state.name)
        if before is None or before.health is not state.health:
            was = before.health.value if before else "new"
            yield f"{state.name}: {was} -> {state.health.value}{_why(state)}"
        if before is not None and before.joined is not state.joined:
            yield f"{state.name}: {'takes part in the bank' if state.joined else 'kept out of the bank'}{_why(state)}"
    for name in known.keys() - {state.name for state in new.bank.batteries}:
        yield f"{name}: not read any more"


def _why(state: BatteryState) -> str:
    return f" ({state.remark})" if state.remark else ""


def _alarming(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """What somebody will want to look at."""
    known = {state.name: state.health for state in old.bank.batteries}
    for state in new.bank.batteries:
        if state.health in SILENT and known.get(state.name) is Health.ONLINE:
            yield f"{state.name} {state.health.value}"
    for name, level in new.decision.alarms.items():
        if level > old.decision.alarms.get(name, 0):
            yield f"{name} {level}"
    if new.guard and not old.guard:
        yield "guard"
