"""A page to ask: the whole output on a real socket, in a house of our own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from gateway.events import Events
from outputs.web.output import Web
from outputs.web.settings import Settings


class House:
    """What a gateway tells of itself."""

    def __init__(self, directory: Path | None = None) -> None:
        self.events, self.directory = Events(), directory
        self.audit: list[dict[str, Any]] = []

    def state(self) -> Mapping[str, Any]:
        return {"outputs": {"can_bms": {"connected": True, "problem": ""}}, "store": "", "waiting": ""}

    def curves(self) -> Mapping[str, Any]:
        return {"": []}


class Clock:
    """s, monotonic, as somebody sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def site(house: House | None = None, **settings: Any) -> AsyncIterator[Web]:
    """The page, listening at a free port."""
    web = Web(Settings(port=0, **settings), Clock(), "0123456789ab")
    web.move_in(house or House())
    await web.start()
    while not web.status()["connected"] and not web.status()["problem"]:
        await asyncio.sleep(0.001)
    try:
        yield web
    finally:
        await web.stop()


def port(web: Web) -> int:
    return int(str(web.status()["address"]).rstrip("/").rpartition(":")[2])


async def raw(web: Web, request: bytes, *, seconds: float = 5.0) -> bytes:
    """Everything that is answered to these bytes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(web))
    writer.write(request)
    try:
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()


class Answer:
    """An answer taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first else 0
        self.headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}


async def get(web: Web, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """Ask once; names of headers are written with _."""
    wanted = {"Host": f"127.0.0.1:{port(web)}", "Connection": "close", "Content-Length": str(len(body))}
    wanted |= {name.replace("_", "-"): text for name, text in headers.items()}
    lines = "".join(f"{name}: {text}\r\n" for name, text in wanted.items())
    return Answer(await raw(web, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body))
