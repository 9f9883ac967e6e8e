"""What the page costs: CPU and memory with nobody looking and with two browsers, and CAN frames while many read."""

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

PORT: Final = 18766
BROWSERS: Final = 2
STREAMS: Final = 16  # as many as there may be; one of them does not read
ASKING: Final = ("/metrics", "/api/history?span=24h", "/api/history?span=1h", "/api/state")
SETTLED: Final = 8.0  # s until what is asked at the start is over


def page(folder: Path, seconds: float) -> Iterator[Row]:
    """One pack, CAN; without the page, then with it."""
    without = _gateway(folder / "without", seconds, web=False)
    plain, before = next(without)
    without.close()
    looked_at = _gateway(folder / "with", seconds, web=True)
    alone, after = next(looked_at)
    calm, _ = next(looked_at)
    watched, _ = next(looked_at)
    gap, _ = next(looked_at)
    looked_at.close()
    yield "page: CPU, nobody looks", f"{alone - plain:.2f} ms a second (of {alone:.2f})", "< 1 ms"
    yield f"page: CPU, {BROWSERS} browsers", f"{watched - plain:.2f} ms a second", "< 4 ms"
    yield "page: memory more", f"{after - before:.1f} MB", "< 8 MB"
    yield "CAN: longest gap, nobody looks", f"{calm:.3f} s", ""
    yield f"CAN: longest gap, {STREAMS} streams (one stalls), {len(ASKING)} ask all the time", f"{gap:.3f} s", "< 1.1 s"


def _gateway(folder: Path, seconds: float, *, web: bool) -> Iterator[tuple[float, float]]:
    """CPU [ms/s] and memory [MB] alone; the longest CAN gap [s] so far; CPU and memory with
    browsers; the longest gap with a crowd.
    """
    folder.mkdir()
    with house(folder) as home:
        port = home.pack("pack0", "jbd")
        page_ = f"  web: {{port: {PORT}}}\n" if web else ""
        process = home.gateway(
            f"batteries:\n  - {{name: pack-1, driver: jbd, port: {port}}}\n"
            f"outputs:\n  can_bms: {{interface: virtual, channel: bench}}\n{page_}"
        )
        home.wait(lambda state: state["outputs"]["can_bms"]["frames_sent"], 30, "frames")
        time.sleep(SETTLED)
        yield _cpu(process.pid, seconds), memory(process.pid)
        yield _longest_gap(home), 0.0
        with ExitStack() as stack:
            for _ in range(BROWSERS):
                stack.enter_context(_Watching())
            yield _cpu(process.pid, seconds), memory(process.pid)
        yield _crowd(home, seconds), memory(process.pid)


def _cpu(pid: int, seconds: float) -> float:
    before, began = used(pid), time.monotonic()
    time.sleep(seconds)
    return 1000.0 * (used(pid) - before) / (time.monotonic() - began)


def _crowd(home: House, seconds: float) -> float:
    """The longest gap between two cycles on CAN, as the gateway itself sees it, while many read."""
    ended = threading.Event()
    askers = [threading.Thread(target=_ask, args=(path, ended)) for path in ASKING]
    with ExitStack() as stack:
        for number in range(STREAMS):
            stack.enter_context(_Watching(reads=number > 0))
        for asker in askers:
            asker.start()
        time.sleep(max(seconds, 5.0))
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
