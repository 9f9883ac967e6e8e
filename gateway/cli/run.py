"""bms-gateway run: the service."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import click

from gateway.config.doubts import doubts
from gateway.config.load import load
from gateway.config.schema import Settings
from gateway.control import ControlServer, default_path
from gateway.wiring import build

LEVELS = ("debug", "info", "warning", "error")


@click.command(name="run")
@click.option("-c", "--config", type=click.Path(path_type=Path), default=Path("gateway.yaml"), show_default=True)
@click.option("--socket", type=click.Path(path_type=Path), help="Where `status` and `explain` ask.")
@click.option("--log", "level", type=click.Choice(LEVELS), default="info", show_default=True, help="debug adds frames.")
def command(config: Path, socket: Path | None, level: str) -> None:
    """Read the batteries of CONFIG, decide, and feed the outputs until stopped (Ctrl-C, SIGTERM).

    A missing port, CAN interface or D-Bus is said once and retried; the rest works meanwhile.
    """
    settings = load(config)
    log_to_stderr(level)
    for doubt in doubts(settings):
        logging.getLogger("bms_gateway").warning("%s: %s", config, doubt)
    asyncio.run(serve(settings, socket or settings.control_socket or default_path()))


def log_to_stderr(level: str) -> None:
    """One line an event; under systemd without the time, which the journal adds itself."""
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format=f"{stamp}%(levelname)s %(message)s", force=True
    )
    logging.getLogger("bms_gateway").setLevel(level.upper())


async def serve(settings: Settings, socket: Path) -> None:
    """Build everything and run until a signal says stop."""
    gateway = await build(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await gateway.run(stop, ControlServer(socket, gateway.answer))
