"""Whole gateways in processes of their own: start, CPU, memory, D-Bus messages, CAN gaps."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.house import House, house

Row = tuple[str, str, str]
OUTPUTS = "outputs:\n  can_bms: {interface: virtual, channel: bench}\n  venus_dbus: {}\n"


def config(ports: list[Path], driver: str = "jbd") -> str:
    """A gateway.yaml for packs on these ports."""
    batteries = "".join(f"  - {{name: pack-{n}, driver: {driver}, port: {port}}}\n" for n, port in enumerate(ports, 1))
    return f"batteries:\n{batteries}{OUTPUTS}"


def start(folder: Path, seconds: float) -> Iterator[Row]:
    """From the start of the process to the first complete Snapshot, and to a valid SoC on D-Bus."""
    with house(folder) as home:
        home.bus()
        port = home.pack("pack0", "jbd")
        began = time.monotonic()
        home.gateway(config([port]))
        home.wait(lambda state: state["bank"]["complete"], 20, "a complete Snapshot")
        first = time.monotonic() - began
        home.wait(lambda state: home.dbus("/Soc") not in ("", None), 20, "a valid SoC on D-Bus")
        yield "process start -> first Snapshot", f"{first:.2f} s", "< 2 s"
        yield "process start -> valid /Soc on D-Bus", f"{time.monotonic() - began:.2f} s", "< 2 s"


def cpu(folder: Path, seconds: float) -> Iterator[Row]:
    """CPU time a poll (one 16-cell pack, two questions, both outputs), memory, and D-Bus messages."""
    for packs, most in ((1, 45), (16, 60)):
        inside = folder / str(packs)
        inside.mkdir()
        with house(inside) as home:
            home.bus()
            ports = [home.pack(f"pack{n}", "jbd", "--seed", str(n)) for n in range(packs)]
            process = home.gateway(config(ports))
            home.wait(
                lambda state: state["bank"]["complete"] and state["outputs"]["venus_dbus"]["connected"], 90, "all"
            )
            time.sleep(8)  # start-up questions are over
            yield from _cost(home, process.pid, packs, most, seconds)


def _cost(home: House, pid: int, packs: int, most: int, seconds: float) -> Iterator[Row]:
    before, polls, signals, began = used(pid), _polls(home), _signals(home), time.monotonic()
    time.sleep(seconds)
    spent, polled, sent, took = (
        used(pid) - before,
        _polls(home) - polls,
        _signals(home) - signals,
        time.monotonic() - began,
    )
    name = f"{packs} pack{'s' if packs > 1 else ''}"
    yield f"{name}: CPU a poll, outputs included", f"{1000 * spent / polled:.2f} ms", "< 1 ms (try for 0.6)"
    yield f"{name}: CPU share", f"{100 * spent / took:.2f} %", ""
    yield f"{name}: memory (RSS)", f"{memory(pid):.0f} MB", f"< {most} MB"
    yield f"{name}: D-Bus signals a second and pack", f"{sent / took / packs:.2f}", "<= 1"


def jitter(folder: Path, seconds: float) -> Iterator[Row]:
    """Gaps between CAN cycles while one port hangs and the D-Bus daemon stands still."""
    with house(folder) as home:
        home.bus()
        ports = [home.pack("pack0", "jbd"), home.pack("pack1", "jbd")]
        home.gateway(config(ports))
        home.wait(lambda state: state["outputs"]["can_bms"]["frames_sent"] and state["bank"]["complete"], 30, "frames")
        home.signal("pack1", signal.SIGSTOP)
        home.signal("dbus", signal.SIGSTOP)
        time.sleep(max(seconds, 5.0))
        gap = home.state()["outputs"]["can_bms"]["longest_gap"]
        home.signal("dbus", signal.SIGCONT)
        yield "CAN: longest gap, one port hangs, D-Bus stalls", f"{gap:.3f} s", "< 1.1 s"


def used(pid: int) -> float:
    """CPU seconds of a process so far, all threads; the scheduler's own count, since ticks miss short bursts."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory(pid: int) -> float:
    """Resident memory [MB]."""
    line = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _polls(home: House) -> int:
    return sum(battery["counters"]["good"] for battery in home.state()["batteries"])


def _signals(home: House) -> int:
    return int(home.state()["outputs"]["venus_dbus"]["items_changed"])
