"""bms-gateway mqtt: what the broker keeps of this gateway."""

import asyncio
from pathlib import Path
from typing import Any

import click

from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.extras import needed
from gateway.installation import installation
from gateway.model import GatewayError
from gateway.store import default_directory


@click.group(name="mqtt")
def command() -> None:
    """What the MQTT broker keeps of this gateway: `forget` takes devices out of Home Assistant again.

    Retained messages outlive whoever sent them: a battery that was renamed or sold stays in Home Assistant as a ghost.
    """


@command.command(name="topics")
@click.option("-c", "--config", type=click.Path(path_type=Path), default=Path("gateway.yaml"), show_default=True)
def topics(config: Path) -> None:
    """Print the topics of this gateway: where states are, where orders go, where Home Assistant is told of devices."""
    from outputs.mqtt.topics import parts

    settings = load(config)
    output, found = _output(config, settings)
    names = parts(battery.name for battery in settings.batteries)
    click.echo(f"{found.availability}  online or offline, retained")
    click.echo(f"{found.bank}  the bank's values")
    for name, part in names.items():
        click.echo(f"{found.battery(part)}  those of {name}")
    click.echo(f"{found.explain}  every cap of every rule")
    if output.remote_limits:
        click.echo(f"{found.set_limits}  orders for limits; answers on {found.result}")
    if output.commands:
        click.echo(f"{found.command('<action>')}  charge, discharge, balance, soc; answers on {found.outcome}")
    if output.home_assistant.enabled:
        for part in ("", *names.values()):
            click.echo(f"{found.config(output.home_assistant.prefix, part)}  for Home Assistant, retained")


@command.command(name="forget")
@click.option("-c", "--config", type=click.Path(path_type=Path), default=Path("gateway.yaml"), show_default=True)
@click.option("--battery", default="", help="Only this one, by its (former) name; without it bank and batteries.")
@click.option("--id", "given", default="", help="Of another gateway that is no more: 12 hex digits, as in its topics.")
@click.option("--wait", default=2.0, show_default=True, type=click.FloatRange(0.2, 30), help="s for the broker.")
def forget(config: Path, battery: str, given: str, wait: float) -> None:
    """Remove the retained messages of this gateway from the broker, and so its devices from Home Assistant.

    Stop the gateway before, or it tells them anew. A battery that is still configured comes back at the next start.
    """
    settings = load(config)
    output, found = _output(config, settings, given)
    with needed("mqtt forget"):
        from outputs.mqtt.forget import forgotten
    from outputs.mqtt.topics import part

    removed = asyncio.run(forgotten(output, found, part(battery) if battery else "", wait))
    for topic in removed:
        click.echo(f"removed: {topic}")
    if not removed:
        raise GatewayError(f"the broker keeps nothing of {found.device(part(battery) if battery else '')}")


def _output(config: Path, settings: Settings, given: str = "") -> tuple[Any, Any]:
    """The settings of the output, and its topics.  Raises GatewayError."""
    from outputs.mqtt.topics import Topics

    output: Any = settings.outputs.get("mqtt")
    if output is None:
        raise GatewayError(f"{config}: outputs.mqtt: is not configured, expected at least mqtt: {{host: 192.168.1.5}}")
    identity = given or output.id or installation(settings.state_dir or default_directory())
    return output, Topics(output.topic, identity)
