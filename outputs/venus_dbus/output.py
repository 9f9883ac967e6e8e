"""The event loop's end of the Venus OS output: nothing here ever waits for D-Bus."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.model import Command, Outcome, Snapshot
from gateway.supervise import Supervisor
from outputs.output import Clock, Commander
from outputs.venus_dbus.controls import Tell
from outputs.venus_dbus.settings import Settings
from outputs.venus_dbus.thread import DbusThread

log = logging.getLogger("bms_gateway.venus_dbus")

PATIENCE: Final = 2.0  # s for the thread to leave the bus


class VenusDbus:
    """The Venus OS output; see outputs.output.Output for what it promises."""

    name = "venus_dbus"
    apart = True

    def __init__(self, settings: Settings, address: str, clock: Clock, commander: Commander, identity: str) -> None:
        self._commander = commander
        self._supervisor = Supervisor(self.name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = DbusThread(settings, address, clock, self._ask, identity)

    async def start(self) -> None:
        """Start the D-Bus thread; whether a daemon is there is its own affair."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Hand over the newest state."""
        self._thread.publish(snapshot)

    async def stop(self) -> None:
        """Leave the bus; a thread that hangs in a stalled daemon is left behind."""
        loop, self._loop = self._loop, None
        if loop is not None and not await asyncio.to_thread(self._thread.stop, PATIENCE):
            log.warning("the D-Bus thread did not end within %.0f s", PATIENCE)

    def status(self) -> Mapping[str, object]:
        """Connection, problem and counters."""
        return self._thread.status()

    def discharge_floor(self) -> float | None:
        """SoC [%] to which Venus OS lets the bank be discharged, by its ESS settings."""
        return self._thread.discharge_floor()

    def _ask(self, command: Command, tell: Tell) -> bool:
        """From the D-Bus thread: have the gateway perform `command` and tell; False when its loop has ended."""
        loop = self._loop
        if loop is None:
            return False
        log.info("asked on D-Bus: %s for %s", command.words, command.battery or "every battery")
        try:
            loop.call_soon_threadsafe(self._perform, command, tell)
        except RuntimeError:  # it closed just now
            return False
        return True

    def _perform(self, command: Command, tell: Tell) -> None:
        def told(outcomes: Sequence[Outcome]) -> None:
            self._thread.soon(lambda: tell(outcomes))

        with self._supervisor.trying(lambda fault: told([_failed(fault)])):
            self._commander(command).add_done_callback(lambda done: told(_outcomes(done)))


def _outcomes(done: "asyncio.Future[list[Outcome]]") -> list[Outcome]:
    """What became of a command; one that ended without an outcome was refused."""
    if done.cancelled():
        return [Outcome(False, False, "the gateway is stopping")]
    fault = done.exception()
    return done.result() if fault is None else [_failed(fault)]


def _failed(fault: BaseException) -> Outcome:
    return Outcome(False, False, f"failed: {fault}")
