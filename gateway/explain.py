"""Why the limits are what they are, for people: what binds, what would lift it, then everything else.

Works on the state as plain data (`gateway.report`), so on the running gateway's answer as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Json = dict[str, Any]

LIMITS: Final = (("CVL", "V", "cvl"), ("CCL", "A", "ccl"), ("DCL", "A", "dcl"))
GIVEN: Final = ("config", "bms_limit")  # what a table takes its share of
TABLES: Final = ("cell_voltage", "temperature", "mosfet_temperature", "soc")
PLACES: Final = {"bms_limit": "set in the BMS itself", "bms_switch": "the BMS's own switch"}
LIFTED: Final[Mapping[str, str]] = {  # rule, or rule and limit: what would lift its cap
    "bms_limit": "when the BMS asks for more",
    "recovery": "by itself, with time",
    "silent": "when the battery answers again",
    "any_blocks": "when the battery named is back and allows it",
    "no_battery": "when a battery takes part again",
    "sum": "when one of the batteries allows more",
    "remote": "when its time is over, or by whoever asked for it; `bms-gateway restrict --clear` ends it at once",
    "mosfet_temperature": "as the MOSFETs cool",
    "missing_data": "when the BMS tells it again",
    "soc_reset": "at the end of this charge",
    "float_transition": "when bulk begins again",
    "float": "when bulk begins again",
    "cell_voltage CVL": "as the highest cell falls",
    "cell_voltage CCL": "as the highest cell falls",
    "cell_voltage DCL": "as the lowest cell rises",
    "soc CCL": "as the SoC falls",
    "soc DCL": "as the SoC rises",
    "bms_switch CCL": "when the BMS closes it: its protection ends, or `bms-gateway command charge on`",
    "bms_switch DCL": "when the BMS closes it: its protection ends, or `bms-gateway command discharge on`",
}


def number(value: float | None, unit: str, digits: int = 2) -> str:
    """A figure with its unit; "not known" for None."""
    return "not known" if value is None else f"{value:.{digits}f} {unit}"


def binding(caps: Sequence[Json]) -> list[Json]:
    """The caps that make the limit: the smallest, without tables that merely give all of what they share out."""
    least = min((cap["value"] for cap in caps), default=0.0)
    smallest = [cap for cap in caps if cap["value"] <= least + 1e-9]
    given = {cap["battery"] for cap in smallest if cap["rule"] in GIVEN}
    return [cap for cap in smallest if cap["rule"] not in TABLES or cap["battery"] not in given]


def lifted(name: str, cap: Json) -> str:
    """What would lift the cap of the limit called `name`; "" where nobody can tell."""
    rule, why = cap["rule"], cap["why"]
    if why.startswith("missing data"):
        return LIFTED["missing_data"]
    if rule in ("config", "bank_limit"):
        return f"by you, in {cap['setting']}"
    if rule == "temperature":
        return "as the battery warms" if why.startswith("coldest") else "as the battery cools"
    return LIFTED.get(f"{rule} {name}") or LIFTED.get(rule, "")


def explain_lines(state: Json) -> Iterable[str]:
    """Every rule's cap with the settings key behind it, what binds first, and what the machine waits for."""
    if not state.get("decision"):
        yield "no decision yet: " + (state.get("waiting") or "no battery has answered so far")
        return
    decision = state["decision"]
    if state.get("guard"):
        yield f"GUARD: {state['guard']}"
    yield f"charge mode: {decision['charge_mode']}"
    for name, unit, key in LIMITS:
        yield ""
        yield f"{name} {number(decision[key], unit)}"
        yield from _cap_lines(name, unit, decision[f"{key}_caps"])
    if len({cap["battery"] for cap in decision["ccl_caps"] if cap["battery"]}) > 1:
        yield ""
        yield "a battery's cap is shown as what the bank may have: its own limit divided by its share of the capacity"
    if decision["waiting"]:
        yield ""
        yield "waiting for"
        yield from (f"  {line}" for line in decision["waiting"])
    for name, output in state.get("outputs", {}).items():
        if output.get("otherwise"):
            yield ""
            yield f"output {name}"
            yield from _otherwise(output)


def reason_lines(decision: Json) -> Iterable[str]:
    """One line a limit: what binds it, and what would lift it."""
    for name, unit, key in LIMITS:
        for cap in reasons(name, unit, decision[f"{key}_caps"]):
            lifting = f"; {cap['lifting']}" if cap["lifting"] else ""
            yield f"  {name} {number(decision[key], unit)} by {_said(cap)}{lifting}"


def reasons(name: str, unit: str, caps: Sequence[Json]) -> list[Json]:
    """The caps that bind the limit called `name`, each with `lifting`: what would lift it, and what binds next."""
    return [{**cap, "lifting": _lifting(name, unit, cap, caps)} for cap in _together(binding(caps))]


def inverter_lines(output: Json) -> Iterable[str]:
    """What an output knows of its inverter, and what it tells it otherwise than decided."""
    if "inverter" in output:
        said = output["inverter_reports"].items()
        reports = ", ".join(f"{key.removeprefix('inverter_')} {value:g}" for key, value in said)
        yield f"  inverter {output['towards']}: {output['inverter']}".replace(" :", ":") + (
            f"; {reports}" if reports else ""
        )
    yield from _otherwise(output)


def _otherwise(output: Json) -> Iterable[str]:
    for change in output.get("otherwise", ()):
        what = change["key"].replace("_", " ")
        yield f"  {what}: {_told(change['sent'])} is sent, decided {_told(change['decided'])}; {change['why']}"


def _told(value: object) -> str:
    return "nothing" if value is None else f"{value:.10g}" if isinstance(value, int | float) else str(value)


def _cap_lines(name: str, unit: str, caps: Sequence[Json]) -> Iterable[str]:
    first = binding(caps)
    for cap in _together(first):
        yield f"  -> {number(cap['value'], unit):>10}  {_said(cap)}{_where(cap)}"
        if lifting := _lifting(name, unit, cap, caps):
            yield f"{'':17}{lifting}"
    rest = [cap for cap in caps if cap not in first]
    for cap in _together(sorted(rest, key=lambda cap: (cap["value"], cap["rule"]))):
        yield f"     {number(cap['value'], unit):>10}  {_said(cap)}{_where(cap)}"


def _together(caps: Sequence[Json]) -> list[Json]:
    """Caps that say the same of several batteries, as one that names them all."""
    same: dict[tuple[Any, ...], list[str]] = {}
    for cap in caps:
        same.setdefault((cap["value"], cap["rule"], cap["why"], cap["setting"]), []).append(cap["battery"])
    return [
        {"value": value, "rule": rule, "why": why, "setting": setting, "battery": ", ".join(filter(None, batteries))}
        for (value, rule, why, setting), batteries in same.items()
    ]


def _said(cap: Json) -> str:
    about = f" [{cap['battery']}]" if cap["battery"] else ""
    return f"{cap['rule']}{about}: {cap['why']}"


def _where(cap: Json) -> str:
    place = cap["setting"] or PLACES.get(cap["rule"], "")
    return f"  ({place})" if place else ""


def _lifting(name: str, unit: str, cap: Json, caps: Sequence[Json]) -> str:
    """What would lift a cap that binds, and which would be the next to bind."""
    how = lifted(name, cap)
    others = [other for other in caps if other["value"] > cap["value"] + 1e-9]
    following = min(others, key=lambda other: other["value"], default=None)
    then = f"next is {number(following['value'], unit)} by {following['rule']}" if following else ""
    return "; ".join(filter(None, (f"lifted {how}" if how else "", then)))
