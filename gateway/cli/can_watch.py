"""bms-gateway can watch: every frame on a bus as it comes, with its gap, its sender and what it says."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import can
import click

from gateway.cli.duration import parse_duration
from gateway.model import GatewayError
from gateway.opening import bus_failed
from outputs.can_bms.dbc_file import load
from outputs.can_bms.dialect import Dialect, Frame
from outputs.can_bms.errors import kinds
from outputs.can_bms.speakers import Speaker, Speakers, listener, sender
from outputs.inverter.keys import Value

HOME, BELOW = "\x1b[H", "\x1b[J"  # ANSI: cursor to the top left; clear from here on
REDRAWN = 0.2  # s between two pictures on a terminal


@click.command(name="watch")
@click.argument("channel")
@click.option("--dialect", "name", default="pylontech", show_default=True, help="What the battery speaks.")
@click.option("--dbc", "file", type=click.Path(path_type=Path), help="Your own DBC file instead.")
@click.option("--interface", default="socketcan", show_default=True, help="Kind of bus, as python-can calls it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a frame.")
@click.option("--for", "duration", metavar="TIME", help="End by itself, e.g. 10s or 2m.")
def watch_command(
    channel: str, name: str, file: Path | None, interface: str, as_json: bool, duration: str | None
) -> None:
    """Show the frames on the bus CHANNEL: on a terminal a table by id, otherwise a line a frame.

    "gap" is the time since the last frame of the same id, with the longest one seen so far. "This host" are the
    gateway, or other programs here; the kernel hands their frames to everybody who listens. Sends nothing.
    """
    dialect = load(name, file)
    speakers = Speakers()
    table = sys.stdout.isatty() and not as_json
    drawn = 0.0
    for message in _messages(channel, interface, parse_duration(duration) if duration else None):
        if message is not None and message.is_error_frame:
            _error(message, as_json=as_json, quiet=table)
        elif message is not None:
            speaker = speakers.hears(message)
            if not table:
                (_json if as_json else _line)(speaker, dialect)
        if table and time.monotonic() - drawn > REDRAWN:
            drawn = time.monotonic()
            click.echo("\n".join((f"{HOME}{BELOW}{channel}, {dialect.name}", *_rows(speakers, dialect))))


def _messages(channel: str, interface: str, seconds: float | None) -> Iterator[can.Message | None]:
    """Frames until the time is up or Ctrl-C; None from time to time.  Raises GatewayError when the bus fails."""
    end = None if seconds is None else time.monotonic() + seconds
    try:
        with listener(interface, channel) as bus:
            while end is None or time.monotonic() < end:
                yield bus.recv(REDRAWN)
    except KeyboardInterrupt:
        return
    except (can.CanError, OSError, ValueError) as fault:
        raise GatewayError(bus_failed(channel, fault)) from None


def _line(speaker: Speaker, dialect: Dialect) -> None:
    click.echo(f"{speaker.last:.6f}  {_row(speaker, dialect)}")


def _rows(speakers: Speakers, dialect: Dialect) -> list[str]:
    return [_row(speakers.all[key], dialect) for key in sorted(speakers.all)]


def _row(speaker: Speaker, dialect: Dialect) -> str:
    number = f"{speaker.id[0]:08X}" if speaker.id[1] else f"{speaker.id[0]:03X}"
    gap = "first" if speaker.gap is None else f"gap {speaker.gap:6.3f} s, longest {speaker.longest:.3f}"
    who = sender(speaker.id, here=speaker.here, dialect=dialect)
    said = ", ".join(f"{key} {_shown(value)}{_unit(dialect, key)}" for key, value in _values(speaker, dialect).items())
    return f"{number:>8}  {speaker.data.hex(' ').upper():23}  {gap:29}  {who:11}  {said}".rstrip()


def _json(speaker: Speaker, dialect: Dialect) -> None:
    click.echo(
        json.dumps(
            {
                "time": round(speaker.last, 6),
                "id": f"0x{speaker.id[0]:X}",
                "extended": speaker.id[1],
                "data": speaker.data.hex().upper(),
                "gap": None if speaker.gap is None else round(speaker.gap, 6),
                "longest_gap": round(speaker.longest, 6),
                "from": sender(speaker.id, here=speaker.here, dialect=dialect),
                "values": _values(speaker, dialect),
            }
        )
    )


def _error(message: can.Message, *, as_json: bool, quiet: bool) -> None:
    told = list(kinds(message))
    if as_json:
        click.echo(json.dumps({"time": round(message.timestamp, 6), "error": told}))
    elif not quiet:
        click.echo(f"{message.timestamp:.6f}     error  {', '.join(told)}")


def _values(speaker: Speaker, dialect: Dialect) -> dict[str, Value]:
    return dialect.decode([Frame(speaker.id[0], speaker.data, speaker.id[1])])


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unit(dialect: Dialect, key: str) -> str:
    unit = dialect.unit(key)
    return f" {unit}" if unit else ""
