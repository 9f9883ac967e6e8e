"""The limit curves of a configuration: as numbers, and as a picture."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli.plot import new_figure, save
from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.curves import GROUPS, side_of, table_of, tables, ways
from gateway.limits.settings import LimitSettings
from gateway.limits.tables import Curve

STEPS: Final = 300
COLOURS: Final = {"charge": "tab:green", "discharge": "tab:red"}


def show(config: Path, plot: Path | None, as_json: bool) -> None:
    """Print every table of `config` in amperes with its key; draw them into `plot` (.png or .svg)."""
    settings = load(config)
    found = {name: list(tables(limits)) for name, limits in _limits(settings).items()}
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(_lines(found)))
    if plot is not None:
        _draw(_limits(settings), config, plot)
        click.echo(f"{plot}: drawn", err=True)


def _limits(settings: Settings) -> dict[str, LimitSettings]:
    """The bank's limits, and those of batteries that have their own."""
    own = {battery.name: battery.limits for battery in settings.batteries if battery.limits is not None}
    return {"bank": settings.limits, **own}


def _lines(found: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    for name, rows in found.items():
        yield f"{name}:"
        for row in rows:
            points = "   ".join(f"{point['at']:g} {row['unit']}: {point['amps']:g} A" for point in row["points"])
            yield f"  {row['setting']}{'' if row['enabled'] else ' (off)'}"
            yield f"      {points}"


def _draw(limits: Mapping[str, LimitSettings], source: Path, target: Path) -> None:
    """One panel for the bank and for each battery that differs from it.  Raises GatewayError."""
    figure = new_figure(11, 7 * len(limits))
    figure.suptitle(f"Current limits by {source}", fontsize=13)
    for panel, (name, own) in zip(figure.subfigures(len(limits), 1, squeeze=False).flat, limits.items(), strict=True):
        panel.suptitle(name)
        for axes, group in zip(panel.subplots(2, 2).flat, GROUPS, strict=True):
            _draw_group(axes, own, *group)
    save(figure, target)


def _draw_group(axes: Any, limits: LimitSettings, key: str, title: str, unit: str, ends: tuple[float, float]) -> None:
    """The two tables of one input, with their points, from 0 A."""
    for way, most in ways(limits):
        colour, table = COLOURS[way], table_of(limits, key, way)
        curve, side = Curve(table.points, table.fractions), side_of(limits, way, key)
        low, high = min(ends[0], *table.points), max(ends[1], *table.points)
        xs = sorted({*(low + (high - low) * n / STEPS for n in range(STEPS + 1)), *table.points})
        style, label = ("-", way) if table.enabled else (":", f"{way} (off)")
        axes.plot(xs, [curve(x, side) * most for x in xs], style, color=colour, label=label)
        axes.plot(table.points, [fraction * most for fraction in table.fractions], "o", color=colour, markersize=4)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel=f"{title} [{unit}]", ylabel="limit [A]")
    axes.set_title(f"limits.{key}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
