"""The gateway's state as plain data (for scripts, `status --json`, `explain --json`) and as text for people."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.explain import inverter_lines, number, reason_lines
from gateway.model import (
    BankState,
    BatteryState,
    Cap,
    Decision,
    External,
    Extreme,
    Life,
    Reading,
    Snapshot,
)

Json = dict[str, Any]
VALUES: Final = tuple([name for name in Reading.__dataclass_fields__ if name not in ("rejected", "held", "untold")])
"""What a BMS says; what we make of it is told of the battery."""


def reading_json(reading: Reading) -> Json:
    """Canonical names -> values or None, in the order of the model; power is added."""
    values: Json = {}
    for name in VALUES:
        value = getattr(reading, name)
        values[name] = list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
        if name == "current":
            values["power"] = None if reading.power is None else round(reading.power, 4)
    return values


def snapshot_json(snapshot: Snapshot) -> Json:
    """Bank, batteries and decision of one Snapshot."""
    bank, decision = snapshot.bank, snapshot.decision
    return {
        "time": round(snapshot.wall, 3),
        "sequence": snapshot.sequence,
        "guard": snapshot.guard,
        "bank": {name: _plain(getattr(bank, name)) for name in BankState.__dataclass_fields__ if name != "batteries"},
        "decision": decision_json(decision),
        "remote": [limit.json(snapshot.at) for limit in snapshot.remote],
        "time_to_go": snapshot.time_to_go,
        "time_to_soc": {f"{point:g}": seconds for point, seconds in snapshot.time_to_soc.items()},
        "current_average": snapshot.current_average,
        "history": None if snapshot.life is None else _plain(snapshot.life),
        "batteries": [battery_json(state) for state in bank.batteries],
    }


def battery_json(state: BatteryState) -> Json:
    """One battery: what is known of its link, and its reading."""
    link = {
        field.name: _plain(getattr(state, field.name))
        for field in dataclasses.fields(state)
        if field.name not in ("reading", "counters")
    }
    if state.reading is None:
        return {**link, "counters": dict(state.counters), "rejected": {}, "untold": [], "reading": None}
    rejected, untold = dict(state.reading.rejected), list(state.reading.untold)
    reading = reading_json(state.reading)
    return {**link, "counters": dict(state.counters), "rejected": rejected, "untold": untold, "reading": reading}


def decision_json(decision: Decision) -> Json:
    """Limits with every cap of every rule."""
    values = {field.name: _plain(getattr(decision, field.name)) for field in dataclasses.fields(decision)}
    return {**values, "ccl_reason": list(decision.ccl_reason), "dcl_reason": list(decision.dcl_reason)}


def _plain(value: Any) -> Any:
    if isinstance(value, Cap | Extreme | External | Life):
        return {name: _plain(inner) for name, inner in dataclasses.asdict(value).items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, float):
        return round(value, 4)
    return getattr(value, "value", value)  # enums by their value


def status_lines(state: Json) -> Iterable[str]:
    """The whole state on a screen."""
    bank, decision = state.get("bank"), state.get("decision")
    if bank and decision:
        soc = decision["soc"] if decision["soc"] is not None else bank["soc"]
        yield (
            f"bank: {bank['health']}, {number(bank['voltage'], 'V')}, {number(bank['current'], 'A', 1)},"
            f" SoC {number(soc, '%', 1)}, {bank['online']} online, {bank['offline']} offline"
        )
        external = bank.get("external")
        if external and external["fault"]:
            yield f"external sensor: {external['fault']}; the BMSs' own values are used"
        if state.get("guard"):
            yield f"GUARD: {state['guard']}"
        yield (
            f"limits: CVL {number(decision['cvl'], 'V')}, CCL {number(decision['ccl'], 'A', 1)},"
            f" DCL {number(decision['dcl'], 'A', 1)}, {decision['charge_mode']}"
        )
        yield from reason_lines(decision)
        yield from (
            f"  {limit['source']} asks for {limit['key']} {limit['value']:g}, another {limit['seconds_left']} s"
            for limit in state.get("remote", ())
        )
        raised = {name: level for name, level in decision["alarms"].items() if level}
        if raised:
            words = {1: "warning", 2: "ALARM"}
            yield "alarms: " + ", ".join(f"{name} {words[level]}" for name, level in raised.items())
    elif state.get("waiting"):
        yield state["waiting"]
    for battery in state.get("batteries", ()):
        yield _battery_line(battery)
    if state.get("store"):
        yield f"state file: {state['store']}"
    for name, output in state.get("outputs", {}).items():
        problem = f", {output['problem']}" if output.get("problem") else ""
        yield f"output {name}: {'connected' if output.get('connected') else 'not connected'}{problem}"
        yield from inverter_lines(output)
        if address := output.get("address"):
            yield f"  the page is at {address}"
        if interface := output.get("interface"):
            yield f"  {output['bus']}: " + ", ".join(filter(None, (interface["summary"], interface["advice"])))
    if dropped := state.get("service", {}).get("log_lines_dropped"):
        yield f"log: {dropped} lines dropped, they could not be written in time"


def _battery_line(battery: Json) -> str:
    reading = battery["reading"] or {}
    cells = [value for value in reading.get("cell_voltages", ()) if value is not None]
    parts = [f"{battery['name']} ({battery['driver']}, {battery['connection']}): {battery['health']}"]
    if reading:
        parts.append(f"{number(reading['voltage'], 'V')}, {number(reading['current'], 'A', 1)}")
        parts.append(f"SoC {number(reading['soc'], '%', 1)}")
    if cells:
        parts.append(f"{len(cells)} cells {min(cells):.3f}..{max(cells):.3f} V")
    if battery["age"] is not None:
        parts.append(f"{battery['age']:.1f} s old")
    if battery.get("signal") is not None:
        parts.append(f"heard at {battery['signal']} dBm")
    if battery["remark"]:
        parts.append(battery["remark"])
    return ", ".join(parts)
