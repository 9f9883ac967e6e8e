"""What one, four and sixteen packs cost with each output alone and with both: Python calls, wake-ups, CPU, memory.

Beside them a bare asyncio timer of one beat a second: what a wake-up costs on this machine whatever one does.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.processes import memory, used
from bench.table import Row
from tests.e2e.house import House, house, until

CAN = "  can_bms: {interface: virtual, channel: bench}\n"
DBUS = "  venus_dbus: {}\n"
OUTPUTS = {"no output": "", "CAN": CAN, "D-Bus": DBUS, "CAN and D-Bus": CAN + DBUS}
PACKS = (1, 4, 16)
WARM = 14.0  # s that are not counted: identity questions, first values, the one look for garbage (garbage.SETTLED)
TIMER = """
import asyncio
def beat(loop, due):
    loop.call_at(due + 1, beat, loop, due + 1)
loop = asyncio.new_event_loop()
beat(loop, loop.time())
loop.run_forever()
"""


def cost(folder: Path, seconds: float) -> Iterator[Row]:
    """The whole table; takes (WARM + seconds) a line, twice for the lines that also count calls."""
    for packs in PACKS:
        for number, (name, outputs) in enumerate(OUTPUTS.items()):
            inside = folder / f"{packs}-{number}"  # short and without blanks: ports and sockets are made in it
            inside.mkdir()
            yield from _figures(inside, packs, name, outputs, seconds)
    yield "a bare asyncio timer, one beat a second: CPU a beat", f"{_bare(seconds):.2f} ms", ""


def _figures(folder: Path, packs: int, name: str, outputs: str, seconds: float) -> Iterator[Row]:
    who = f"{packs} pack{'s' * (packs > 1)}, {name}"
    with house(folder) as home:
        pid = gateway(home, packs, outputs).pid
        time.sleep(WARM)
        cpu, wakes, began = used(pid), wakeups(pid), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        yield f"{who}: CPU a poll", f"{1000 * (used(pid) - cpu) / took / packs:.2f} ms", ""
        yield f"{who}: wake-ups a second", f"{(wakeups(pid) - wakes) / took:.1f}", ""
        yield f"{who}: memory, RSS and PSS", f"{memory(pid):.0f} and {proportional(pid):.0f} MB", ""
    if packs == 1:
        again = folder / "counted"
        again.mkdir()
        found = counted(again, outputs, seconds)
        calls, functions = sum(found.values()) / seconds, len(found)
        yield f"{who}: Python calls a second", f"{calls:.0f} of {functions} functions", ""


def counted(folder: Path, outputs: str, seconds: float) -> dict[str, int]:
    """Calls of each Python function within so many seconds of a house with one pack, when it has settled."""
    with house(folder) as home:
        file = folder / "counts.json"
        configured(home, 1, outputs)
        home.start("gateway", sys.executable, "-m", "bench.counted", str(file), str(WARM), str(seconds),
                   str(folder / "gateway.yaml"))  # fmt: skip
        until(file.exists, WARM + seconds + 60, "the counts", folder / "gateway.log")
        time.sleep(0.2)
        found: dict[str, int] = json.loads(file.read_text())
        return found


def gateway(home: House, packs: int, outputs: str) -> "subprocess.Popen[str]":
    """A gateway that reads so many JBDs, each once a second; ports of four packs each are not needed for that."""
    return home.gateway(configured(home, packs, outputs))


def configured(home: House, packs: int, outputs: str) -> str:
    """Write the configuration of such a house and start its simulators; returns it."""
    home.bus()
    ports = [home.pack(f"pack{n}", "jbd", "--seed", str(n)) for n in range(packs)]
    batteries = "".join(f"  - {{name: pack-{n}, driver: jbd, port: {port}}}\n" for n, port in enumerate(ports, 1))
    text = f"batteries:\n{batteries}outputs:{chr(10) + outputs if outputs else ' {}'}"
    (home.folder / "gateway.yaml").write_text(text)
    return text


def wakeups(pid: int) -> int:
    """How often the process went to sleep and was woken, all threads."""
    lines = (line for file in Path(f"/proc/{pid}/task").glob("*/status") for line in file.read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def proportional(pid: int) -> float:
    """Memory [MB], what is shared with other programs counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _bare(seconds: float) -> float:
    """CPU [ms] of a beat of a program that does nothing else."""
    with subprocess.Popen([sys.executable, "-c", TIMER]) as process:
        time.sleep(2.0)
        before = used(process.pid)
        time.sleep(seconds)
        spent = used(process.pid) - before
        process.terminate()
    return 1000 * spent / seconds
