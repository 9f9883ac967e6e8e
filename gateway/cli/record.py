"""bms-gateway record: write a recording from a device."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import click

from bms_drivers.kit import registry, talkers
from bms_drivers.kit.declare import Driver, SerialLine
from bms_drivers.kit.detect import UNKNOWN
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.factory import open_link
from bms_drivers.links.record import RecordLink
from gateway.cli.decode import parse_settings
from gateway.model import DeviceRefused, FrameError, GatewayError, LinkTimeout

LINE: Final = SerialLine(baud=9600)  # where nothing else is said


def parse_hex(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[bytes, ...]:
    """Bytes in hex, spaces allowed.  Raises click.BadParameter."""
    requests = []
    for text in given:
        try:
            requests.append(bytes.fromhex(text))
        except ValueError:
            requests.append(b"")
        if not requests[-1]:
            raise click.BadParameter(f"{text!r}: expected bytes in hex, as dda50300fffd77", context, option)
    return tuple(requests)


@click.command(name="record")
@click.option("--driver", "name", help="Whose questions to ask; with --raw and --listen, whose recording it will be.")
@click.option("--port", required=True, help="Device or URL, as in gateway.yaml.")
@click.option(
    "--raw", "requests", multiple=True, callback=parse_hex, metavar="HEX", help="Ask just this; may be repeated."
)
@click.option("--listen", "seconds", type=click.FloatRange(0.1, 86400), metavar="SECONDS", help="Only listen.")
@click.option("--wait", default=1.0, show_default=True, type=click.FloatRange(0.05, 60), help="s for what --raw asks.")
@click.option("--baud", type=click.IntRange(300, 4_000_000), help="With --raw, --listen; default the driver's or 9600.")
@click.option("--parity", type=click.Choice(["N", "E"]), help="With --raw and --listen: none or even.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A driver setting, e.g. --set address=3.")
@click.option("--polls", default=1, show_default=True, type=click.IntRange(1, 100_000), help="How many rounds.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
def command(
    name: str | None,
    port: str,
    requests: tuple[bytes, ...],
    seconds: float | None,
    wait: float,
    baud: int | None,
    parity: Literal["N", "E"] | None,
    settings: tuple[str, ...],
    polls: int,
    out: Path,
) -> None:
    """Ask a device all its driver's questions and write every byte both ways to a file in the vector format.

    Such a file is a bug report that becomes a test: `bms-gateway decode FILE` plays it. A device that no driver knows
    is asked with --raw, or overheard with --listen.
    """
    if requests or seconds is not None:
        if settings:
            raise click.UsageError("--set: goes with a driver's own questions, not with --raw or --listen")
        line = _line(name, baud, parity)
        answered = asyncio.run(_record_raw(name, port, line, (*requests, b"") if seconds else requests,
                                           wait, seconds or 0.0, polls, out))  # fmt: skip
    elif name is None or baud is not None or parity is not None:
        raise click.UsageError("expected --driver NAME alone, or --raw HEX, or --listen SECONDS, with --baud")
    else:
        driver = registry.load(name)
        answered = asyncio.run(_record(driver, port, settings, polls, out))
    click.echo(f"{out}: {answered} answers recorded")
    if not answered:
        raise GatewayError(f"{port}: nothing answered; is it {_a(name)}, awake, at the right address and baud rate?")


def _a(name: str | None) -> str:
    return f"a {name}" if name else "connected"


# ---- a driver's questions


async def _record(driver: Driver, port: str, settings: tuple[str, ...], polls: int, out: Path) -> int:
    session = Session(driver, parse_settings(driver, settings))
    config = {name: value for name, value in session.setup.items() if value is not None}
    answered = 0
    async with _recorded(port, session.driver, out, origin=port, config=config) as link:
        for number in range(polls):
            answered += await _round(session, link, float(number))
            click.echo(f"round {number + 1} of {polls}: {answered} answers", err=True)
    return answered


@asynccontextmanager
async def _recorded(port: str, driver: Driver, out: Path, **more: Any) -> AsyncIterator[RecordLink]:
    """An open link; what was said on it is written to `out`, come what may."""
    link = RecordLink(open_link(port, driver), driver=driver.name, transport=driver.transports[0], joined=True)
    await link.open()
    try:
        yield link
    finally:
        await link.close()
        link.write(out, **more)


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


# ---- no driver's


def _line(name: str | None, baud: int | None, parity: Literal["N", "E"] | None) -> SerialLine:
    """How to use the port: as said, else as the driver of that name does, if there is one."""
    known = registry.load(name).line if name in registry.names() else None
    line = known or LINE
    return replace(line, baud=baud or line.baud, parity=parity or line.parity)


async def _record_raw(
    name: str | None, port: str, line: SerialLine, requests: tuple[bytes, ...], wait: float, listen: float,
    rounds: int, out: Path,
) -> int:  # fmt: skip
    """Ask `requests` one after the other, b"" = listen; how many were answered."""
    stand_in, answered = replace(UNKNOWN, name=name or "unknown", line=line), 0
    async with _recorded(port, stand_in, out, origin=port) as link:
        for request in requests * rounds:
            heard = await talkers.listen(link, wait if request else listen, request)
            click.echo(f"{request.hex() or 'listened'}: {heard.hex() or 'nothing'}", err=True)
            answered += bool(heard)
    return answered
