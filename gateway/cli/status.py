"""bms-gateway status: the whole state of the running gateway."""

import json
from pathlib import Path

import click

from gateway.control import ask
from gateway.report import status_lines


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
def command(as_json: bool, socket: Path | None) -> None:
    """Ask the running gateway for the whole state: bank, limits, every battery, every output."""
    state = ask({"ask": "state"}, socket)
    click.echo(json.dumps(state, indent=1) if as_json else "\n".join(status_lines(state)))
