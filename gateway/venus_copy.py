"""A copy of the state among Venus OS's settings, so that it outlives the directory of the gateway's own file.

The file stays the one that counts; the copy is read where there is none.  com.victronenergy.settings keeps it in flash:
so it is written four times an hour at most, and at the end.  Whatever D-Bus does, nobody waits for more than PATIENCE.
Sheet: venus-dbus.md section 5.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import dbus
import dbus.bus

from gateway.supervise import Supervisor
from outputs.venus_dbus.bus import BUS_ITEM
from outputs.venus_dbus.claim import ADDER, SETTINGS, settings_id

log = logging.getLogger("bms_gateway.store")

PATIENCE: Final = 2.0  # s for Venus OS to answer
EVERY: Final = 900.0  # s between two writes
LARGEST: Final = 64 * 1024  # bytes; ours have a few thousand


class VenusCopy:
    """The copy of one gateway's state.  No method raises."""

    def __init__(self, address: str, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`address` of the D-Bus daemon; `service` as in outputs.venus_dbus.service."""
        self._address, self._clock = address, clock
        self._path = f"/Settings/Devices/{settings_id(service)}/State"
        self._at = -math.inf  # s, of the last write
        self._supervisor = Supervisor("copy of the state")

    def load(self) -> bytes:
        """What was kept last; b"" = nothing, or nobody answers."""
        return self._patiently(self._read)

    def save(self, raw: bytes, *, last: bool) -> None:
        """Keep `raw`, unless something was kept lately; `last`: the gateway ends."""
        now = self._clock()
        if len(raw) <= LARGEST and (last or now - self._at >= EVERY):
            self._at = now
            self._patiently(lambda bus: self._write(bus, raw))

    def _read(self, bus: Any) -> bytes:
        return str(bus.call_blocking(SETTINGS, self._path, BUS_ITEM, "GetValue", "", (), timeout=PATIENCE)).encode()

    def _write(self, bus: Any, raw: bytes) -> bytes:
        wanted = [{"path": self._path, "default": "", "silent": 1}]
        bus.call_blocking(SETTINGS, "/", ADDER, "AddSettings", "aa{sv}", (wanted,), timeout=PATIENCE)
        bus.call_blocking(SETTINGS, self._path, BUS_ITEM, "SetValue", "v", (raw.decode(),), timeout=PATIENCE)
        return b""

    def _patiently(self, work: Callable[[Any], bytes]) -> bytes:
        """On a thread that may be left behind: even greeting a daemon may take for ever."""
        found: list[bytes] = []
        thread = threading.Thread(target=self._work, args=(work, found), name="venus copy", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return found[0] if found else b""

    def _work(self, work: Callable[[Any], bytes], found: list[bytes]) -> None:
        with self._supervisor.trying():
            try:
                bus = dbus.bus.BusConnection(self._address)
                found.append(work(bus))
                bus.close()
            except dbus.DBusException as problem:
                log.debug("%s: %s", self._path, problem.get_dbus_message())
