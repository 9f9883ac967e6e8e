"""bms-gateway run: the service."""

from pathlib import Path

import click

from gateway.running import LEVELS, LONGEST_WATCH, SHORTEST_WATCH, USUAL, run


@click.command(name="run")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("-c", "--config", type=click.Path(path_type=Path), help="The same as FILE.")
@click.option("--socket", type=click.Path(path_type=Path), help="Where `status` and `explain` ask.")
@click.option("--log", "level", type=click.Choice(LEVELS), default="info", show_default=True, help="debug adds frames.")
@click.option("--watchdog", type=click.FloatRange(SHORTEST_WATCH, LONGEST_WATCH), metavar="SECONDS",
              help="End when nothing was decided for so long, for supervisors that only start again what ended; "
              "systemd's WatchdogSec= needs no option.")  # fmt: skip
def command(file: Path | None, config: Path | None, socket: Path | None, level: str, watchdog: float | None) -> None:
    """Read the batteries of FILE (default gateway.yaml), decide, and feed the outputs until stopped (Ctrl-C, SIGTERM).

    A missing port, CAN interface or D-Bus is said once and retried; the rest works meanwhile. SIGHUP has FILE read
    again: what is the same runs on without a gap, and a file with mistakes changes nothing.
    """
    if file is not None and config is not None and file != config:
        raise click.UsageError(f"{file} and --config {config}: one of them, expected one configuration")
    run(file or config or USUAL, socket, level, watchdog)
