"""From the last byte of an answer on the wire to the Snapshot and to the D-Bus signal that carry its value."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.processes import OUTPUTS
from gateway.app import Gateway
from gateway.config.load import load
from gateway.wiring import build
from tests.e2e.house import house, until

Row = tuple[str, str, str]
WARM: float = 5.0  # s at the start that are not counted: identity questions, first values


def latency(folder: Path, seconds: float) -> Iterator[Row]:
    """Simulator, wire and dbus-monitor are processes of their own; all times are of the one system clock."""
    with house(folder) as home:
        home.bus()
        device = home.pack("device", "jbd", "--profile", "sine", "--current", "40", "--speed", "20")
        home.start("wire", sys.executable, "-m", "bench.wire", str(device), str(folder / "pack"))
        home.start("monitor", "dbus-monitor", "--profile", "type=signal,member=ItemsChanged")
        until((folder / "pack").exists, 5, "the wire")
        file = folder / "gateway.yaml"
        file.write_text(
            f"batteries:\n  - {{name: pack, driver: jbd, port: {folder}/pack}}\nstate_dir: {folder}/state\n{OUTPUTS}"
        )
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = home.environment["DBUS_SESSION_BUS_ADDRESS"]
        readings, snapshots = asyncio.run(_listen(file, WARM + max(seconds, 10.0)))
        answers = [float(line.split()[0]) for line in home.log("wire").splitlines()]
        signals = [float(line.split("\t")[1]) for line in home.log("monitor").splitlines() if line.startswith("sig\t")]
    causes = completing(answers, [at for at in readings if at > readings[0] + WARM])
    span = signals[-1] - readings[0] - WARM
    rate = sum(at > readings[0] + WARM for at in signals) / span
    yield _row("last byte of an answer -> Snapshot", delays(causes, snapshots), "< 20 ms")
    yield _row("last byte of an answer -> D-Bus signal", delays(causes, signals), "p99 <= 60 ms")
    yield "D-Bus signals a second meanwhile", f"{rate:.2f}", "about 1"


async def _listen(file: Path, seconds: float) -> tuple[list[float], list[float]]:
    """Wall times of every reading and of every Snapshot."""
    gateway = await build(load(file))
    readings: list[float] = []
    snapshots: list[float] = []
    _tap(gateway, readings, snapshots)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await gateway.run(stop)
    return readings, snapshots


def _tap(gateway: Gateway, readings: list[float], snapshots: list[float]) -> None:
    changed, decide = gateway.changed, gateway.decide

    def noted_change() -> None:
        readings.append(time.time())
        changed()

    def noted_decision() -> object:
        made = decide()
        snapshots.append(time.time())
        return made

    gateway.changed, gateway.decide = noted_change, noted_decision  # type: ignore[method-assign,assignment]


def completing(answers: Sequence[float], readings: Sequence[float]) -> list[float]:
    """The time of the last answer before each reading: the one that completed it."""
    return [max(answer for answer in answers if answer <= reading) for reading in readings]


def delays(causes: Sequence[float], effects: Sequence[float]) -> list[float]:
    """For each cause but the last the time to the next effect [ms]; every one counts, however late it is."""
    return [1000 * min(effect - cause for effect in effects if effect >= cause) for cause in causes[:-1]]


def _row(what: str, found: Sequence[float], budget: str) -> Row:
    if len(found) < 2:
        return what, "nothing seen", budget
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    figures = f"median {cuts[49]:.1f}, p90 {cuts[89]:.1f}, p99 {cuts[98]:.1f}, max {max(found):.1f} ms (n={len(found)})"
    return what, figures, budget
