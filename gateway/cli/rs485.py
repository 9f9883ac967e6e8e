"""bms-gateway rs485: answers to recorded questions, what recorded answers say, and a line that is watched."""

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.rs485_watch import watch_command
from gateway.model import FrameError, GatewayError
from outputs.rs485_bms import case as cases
from outputs.rs485_bms.heard import shown


@click.group(name="rs485")
def command() -> None:
    """The RS485 line of an inverter: answer recorded questions, read recorded answers, watch a line."""


command.add_command(watch_command)


@command.command(name="answer")
@click.argument("file", metavar="CASE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"answers": [hex or ""]}.')
def answer(file: Path, as_json: bool) -> None:
    """Print what we would answer to each question ("tx") of CASE, from its dialect, config and values.

    CASE is a JSON object with "dialect" (pylontech, growatt, voltronic), "config", "exchanges": [{"tx", "rx"}] and
    "values". An empty answer means that the battery stays silent.
    """
    case = _case(file)
    try:
        made = [one.hex() for one in cases.answers(case)]
    except GatewayError as problem:
        raise GatewayError(f"{file}: {problem}") from None
    if as_json:
        click.echo(json.dumps({"answers": made}, indent=1))
        return
    for question, text in zip(case["exchanges"], made, strict=True):
        click.echo(f"{shown(bytes.fromhex(question['tx']))}\n    {shown(bytes.fromhex(text)) if text else '(silence)'}")


@command.command(name="decode")
@click.argument("file", metavar="CASE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"values": {...}}.')
def decode(file: Path, as_json: bool) -> None:
    """Print what the answers ("rx") of CASE say, with the units of its "config"."""
    case = _case(file)
    try:
        values = cases.values(case)
    except (GatewayError, FrameError) as problem:
        raise GatewayError(f"{file}: {problem}") from None
    if as_json:
        click.echo(json.dumps({"values": values}, indent=1))
        return
    for key, value in values.items():
        click.echo(f"{key:28} {value}")


def _case(file: Path) -> dict[str, Any]:
    try:
        case = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise GatewayError(f"{file}: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:
        raise GatewayError(f"{file}: not JSON: {problem}") from None
    if not isinstance(case, dict):
        raise GatewayError(f'{file}: expected an object with "dialect", "exchanges" and "values"')
    return case
