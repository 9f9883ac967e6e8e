"""bms-gateway decode: a driver's real polling code on a recording."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.decode import Decoded, decode
from bms_drivers.links.recording import load
from gateway.model import ConfigError, GatewayError
from gateway.report import reading_json


@click.command(name="decode")
@click.option("--driver", "driver_name", help="The driver's name; default: the one the recording names.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A driver setting, e.g. --set address=3.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: driver, reading, unanswered, torn, errors.")
@click.argument("file", type=click.Path(path_type=Path))
def command(driver_name: str | None, settings: tuple[str, ...], as_json: bool, file: Path) -> None:
    """Run a driver on the recording FILE (vector format) and print the Reading.

    A recording that answers only some of the plan's requests gives a partial Reading. Exit 0 if a Reading came out.
    "unanswered" are requests of the plan that the recording lacks, "torn" those whose answer is there but not whole.
    """
    recording = load(file)
    driver = _driver(driver_name, recording, file)
    try:
        found = decode(driver, recording, parse_settings(driver, settings))
    except ConfigError as problem:
        raise GatewayError(f"{file}: {problem}") from None
    _print(driver, found, as_json)
    if recording.get("expected") == {}:
        click.echo(f'{file}: "expected" is empty: as a test this recording checks nothing', err=True)
    if not found.readings and not found.writes:
        torn = "only torn answers to" if found.torn else "no answer to any of"
        raise GatewayError(f"{file}: no Reading: the recording has {torn} the requests a {driver.name} is asked")


def parse_settings(driver: Driver, given: tuple[str, ...]) -> dict[str, Any]:
    """--set KEY=VALUE as driver settings.  Raises click.UsageError with the names there are."""
    options = {option.name: option for option in driver.options}
    values: dict[str, Any] = {}
    for item in given:
        name, separator, value = item.partition("=")
        if not separator or name not in options:
            known = ", ".join(options) or "none"
            raise click.UsageError(f"--set {item}: {driver.name} has the settings: {known}")
        kind, choices = options[name].kind, options[name].choices
        named = {str(choice): choice for choice in choices}
        try:
            values[name] = named[value] if value in named else _of_kind(kind, value)
        except ValueError:
            raise click.UsageError(f"--set {item}: {name} takes {kind.__name__}") from None
        if choices and values[name] not in choices:
            raise click.UsageError(f"--set {item}: {name} is one of {', '.join(named)}")
    return values


def _of_kind(kind: type, value: str) -> Any:
    """Raises ValueError."""
    return value == "true" if kind is bool else int(value, 0) if kind is int else kind(value)


def _driver(name: str | None, recording: Mapping[str, Any], file: Path) -> Driver:
    """The driver asked for, else the one that the recording names.  Raises GatewayError."""
    if name is not None:
        return registry.load(name)
    named = recording.get("driver")
    if not isinstance(named, str):
        raise GatewayError(f"{file}: the recording names no driver; give --driver")
    try:
        return registry.load(named)
    except ConfigError as problem:
        raise GatewayError(f"{file}: {problem}") from None


def _print(driver: Driver, found: Decoded, as_json: bool) -> None:
    packs = {key: reading_json(reading) for key, reading in found.readings.items()}
    first = packs.get("") or next(iter(packs.values()), None)
    if as_json:
        answer: dict[str, Any] = {"driver": driver.name, "reading": first}
        if len(packs) > 1:
            answer["packs"] = packs
        if found.writes:
            answer["writes"] = dict(found.writes)
        answer |= {"unanswered": found.unanswered, "torn": [asdict(torn) for torn in found.torn]}
        click.echo(json.dumps({**answer, "errors": found.errors}, indent=1))
        return
    for key, values in packs.items():
        if len(packs) > 1:
            click.echo(f"pack {key or driver.name}")
        for name, value in values.items():
            if value not in (None, []):
                click.echo(f"{name:28} {_shown(value)}")
    for write, accepted in found.writes.items():
        click.echo(f"{'write ' + write:28} {'accepted' if accepted else 'refused'}")
    for torn in found.torn:
        click.echo(f"{'answered, torn':28} {torn}")
    for request in found.unanswered:
        click.echo(f"{'unanswered':28} {request}")
    for error in found.errors:
        click.echo(f"{'error':28} {error}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        raised = ", ".join(f"{name} {level}" for name, level in value.items() if level)
        return raised or ("none raised" if value else "none are read here")
    if isinstance(value, list):
        return " ".join(str(int(item)) if isinstance(item, bool) else str(item) for item in value)
    return str(value)
