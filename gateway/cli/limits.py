"""bms-gateway limits: what the limit logic makes of a battery's day, without a battery."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli.plot import new_figure, save
from gateway.limits.checks import doubts
from gateway.limits.scenario import Moment, Scenario, differences, load, out, run
from gateway.model import GatewayError

COLUMNS: Final = (  # heading, field of "out", width, format
    ("CVL V", "cvl", 7, ".2f"),
    ("CCL A", "ccl", 8, ".2f"),
    ("DCL A", "dcl", 8, ".2f"),
    ("SoC %", "soc", 7, ".2f"),
)
STATES: Final = ("bulk", "absorption", "float_transition", "float", "fixed", "error")


@click.command("limits")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--check", is_flag=True, help="Compare with what the file expects; exit code 1 if anything differs.")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Also draw inputs, limits and states: OUT.png or OUT.svg."
)
def command(file: Path, as_json: bool, check: bool, plot: Path | None) -> None:
    """Run the limits scenario in FILE (schema "limits/1") and print its rows.

    A row is printed for every row of the file; with --json for those that have an "out".
    """
    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise GatewayError(f"{plot}: cannot be drawn, expected a name that ends in .png or .svg")
    whole = load(file)
    for doubt in doubts(whole.settings):
        click.echo(f"{file}: doubt: {doubt}", err=True)
    moments = list(run(whole)) if plot is not None else [moment for moment in run(whole) if moment.row is not None]
    rows = [moment for moment in moments if moment.row is not None]
    if as_json:
        click.echo(json.dumps(_json(whole, rows)))
    else:
        click.echo("\n".join(_table(whole, rows)))
    if plot is not None:
        draw(whole.title or whole.name or file.name, moments, plot)
    wrong = [sentence for moment in rows for sentence in differences(whole, moment)] if check else []
    for sentence in wrong:
        click.echo(f"{file}: {sentence}", err=True)
    if wrong:
        raise click.exceptions.Exit(1)


def _json(whole: Scenario, rows: Sequence[Moment]) -> dict[str, Any]:
    expected = [moment for moment in rows if moment.row is not None and moment.row.out is not None]
    return {"name": whole.name, "rows": [{"t": _plain(moment.t), "out": out(moment)} for moment in expected or rows]}


def _table(whole: Scenario, rows: Iterable[Moment]) -> Iterable[str]:
    """Columns for people; what limits stands at the end."""
    if whole.title or whole.name:
        yield whole.title or whole.name
        yield ""
    headings = "".join(f"{heading:>{width}}" for heading, _, width, _ in COLUMNS)
    yield f"{'t s':>8}{headings}  {'mode':<17}limited by"
    for moment in rows:
        found = out(moment)
        numbers = "".join(
            f"{'-' if found[name] is None else format(found[name], form):>{width}}" for _, name, width, form in COLUMNS
        )
        mode = found["charge_mode"] + (" reset" if found["soc_reset"] else "")
        charge, discharge = ", ".join(found["ccl_reason"]), ", ".join(found["dcl_reason"])
        yield f"{moment.t:>8g}{numbers}  {mode:<17}{charge or '-'} / {discharge or '-'}"


# ---- the picture


def draw(title: str, moments: Sequence[Moment], target: Path) -> None:
    """Cells, charge voltage, current limits and the state over time.

    Points mark the rows of a file.  Raises GatewayError.
    """
    figure = new_figure(10, 10)
    cells, volts, amps, state = figure.subplots(4, 1, sharex=True, height_ratios=(3, 2, 3, 1.2))
    figure.suptitle(title, fontsize=11)
    unit, seconds = _unit(moments[-1].t - moments[0].t)
    times = [moment.t / seconds for moment in moments]
    _draw_inputs(cells, times, moments)
    volts.step(times, [_or_nan(moment.decision.cvl) for moment in moments], where="post", label="CVL")
    sums = [_or_nan(moment.reading.voltage) for moment in moments]
    volts.step(times, sums, where="post", color="0.6", linewidth=0.9, label="pack voltage")
    volts.set_ylabel("V")
    for name in ("ccl", "dcl"):
        amps.step(times, [getattr(m.decision, name) for m in moments], where="post", label=name.upper())
    amps.step(times, [_or_nan(m.reading.current) for m in moments], where="post", color="0.6", label="current")
    amps.axhline(0, color="black", linewidth=0.8)
    amps.set_ylabel("A")
    state.step(times, [STATES.index(m.decision.charge_mode) for m in moments], where="post", color="tab:purple")
    present = sorted({STATES.index(m.decision.charge_mode) for m in moments})
    state.set_yticks(present, [STATES[number] for number in present])
    state.set_xlabel(unit)
    for axes in (cells, volts, amps, state):
        axes.grid(alpha=0.3)
        if axes is not state:
            axes.legend(loc="best", fontsize=8)
    save(figure, target)


def _unit(seconds: float) -> tuple[str, float]:
    """What to tell so much time in, and how many s that is."""
    return ("h", 3600.0) if seconds > 7200 else ("min", 60.0) if seconds > 300 else ("s", 1.0)


def _draw_inputs(axes: Any, times: Sequence[float], moments: Sequence[Moment]) -> None:
    """Highest and lowest cell, and beside them temperature and SoC."""
    rows = [number for number, moment in enumerate(moments) if moment.row is not None]
    for label, name in (("highest cell", "max_cell"), ("lowest cell", "min_cell")):
        values = [_or_nan(getattr(m.reading, name)) for m in moments]
        axes.step(times, values, "-o", where="post", label=label, markersize=3, markevery=rows)
    axes.set_ylabel("V per cell")
    other = axes.twinx()
    other.step(times, [_or_nan(m.reading.hottest) for m in moments], where="post", color="tab:red", alpha=0.5)
    other.step(times, [_or_nan(m.decision.soc) for m in moments], where="post", color="tab:green", alpha=0.5)
    other.set_ylim(bottom=min(0.0, other.get_ylim()[0]))
    other.set_ylabel("hottest sensor °C (red), SoC % (green)", fontsize=8)


def _plain(t: float) -> float:
    """Whole seconds without a decimal point."""
    return int(t) if t.is_integer() else t


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
