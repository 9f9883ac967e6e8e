"""An inverter for the demo: it reads the gateway's CAN frames, with the DBC and nothing else of ours, and obeys."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import can
import cantools

import dbc
from bms_drivers.sims.pack import Pack

STEP: Final = 0.25  # s
OFF: Final = 0.06  # V that its own meter is off, as real ones are
SLOPE: Final = 40.0  # A a volt: how hard it holds the charge voltage
EVEN: Final = 30.0  # A a volt between two packs, through their cables
PATIENCE: Final = 3.0  # s without frames until it stops by itself


class Inverter:
    """Charges with `sun` A as far as the battery allows, or discharges with `load` A."""

    def __init__(self, channel: str, packs: Sequence[Pack], *, sun: float = 60.0, load: float = 40.0) -> None:
        self.values: dict[str, Any] = {}  # what it last read, by signal
        self.frames = 0
        self.sun, self.load = sun, load
        self.evening = False
        self._bus = can.Bus(channel=channel, interface="virtual")
        database = cantools.database.load_file(dbc.path("pylontech"))
        assert isinstance(database, cantools.database.can.Database)
        self._messages = database
        self._packs = packs
        self._heard = 0.0  # s, loop time

    async def run(self) -> None:
        """Read and obey until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                if self._read():
                    self._heard = loop.time()
                self._obey(silent=loop.time() - self._heard > PATIENCE)
                await asyncio.sleep(STEP)
        finally:
            self._bus.shutdown()

    def _read(self) -> bool:
        heard = False
        while (frame := self._bus.recv(timeout=0)) is not None:
            message = self._messages.get_message_by_frame_id(frame.arbitration_id)
            decoded = message.decode(bytes(frame.data), decode_choices=False, allow_truncated=True)
            if isinstance(decoded, dict):
                self.values.update(decoded)
            self.frames += 1
            heard = True
        return heard

    def _obey(self, *, silent: bool) -> None:
        amps = 0.0 if silent or not self.values else self._wanted()
        total = sum(pack.capacity for pack in self._packs)
        volts = sum(pack.voltage * pack.capacity for pack in self._packs) / total
        for pack in self._packs:  # in parallel: the one that lies lower takes more
            pack.current = (amps + (volts - pack.voltage) * EVEN) * pack.capacity / total

    def _wanted(self) -> float:
        if self.evening:
            allowed = float(self.values["discharge_current_limit"]) if self.values["discharge_enable"] else 0.0
            return -min(self.load, allowed)
        if not self.values.get("charge_enable"):
            return 0.0
        volts = sum(pack.voltage for pack in self._packs) / len(self._packs)
        room = (float(self.values["charge_voltage_limit"]) + OFF - volts) * SLOPE
        return max(0.0, min(self.sun, float(self.values["charge_current_limit"]), room))
