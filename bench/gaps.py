"""Gaps between the frames of each id, seen by another process at the far end of an adapter, while all else goes wrong.

One BMS's port hangs, the D-Bus daemon stands still for most of the time, and a process burns a core: an inverter must
not notice.  Every gap counts, from the first frame to the end of the run.
"""

import os
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.processes import used
from bench.table import Row
from tests.e2e.house import House, house

LEAST: Final = 30.0  # s
STALLED, RUNNING = 20.0, 5.0  # s of D-Bus, in turn
BUDGET: Final = 1.1  # s


def gaps(folder: Path, seconds: float) -> Iterator[Row]:
    """The whole gateway as a process, sending into a pty."""
    seconds = max(seconds, LEAST)
    with house(folder) as home:
        home.bus()
        ports = [home.pack("pack0", "jbd"), home.pack("pack1", "jbd")]
        home.start("adapter", sys.executable, "-m", "bench.adapter", str(folder / "can"))
        process = home.gateway(config(ports, folder / "can"))
        home.wait(lambda state: state["outputs"]["can_bms"]["frames_sent"] and state["bank"]["complete"], 30, "frames")
        home.start("hog", sys.executable, "-c", "while True: pass")
        home.signal("pack1", signal.SIGSTOP)
        before = used(process.pid)
        _trouble(home, seconds)
        spent, end = used(process.pid) - before, time.monotonic()
        found = by_id(home.log("adapter"), end)
    yield from rows(found, seconds)
    yield "CAN gaps: the gateway's CPU meanwhile", f"{100 * spent / seconds:.2f} %", ""
    yield "CAN gaps: load of this machine (1, 5, 15 min)", " ".join(f"{n:.2f}" for n in os.getloadavg()), ""


def config(ports: Sequence[Path], channel: Path) -> str:
    """Two packs, an slcan adapter, D-Bus."""
    packs = "".join(f"  - {{name: pack-{n}, driver: jbd, port: {port}}}\n" for n, port in enumerate(ports, 1))
    return f"batteries:\n{packs}outputs:\n  can_bms: {{interface: slcan, channel: {channel}}}\n  venus_dbus: {{}}\n"


def _trouble(home: House, seconds: float) -> None:
    """Let D-Bus stand and run in turn until the time is up."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        home.signal("dbus", signal.SIGSTOP)
        time.sleep(min(left, STALLED))
        home.signal("dbus", signal.SIGCONT)
        time.sleep(max(0.0, min(end - time.monotonic(), RUNNING)))


def by_id(log: str, end: float) -> Mapping[str, list[float]]:
    """The gaps [s] between the frames of each id, and from its last one to the `end` [s]: silence is a gap, too."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for line in log.splitlines():
        at, _, can_id = line.partition(" ")
        times[can_id].append(float(at))
    return {can_id: [b - a for a, b in pairwise((*found, end))] for can_id, found in times.items()}


def rows(found: Mapping[str, Sequence[float]], seconds: float) -> Iterator[Row]:
    """A line over all ids: p100 is what counts."""
    every = sorted(gap for one in found.values() for gap in one)
    if len(every) < 2:
        yield "CAN gaps", "nothing seen", f"< {BUDGET} s"
        return
    cuts = statistics.quantiles(every, n=1000, method="inclusive")
    figures = f"median {cuts[499]:.3f}, p99 {cuts[989]:.3f}, p99.9 {cuts[998]:.3f}, p100 {every[-1]:.3f} s"
    yield f"CAN gaps: {len(found)} ids, {seconds / 60:.1f} minutes (n={len(every)})", figures, f"p100 < {BUDGET} s"
