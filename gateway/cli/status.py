"""bms-gateway status: the whole state of the running gateway."""

import json
from pathlib import Path
from typing import Any

import click

from gateway import VERSION
from gateway.control import ask
from gateway.model import ConfigError
from gateway.report import status_lines
from gateway.settled import settle


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
@click.option("--settled", type=click.FloatRange(0, 600), metavar="SECONDS",
              help="Wait until this version has been well for so long; exit 1 after --patience.")  # fmt: skip
@click.option("--patience", type=click.FloatRange(1, 3600), default=90.0, show_default=True, help="s at the longest.")
@click.option("--as", "before", type=click.Path(path_type=Path), metavar="FILE",
              help="A `status --json` of earlier: whatever answered then must answer again to be well.")  # fmt: skip
def command(as_json: bool, socket: Path | None, settled: float | None, patience: float, before: Path | None) -> None:
    """Ask the running gateway for the whole state: bank, limits, every battery, every output.

    `--settled 10` is for whoever installs a new version: it waits until that has really come up.
    """
    if settled is not None:
        settle(settled, patience, VERSION, _earlier(before), socket)
    state = ask({"ask": "state"}, socket)
    click.echo(json.dumps(state, indent=1) if as_json else "\n".join(status_lines(state)))


def _earlier(file: Path | None) -> dict[str, Any]:
    """A state that was written to a file; an empty file = there was none.  Raises ConfigError."""
    try:
        text = file.read_text() if file is not None else ""
        found = json.loads(text) if text.strip() else {}
    except (OSError, ValueError) as problem:
        raise ConfigError(f"{file}: {problem}; expected what `bms-gateway status --json` prints") from None
    return dict(found)
