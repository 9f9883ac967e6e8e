"""bms-gateway doctor: what is wrong on this machine, and what to do."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gateway.config.load import load
from gateway.control import ask
from gateway.doctor.machine import Machine, user_of
from gateway.doctor.table import examine
from gateway.findings import in_lines, sound
from gateway.home import homes
from gateway.model import ConfigError, GatewayError

HERE = Path("gateway.yaml")


@click.command(name="doctor")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(file: Path | None, socket: Path | None, as_json: bool) -> None:
    """Look at ports, rights, CAN, Bluetooth, D-Bus, clock, disk, versions and libraries, and say what to do for each.

    FILE is the configuration; default: that of the running gateway, else of the installed one, else gateway.yaml.
    Changes and sends nothing. Ports are judged for the user who runs the service. Exit code 1 when something must be
    done; what is only doubtful is told, too.
    """
    machine = _machine(file, _state(socket))
    found = list(examine(machine))
    if as_json:
        told = [{"check": name, **asdict(finding)} for name, finding in found]
        click.echo(json.dumps({"sound": sound(finding for _, finding in found), "findings": told}, indent=1))
    else:
        click.echo(in_lines([finding for _, finding in found]))
    sys.exit(not sound(finding for _, finding in found))


def _state(socket: Path | None) -> dict[str, Any]:
    try:
        return ask({"ask": "state"}, socket)
    except GatewayError:
        return {}


def _machine(file: Path | None, state: dict[str, Any]) -> Machine:
    home = next(iter(homes()), None)
    running = state.get("service", {}).get("configuration")
    usual = [Path(running)] if running else [home.config] if home is not None else []
    config = file or next((path for path in (*usual, HERE) if path.exists()), None)
    if config is None:
        return Machine(home=home, user=user_of(home), state=state)
    try:
        return Machine(home=home, config=config, settings=load(config), user=user_of(home), state=state)
    except ConfigError as problem:
        mistakes = tuple(problem.problems)
        return Machine(home=home, config=config, mistakes=mistakes, user=user_of(home), state=state)
