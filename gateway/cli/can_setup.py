"""bms-gateway can setup: the files that give a machine its CAN interface at every boot."""

from pathlib import Path

import click

from gateway.model import GatewayError
from outputs.can_bms import doctor, net, setup
from outputs.can_bms.setup import File, Hat, How, Wish


@click.command(name="setup")
@click.argument("channel")
@click.option("--bitrate", default=500_000, show_default=True, type=click.IntRange(10_000, 1_000_000), help="bit/s.")
@click.option("--hat", type=click.Choice(["mcp2515", "mcp251xfd"]), help="A Raspberry Pi's HAT with this controller.")
@click.option("--oscillator", type=float, metavar="MHZ", help="Printed on the HAT's crystal: 8, 12, 16 or 40.")
@click.option("--interrupt", default=setup.INTERRUPT, show_default=True, help="GPIO of the HAT's interrupt.")
@click.option("--how", type=click.Choice(["networkd", "ifupdown"]), help="Who brings it up; default: as here.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path("/"),
              help="The system to set up, as an SD card's mount point.")  # fmt: skip
@click.option("--write", is_flag=True, help="Write the files; without it they are only shown.")
def setup_command(
    channel: str,
    bitrate: int,
    hat: Hat | None,
    oscillator: float | None,
    interrupt: int,
    how: How | None,
    root: Path,
    write: bool,
) -> None:
    """Show, or write, what makes the CAN interface CHANNEL and brings it up at every boot, and why."""
    wish = Wish(channel, bitrate, hat, oscillator, interrupt, restart=_restartable(channel, root))
    manager, seen = (how, "as told") if how else setup.guess(root)
    if found := setup.conflicts(wish, root):
        raise GatewayError("\n".join((*found, "two of them would contradict each other: remove one, then try again")))
    files = list(setup.files(wish, manager, root))
    for file in files:
        setup.wanted(file)  # refuse before anything is written
    click.echo(f"{channel} with {bitrate / 1000:g} kbit/s by {manager} ({seen})")
    for file in files:
        _show(file, setup.write(file) if write else "would be written")
    click.echo("\nWhy:")
    for line in setup.WHY:
        click.echo(f"  {line}")
    if wish.hat is not None:
        click.echo("  oscillator: the crystal on the HAT; with a wrong one the bitrate is wrong and nothing is read")
    click.echo("\nThen:" if write else "\nWith --write they are written. Then:")
    for line in (*setup.afterwards(wish, manager), f"bms-gateway can doctor {channel}"):
        click.echo(f"  {line}")


def _restartable(channel: str, root: Path) -> bool:
    """Whether the driver can leave bus-off by itself; yes where the interface is not there yet.

    Raises GatewayError for what is no CAN interface: a file of ours would take it from who manages it.
    """
    try:
        link = doctor.read(channel) if root == Path("/") else None
    except net.NetError:
        link = None
    return link is None or link.restartable


def _show(file: File, done: str) -> None:
    click.echo(f"\n{file} ({done}{', a block in it' if file.block else ''})")
    for line in file.text.splitlines():
        click.echo(f"    {line}".rstrip())
