"""bms-gateway record: write a recording from a device."""

import asyncio
from pathlib import Path

import click

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.factory import open_link
from bms_drivers.links.record import RecordLink
from gateway.cli.decode import parse_settings
from gateway.model import DeviceRefused, FrameError, GatewayError, LinkTimeout


@click.command(name="record")
@click.option("--driver", "driver_name", required=True, help="Whose questions to ask; see `bms-gateway drivers`.")
@click.option("--port", required=True, help="Device or URL, as in gateway.yaml.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A driver setting, e.g. --set address=3.")
@click.option("--polls", default=1, show_default=True, type=click.IntRange(1, 100_000), help="How many rounds.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
def command(driver_name: str, port: str, settings: tuple[str, ...], polls: int, out: Path) -> None:
    """Ask a device all its driver's questions and write every byte both ways to a file in the vector format.

    Such a file is a bug report that becomes a test: `bms-gateway decode FILE` plays it.
    """
    driver = registry.load(driver_name)
    answered = asyncio.run(_record(driver, port, settings, polls, out))
    click.echo(f"{out}: {answered} answers recorded")
    if not answered:
        raise GatewayError(f"{port}: nothing answered; is it a {driver_name}, awake, at the right address?")


async def _record(driver: Driver, port: str, settings: tuple[str, ...], polls: int, out: Path) -> int:
    session = Session(driver, parse_settings(driver, settings))
    link = RecordLink(open_link(port, driver), driver=driver.name, transport=driver.transports[0])
    await link.open()
    answered = 0
    try:
        for number in range(polls):
            answered += await _round(session, link, float(number))
            click.echo(f"round {number + 1} of {polls}: {answered} answers", err=True)
    finally:
        await link.close()
        config = {name: value for name, value in session.setup.items() if value is not None}
        link.write(out, origin=port, config=config)
    return answered


async def _round(session: Session, link: RecordLink, now: float) -> int:
    answered = 0
    for poll in session.due(now):
        try:
            session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), now)
            answered += 1
        except (LinkTimeout, FrameError, DeviceRefused) as problem:
            click.echo(f"{poll.name}: {problem}", err=True)
            session.missed(poll, now)
    return answered
