"""bms-gateway report: evidence in one file."""

import os
import time
from pathlib import Path
from typing import Any

import click

from gateway.bundle import bundle
from gateway.control import ask
from gateway.model import GatewayError


@click.command(name="report")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: named by time.")
@click.option("-c", "--config", type=click.Path(path_type=Path), help="Default: the one that the gateway runs with.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
def command(out: Path | None, config: Path | None, socket: Path | None) -> None:
    """Write one zip file with everything that helps to find a fault; it is sent nowhere.

    The running gateway always keeps the last hour of raw frames, the minutes around the last alarms, events, orders and
    log lines. Here they are packed with the configuration (comments kept), versions and the whole state. Passwords,
    serial numbers, Bluetooth addresses and names are masked, in the frames too; readme.txt inside says what.

    `bms-gateway replay FILE` plays it through the same code.
    """
    evidence = _evidence(socket, alone=config is not None)
    path = config or Path(evidence["configuration"])
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        text = f"# {path.name}: cannot be read ({problem.strerror})\n"
    target = out or Path(time.strftime("bms-gateway-report-%Y%m%dT%H%M%SZ.zip", time.gmtime()))
    raw = bundle(evidence, text)
    try:
        with open(target, "xb" if out is None else "wb", opener=_private) as file:
            file.write(raw)
    except OSError as problem:
        raise GatewayError(f"{target}: cannot be written ({problem.strerror})") from None
    click.echo(f"{target}: {len(raw) / 1024:.0f} kB, {_count(evidence)}")


def _evidence(socket: Path | None, *, alone: bool) -> dict[str, Any]:
    """What the running gateway keeps; `alone`: a report without it is better than none."""
    try:
        return ask({"ask": "evidence"}, socket)
    except GatewayError as problem:
        if not alone:
            raise GatewayError(f"{problem}; or report on a file alone, with -c gateway.yaml") from None
        click.echo(f"{problem}; reporting on the configuration alone", err=True)
        return {"wall": time.time(), "monotonic": time.monotonic(), "error": str(problem)}


def _count(evidence: dict[str, Any]) -> str:
    ports, events = len(evidence.get("rings", ())), len(evidence.get("events", ()))
    return f"{ports} port{'s' * (ports != 1)}, {events} event{'s' * (events != 1)}; sent nowhere"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
