"""The limit curves of a configuration: as numbers, and as a picture."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.extras import needed
from gateway.limits.currents import STEP_SIDE, Way
from gateway.limits.settings import LimitSettings, Table
from gateway.limits.tables import Curve, Side
from gateway.model import GatewayError

GROUPS: Final = (  # settings key, axis, unit, range of the axis
    ("by_cell_voltage", "cell voltage", "V", (2.7, 3.6)),
    ("by_temperature", "cell temperature", "°C", (-15.0, 60.0)),
    ("by_mosfet_temperature", "MOSFET temperature", "°C", (20.0, 100.0)),
    ("by_soc", "SoC", "%", (0.0, 100.0)),
)
STEPS: Final = 300


def show(config: Path, plot: Path | None, as_json: bool) -> None:
    """Print every table of `config` in amperes with its key; draw them into `plot` (.png or .svg)."""
    settings = load(config)
    tables = {name: list(_tables(limits)) for name, limits in _limits(settings).items()}
    click.echo(json.dumps(tables, indent=1) if as_json else "\n".join(_lines(tables)))
    if plot is not None:
        _draw(settings.limits, plot)
        click.echo(f"{plot}: drawn", err=True)


def _limits(settings: Settings) -> dict[str, LimitSettings]:
    """The bank's limits, and those of batteries that have their own."""
    own = {battery.name: battery.limits for battery in settings.batteries if battery.limits is not None}
    return {"bank": settings.limits, **own}


def _tables(limits: LimitSettings) -> Iterator[dict[str, Any]]:
    for key, axis, unit, _ in GROUPS:
        for way, most in (("charge", limits.charge_current.max), ("discharge", limits.discharge_current.max)):
            table: Table = getattr(getattr(limits, key), way)
            points = sorted(zip(table.points, table.fractions, strict=True))
            yield {
                "setting": f"limits.{key}.{way}",
                "enabled": table.enabled,
                "input": axis,
                "unit": unit,
                "points": [{"at": at, "amps": round(fraction * most, 3)} for at, fraction in points],
            }


def _lines(tables: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    for name, rows in tables.items():
        yield f"{name}:"
        for row in rows:
            points = "   ".join(f"{point['at']:g} {row['unit']}: {point['amps']:g} A" for point in row["points"])
            yield f"  {row['setting']}{'' if row['enabled'] else ' (off)'}"
            yield f"      {points}"


def _draw(limits: LimitSettings, plot: Path) -> None:
    with needed("--plot"):
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axis, (key, title, unit, ends) in zip(axes.flat, GROUPS, strict=True):
        xs = [ends[0] + (ends[1] - ends[0]) * n / STEPS for n in range(STEPS + 1)]
        ways: tuple[tuple[Way, float, str], ...] = (
            ("charge", limits.charge_current.max, "tab:green"),
            ("discharge", limits.discharge_current.max, "tab:red"),
        )
        for way, most, colour in ways:
            table: Table = getattr(getattr(limits, key), way)
            curve, side = Curve(table.points, table.fractions), _side(limits, way, key)
            style = "-" if table.enabled else ":"
            label = f"{way}{'' if table.enabled else ' (off)'}"
            axis.plot(xs, [curve(x, side) * most for x in xs], style, color=colour, label=label)
        axis.set(xlabel=f"{title} [{unit}]", ylabel="limit [A]")
        axis.set_title(f"limits.{key}", fontsize=10)
        axis.grid(alpha=0.3)
        axis.legend()
    try:
        figure.savefig(plot)
    except (OSError, ValueError) as problem:
        raise GatewayError(f"{plot}: {problem}; expected a .png or .svg that can be written") from None
    finally:
        pyplot.close(figure)


def _side(limits: LimitSettings, way: Way, key: str) -> Side:
    """How the rule itself reads this table between its points."""
    return "linear" if limits.mode == "linear" else STEP_SIDE[way, key.removeprefix("by_")]
