"""bms-gateway rs485 watch: every question and answer on a line as it comes, with its gap and what it says."""

import json
import os
import time
from collections.abc import Iterator

import click
import serial

from gateway.cli.duration import parse_duration
from gateway.model import FrameError, GatewayError
from gateway.opening import opening_failed
from outputs.rs485_bms.dialects import CLASSES, make
from outputs.rs485_bms.heard import Dialect, Heard, Request
from outputs.rs485_bms.wire import Wire

QUIET = 0.02  # s of silence that ends what came together
LOOK = 0.2  # s


@click.command(name="watch")
@click.argument("port")
@click.option("--dialect", "name", type=click.Choice(list(CLASSES)), default="pylontech", show_default=True)
@click.option("--baud", default=9600, show_default=True, help="Speed of the line, bit/s.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a frame.")
@click.option("--for", "duration", metavar="TIME", help="End by itself, e.g. 10s or 2m.")
def watch_command(port: str, name: str, baud: int, as_json: bool, duration: str | None) -> None:
    """Show what is asked and answered on the line at PORT, a line a frame. Sends nothing.

    The gateway must not use this port at the same time: watch with a second adapter, or before it is configured.
    """
    dialect, watcher = make(name, Wire()), _Watcher()
    for burst in _bursts(port, baud, parse_duration(duration) if duration else None):
        for heard in dialect.split(burst):
            watcher.show(heard, dialect, as_json=as_json)


class _Watcher:
    """Remembers the last question, as an answer does not say what it answers."""

    def __init__(self) -> None:
        self._question: Request | None = None
        self._last = 0.0  # s

    def show(self, heard: Heard, dialect: Dialect, *, as_json: bool) -> None:
        """One line."""
        now = time.monotonic()
        gap, self._last = now - self._last if self._last else None, now
        kind = "question" if isinstance(heard, Request) else heard.reason
        what = heard.what if isinstance(heard, Request) else ""
        said = self._read(heard, dialect)
        if as_json:
            told = {"gap": None if gap is None else round(gap, 4), "kind": kind, "what": what, "raw": heard.raw.hex()}
            click.echo(json.dumps({**told, "values": said}))
            return
        values = ", ".join(f"{key} {value}" for key, value in said.items())
        first = "first" if gap is None else f"{gap:6.3f} s"
        click.echo(f"{first:9} {kind:9} {what:9} {heard.raw.hex()}  {values}".rstrip())

    def _read(self, heard: Heard, dialect: Dialect) -> dict[str, object]:
        if isinstance(heard, Request):
            self._question = heard
            return {}
        if heard.reason != "answer" or self._question is None:
            return {}
        try:
            return dialect.read(self._question.raw, heard.raw)
        except (FrameError, GatewayError) as problem:
            return {"problem": str(problem)}


def _bursts(port: str, baud: int, seconds: float | None) -> Iterator[bytearray]:
    """What came together, until the time is up or Ctrl-C.  Raises GatewayError when the port fails."""
    end = None if seconds is None else time.monotonic() + seconds
    buffer = bytearray()
    try:
        with serial.Serial(port, baud, timeout=LOOK, exclusive=True) as line:
            while end is None or time.monotonic() < end:
                buffer += line.read(1)
                time.sleep(QUIET if buffer else 0)
                buffer += os.read(line.fileno(), line.in_waiting) if line.in_waiting else b""
                if buffer:
                    yield buffer
    except KeyboardInterrupt:
        return
    except (OSError, ValueError) as fault:
        problem = fault if isinstance(fault, OSError) else OSError(str(fault))
        raise opening_failed(port, problem) from None
