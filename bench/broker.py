"""What MQTT costs with a real broker, and whether CAN notices one that stands still."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.processes import memory, used
from bench.table import Row
from tests.e2e.house import house
from tests.mqtt.broker import broker

WARM: Final = 12.0  # s: start-up questions, discovery messages
CAN: Final = "outputs:\n  can_bms: {interface: virtual, channel: bench}\n"


def mqtt(folder: Path, seconds: float) -> Iterator[Row]:
    """One pack, polled each second, with CAN; the same with MQTT."""
    (folder / "broker").mkdir()
    with broker(folder / "broker") as there:
        outputs = f"{CAN}  mqtt: {{host: 127.0.0.1, port: {there.port}}}\n"
        without, _, _ = _run(folder / "without", CAN, seconds)
        spent, size, gap = _run(folder / "with", outputs, seconds, there.signal)
    yield "MQTT: CPU a second, one pack", f"{1000 * (spent - without):.2f} ms", "< 1 ms"
    yield "MQTT: memory (RSS), one pack, CAN and MQTT", f"{size:.0f} MB", ""
    yield f"CAN: longest gap while the broker stands still for {seconds:.0f} s", f"{gap:.3f} s", "< 1.1 s"


def _run(
    folder: Path, outputs: str, seconds: float, tell: object = None
) -> tuple[float, float, float]:  # fmt: skip
    """CPU a second [s], memory [MB], and the longest gap with a broker that stands still [s]."""
    folder.mkdir()
    with house(folder) as home:
        port = home.pack("pack0", "jbd")
        process = home.gateway(f"batteries:\n  - {{name: pack, driver: jbd, port: {port}}}\n{outputs}")
        home.wait(lambda state: state["bank"]["complete"], 60, "a complete Snapshot")
        time.sleep(WARM)
        before, began = used(process.pid), time.monotonic()
        time.sleep(seconds)
        spent = (used(process.pid) - before) / (time.monotonic() - began)
        size, gap = memory(process.pid), 0.0
        if callable(tell):
            tell(signal.SIGSTOP)
            time.sleep(seconds)
            gap = home.state()["outputs"]["can_bms"]["longest_gap"]
            tell(signal.SIGCONT)
        return spent, size, gap
