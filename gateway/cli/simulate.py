"""bms-gateway simulate: be a BMS on a pseudo-terminal, or on a CAN bus."""

import asyncio
import math
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from bms_drivers.kit import registry
from bms_drivers.sims.faults import KINDS, Faults
from bms_drivers.sims.host import simulated
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import Device
from gateway.locks import Held, Locks
from gateway.model import ALARMS, ConfigError, GatewayError

MAPPED = "modbus_map"  # has no sheet to be simulated from, but perhaps a recording

HELP = """Lines on standard input while it runs:

\b
  current -30              A, + = charging
  soc 12                   %
  cell 3 3.61              V of one cell; cell 3 off lets it live again
  temperature 1 56         °C of one sensor
  alarm high_voltage on    or off
  fault silent on          or off, or a number: the next so many answers (late: seconds)
  switch charge off        as if the BMS itself had opened it
  @2 current -30           of the second address, where there are several
"""


@click.command(name="simulate", epilog=HELP)
@click.argument("driver", type=click.Choice([*registry.simulated(), MAPPED]))
@click.option("--image", type=click.Path(path_type=Path), help=f"{MAPPED}: a recording whose registers it holds.")
@click.option("--link", type=click.Path(path_type=Path), help="A stable name for the pty.")
@click.option("--channel", default="", metavar="CAN", help="The CAN interface to send on, as vcan0.")
@click.option("--cells", type=click.IntRange(3, 24), help="Default 16, or the most that the BMS can have.")
@click.option("--capacity", default=100.0, show_default=True, type=click.FloatRange(1, 10000), help="Ah")
@click.option("--soc", default=50.0, show_default=True, type=click.FloatRange(0, 100), help="%")
@click.option("--current", default=10.0, show_default=True, type=click.FloatRange(-2000, 2000), help="A, + = charging")
@click.option("--profile", default="constant", show_default=True, type=click.Choice(["constant", "sine"]))
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(0, 10000), help="Simulated seconds a second."
)
@click.option(
    "--address", "addresses", type=int, multiple=True, help="Where the protocol has addresses; several on one line."
)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same cells.")
@click.option("--fault", "given", multiple=True, metavar="KIND[=VALUE]", help=f"One of {', '.join(KINDS)}.")
def command(
    driver: str,
    image: Path | None,
    link: Path | None,
    channel: str,
    addresses: tuple[int, ...],
    seed: int,
    given: tuple[str, ...],
    **pack: Any,
) -> None:
    """Answer as DRIVER's BMS does, with its timing and a living pack; prints the path it answers on.
    A BMS on a CAN bus sends on --channel instead.

    Point a battery's `port:` at that path. SIGSTOP is a BMS that falls silent, SIGCONT one that comes back.
    """
    faults = Faults()
    for fault in given:
        kind, _, value = fault.partition("=")
        _set_fault(faults, kind, value or "on")
    _check_image(driver, image)
    _check_line(driver, link, channel)
    _check_addresses(driver, addresses)
    with Locks() as locks:
        _take(link, locks)
        if image is not None:
            asyncio.run(_serve(_recorded(image, faults, link), link))
            return
        wanted = {"seed": seed, "faults": faults, "link": link, "addresses": addresses, "channel": channel, **pack}
        asyncio.run(_serve(simulated(driver, {}, **wanted), link))


def _check_image(driver: str, image: Path | None) -> None:
    """Raises GatewayError for a driver without a simulator and without a recording, or with both."""
    if driver == MAPPED and image is None:
        raise GatewayError(f"{driver}: what its registers hold is not known; expected --image with a recording")
    if driver != MAPPED and image is not None:
        raise GatewayError(f"--image: a {driver} has a simulator of its own; expected {MAPPED}, or nothing")


async def _recorded(image: Path, faults: Faults, link: Path | None) -> Device:
    """A started device that holds what the recording holds.  Raises GatewayError."""
    from bms_drivers.links.recording import load
    from bms_drivers.sims.pty import PtyDevice
    from bms_drivers.sims.recorded import Recorded

    recording = load(image)
    try:
        device = PtyDevice(Recorded(recording), faults, link)
    except ConfigError as problem:
        raise GatewayError(f"{image}: {problem}") from None
    await device.start()
    return device


def _take(link: Path | None, locks: Locks) -> None:
    """Make sure that no other simulator answers under this name.  Raises GatewayError."""
    try:
        if link is not None:
            locks.take_name(f"simulate {link.parent.resolve() / link.name}")
    except Held as held:
        raise GatewayError(
            f"{link}: another simulator{held.holder} answers there; expected a name that is free"
        ) from None


def _check_line(driver: str, link: Path | None, channel: str) -> None:
    """Raises GatewayError for a BMS that is on no line which another program could open, or on another than named."""
    on_can = registry.load(driver).transports == ("can",)
    if on_can and (link is not None or not channel):
        raise GatewayError(f"{driver}: is on a CAN bus; expected --channel with the interface, as vcan0")
    if channel and not on_can:
        raise GatewayError(f"--channel: a {driver} is on no CAN bus; expected --link, or nothing")
    if registry.load(driver).spi is not None:
        raise GatewayError(
            f"{driver}: is a chip on the computer's own SPI bus, no pty leads there;"
            " expected port: simulated in gateway.yaml"
        )


def _check_addresses(driver: str, addresses: tuple[int, ...]) -> None:
    """Raises GatewayError for addresses that the driver has not, or that are given twice."""
    option = next((option for option in registry.load(driver).options if option.name == "address"), None)
    if addresses and option is None:
        raise GatewayError(f"--address: a {driver} has no address, it is alone on its line")
    if len(set(addresses)) < len(addresses):
        raise GatewayError(f"--address: {', '.join(map(str, addresses))}: each may be given once")


async def _serve(starting: Coroutine[Any, Any, Device], link: Path | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)  # first: whoever sees the path may end it at once
    device = await starting
    loop.add_signal_handler(signal.SIGCONT, device.wake)
    click.echo(link or device.path)
    sys.stdout.flush()
    _listen(loop, device)
    await stop.wait()
    await device.close()


def _listen(loop: asyncio.AbstractEventLoop, device: Device) -> None:
    """Obey lines on standard input, where there is one that can be waited for."""

    def heard() -> None:
        line = os.read(sys.stdin.fileno(), 4096).decode(errors="replace")
        if not line:
            loop.remove_reader(sys.stdin.fileno())
        for words in map(str.split, line.splitlines()):
            if words:
                click.echo(_obeyed(device, words))

    try:
        loop.add_reader(sys.stdin.fileno(), heard)
    except (OSError, ValueError):
        return  # /dev/null or a file: nothing will be said


def _obeyed(device: Device, words: list[str]) -> str:
    """Do what a line says; returns what was done, or what would have been right."""
    try:
        _obey(device, words)
    except (ValueError, IndexError, KeyError, GatewayError):
        return f"not understood: {' '.join(words)}; see bms-gateway simulate --help"
    return " ".join(words)


def _obey(device: Device, words: list[str]) -> None:
    which = 0
    if words[0].startswith("@"):
        which, words = _index(words[0][1:], len(device.simulators)), words[1:]
    pack, what = device.simulators[which].pack, words[0]
    if what == "current":
        pack.current = _number(words[1])
    elif what == "soc":
        pack.soc = _number(words[1])
    elif what == "cell":
        _hold_cell(pack, _index(words[1], len(pack.cells)), words[2])
    elif what == "temperature":
        pack.temperatures[_index(words[1], len(pack.temperatures))] = _number(words[2])
    elif what == "alarm" and words[1] in ALARMS:
        (pack.alarms.add if _is_on(words[2]) else pack.alarms.discard)(words[1])
    elif what == "fault":
        _set_fault(device.faults, words[1], words[2])
    elif what == "switch" and words[1] in ("charge", "discharge", "balance"):
        setattr(pack, f"{words[1]}_switch", _is_on(words[2]))
    else:
        raise ValueError(what)


def _hold_cell(pack: Pack, number: int, value: str) -> None:
    if value == "off":
        pack.held_cells.pop(number, None)
    else:
        pack.held_cells[number] = _number(value)


def _number(word: str) -> float:
    """Raises ValueError, for nan and inf too."""
    if not math.isfinite(value := float(word)):
        raise ValueError(word)
    return value


def _index(word: str, count: int) -> int:
    """From 0, of what people count from 1.  Raises IndexError beyond `count`."""
    if not 1 <= int(word) <= count:
        raise IndexError(word)
    return int(word) - 1


def _is_on(word: str) -> bool:
    """Raises ValueError for anything but on and off."""
    if word not in ("on", "off"):
        raise ValueError(word)
    return word == "on"


def _set_fault(faults: Faults, kind: str, value: str) -> None:
    """Raises GatewayError for a kind that is none."""
    if kind not in KINDS:
        raise GatewayError(f"fault {kind!r}: expected one of {', '.join(KINDS)}")
    if value == "off":
        faults.clear(kind)
    else:
        try:
            faults.set(kind, None if value == "on" else _number(value))
        except ValueError:
            raise GatewayError(f"fault {kind}={value}: expected on, off or a number") from None
