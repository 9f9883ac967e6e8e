"""The gateway as a service: what it shares with no other, what signals mean, a configuration that is read again.

SIGTERM, SIGINT   stop: every bus is left in order, state is saved
SIGHUP            read the configuration again: what is the same runs on without a gap, a wrong file changes nothing
SIGHUP            because the terminal was closed: stop

Whoever started it is told how it is (heart.py): systemd by its socket, other supervisors by a process that ends.
"""

import asyncio
import logging
import os
import platform
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway import VERSION, garbage
from gateway.app import Gateway
from gateway.config.changes import changes
from gateway.config.handed import handed
from gateway.config.prepared import Prepared
from gateway.config.schema import BatterySettings, Settings
from gateway.control import ControlServer, default_path
from gateway.heart import Fuse, Heart
from gateway.locks import Held, Locks
from gateway.logs import LogQueue, to_stderr
from gateway.model import GatewayError
from gateway.notify import Manager
from gateway.store import default_directory
from gateway.supervise import Supervisor
from gateway.terminal import has_terminal
from gateway.wiring import build, rebuild
from outputs import registry as outputs

log = logging.getLogger("bms_gateway")

AFTER_RESTART: Final = ("state_dir", "control_socket")  # settings that a running gateway does not change


class Service:
    """One gateway, from its start until a signal says stop."""

    def __init__(
        self, config: Path, prepared: Prepared, socket: Path, locks: Locks, lines: LogQueue, fuse: Fuse | None = None
    ) -> None:
        """`prepared` comes from `config`, which may be read again; `locks` has what it needs (`claim`)."""
        self._config, self._prepared, self._socket, self._fuse = config, prepared, socket, fuse
        self._settings = prepared.settings
        self._locks, self._lines = locks, lines
        self._stop, self._again = asyncio.Event(), asyncio.Event()
        self._nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._terminal = has_terminal()

    async def run(self) -> None:
        """Build everything and run."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        log.info("%s", started(self._config, self._settings, self._socket))
        self._tell_doubts(self._prepared)
        gateway = await build(self._prepared)
        heart = Heart(lambda: gateway.snapshot, time.monotonic, Manager(), self._fuse)
        ended = asyncio.Event()
        running = asyncio.create_task(
            gateway.run(ended, ControlServer(self._socket, lambda r: self._answer(gateway, r)))
        )
        stopping = asyncio.create_task(self._stop.wait())
        tidying = Supervisor("memory").keep(garbage.kept_small)
        beside = [stopping, asyncio.create_task(self._read_again(gateway)), asyncio.create_task(tidying)]
        if heart.wanted:
            beside.append(asyncio.create_task(Supervisor("watchdog").keep(heart.run)))
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        heart.leave()
        ended.set()
        await running
        problem = gateway.plan.store.problem if gateway.plan.store is not None else ""
        log.info("stopped; %s", f"state is not saved ({problem})" if problem else "state is saved")

    # ---- signals

    def _asked_to_stop(self, name: str) -> None:
        log.info("%s: stopping", name)
        self._stop.set()

    def _hung_up(self) -> None:
        """SIGHUP, which two very different events send."""
        closed = self._terminal and not has_terminal()
        self._terminal = self._terminal and not closed
        if not closed:
            self._again.set()
        elif not self._nohup:
            self._asked_to_stop("the terminal was closed")

    # ---- the configuration, again

    async def _read_again(self, gateway: Gateway) -> None:
        """Take the configuration over whenever that is asked for."""
        supervisor = Supervisor("configuration")
        while await self._again.wait():
            self._again.clear()
            with supervisor.trying():
                await self._take_over(gateway)

    async def _take_over(self, gateway: Gateway) -> None:
        """Go on with what the file says now; with what it said before, where that cannot be."""
        before = self._locks.names()
        try:
            prepared = await handed(self._config)
            settings = prepared.settings
            found = changes(self._settings, settings)
            claim(self._locks, settings, directory=False)
            await gateway.adopt(await rebuild(gateway, prepared))
        except GatewayError as problem:
            self._locks.release_names(self._locks.names() - before)
            for line in str(problem).splitlines():
                log.error("%s", line)
            log.error("%s: not taken over, the gateway goes on as before", self._config)
            return
        self._locks.release_names(self._locks.names() - set(_buses(settings)))
        later = [change for change in found if change.startswith(AFTER_RESTART)]
        now = [change for change in found if change not in later]
        log.info("%s: read again: %s", self._config, ", ".join(now) or "nothing has changed")
        if later:
            log.warning("%s: takes effect after a restart: %s", self._config, ", ".join(later))
        kept = {name: getattr(self._settings, name) for name in AFTER_RESTART}
        self._settings = settings.changed(**kept)
        self._tell_doubts(prepared)
        garbage.replaced()

    def _tell_doubts(self, prepared: Prepared) -> None:
        for doubt in prepared.doubts:
            log.warning("%s: %s", self._config, doubt)

    # ---- questions

    async def _answer(self, gateway: Gateway, request: dict[str, Any]) -> dict[str, Any]:
        """The gateway's answer; to its state is added what only the service knows."""
        answer = await gateway.answer(request)
        if request.get("ask") == "evidence":
            return {**answer, "log": list(self._lines.recent), "configuration": str(self._config.resolve())}
        if request.get("ask") != "state":
            return answer
        about = {
            "version": VERSION, "process": os.getpid(), "configuration": str(self._config),
            "log_lines_dropped": self._lines.dropped,
        }  # fmt: skip
        return {**answer, "service": about}


def serve(config: Path, prepared: Prepared, socket: Path | None, level: str, watchdog: float | None) -> None:
    """Run the gateway of `config` until a signal says stop.  Raises GatewayError where it cannot begin."""
    settings = prepared.settings
    with Locks() as locks:
        claim(locks, settings)
        where = socket or settings.control_socket or default_path()
        with to_stderr(level) as lines:
            fuse = Fuse(watchdog) if watchdog else None
            asyncio.run(Service(config, prepared, where, locks, lines, fuse).run())


def claim(locks: Locks, settings: Settings, *, directory: bool = True) -> None:
    """Lock what no two gateways may share.  Raises GatewayError: what is taken, by whom, what would be right."""
    state = settings.state_dir or default_directory()
    if directory and state is not None:
        try:
            locks.take_directory(state)
        except Held as held:
            raise GatewayError(
                f"{state}: another bms-gateway{held.holder} keeps its state there; stop it first,"
                " or give this one a state_dir (and outputs) of its own"
            ) from None
    for name, bus in _buses(settings).items():
        try:
            locks.take_name(name)
        except Held as held:
            raise GatewayError(
                f"{bus}: another bms-gateway{held.holder} sends there; stop it first, or give this one another bus"
            ) from None


def _buses(settings: Settings) -> dict[str, str]:
    """Names of locks, and the output and bus that each is for."""
    shared = {name: outputs.exclusive(output) for name, output in settings.outputs.items()}
    return {f"output {bus}": f"outputs.{name}: {bus}" for name, bus in shared.items() if bus}


def started(config: Path, settings: Settings, socket: Path) -> str:
    """The first line of the log: everything that somebody who reads it later wants to know."""
    parts = (
        f"bms-gateway {VERSION} (Python {platform.python_version()}), {config}",
        f"batteries {', '.join(map(_battery, settings.batteries))}",
        f"outputs {', '.join(_output(name, output) for name, output in settings.outputs.items()) or 'none'}",
        f"state in {settings.state_dir or default_directory() or 'no directory'}",
        f"control socket {socket}",
    )
    return "; ".join(parts)


def _battery(battery: BatterySettings) -> str:
    address = "" if battery.address is None else f" address {battery.address}"
    return f"{battery.name} ({battery.driver} on {battery.port}{address})"


def _output(name: str, settings: Any) -> str:
    """An output with what the user said of it."""
    said = _words(settings.plain(said=True).items())
    return f"{name} ({said})" if said else name


def _words(pairs: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{key} {value}" for key, value in pairs)
