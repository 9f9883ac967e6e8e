"""bms-gateway scan: find BMSs on the ports offered."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Final

import click

from bms_drivers.kit.detect import Found, detect, in_order
from bms_drivers.links.factory import missing_plugins
from gateway.extras import needed
from gateway.model import GatewayError, LinkError, MissingPart

AIR: Final = "ble"  # as a port: everybody in reach


@dataclass(slots=True)
class Scanned:
    """One port: what was found there, or why nothing could be."""

    port: str
    found: list[Found] = field(default_factory=list)
    problem: str = ""


@click.command(name="scan")
@click.argument("ports", nargs=-1, required=True)
@click.option("--driver", "drivers", multiple=True, help="Try only this driver; may be given several times.")
@click.option("--thorough", is_flag=True, help="Ask as every driver with every address; takes minutes a port.")
@click.option("--json", "as_json", is_flag=True, help="What was found, as one JSON object.")
def command(ports: tuple[str, ...], drivers: tuple[str, ...], thorough: bool, as_json: bool) -> None:
    """Ask on each of PORTS which BMS is there, and print the yaml to paste under `batteries:`.

    PORTS are /dev/ttyUSB0, socket://host:port, tcp:host, can0, ble:AA:BB:CC:DD:EE:FF, or `ble` (`ble@hci1`) for
    every device in the air that one of the drivers may know by its advertisement.

    Only the ports named are touched. Each is listened to first: where something talks that is no BMS (a GPS, an
    energy meter, a Victron device), nothing is asked. A BMS is found when two answers in a row prove it.
    """
    in_order(drivers)  # a name that is none is said before anything is opened
    scanned = asyncio.run(look(ports, drivers, thorough))
    if as_json:
        click.echo(json.dumps({"ports": [_json(port) for port in scanned]}, indent=1))
    elif found := [(port.port, device) for port in scanned for device in port.found]:
        click.echo("batteries:")
        for number, (port, device) in enumerate(found, 1):
            click.echo("\n".join(_yaml(port, device, number)))
    if not any(port.found for port in scanned):
        silent = [port.port for port in scanned if not port.problem]
        hint = f"nothing recognised on {', '.join(silent)}; is the BMS awake, and the wiring right?" if silent else ""
        raise GatewayError("\n".join([*(port.problem for port in scanned if port.problem), *([hint] if hint else [])]))


async def look(ports: tuple[str, ...], drivers: tuple[str, ...], thorough: bool) -> list[Scanned]:
    """Ports side by side: each waits for its own time-outs."""
    each = await asyncio.gather(*(_some(port, drivers, thorough) for port in dict.fromkeys(ports)))
    return [scanned for some in each for scanned in some]


async def _some(port: str, drivers: tuple[str, ...], thorough: bool) -> list[Scanned]:
    if port.partition("@")[0] == AIR:
        return await _air(port, drivers)
    return [await _one(port, drivers, thorough)]


async def _air(port: str, drivers: tuple[str, ...]) -> list[Scanned]:
    """Everybody in the air whom a driver may know, one after the other: the adapter is one."""
    with needed(port):
        from bms_drivers.links.ble_manager import manager_of
        from bms_drivers.links.ble_scan import candidates
    for driver in in_order(drivers) if drivers else ():
        if problem := missing_plugins(port, driver):
            raise MissingPart(problem)
    adapter = port.partition("@")[2]
    try:
        heard = await candidates(manager_of(adapter), adapter, in_order(drivers))
    except LinkError as problem:
        click.echo(str(problem), err=True)
        return [Scanned(port, problem=str(problem))]
    click.echo(f"{port}: {len(heard)} devices that may be a BMS", err=True)
    return [await _one(device.port, device.drivers, False) for device in heard] or [Scanned(port)]


async def _one(port: str, drivers: tuple[str, ...], thorough: bool) -> Scanned:
    scanned = Scanned(port)

    def progress(what: str, number: int, total: int) -> None:
        step = f"{what} ({number} of {total}, {total - number} left)" if number else what
        click.echo(f"{port}: {step}", err=True)

    try:
        async for device in detect(port, drivers, thorough=thorough, progress=progress):
            scanned.found.append(device)
            click.echo(f"{port}: found {device.what} (driver: {device.driver.name})", err=True)
    except LinkError as problem:
        scanned.problem = str(problem)
        click.echo(scanned.problem, err=True)
    return scanned


def _json(port: Scanned) -> dict[str, Any]:
    found = [{"driver": device.driver.name, **device.setup, "what": device.what} for device in port.found]
    return {"port": port.port, "found": found, "problem": port.problem}


def _yaml(port: str, device: Found, number: int) -> list[str]:
    lines = [f"  - name: battery-{number}    # {device.what}", f"    driver: {device.driver.name}", f"    port: {port}"]
    return lines + [f"    {key}: {json.dumps(value)}" for key, value in device.setup.items()]
