"""`bms-gateway check`: reads a gateway.yaml and says what is wrong with it, without starting anything."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway.model import ConfigError


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="gateway.yaml")
@click.option("--schema", is_flag=True, help="Print the JSON Schema for editors instead.")
@click.option("--settings", "reference", is_flag=True, help="Print every key with default and meaning (markdown).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def command(file: Path, schema: bool, reference: bool, as_json: bool) -> None:
    """Validate FILE (default gateway.yaml; - = standard input).

    Prints one line for every mistake: FILE:LINE: key: what, expected.  Exit code 1 when there is one.  What passes here
    can be run: the same questions are asked at start, short of opening ports.  Ports that are not there are a doubt.
    """
    from gateway.config.load import load, parse

    if reference:
        from gateway.config.reference import page

        click.echo("\n".join(page()))
        return
    if schema:
        from gateway.config.editor import dump_schema

        click.echo(json.dumps(dump_schema(), indent=2, ensure_ascii=False))
        return
    try:
        settings = parse(sys.stdin.read(), "-") if str(file) == "-" else load(file)
    except ConfigError as error:
        _refuse(file, error, as_json)
        raise click.exceptions.Exit(1) from None
    from gateway.config.doubts import absent, doubts

    remarks = [*doubts(settings), *absent(settings)]
    names = [battery.name for battery in settings.batteries]
    if as_json:
        found = {"batteries": names, "outputs": list(settings.outputs)}
        click.echo(_result(file, [], remarks, **found))
        return
    count = f"{len(names)} {'battery' if len(names) == 1 else 'batteries'} ({', '.join(names)})"
    click.echo(f"{file}: ok, {count}, outputs {', '.join(settings.outputs) or 'none'}")
    for remark in remarks:
        click.echo(f"{file}: doubt: {remark}")


def _refuse(file: Path, error: ConfigError, as_json: bool) -> None:
    """All mistakes: on stderr for people, on stdout for programs."""
    if as_json:
        click.echo(_result(file, list(error.problems), []))
        return
    for problem in error.problems:
        click.echo(problem, err=True)


def _result(file: Path, errors: list[str], remarks: list[str], **found: Any) -> str:
    return json.dumps({"file": str(file), "ok": not errors, "errors": errors, "doubts": remarks, **found})
