"""./dev soak: every driver that has a simulator at once in one gateway, in real time, with faults from time to time.

Exit 1 when a driver starved or failed for no fault, when a defect was met, or when memory or file descriptors leak.
"""

import argparse
import asyncio
import itertools
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.processes import memory
from bench.table import Row, table
from bms_drivers.kit import registry
from bms_drivers.sims.pty import PtyDevice
from bms_drivers.sims.sim import USUAL, cells_of
from gateway.app import Gateway
from gateway.battery import Battery, silent_after
from gateway.config.load import load
from gateway.wiring import build

FAULTS: Final = {"silent": None, "torn": None, "late": 2.0, "checksum": None}  # kind -> s late
FAULT_EVERY: Final = 4.0  # s
FAULT_LASTS: Final = 15.0  # s
RECOVERY: Final = 15.0  # s after a fault in which a gap may still be its doing
WARM: Final = 0.1  # share of the run after which nothing may grow any more
RSS_GROWTH: Final = 4.0  # MB that an allocator may still take
GAP_CAN: Final = 1.1  # s


@dataclass(slots=True)
class Patient:
    """One battery under the soak, and what was seen of it."""

    battery: Battery
    device: PtyDevice
    good: int = 0
    good_at: float = field(default_factory=time.monotonic)  # s; at first, the beginning of the run
    ill_until: float = 0.0  # s, monotonic: its fault and what may follow of it are over
    longest: float = 0.0  # s between two good readings while it was well
    faults: int = 0

    def look(self, now: float) -> None:
        """Note a new good reading and the gap before it, as far as no fault was in that gap."""
        good = self.battery.counters["good"]
        if good != self.good:
            self.gap(now)
            self.good, self.good_at = good, now

    def gap(self, now: float) -> None:
        """It has not been read since the last time."""
        self.longest = max(self.longest, now - max(self.good_at, self.ill_until))

    @property
    def starved(self) -> bool:
        """Stale, although nothing was wrong with it."""
        return not self.good or self.longest >= silent_after(self.battery.watch.poll_interval)


@dataclass(slots=True)
class Soak:
    """What a run found."""

    patients: list[Patient]
    files: list[int] = field(default_factory=list)  # open file descriptors: after the warm-up, at the end
    resident: list[float] = field(default_factory=list)  # MB, likewise
    kept: list[float] = field(default_factory=list)  # MB of it that are raw frames, which fill their share for an hour
    can_gap: float = 0.0  # s
    can_frames: int = 0
    defects: list[str] = field(default_factory=list)
    ended_early: bool = False

    def measure(self, gateway: Gateway) -> None:
        """Note what the process holds now."""
        self.files.append(len(list(Path("/proc/self/fd").iterdir())))
        self.resident.append(memory(os.getpid()))
        self.kept.append(gateway.evidence.held(gateway.plan.ports) / 1e6)

    def look_at_the_end(self, gateway: Gateway) -> None:
        """Before it is told to stop."""
        can: Mapping[str, Any] = gateway.plan.outputs["can_bms"].status()
        self.can_gap, self.can_frames = can["longest_gap"], can["frames_sent"]
        for patient in self.patients:
            patient.gap(time.monotonic())

    def complaints(self) -> Iterator[str]:
        """What must not be; none = it passed."""
        if self.ended_early:
            yield "the gateway ended by itself"
        for patient in self.patients:
            name = patient.battery.watch.name
            if patient.starved:
                yield f"{name}: starved, {patient.good} good readings, longest gap while well {patient.longest:.1f} s"
            if count := patient.battery.counters["defect"]:
                yield f"{name}: {count} defects"
        yield from (f"defect: {defect}" for defect in self.defects)
        if self.files[-1] > self.files[0]:
            yield f"file descriptors grew from {self.files[0]} to {self.files[-1]}"
        if self.resident[-1] - self.resident[0] - (self.kept[-1] - self.kept[0]) > RSS_GROWTH:
            yield f"memory grew from {self.resident[0]:.1f} to {self.resident[-1]:.1f} MB"
        if self.can_gap > GAP_CAN or not self.can_frames:
            yield f"CAN: {self.can_frames} frames, longest gap {self.can_gap:.2f} s"


class Defects(logging.Handler):
    """Collects what the gateway itself calls an error."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        """A battery that is lost is a warning; an error is ours."""
        self.found.append(record.getMessage())


def joins(name: str) -> bool:
    """Can its simulated pack be part of one bank with the others?  What tells no current cannot."""
    gives = {value for poll in registry.load(name).plan for value in poll.gives}
    return cells_of(name) == USUAL and {"voltage", "current", "soc"} <= gives


def config(folder: Path, names: list[str]) -> str:
    """A gateway.yaml with a battery a driver; those that fit together are one bank, the others are watched only."""
    batteries = (
        f"  - {{name: {name}, driver: {name}, port: simulated, control: {str(joins(name)).lower()}}}" for name in names
    )
    outputs = "outputs:\n  can_bms: {interface: virtual, channel: soak}\n"
    return "\n".join(("batteries:", *batteries, f"state_dir: {folder}/state", outputs))


async def soak(folder: Path, names: list[str], seconds: float, seed: int) -> Soak:
    """Run one gateway with these drivers for so long."""
    file = folder / "gateway.yaml"
    file.write_text(config(folder, names))
    gateway = await build(load(file))
    devices = gateway.plan.parts.devices
    result = Soak([Patient(battery, devices[battery.watch.name]) for battery in gateway.plan.batteries])
    handler = Defects(result.defects)
    logging.getLogger("bms_gateway").addHandler(handler)
    _tap(gateway, result)
    stop = asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    beside = asyncio.create_task(_trouble(result, random.Random(seed)))
    for share in (WARM, 1 - WARM):
        await asyncio.wait([running, beside], timeout=share * seconds, return_when=asyncio.FIRST_COMPLETED)
        result.measure(gateway)
    result.ended_early = running.done() or beside.done()
    result.look_at_the_end(gateway)
    beside.cancel()
    stop.set()
    await asyncio.gather(running, beside, return_exceptions=True)
    logging.getLogger("bms_gateway").removeHandler(handler)
    return result


def _tap(gateway: Gateway, result: Soak) -> None:
    """Look at all batteries at each news of one."""
    changed = gateway.changed

    def noted() -> None:
        now = time.monotonic()
        for patient in result.patients:
            patient.look(now)
        changed()

    gateway.changed = noted  # type: ignore[method-assign]


async def _trouble(result: Soak, rng: random.Random) -> None:
    """A fault of one kind at one battery after the other, for ever; each is over after a while."""
    kinds = itertools.cycle(FAULTS)
    while True:
        await asyncio.sleep(FAULT_EVERY)
        now = time.monotonic()
        well = [patient for patient in result.patients if now > patient.ill_until and patient.good]
        if well:
            _hurt(rng.choice(well), next(kinds), now)


def _hurt(patient: Patient, kind: str, now: float) -> None:
    patient.gap(now)
    patient.device.faults.set(kind, FAULTS[kind])
    patient.ill_until = now + FAULT_LASTS + RECOVERY
    patient.faults += 1
    asyncio.get_running_loop().call_later(FAULT_LASTS, patient.device.faults.clear, kind)


def figures(result: Soak) -> Iterator[Row]:
    """A line a driver, then the process."""
    for patient in sorted(result.patients, key=lambda patient: patient.battery.watch.name):
        counters: Counter[str] = patient.battery.counters
        yield (
            patient.battery.watch.name,
            f"{counters['polls']} polls, {counters['good']} good, {counters['failures']} failures, {patient.faults} "
            f"faults; longest gap while well {patient.longest:.1f} s",
            f"< {silent_after(patient.battery.watch.poll_interval):g} s",
        )
    yield "all polls", str(sum(patient.battery.counters["polls"] for patient in result.patients)), ""
    yield "file descriptors at 10 %, at the end", " -> ".join(map(str, result.files)), "no more"
    yield (
        "memory (RSS) at 10 %, at the end",
        " -> ".join(f"{mb:.1f} MB" for mb in result.resident),
        f"+ {RSS_GROWTH:g} MB at most, beside raw frames",
    )
    yield "raw frames kept, of it", " -> ".join(f"{mb:.1f} MB" for mb in result.kept), ""
    yield "CAN: longest gap", f"{result.can_gap:.3f} s, {result.can_frames} frames", f"< {GAP_CAN:g} s"


def main() -> None:
    """Run it, print what was seen, exit 1 when something must not be."""
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="another one hurts others (default 1)")
    chosen = parser.parse_args()
    names = [name for name in registry.simulated() if registry.load(name).transports != ("can",)]  # no pty leads there
    print(f"{len(names)} drivers for {chosen.minutes:g} minutes ...", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(soak(Path(folder), names, 60 * chosen.minutes, chosen.seed))
    print("\n".join(table(list(figures(result)))))
    complaints = list(result.complaints())
    print("\n".join(complaints) or "passed")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
