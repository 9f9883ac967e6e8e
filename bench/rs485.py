"""How soon an inverter on RS485 is answered while a BMS port hangs, and what three who ask cost CAN and the processor.

Every answer counts, from the first question to the end of the run: one as an Anenji asks, one as a Growatt, and one
that asks each 100 ms.
"""

import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.asker import HABITS
from bench.gaps import by_id
from bench.gaps import rows as gap_rows
from bench.processes import used
from bench.table import Row
from tests.e2e.house import house, until

LEAST: Final = 30.0  # s
ALONE: Final = 30.0  # s of CAN before anybody asks
DIALECTS: Final = {name: habit.dialect for name, habit in HABITS.items()}


def rs485(folder: Path, seconds: float) -> Iterator[Row]:
    """The whole gateway as a process, with three lines and a CAN bus."""
    seconds = max(seconds, LEAST)
    with house(folder) as home:
        home.bus()
        ports = [home.pack("pack0", "jbd"), home.pack("pack1", "jbd")]
        home.start("adapter", sys.executable, "-m", "bench.adapter", str(folder / "can"))
        for name in HABITS:
            home.start(name, sys.executable, "-m", "bench.asker", str(folder / name), name)
            until((folder / name).exists, 15, f"the line of {name}")
        process = home.gateway(config(ports, folder))
        home.wait(lambda state: state["outputs"]["can_bms"]["frames_sent"] and state["bank"]["complete"], 60, "frames")
        home.signal("pack1", signal.SIGSTOP)
        before = used(process.pid)
        time.sleep(ALONE)
        alone, quiet = used(process.pid) - before, home.log("adapter")
        end_alone = time.monotonic()
        for name in HABITS:
            (folder / f"{name}.go").touch()
        before = used(process.pid)
        time.sleep(seconds)
        asked = used(process.pid) - before
        end = time.monotonic()
        counters = [output.get("counters", {}) for output in home.state()["outputs"].values()]
        logs = {name: home.log(name).splitlines() for name in HABITS}
        frames = home.log("adapter")[len(quiet) :]
    for name, lines in logs.items():
        yield from rows(name, lines, seconds)
    total = sum(line.startswith("answer") for lines in logs.values() for line in lines)
    cost = 1000 * (asked - alone * seconds / ALONE) / max(1, total)
    yield "RS485: CPU an answer, all of it", f"{cost:.2f} ms", "< 1 ms"
    late = sum(one.get("late", 0) for one in counters)
    yield "RS485: dropped as too late; load", f"{late}; {os.getloadavg()[0]:.1f}", "none"
    for what, log, last, took in (("nobody asks", quiet, end_alone, ALONE), ("three ask", frames, end, seconds)):
        yield from ((f"{what}: {row[0]}", *row[1:]) for row in gap_rows(by_id(log, last), took))


def config(ports: Sequence[Path], folder: Path) -> str:
    """Two packs, CAN, D-Bus, and a line for each habit."""
    packs = "".join(f"  - {{name: pack-{n}, driver: jbd, port: {port}}}\n" for n, port in enumerate(ports, 1))
    lines = "".join(f"    - {{port: {folder / name}, dialect: {dialect}}}\n" for name, dialect in DIALECTS.items())
    can = f"  can_bms: {{interface: slcan, channel: {folder / 'can'}}}\n  venus_dbus: {{}}\n"
    return f"batteries:\n{packs}outputs:\n{can}  rs485_bms:\n{lines}"


def rows(name: str, lines: Sequence[str], seconds: float) -> Iterator[Row]:
    """The distribution of one who asks, and what should not have been."""
    kinds = Counter(line.partition(" ")[0] for line in lines)
    times = sorted(1000 * float(line.partition(" ")[2]) for line in lines if line.startswith("answer"))
    if len(times) < 2:
        yield f"RS485, {name}", f"nothing was answered: {dict(kinds)}", ""
        return
    cuts = statistics.quantiles(times, n=1000, method="inclusive")
    named = {"least": times[0], "median": cuts[499], "p99": cuts[989], "p99.9": cuts[998], "most": times[-1]}
    figures = ", ".join(f"{what} {ms:.1f}" for what, ms in named.items())
    yield (
        f"RS485 answers, {name}, {seconds / 60:.1f} minutes (n={len(times)})",
        f"{figures} ms",
        "5..50 ms, all < 150 ms",
    )
    others = {kind: kinds[kind] for kind in ("missing", "wrong", "unasked", "foreign")}
    yield f"RS485 {name}: not so", ", ".join(f"{kind} {count}" for kind, count in others.items()), "none"
