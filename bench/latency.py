"""From the last byte of an answer on the wire to the CAN frame and to the D-Bus signal that carry its value."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.processes import OUTPUTS
from gateway.app import Gateway
from gateway.config.load import load
from gateway.wiring import build
from tests.e2e.house import house, until

Row = tuple[str, str, str]


def latency(folder: Path, seconds: float) -> Iterator[Row]:
    """The simulator runs in another process; times are those of the gateway's own loop and of dbus-monitor."""
    with house(folder) as home:
        home.bus()
        port = home.pack("pack0", "jbd")
        home.start("monitor", "dbus-monitor", "--profile", "type=signal,member=ItemsChanged")
        until(lambda: (folder / "monitor.log").exists(), 5, "the monitor")
        file = folder / "gateway.yaml"
        file.write_text(
            f"batteries:\n  - {{name: pack, driver: jbd, port: {port}}}\nstate_dir: {folder}/state\n{OUTPUTS}"
        )
        import os

        os.environ["DBUS_SESSION_BUS_ADDRESS"] = home.environment["DBUS_SESSION_BUS_ADDRESS"]
        readings, snapshots = asyncio.run(_listen(file, max(seconds, 10.0)))
        signals = _signal_times(folder / "monitor.log")
    yield _row("answer on the wire -> Snapshot", _delays(readings, snapshots), "< 50 ms")
    yield _row("answer on the wire -> D-Bus signal", _delays(readings, signals), "wire time + < 50 ms")


async def _listen(file: Path, seconds: float) -> tuple[list[float], list[float]]:
    """Wall times of every reading and of the Snapshot that followed."""
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


def _signal_times(log: Path) -> list[float]:
    return [float(line.split("\t")[1]) for line in log.read_text().splitlines() if line.startswith("sig\t")]


def _delays(causes: list[float], effects: list[float]) -> list[float]:
    """For each cause the time to the next effect, where one came within 0.5 s [ms]."""
    found = []
    for cause in causes[3:]:
        following = [effect - cause for effect in effects if 0 <= effect - cause < 0.5]
        if following:
            found.append(1000 * min(following))
    return found


def _row(what: str, delays: list[float], budget: str) -> Row:
    if not delays:
        return what, "nothing seen", budget
    return what, f"median {statistics.median(delays):.1f} ms, worst {max(delays):.1f} ms (n={len(delays)})", budget
