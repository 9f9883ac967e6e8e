"""What page, MQTT and metrics cost together: CPU and memory, and CAN frames while many read and the broker hangs."""

import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from bench.processes import memory, used
from bench.table import Row
from tests.e2e.house import House, house
from tests.mqtt.broker import Broker, broker

PORT: Final = 18766
BROWSERS: Final = 2
STREAMS: Final = 16  # as many as there may be; one of them does not read
ASKING: Final = ("/metrics", "/api/history?span=24h", "/api/history?span=1h", "/api/state")
FACE: Final = "  web: {{port: {page}}}\n  mqtt: {{host: 127.0.0.1, port: {broker}}}\n"
SETTLED: Final = 8.0  # s until what is asked at the start is over


def page(folder: Path, seconds: float) -> Iterator[Row]:
    """One pack, CAN; without a face, then with it, both at once: what else the machine does costs both the same."""
    (folder / "broker").mkdir()
    with ExitStack() as houses:
        there = houses.enter_context(broker(folder / "broker"))
        bare, home = (houses.enter_context(house(_made(folder / name))) for name in ("without", "with"))
        plain, full = _gateway(bare, ""), _gateway(home, FACE.format(page=PORT, broker=there.port))
        time.sleep(SETTLED)
        less, alone = _cpu([plain, full], seconds)
        before, after = memory(plain), memory(full)
        calm = _longest_gap(home)
        with ExitStack() as stack:
            for _ in range(BROWSERS):
                stack.enter_context(_Watching())
            also, watched = _cpu([plain, full], seconds)
        gap = _crowd(home, there, seconds)
    yield "page and MQTT: CPU, nobody looks", f"{alone - less:.2f} ms a second (of {alone:.2f})", "< 1 ms"
    yield f"page and MQTT: CPU, {BROWSERS} browsers", f"{watched - also:.2f} ms a second", "< 4 ms"
    yield "page and MQTT: memory more", f"{after - before:.1f} MB", "< 8 MB"
    yield "CAN: longest gap, nobody looks", f"{calm:.3f} s", ""
    many = f"{STREAMS} streams (one stalls), {len(ASKING)} ask all the time, the broker hangs"
    yield f"CAN: longest gap, {many}", f"{gap:.3f} s", "< 1.1 s"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _gateway(home: House, face: str) -> int:
    """Its process, once it sends frames."""
    port = home.pack("pack0", "jbd")
    process = home.gateway(
        f"batteries:\n  - {{name: pack-1, driver: jbd, port: {port}}}\n"
        f"outputs:\n  can_bms: {{interface: virtual, channel: bench}}\n{face}"
    )
    home.wait(lambda state: state["outputs"]["can_bms"]["frames_sent"], 30, "frames")
    return process.pid


def _cpu(pids: list[int], seconds: float) -> list[float]:
    """ms a second of each."""
    before, began = [used(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return [1000.0 * (used(pid) - spent) / took for pid, spent in zip(pids, before, strict=True)]


def _crowd(home: House, there: Broker, seconds: float) -> float:
    """The longest gap between two cycles on CAN, as the gateway itself sees it, while many read."""
    ended = threading.Event()
    askers = [threading.Thread(target=_ask, args=(path, ended)) for path in ASKING]
    with ExitStack() as stack:
        for number in range(STREAMS):
            stack.enter_context(_Watching(reads=number > 0))
        for asker in askers:
            asker.start()
        there.signal(signal.SIGSTOP)
        time.sleep(max(seconds, 5.0))
        there.signal(signal.SIGCONT)
        ended.set()
        for asker in askers:
            asker.join()
    return _longest_gap(home)


def _longest_gap(home: House) -> float:
    """Between two cycles on CAN [s], as the gateway itself has seen it so far."""
    gap: float = home.state()["outputs"]["can_bms"]["longest_gap"]
    return gap


class _Watching:
    """A browser's stream, read by a thread or by nobody."""

    def __init__(self, *, reads: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", PORT))
        self._reads = reads

    def __enter__(self) -> None:
        self._socket.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if self._reads:
            threading.Thread(target=self._read, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _read(self) -> None:
        with suppress(OSError):
            while self._socket.recv(1 << 16):
                pass


def _ask(path: str, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as answer:
            answer.read()
