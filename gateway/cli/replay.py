"""bms-gateway replay: a report, once more."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import click

from gateway.logs import hushed
from gateway.model import Snapshot
from gateway.replay import Played, Report, load, play
from gateway.report import snapshot_json, status_lines


@click.command(name="replay")
@click.argument("file", type=click.Path(path_type=Path), metavar="REPORT")
@click.option("--json", "as_json", is_flag=True, help="One object: events, the state at the end, every decision.")
@click.option("--readings", is_flag=True, help="A line for each decision, not only for what changed.")
def command(file: Path, as_json: bool, readings: bool) -> None:
    """Play the zip file REPORT of `bms-gateway report` through the same drivers, limits and guard.

    Shows what changed and when, as the running gateway noted it, then the state at the end. An hour takes less than a
    minute; nothing is opened and nothing is sent. It begins with what the limits remembered at the last mark before the
    recording, so a limit that was held or rising then may begin a little otherwise.
    """
    report = load(file)
    with hushed(logging.CRITICAL):  # what it would log stands in log.txt
        played = play(report, (lambda snapshot: click.echo(_line(snapshot))) if readings and not as_json else _quiet)
    if as_json:
        click.echo(json.dumps(_json(report, played), indent=1))
        return
    for event in played.events:
        click.echo(f"{_time(event['wall'])}  {event['about']}: {event['text']}")
    click.echo(f"{_time(report.wall)}  the end:")
    for line in status_lines({**played.state, "outputs": {}}):
        click.echo(f"  {line}")


def _quiet(snapshot: Snapshot) -> None:
    """Say nothing now."""


def _line(snapshot: Snapshot) -> str:
    bank, decision = snapshot.bank, snapshot.decision
    values = ((bank.voltage, "V"), (bank.current, "A"), (bank.soc, "%"))
    told = " ".join(f"{value:g} {unit}" if value is not None else f"- {unit}" for value, unit in values)
    cvl = "-" if decision.cvl is None else f"{decision.cvl:g}"
    limits = f"CVL {cvl} V CCL {decision.ccl:g} A DCL {decision.dcl:g} A"
    return f"{_time(snapshot.wall)}  {bank.health.value} {told}  {limits}"


def _time(wall: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(wall)) + f"{wall % 1:.1f}"[1:]


def _json(report: Report, played: Played) -> dict[str, Any]:
    return {
        "events": played.events,
        "reported": {"events": list(report.events), "decision": report.state.get("decision")},
        "state": played.state,
        "moments": [snapshot_json(snapshot) for snapshot in played.moments],
    }
