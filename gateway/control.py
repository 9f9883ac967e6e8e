"""The gateway's own door: a unix socket on which `status`, `explain` and commands ask the running process.

One JSON object a line each way: {"ask": "state"} -> the whole state; {"ask": "command", "action", "value", "battery"}
-> {"outcomes": [..]}.  Only the user who runs the gateway (and root) may open the socket.
"""

import asyncio
import json
import logging
import os
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gateway.model import GatewayError

log = logging.getLogger("bms_gateway.control")

Answerer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
MAX_LINE: Final = 1 << 20  # bytes of one request or answer
PATIENCE: Final = 10.0  # s a client waits


def default_path() -> Path:
    """$BMS_GATEWAY_SOCKET, else in systemd's or the user's runtime directory, else in a private temporary folder."""
    if given := os.environ.get("BMS_GATEWAY_SOCKET"):
        return Path(given)
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if folder := os.environ.get(variable):
            return Path(folder) / "bms-gateway.sock"
    return Path(tempfile.gettempdir()) / f"bms-gateway-{os.getuid()}" / "control.sock"


class ControlServer:
    """Serves one socket; a place where it cannot be made degrades this alone."""

    def __init__(self, path: Path, answer: Answerer) -> None:
        self.path, self._answer = path, answer
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Open the socket; says so once in the log where that is impossible."""
        try:
            self._make_room()
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=MAX_LINE)
            self.path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        except OSError as problem:
            why = problem.strerror or problem
            log.warning("no control socket at %s (%s): status and explain will not work", self.path, why)

    async def stop(self) -> None:
        """Close the socket and remove it."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Private folder; a socket left behind by a dead gateway goes, a living one's stays (raises OSError)."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.path))
            except OSError:
                self.path.unlink(missing_ok=True)
                return
        raise OSError(f"another gateway is running there: {self.path}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            writer.write(json.dumps(await self._reply(line)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError) as problem:
            log.debug("control socket: %s", problem)
        finally:
            writer.close()

    async def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"error": "a request is one JSON object on one line"}
        if not isinstance(request, dict):
            return {"error": "a request is a JSON object"}
        return await self._answer(request)


def ask(request: dict[str, Any], path: Path | None = None) -> dict[str, Any]:
    """Ask the running gateway.  Raises GatewayError when none answers, or when it answers with an error."""
    path = path or default_path()
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as answers:
                answer = json.loads(answers.readline(MAX_LINE) or b"{}")
    except (OSError, ValueError) as problem:
        raise GatewayError(
            f"{path}: no running gateway answers ({problem});"
            " start one with `bms-gateway run`, or name its socket with --socket"
        ) from None
    if not isinstance(answer, dict) or "error" in answer:
        raise GatewayError(str(answer.get("error", answer)))
    return answer
