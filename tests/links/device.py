"""Devices to put a link to: on a pseudo-terminal, scripted, with every fault that a cable knows."""

import asyncio
import json
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bms_drivers.jbd import ask as jbd_ask
from bms_drivers.kit.declare import Ask

VECTORS = Path(__file__).parent.parent / "vectors"

Pieces = Iterable[tuple[float, bytes]]  # (s after the piece before, bytes)
Respond = Callable[[bytes], Pieces]


class PtyDevice:
    """Answers on a pty what `respond` says; lives in the test's own loop."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.requests: list[tuple[float, bytes]] = []  # (loop time, bytes)
        self.sent: list[tuple[float, bytes]] = []
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._loop.add_reader(self._master, self._read)

    def _read(self) -> None:
        request = os.read(self._master, 4096)
        self.requests.append((self._loop.time(), request))
        self.say(self.respond(request))

    def say(self, pieces: Pieces) -> None:
        """Send pieces, each so many seconds after the one before."""
        at = 0.0
        for pause, data in pieces:
            at += pause
            if at:
                self._loop.call_later(at, self._write, data)
            else:
                self._write(data)

    def _write(self, data: bytes) -> None:
        if self._master >= 0:
            os.write(self._master, data)
            self.sent.append((self._loop.time(), data))

    def unplug(self) -> None:
        """As when the adapter is pulled out."""
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1


@asynccontextmanager
async def on_pty(respond: Respond) -> AsyncIterator[PtyDevice]:
    """A device on a pty for the length of a test."""
    device = PtyDevice(respond)
    try:
        yield device
    finally:
        device.unplug()


@asynccontextmanager
async def on_tcp(respond: Respond) -> AsyncIterator[str]:
    """The same behind a transparent serial server; gives the socket:// URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while request := await reader.read(4096):
                for pause, data in respond(request):
                    await asyncio.sleep(pause)
                    writer.write(data)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def recorded(name: str = "4s-sp04s034") -> dict[bytes, bytes]:
    """Request -> reply of a recorded JBD."""
    case = json.loads((VECTORS / "jbd" / f"{name}.json").read_text())
    return {bytes.fromhex(e["tx"]): bytes.fromhex("".join(e["rx"])) for e in case["exchanges"]}


REPLIES = recorded()
BASIC: Ask = jbd_ask(0x03, tries=1)
CELLS: Ask = jbd_ask(0x04, tries=1)
BASIC_REPLY = REPLIES[BASIC.request]
CELLS_REPLY = REPLIES[CELLS.request]


def trickle(data: bytes, *, first: float = 0.005, step: float = 0.001, size: int = 2) -> Pieces:
    """`data` in pieces, as a slow line brings it."""
    return [(first if at == 0 else step, data[at : at + size]) for at in range(0, len(data), size)]


def jbd(request: bytes) -> Pieces:
    """A JBD that answers at line speed."""
    reply = REPLIES.get(request)
    return trickle(reply) if reply else []
