"""A day at sixty times the speed: does the memory of a gateway with sixteen packs grow?

libfaketime (Debian: `faketime`) makes the clock of the whole process run faster, sleeps and time-outs with it; what
runs is the program as it is installed.  Its packs are simulated ones, in the same process, since the time-outs of an
answer shrink, too; they are asked each ten seconds, which a small machine can keep up with at that speed.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.cost import CAN, DBUS
from bench.processes import memory, used
from bench.table import Row
from gateway.model import GatewayError
from tests.e2e.house import House, house

LIBRARY: Final = "/usr/lib/*/faketime/libfaketimeMT.so.1"
SPEED: Final = 60
PACKS: Final = 16
EVERY: Final = 10.0  # s between two questions to a pack
SETTLED: Final = 600.0  # s of real time after which nothing may grow any more; of a shorter run the first half
GROWTH: Final = 2.0  # %


def ageing(folder: Path, seconds: float) -> Iterator[Row]:
    """`seconds` of real time at that speed, 1440 for a day; memory after ten minutes of them and at the end."""
    library = next(Path("/").glob(LIBRARY[1:]), None)
    if library is None:
        raise GatewayError(f"{LIBRARY} is not there; sudo apt install faketime")
    with house(folder) as home:
        pid = _start(home, library)
        began, spent = time.monotonic(), used(pid)
        time.sleep(min(SETTLED, seconds / 2))
        settled, polls = memory(pid), _polls(home)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        state, lived = home.state(), SPEED * (time.monotonic() - began) / 3600
        online = state["bank"]["online"]
        yield f"{lived:.1f} h of {PACKS} packs: polls", f"{_polls(home)}, {polls} of them before it had settled", ""
        yield f"{lived:.1f} h: online at the end", f"{online}", f"= {PACKS}"
        cpu, end = 1000 * (used(pid) - spent) / _polls(home), memory(pid)
        yield f"{lived:.1f} h: CPU a poll", f"{cpu:.2f} ms, simulators included", ""
        figure = f"{settled:.1f} -> {end:.1f} MB, {100 * (end / settled - 1):+.1f} %"
        yield f"{lived:.1f} h: memory, settled and at the end", figure, f"< {GROWTH:g} %"


def _start(home: House, library: Path) -> int:
    """The process of a gateway that has begun at the usual speed, and lives fast from now on."""
    packs = "".join(
        f"  - {{name: pack-{n}, driver: jbd, port: simulated, poll_interval: {EVERY:g}}}\n" for n in range(PACKS)
    )
    home.bus()
    rate = home.folder / "rate"
    rate.write_text("+0 x1\n")
    home.more = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(rate), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_RESET": "1",
    }  # fmt: skip
    process = home.gateway(f"batteries:\n{packs}outputs:\n{CAN}{DBUS}")
    home.wait(lambda state: state["bank"]["online"] == PACKS, 60, "all packs")
    rate.write_text(f"+0 x{SPEED}\n")
    return process.pid


def _polls(home: House) -> int:
    return sum(battery["counters"]["good"] for battery in home.state()["batteries"])
