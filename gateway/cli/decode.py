"""bms-gateway decode: a driver's real polling code on a recording."""

import json
from pathlib import Path
from typing import Any

import click

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.decode import Decoded, decode
from gateway.model import GatewayError
from gateway.report import reading_json


@click.command(name="decode")
@click.option("--driver", "driver_name", help="The driver's name; default: the one the recording names.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A driver setting, e.g. --set address=3.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: driver, reading, unanswered, errors.")
@click.argument("file", type=click.Path(path_type=Path))
def command(driver_name: str | None, settings: tuple[str, ...], as_json: bool, file: Path) -> None:
    """Run a driver on the recording FILE (vector format) and print the Reading.

    A recording that answers only some of the plan's requests gives a partial Reading. Exit 0 if a Reading came out.
    """
    recording = load_recording(file)
    driver = registry.load(driver_name or _named(recording, file))
    found = decode(driver, recording, parse_settings(driver, settings))
    _print(driver, found, as_json)
    if not found.readings and not found.writes:
        raise GatewayError(f"{file}: no Reading: the recording answers none of the requests a {driver.name} is asked")


def load_recording(file: Path) -> dict[str, Any]:
    """A case of the vector format.  Raises GatewayError."""
    try:
        recording = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise GatewayError(f"{file}: {problem.strerror}") from None
    except ValueError as problem:
        raise GatewayError(f"{file}: not a recording in the vector format ({problem})") from None
    if not isinstance(recording, dict) or not isinstance(recording.get("exchanges", []), list):
        raise GatewayError(f'{file}: a recording is an object with "exchanges": [{{"tx": hex, "rx": [hex]}}]')
    for number, exchange in enumerate(recording.get("exchanges", []), 1):
        try:
            bytes.fromhex(exchange["tx"] + "".join(exchange["rx"]))
        except (TypeError, KeyError, ValueError):
            raise GatewayError(f'{file}: exchange {number}: needs "tx" in hex and "rx" as a list of hex') from None
    return recording


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


def _named(recording: dict[str, Any], file: Path) -> str:
    name = recording.get("driver")
    if not isinstance(name, str):
        raise GatewayError(f"{file}: the recording names no driver; give --driver")
    return name


def _print(driver: Driver, found: Decoded, as_json: bool) -> None:
    packs = {key: reading_json(reading) for key, reading in found.readings.items()}
    first = packs.get("") or next(iter(packs.values()), None)
    if as_json:
        answer: dict[str, Any] = {"driver": driver.name, "reading": first}
        if len(packs) > 1:
            answer["packs"] = packs
        if found.writes:
            answer["writes"] = dict(found.writes)
        click.echo(json.dumps({**answer, "unanswered": found.unanswered, "errors": found.errors}, indent=1))
        return
    for key, values in packs.items():
        if len(packs) > 1:
            click.echo(f"pack {key or driver.name}")
        for name, value in values.items():
            if value is not None and value != []:
                click.echo(f"{name:28} {_shown(value)}")
    for write, accepted in found.writes.items():
        click.echo(f"{'write ' + write:28} {'accepted' if accepted else 'refused'}")
    for request in found.unanswered:
        click.echo(f"{'unanswered':28} {request}")
    for error in found.errors:
        click.echo(f"{'error':28} {error}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {level}" for name, level in value.items() if level) or "none raised"
    if isinstance(value, list):
        return " ".join(str(int(item)) if isinstance(item, bool) else str(item) for item in value)
    return str(value)
