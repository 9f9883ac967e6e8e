"""bms-gateway scan: find BMSs on the ports offered."""

import asyncio

import click

from bms_drivers.kit import registry
from bms_drivers.kit.detect import Found, detect
from gateway.model import GatewayError, LinkError


@click.command(name="scan")
@click.argument("ports", nargs=-1, required=True)
@click.option("--driver", "drivers", multiple=True, help="Try only this driver; may be given several times.")
def command(ports: tuple[str, ...], drivers: tuple[str, ...]) -> None:
    """Ask on each of PORTS which BMS is there, and print the yaml to paste under `batteries:`.

    Only the ports named are touched. Do not offer a port on which something else listens (a GPS, an energy meter).
    """
    for name in drivers:
        registry.load(name)
    found = asyncio.run(_scan(ports, drivers))
    if not found:
        raise GatewayError(f"nothing recognised on {', '.join(ports)}; is the BMS awake, and the wiring right?")


async def _scan(ports: tuple[str, ...], drivers: tuple[str, ...]) -> int:
    found = 0
    for port in ports:
        click.echo(f"{port}: asking as {', '.join(drivers or registry.names())} ...", err=True)
        try:
            async for device in detect(port, drivers):
                found += 1
                click.echo("\n".join(_yaml(port, device, found)))
        except LinkError as problem:
            click.echo(str(problem), err=True)
    return found


def _yaml(port: str, device: Found, number: int) -> list[str]:
    lines = [f"  - name: battery-{number}    # {device.what}", f"    driver: {device.driver.name}", f"    port: {port}"]
    return lines + [f"    {key}: {value}" for key, value in device.setup.items()]
