"""The event loop's end of the page: keeps the newest Snapshot, and tells those who watch at most once a second."""

import asyncio
import errno
import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.model import Snapshot
from gateway.supervise import Supervisor
from outputs.output import Clock, Commander, House
from outputs.web import disk
from outputs.web.doors import Door, token
from outputs.web.history import History
from outputs.web.live import Audience, event
from outputs.web.message import compact
from outputs.web.metrics import exposition
from outputs.web.routes import Routes, Told
from outputs.web.server import Server
from outputs.web.settings import Settings
from outputs.web.state import state

log = logging.getLogger("bms_gateway.web")

LIMITS, SOURCE = "/api/limits", "http"  # where limits are asked for, and what such orders are called
PACE: Final = 1.0  # s between two messages to those who watch
HOUR: Final = 3600.0  # s between two blocks on the disk
RETRY: Final = 10.0  # s until an address that is taken is tried again


class Web:
    """The page; see outputs.output.Output for what it promises."""

    name = "web"

    def __init__(self, settings: Settings, clock: Clock, identity: str, commander: Commander | None = None) -> None:
        """Without `commander` nobody may ask for limits."""
        self.history = History(keeping=settings.history_on_disk)
        self._settings, self._clock, self._identity = settings, clock, identity
        self._commander = commander
        self._house: House | None = None
        self._snapshot: Snapshot | None = None
        self._supervisor = Supervisor(self.name)
        self._audience = Audience()
        told = Told(self._state, self._metrics, self.history.plot, self._events, self._curves)
        self.routes = Routes(told, self._audience, settings.names)
        self._server = Server(self.routes, self._audience, self._supervisor)
        self._problem = self._closed = ""
        self._told_at = float("-inf")  # s, loop time
        self._telling: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def move_in(self, house: House) -> None:
        """Whom to ask for what no Snapshot holds."""
        self._house = house
        if self._settings.remote_limits and self._commander is not None:
            self._open_door(self._commander, house.directory)

    def _open_door(self, commander: Commander, directory: Path | None) -> None:
        """Where limits may be asked for, by whoever has the token; without one it stays closed, and all else works."""

        async def act(asked: Mapping[str, Any]) -> Mapping[str, Any]:
            return commander.restrict(SOURCE, dict(asked)).json()

        try:
            if directory is None:
                raise ValueError("there is no state_dir to keep a token in")
            self.routes.doors[LIMITS] = Door(token(directory), act)
        except (OSError, ValueError) as problem:
            self._closed = f"{LIMITS} is closed: {getattr(problem, 'strerror', None) or problem}"
            log.warning("%s", self._closed)

    async def start(self) -> None:
        """Listen, now or when the address is free."""
        self._tasks = [asyncio.create_task(self._supervisor.keep(self._listen))]
        if self._settings.history_on_disk:
            self._tasks.append(asyncio.create_task(self._supervisor.keep(self._keep)))

    def publish(self, snapshot: Snapshot) -> None:
        """Take the newest state; those who watch are told a little later."""
        self._snapshot = snapshot
        self.history.look(snapshot)
        if self._audience and self._telling is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._told_at + PACE - loop.time())
            self._telling = loop.call_later(wait, self._tell)

    async def stop(self) -> None:
        """Send everybody away; keep the last part of the history."""
        for task in self._tasks:
            task.cancel()
        if self._telling is not None:
            self._telling.cancel()
        await self._server.close()
        if self._settings.history_on_disk:
            await self._save()

    async def last_hour(self) -> Mapping[str, Any]:
        """The curves that the page shows."""
        return await self.history.plot("1h")

    def status(self) -> Mapping[str, object]:
        """Where it listens, and who is there."""
        port, listen = self._server.port, self._settings.listen
        host = f"[{listen}]" if ":" in listen else listen
        return {
            "connected": port is not None,
            "problem": self._problem or self._closed,
            "address": "" if port is None else f"http://{host}:{port}/",
            "watching": len(self._audience),
            "connections": len(self._server),
            "requests": self._server.requests,
            "refused": self._server.refused,
            "left_behind": self._audience.dropped,
        }

    # ---- sockets

    async def _listen(self) -> None:
        while True:
            try:
                await self._server.open(self._settings.listen, self._settings.port)
            except OSError as problem:
                self._say(_why_not(problem, self._settings))
                await asyncio.sleep(RETRY)
            else:
                self._say("")
                log.info("the page is at %s", self.status()["address"])
                return

    def _say(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("output web: %s", problem)
        self._problem = problem

    def _tell(self) -> None:
        self._telling = None
        self._told_at = asyncio.get_running_loop().time()
        with self._supervisor.trying():
            self._audience.tell(event(self._state()))

    # ---- what is told

    def _state(self) -> bytes:
        house = self._house.state() if self._house is not None else {}
        events = self._house.events.count if self._house is not None else 0
        return compact(state(self._snapshot, self._clock(), house, self._identity, events))

    def _metrics(self) -> bytes:
        return exposition(self._snapshot, self._clock(), self._house.state() if self._house is not None else {})

    def _events(self) -> Mapping[str, Any]:
        """The newest first."""
        if self._house is None:
            return {"events": [], "audit": []}
        events = [asdict(happened) for happened in self._house.events]
        return {"events": events[::-1], "audit": list(self._house.audit)[::-1]}

    def _curves(self) -> Mapping[str, Any]:
        return {} if self._house is None else self._house.curves()

    # ---- the disk

    async def _keep(self) -> None:
        directory = self._house.directory if self._house is not None else None
        if directory is None:
            self._say("history_on_disk: there is no directory for it, set state_dir")
            return
        try:
            self.history.follow(await asyncio.to_thread(lambda: History().load(disk.load(directory))))
        except OSError as problem:
            log.warning("output web: %s: cannot be read (%s)", directory, problem.strerror)
        while True:
            await asyncio.sleep(HOUR)
            await self._save()

    async def _save(self) -> None:
        directory = self._house.directory if self._house is not None else None
        rows = list(self.history.fresh)
        self.history.fresh.clear()
        if directory is None or not rows:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(None, partial(disk.save, directory, rows))
        except OSError as problem:
            log.warning("output web: %s: history is not kept (%s)", directory, problem.strerror)


def _why_not(problem: OSError, settings: Settings) -> str:
    where = f"{settings.listen}:{settings.port}"
    if problem.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program; set outputs.web.port, or end it"
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; 0.0.0.0 listens on all that it has"
    if problem.errno == errno.EACCES:
        return f"{where}: only root may listen below 1024; set outputs.web.port, such as 8765"
    return f"{where}: {problem.strerror or problem}"
