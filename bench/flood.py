"""What others say on a BMS's CAN bus: CPU of the gateway while foreign frames load 60 % of 500 kbit/s.

On real SocketCAN, under a kernel of its own (tests/vcan/runner.py): the kernel's filters are what is measured.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.table import Row
from tests.vcan.runner import run_in_uml

LEAST: Final = 10.0  # s that are measured
BOOT: Final = 90.0  # s for the guest, and for the first reading
TICK: Final = 0.01  # s that a count of the kernel's is
BUDGET: Final = "< 10 % of a core"
PROGRAM: Final = Path(sys.executable).parent / "bms-gateway"

SCRIPT: Final = """
export BMS_GATEWAY_SOCKET=/dev/shm/control
{program} simulate jk_can --channel vcan0 --address 0 --address 2 >/dev/null 2>&1 &
timeout {long} candump -L vcan1 >/dev/shm/can.log &
{program} run -c {config} >/dev/shm/gateway.log 2>&1 &
ticks() {{ awk '{{print $14 + $15}}' /proc/$!/stat; }}
for i in $(seq 100); do grep -q 351# /dev/shm/can.log && break; sleep 0.2; done
sleep 5
before=$(ticks); sleep {seconds}; quiet=$(ticks)
{python} -m tests.vcan.flood vcan0 {seconds}; flooded=$(ticks)
echo "TICKS $((quiet - before)) $((flooded - quiet))"
"""
CONFIG: Final = """
batteries:
  - {name: one, driver: jk_can, port: vcan0}
  - {name: two, driver: jk_can, port: vcan0, address: 2}
outputs: {can_bms: {interface: socketcan, channel: vcan1}}
state_dir: /dev/shm/state
"""


def flood(folder: Path, seconds: float) -> Iterator[Row]:
    """Two JKs on the bus, without and with the foreign frames."""
    seconds = max(seconds, LEAST)
    config = folder / "gateway.yaml"
    config.write_text(CONFIG)
    long = BOOT + 3 * seconds
    script = SCRIPT.format(program=PROGRAM, python=sys.executable, config=config, seconds=seconds, long=long)
    done = run_in_uml(["bash", "-c", script], long)
    rate = re.search(r"FLOOD (\d+) frames/s", done.stdout)
    ticks = re.search(r"TICKS (\d+) (\d+)", done.stdout)
    if rate is None or ticks is None:
        yield "foreign frames on a CAN bus: CPU", f"not measured: {done.stderr[-200:]!r}", BUDGET
        return
    quiet, flooded = (100 * TICK * int(count) / seconds for count in ticks.groups())
    yield f"{rate[1]} foreign frames/s beside two JKs: CPU", f"{flooded:.1f} %, {quiet:.1f} % without them", BUDGET
