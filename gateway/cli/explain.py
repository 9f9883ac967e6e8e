"""bms-gateway explain: why the limits are what they are, live or as curves of a configuration."""

import json
import time
from pathlib import Path

import click

from gateway.control import ask
from gateway.explain import explain_lines


@click.command(name="explain")
@click.option("--json", "as_json", is_flag=True, help="Every cap of every rule, as one JSON object.")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
@click.option("--curves", is_flag=True, help="Instead: the limit curves of a configuration, no gateway needed.")
@click.option("-c", "--config", type=click.Path(path_type=Path), default=Path("gateway.yaml"), help="For --curves.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the curves into this .png or .svg.")
def command(as_json: bool, watch: bool, socket: Path | None, curves: bool, config: Path, plot: Path | None) -> None:
    """Show what binds each limit (->) and what would lift it, then every other rule's cap, each with the settings key
    behind it, and what the charge machine waits for.

    `explain` asks the running gateway; `explain --curves [--plot OUT.png]` reads a configuration file.
    """
    if curves or plot:
        from gateway.cli.curves import show

        show(config, plot, as_json)
        return
    while True:
        state = ask({"ask": "state"}, socket)
        kept = {key: state.get(key) for key in ("decision", "guard", "waiting")}
        click.echo(json.dumps(kept, indent=1) if as_json else "\n".join(explain_lines(state)))
        if not watch:
            return
        time.sleep(1.0)
        click.echo()
