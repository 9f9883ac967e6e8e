"""Values as JSON, as MQTT carries them: every key each time, null for what is not known.  Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.model.restriction import BOUNDS, tightest_of
from outputs.values import BANK, BATTERY, told
from outputs.values.value import Subject, Told, Value

LONGEST: Final = 250  # characters of a text; Home Assistant takes 255
TABLES: Final = {"cvl_caps": "cvl", "ccl_caps": "ccl", "dcl_caps": "dcl"}  # told in `explain`
ELSEWHERE: Final = frozenset({*TABLES, "remote_asked"})
RESTLESS: Final = frozenset({"age", "time", "sequence", "remote_left", "remote_seconds", "counters", "good_in_a_row"})
"""Values that change all the time; they alone are no reason to send."""
_BANK: Final = tuple(row for row in BANK if row.name not in ELSEWHERE)

ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

State = dict[str, Any]


def bank_state(bank: Subject) -> State:
    """What is said of the bank, limits from outside included."""
    asked = tightest_of(bank.snapshot.remote)
    return {**_plain(told(bank, _BANK), _BANK), **{f"remote_{key}": asked.get(key) for key in BOUNDS}}


def battery_state(battery: Subject) -> State:
    """What is said of one battery."""
    return _plain(told(battery, BATTERY), BATTERY)


def explain_state(bank: Subject) -> State:
    """Every cap of every limit."""
    rows = [row for row in BANK if row.name in TABLES]
    return {TABLES[name]: value for name, value in told(bank, rows).items()}


def payload(state: Mapping[str, Any]) -> bytes:
    """As it travels."""
    return ENCODER.encode(state).encode()


def lasting(state: Mapping[str, Any]) -> State:
    """Without what changes all the time."""
    return {name: value for name, value in state.items() if name not in RESTLESS}


def _plain(values: Mapping[str, Told], rows: tuple[Value, ...]) -> State:
    """As JSON has it."""
    state: State = {name: value[:LONGEST] if isinstance(value, str) else value for name, value in values.items()}
    for row in rows:
        if row.kind == "moment" and isinstance(at := state[row.name], int | float):
            state[row.name] = moment(at)
    return state


def moment(epoch: float) -> str | None:
    """ISO 8601 with its zone; None for what is no date."""
    try:
        return datetime.fromtimestamp(round(epoch), UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return None
