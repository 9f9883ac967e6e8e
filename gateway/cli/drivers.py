"""bms-gateway drivers: every driver, its transports, and the feature row, generated from the driver itself."""

import json
from typing import Any, Final

import click

from bms_drivers import registry
from bms_drivers.declare import Driver

FEATURES: Final = {  # the feature table's row -> canonical names that make it true
    "voltage": ("voltage",),
    "current": ("current",),
    "soc": ("soc",),
    "soh": ("soh",),
    "battery temperature": ("temperatures",),
    "MOSFET temperature": ("mosfet_temperature",),
    "capacity": ("capacity",),
    "remaining capacity": ("remaining_capacity",),
    "charge cycles": ("charge_cycles",),
    "single cells": ("cell_voltages",),
    "balancing": ("balancing",),
    "balancing per cell": ("cell_balancing",),
    "charge allowed": ("charge_allowed",),
    "discharge allowed": ("discharge_allowed",),
    "balance allowed": ("balance_allowed",),
    "alarms": ("alarms",),
    "current limits": ("max_charge_current", "max_discharge_current"),
    "serial number": ("serial_number",),
}


def row(driver: Driver) -> dict[str, Any]:
    """What one driver provides, read off its polling plan and controls."""
    gives = {name for poll in driver.plan for name in poll.gives}
    return {
        "driver": driver.name,
        "title": driver.title,
        "transports": list(driver.transports),
        "baud": driver.line.baud if driver.line else None,
        "standing": driver.standing,
        "daisy_chain": driver.daisy_chain,
        "features": {name: set(needs) <= gives for name, needs in FEATURES.items()},
        "controls": sorted(driver.controls),
        "options": {option.name: {"default": option.default, "help": option.help} for option in driver.options},
    }


@click.command(name="drivers")
@click.option("--json", "as_json", is_flag=True, help="Everything, as a JSON list.")
def command(as_json: bool) -> None:
    """List the BMSs that can be read, with what each of them provides."""
    rows = [row(registry.load(name)) for name in registry.names()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for entry in rows:
        click.echo(f"{entry['driver']}  {entry['title']}  ({', '.join(entry['transports'])}, {entry['baud']} baud)")
        features = entry["features"].items()
        click.echo(f"    reads: {', '.join(name for name, there in features if there)}")
        click.echo(f"    lacks: {', '.join(name for name, there in features if not there) or 'nothing'}")
        click.echo(f"    controls: {', '.join(entry['controls']) or 'none'}; standing: {entry['standing']}")
        for name, option in entry["options"].items():
            click.echo(f"    {name} (default {option['default']}): {option['help']}")
