"""bms-gateway ports: the serial ports that a configuration claims."""

from pathlib import Path

import click

from gateway.claimed import rules, terminals
from gateway.config.load import load


@click.command(name="ports")
@click.argument("file", type=click.Path(path_type=Path), default="gateway.yaml")
@click.option("--udev", is_flag=True, help="As udev rules by which ModemManager and Venus OS leave them alone.")
def command(file: Path, udev: bool) -> None:
    """Print the serial ports of FILE (default gateway.yaml) that are there now, as the kernel calls them.

    For whoever starts the gateway, and has to keep others away from its ports: on a GX each of them is handed to
    serial-starter's stop-tty.sh. `--udev` prints a file for /etc/udev/rules.d that counts whenever one is plugged in.
    """
    settings = load(file)
    click.echo(rules(settings) if udev else "".join(f"{name}\n" for name in terminals(settings)), nl=False)
