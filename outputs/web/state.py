"""Everything the page shows, as plain data: what lies at /api/state, and what the live stream carries."""

from collections.abc import Mapping
from typing import Any, Final

from gateway import VERSION
from gateway.explain import LIMITS, reasons
from gateway.model import Snapshot
from outputs.values import BANK, BATTERY, of_all, told
from outputs.values.live import LIFE

Json = dict[str, Any]
EARLY: Final = tuple(row for row in LIFE if "K" in row.where)
"""What is told of a bank of which not every battery has answered: nothing that anybody could act upon."""


def state(snapshot: Snapshot | None, now: float, house: Mapping[str, Any], identity: str, events: int) -> Json:
    """`now` [s, the clock's]; `house`: what `status --json` says; `events`: how many there have been."""
    about = {
        "gateway": {"version": VERSION, "id": identity, "events": events, "store": house.get("store", "")},
        "waiting": house.get("waiting", ""),
        "outputs": house.get("outputs", {}),
    }
    if snapshot is None:
        return {**about, "bank": None, "batteries": [], "limits": []}
    bank, batteries = of_all(snapshot, now)
    complete = snapshot.bank.complete
    values = told(bank, BANK if complete else EARLY)
    return {
        **about,
        "bank": values,
        "batteries": [told(battery, BATTERY) for battery in batteries],
        "limits": [_limit(name, unit, key, values) for name, unit, key in LIMITS] if complete else [],
    }


def _limit(name: str, unit: str, key: str, values: Mapping[str, Any]) -> Json:
    """A limit with what binds it; all its caps are among the bank's values."""
    caps = [cap for cap in values[f"{key}_caps"] if cap["value"] is not None]
    return {"name": name, "key": key, "unit": unit, "value": values[key], "binding": reasons(name, unit, caps)}
