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
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.model import GatewayError

log = logging.getLogger("bms_gateway.control")

Answerer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
SOCKET: Final = "bms-gateway.sock"
SERVICE_DIRECTORY: Final = Path("/run/bms-gateway")  # RuntimeDirectory= of packaging/bms-gateway.service
MAX_LINE: Final = 1 << 20  # bytes of one request
MAX_ANSWER: Final = 1 << 26  # bytes
PATIENCE: Final = 10.0  # s a client waits
SLOW: Final = {"command": 75.0, "evidence": 60.0}  # s; a command may wait 60 s for its turn before it expires
START_ONE: Final = "start one with `bms-gateway run`, or name its socket with --socket"


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """$BMS_GATEWAY_SOCKET, else in systemd's or the user's runtime directory, else in a private temporary folder."""
    return next(_places(environment))


def _places(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where a gateway puts its socket; where to look for one: the place the installed service uses is among them."""
    if given := environment.get("BMS_GATEWAY_SOCKET"):
        yield Path(given)
    for folder in (
        environment.get("RUNTIME_DIRECTORY", "").split(":")[0],
        environment.get("XDG_RUNTIME_DIR", ""),
    ):
        if folder:
            yield Path(folder) / SOCKET
    yield _temporary() / "control.sock"
    yield SERVICE_DIRECTORY / SOCKET


def _temporary() -> Path:
    """Where everybody may make a folder, so also somebody who wants to be taken for our gateway."""
    import tempfile  # a service has a folder of its own, and no need of all that this brings

    return Path(tempfile.gettempdir()) / f"bms-gateway-{os.getuid()}"


def _refuse_foreign(folder: Path) -> None:
    """Raises GatewayError where a folder, or the link that leads to it, belongs to neither us nor root."""
    for info in (folder.lstat(), folder.stat()):
        if info.st_uid not in (os.getuid(), 0):
            raise GatewayError(
                f"{folder}: belongs to another user (uid {info.st_uid}), so a socket in it is not trusted"
            )


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
        except (OSError, GatewayError) as problem:
            why = getattr(problem, "strerror", None) or problem
            log.warning("no control socket at %s (%s): status and explain will not work", self.path, why)

    async def stop(self) -> None:
        """Close the socket and remove it."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """A folder of our own; a dead gateway's socket goes, a living one's stays.  Raises OSError, GatewayError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(self.path.parent)
        if not self.path.exists():
            return
        if not self.path.is_socket():
            raise GatewayError("there is a file of that name, and it is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # one that hangs does not answer
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink(missing_ok=True)
                return
            except BlockingIOError:
                log.debug("%s: a gateway listens there, but takes no calls", self.path)
        raise GatewayError("another gateway is running there")

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
        except (ValueError, RecursionError):
            return {"error": "a request is one JSON object on one line"}
        if not isinstance(request, dict):
            return {"error": "a request is a JSON object"}
        return await self._answer(request)


class _NoAnswer(GatewayError):
    """Nobody listens there."""


def ask(request: dict[str, Any], path: Path | None = None) -> dict[str, Any]:
    """Ask the running gateway, at `path` or wherever one may be found.

    Raises GatewayError when none answers, or when it answers with an error.
    """
    answer = _ask_somewhere(request) if path is None else _ask_at(request, path)
    if not isinstance(answer, dict) or "error" in answer:
        raise GatewayError(str(answer.get("error", answer)))
    return answer


def _ask_somewhere(request: dict[str, Any]) -> Any:
    """The answer from the first place where a gateway listens."""
    places = list(dict.fromkeys(_places(os.environ)))
    for place in places:
        with suppress(FileNotFoundError, _NoAnswer):
            if place.parent == _temporary():
                _refuse_foreign(place.parent)
            return _ask_at(request, place)
    raise GatewayError(f"no running gateway answers (looked for {', '.join(map(str, places))}); {START_ONE}")


def _ask_at(request: dict[str, Any], path: Path) -> Any:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SLOW.get(request.get("ask", ""), PATIENCE))
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as answers:
                answer = answers.readline(MAX_ANSWER)
    except PermissionError:
        raise GatewayError(f"{path}: permission denied; ask as the user that runs the gateway, or with sudo") from None
    except (FileNotFoundError, ConnectionRefusedError) as problem:
        raise _NoAnswer(f"{path}: no running gateway answers ({problem}); {START_ONE}") from None
    except (OSError, ValueError) as problem:
        raise GatewayError(f"{path}: the gateway does not answer ({problem}); is it stopped or busy?") from None
    return _read(answer, path)


def _read(answer: bytes, path: Path) -> Any:
    """What the gateway said.  Raises GatewayError where it ended before it had said all."""
    try:
        return json.loads(answer)
    except ValueError:
        raise GatewayError(f"{path}: the gateway ended before it answered; its log says what it still did") from None
