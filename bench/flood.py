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

LEAST: Final = 16.0  # s that are measured of each
TURNS: Final = 4
BOOT: Final = 90.0  # s for the guest, and for the first reading
TICK: Final = 0.01  # s that a count of the kernel's is
BUDGET: Final = "< 10 % of a core more"
PROGRAM: Final = Path(sys.executable).parent / "bms-gateway"

SCRIPT: Final = """
export BMS_GATEWAY_SOCKET=/dev/shm/control
{program} simulate jk_can --channel vcan0 --address 0 --address 2 >/dev/null 2>&1 &
timeout {long} candump -L vcan1 >/dev/shm/can.log &
{program} run -c {config} >/dev/shm/gateway.log 2>&1 &
ticks() {{ awk '{{print $14 + $15}}' /proc/$!/stat; }}
for i in $(seq 100); do grep -q 351# /dev/shm/can.log && break; sleep 0.2; done
sleep 5
for i in $(seq {turns}); do
    before=$(ticks); sleep {seconds}; quiet=$(ticks)
    {python} -m tests.vcan.flood vcan0 {seconds}; flooded=$(ticks)
    echo "TICKS $((quiet - before)) $((flooded - quiet))"
done
"""
CONFIG: Final = """
batteries:
  - {name: one, driver: jk_can, port: vcan0}
  - {name: two, driver: jk_can, port: vcan0, address: 2}
outputs: {can_bms: {interface: socketcan, channel: vcan1}}
state_dir: /dev/shm/state
"""


def flood(folder: Path, seconds: float) -> Iterator[Row]:
    """Two JKs on the bus, without and with the foreign frames by turns; the least of each, as other work only adds."""
    seconds = max(seconds, LEAST) / TURNS
    config = folder / "gateway.yaml"
    config.write_text(CONFIG)
    long = BOOT + 3 * TURNS * seconds
    script = SCRIPT.format(
        program=PROGRAM, python=sys.executable, config=config, seconds=seconds, long=long, turns=TURNS
    )
    done = run_in_uml(["bash", "-c", script], long)
    rates = [float(rate) for rate in re.findall(r"FLOOD (\d+) frames/s", done.stdout)]
    ticks = re.findall(r"TICKS (\d+) (\d+)", done.stdout)
    if not rates or not ticks:
        yield "foreign frames on a CAN bus: CPU", f"not measured: {done.stderr[-200:]!r}", BUDGET
        return
    quiet, flooded = (min(100 * TICK * int(count) / seconds for count in counts) for counts in zip(*ticks, strict=True))
    what = f"{min(rates):.0f} foreign frames/s beside two JKs: CPU"
    yield what, f"{flooded:.1f} %, {quiet:.1f} % without them", BUDGET
