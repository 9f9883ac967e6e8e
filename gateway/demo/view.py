"""The live terminal view: packs, cells, limits with their reasons, and what leaves the house."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.explain import binding, number

Json = Mapping[str, Any]
LEAST_SPAN = 0.016  # V between the shortest and the tallest bar: less is the noise of a BMS
BARS = "▁▂▃▄▅▆▇█"
COLOURS = {"online": "green", "starting": "yellow", "stale": "dark_orange", "lost": "red"}


def screen(state: Json, title: str) -> RenderableType:
    """The whole state as one screen of text."""
    parts: list[RenderableType] = [_bank(state), _batteries(state.get("batteries", ()))]
    if state.get("decision"):
        parts.append(_limits(state["decision"]))
    parts.append(_outputs(state.get("outputs", {})))
    return Panel(Group(*parts), title=f"bms-gateway: {title}", border_style="cyan")


def _bank(state: Json) -> RenderableType:
    bank, decision = state.get("bank"), state.get("decision")
    if not bank or not decision:
        return Text(state.get("waiting") or "starting ...", style="yellow")
    soc = decision["soc"] if decision["soc"] is not None else bank["soc"]
    line = Text()
    line.append(f"{number(soc, '%', 1):>9}", style="bold")
    line.append(f"  {number(bank['voltage'], 'V')}  {number(bank['current'], 'A', 1)}  {number(bank['power'], 'W', 0)}")
    line.append(f"   {bank['online']} online, {bank['offline']} offline")
    if state.get("waiting"):
        line.append(f"   {state['waiting']}", style="yellow")
    raised = [f"{name} {level}" for name, level in decision["alarms"].items() if level]
    if raised:
        line.append("   ALARMS " + ", ".join(raised), style="bold red")
    return line


def _batteries(batteries: Sequence[Json]) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    for heading in ("battery", "state", "V", "A", "SoC", "°C", "cells", "frames"):
        table.add_column(heading, no_wrap=True)
    for battery in batteries:
        reading = battery["reading"] or {}
        counters = battery["counters"]
        table.add_row(
            f"{battery['name']} [dim]{battery['driver']}[/dim]",
            Text(battery["health"], style=COLOURS[battery["health"]]),
            number(reading.get("voltage"), "").strip(),
            number(reading.get("current"), "", 1).strip(),
            number(reading.get("soc"), "", 1).strip(),
            " ".join(f"{t:.0f}" for t in reading.get("temperatures", ()) if t is not None),
            cells(reading.get("cell_voltages", ())),
            f"{counters.get('good', 0)} good {counters.get('failures', 0)} bad",
        )
    return table


def cells(voltages: Sequence[float | None]) -> Text:
    """One bar a cell, between the lowest and the highest of its pack, and these two in volts."""
    known = [value for value in voltages if value is not None]
    if not known:
        return Text("-")
    low, high = min(known), max(known)
    text = Text()
    for value in voltages:
        style = "red" if value == high > low else "blue" if value == low < high else "green"
        text.append(_bar(value, low, max(high, low + LEAST_SPAN)), style=style)
    return text.append(f" {low:.3f}..{high:.3f}")


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "?"
    return BARS[min(len(BARS) - 1, int((value - low) / (high - low) * len(BARS)))]


def _limits(decision: Json) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for name, unit, key in (("CVL", "V", "cvl"), ("CCL", "A", "ccl"), ("DCL", "A", "dcl")):
        table.add_row(name, Text(number(decision[key], unit), style="bold"), _why(decision[f"{key}_caps"]))
    table.add_row("mode", Text(decision["charge_mode"], style="bold"), "; ".join(decision["waiting"]))
    return table


def _why(caps: Sequence[dict[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(f"{cap['why']} ({cap['rule']})" for cap in binding(caps)))


def _outputs(outputs: Mapping[str, Json]) -> RenderableType:
    lines = []
    for name, output in outputs.items():
        counts = ", ".join(
            f"{key.replace('_', ' ')} {value}" for key, value in output.items() if isinstance(value, int | float | str)
            and not isinstance(value, bool) and key not in ("problem", "silent_reason")
        )  # fmt: skip
        mark = Text("● ", style="green" if output.get("connected") else "red")
        lines.append(Text.assemble(mark, (f"{name:11}", "bold"), f" {output.get('problem') or ''} {counts}"))
        lines.extend(Text(f"    {frame}", style="dim") for frame in output.get("last_frames", ()))
    return Group(*lines)
