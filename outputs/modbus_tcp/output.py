"""The Modbus TCP output.  Costs nothing while nobody asks: registers are made when they are read, once a Snapshot."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from gateway.model import Snapshot
from gateway.supervise import Supervisor
from outputs.modbus_tcp.registers import Image, image, units
from outputs.modbus_tcp.server import BUSY, UNIT, Server
from outputs.modbus_tcp.settings import BANK_UNIT, FIRST_UNIT, LAST_UNIT, Settings
from outputs.output import Clock
from outputs.values import of_all

log = logging.getLogger("bms_gateway.modbus_tcp")

RETRY: Final = 10.0  # s between tries to listen
AS_BANK: Final = (0, BANK_UNIT, 255)  # units under which clients that know none ask


class ModbusTcp:
    """See outputs.output.Output for what it promises."""

    name = "modbus_tcp"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._snapshot: Snapshot | None = None
        self._images: dict[int, Image] = {}  # by unit, of this Snapshot
        self._expired = False  # they are of one past its deadline
        self._units: dict[str, int] = {}  # by battery
        self._server = Server(self._registers, settings.clients, settings.idle)
        self._task: asyncio.Task[None] | None = None
        self._listening = False
        self._problem = "not started"
        self._where = f"{settings.listen}:{settings.port}"

    async def start(self) -> None:
        """Listen, in the background."""
        self._task = asyncio.create_task(Supervisor(self.name).keep(self._listen), name=self.name)

    async def _listen(self) -> None:
        """Until the port is ours."""
        while not self._listening:
            try:
                await self._server.start(self._settings.listen, self._settings.port)
            except OSError as problem:
                why = f"{self._where}: cannot listen there ({problem.strerror or problem})"
                if why != self._problem:
                    log.warning("%s (tried again until it can)", why)
                self._problem = why
                await asyncio.sleep(RETRY)
            else:
                self._listening, self._problem = True, ""
                log.info("%s: listening", self._where)

    def publish(self, snapshot: Snapshot) -> None:
        """Keep the newest."""
        self._snapshot = snapshot
        self._images.clear()
        self._expired = False

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._task is not None:
            self._task.cancel()
        self._listening = False
        await self._server.stop()

    def status(self) -> Mapping[str, object]:
        """Whether it listens, who is there, and counters."""
        return {
            "connected": self._listening, "problem": self._problem or self._strangers(), "listen": self._where,
            "clients": self._server.clients, "units": dict(self._units), **self._server.counters,
        }  # fmt: skip

    def _strangers(self) -> str:
        """Names in `units` that no battery bears."""
        snapshot = self._snapshot
        if snapshot is None:
            return ""
        known = {state.name for state in snapshot.bank.batteries}
        missing = [name for name in self._settings.units if name not in known]
        return f"units: no battery is called {', '.join(missing)}" if missing else ""

    def _registers(self, unit: int) -> Sequence[int] | int:
        """What the server asks."""
        snapshot = self._snapshot
        if snapshot is None or not snapshot.bank.complete:
            return BUSY
        expired = self._clock() > snapshot.valid_until
        if expired is not self._expired:
            self._images.clear()
            self._expired = expired
        own = BANK_UNIT if unit in AS_BANK else unit
        if own not in self._images:
            self._make(snapshot, own)
        return self._images.get(own, UNIT)

    def _make(self, snapshot: Snapshot, unit: int) -> None:
        """The registers of one unit, where there is such a one."""
        names = [state.name for state in snapshot.bank.batteries]
        self._units = units(names, self._settings.units, FIRST_UNIT, LAST_UNIT)
        bank, batteries = of_all(snapshot, self._clock())
        number = partial(_number, names)
        if unit == BANK_UNIT:
            self._images[unit] = image(bank, number)
        for subject in batteries:
            if subject.state is not None and self._units.get(subject.state.name) == unit:
                self._images[unit] = image(subject, number)


def _number(names: Sequence[str], name: str) -> int | None:
    """A battery's, from 1, in the order of the file."""
    return names.index(name) + 1 if name in names else None
