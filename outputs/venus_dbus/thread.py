"""The D-Bus thread: GLib's main loop, the services on it, and the watch over the gateway's own heartbeat.

The event loop only leaves the newest Snapshot here and knocks once.  The thread decides by itself when a Snapshot is
too old: then its limits are 0 A, whatever keeps the loop from saying so.
"""

import logging
import os
import platform
import re
import threading
from collections.abc import Callable, Sequence
from typing import Final

from dbus.mainloop.glib import threads_init
from gi.repository import GLib

from gateway import VERSION
from gateway.model import BatteryState, Health, Reading, Snapshot
from gateway.supervise import Supervisor
from outputs.output import Clock
from outputs.venus_dbus.controls import Asker
from outputs.venus_dbus.service import BatteryService, Plan
from outputs.venus_dbus.settings import Settings
from outputs.view import HUNG, View, bank_view, battery_view, vouched

log = logging.getLogger("bms_gateway.venus_dbus")

PREFIX: Final = "com.victronenergy.battery."
PRODUCT: Final = "BMS gateway"
TICK: Final = 1.0  # s between looks at a Snapshot that has expired

Seen = tuple[Reading, Health, bool, str]
"""By what a battery's state differs from the last one; its age changes nothing that is published."""


class DbusThread:
    """Runs the services.  `publish` and `status` may be called from any thread."""

    def __init__(
        self, settings: Settings, address: str, clock: Clock, ask: Asker, identity: str
    ) -> None:  # fmt: skip
        self._settings, self._address, self._clock = settings, address, clock
        self._ask, self._identity = ask, identity
        self._supervisor = Supervisor("venus_dbus")
        self._newest: Snapshot | None = None
        self._readings: list[Reading | None] = []  # those of the Snapshot that was looked at last
        self._door = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._knocked = self._stopping = self._hung = self._left = False
        self._watch: int | None = None  # GLib source
        self._doorman: int | None = None  # GLib source
        self._deadline = 0.0  # what the watch is set to
        self._loop = GLib.MainLoop()
        self._thread = threading.Thread(target=self._run, name="venus-dbus", daemon=True)
        self._bank = self._service(
            settings.service, f"bms_gateway_{identity}", settings.device_instance, "", settings.custom_name
        )
        self._batteries: dict[str, tuple[BatteryService, Seen]] = {}

    # ---- from any thread

    def start(self) -> None:
        """Begin; the daemon need not be there yet."""
        self._open_door()
        self.soon(self._bank.enter)
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Leave the newest Snapshot and knock, unless the thread has not yet come to the last knock."""
        if snapshot.bank.complete:
            self._newest = snapshot
        if not (self._knocked or self._stopping):
            self._knocked = True
            os.eventfd_write(self._door, 1)

    def stop(self, timeout: float) -> bool:
        """Leave the bus and end the thread; False when it did not end within `timeout` [s]."""
        self._stopping = True
        GLib.idle_add(self._quit, priority=GLib.PRIORITY_DEFAULT)
        self._thread.join(timeout)
        ended = not self._thread.is_alive()
        if ended:
            os.close(self._door)
        return ended

    def soon(self, work: Callable[[], object]) -> None:
        """Have `work` done on the thread, unless it is ending."""

        def do() -> bool:
            if not self._stopping:
                with self._supervisor.trying():
                    work()
            return bool(GLib.SOURCE_REMOVE)

        GLib.idle_add(do, priority=GLib.PRIORITY_DEFAULT)

    def status(self) -> dict[str, object]:
        """Figures of all services together; connected = the bank is on the bus."""
        services = self._services()
        problems = dict.fromkeys(service.problem for service in services if service.problem)
        return {
            "connected": self._bank.claimed,
            "problem": "; ".join(problems) or (HUNG if self._hung else ""),
            "service": self._bank.plan.name,
            "device_instance": self._bank.tree["/DeviceInstance"].value,
            "services": [service.plan.name for service in services if service.claimed],
            "items_changed": sum(service.signals for service in services),
            "changes_per_second": round(sum(service.rate for service in services), 2),
            "reconnects": sum(service.reconnects for service in services),
        }

    def _services(self) -> list[BatteryService]:
        return [self._bank, *(service for service, _ in list(self._batteries.values()))]

    # ---- on the thread

    def _run(self) -> None:
        threads_init()
        try:
            self._loop.run()
        finally:
            self._leave()

    def _quit(self) -> bool:
        for source in (self._watch, self._doorman):
            if source is not None:
                GLib.source_remove(source)
        self._watch = self._doorman = None
        self._leave()
        self._loop.quit()
        return bool(GLib.SOURCE_REMOVE)

    def _leave(self) -> None:
        for service in self._services():
            service.leave()

    def _open_door(self) -> None:
        self._doorman = GLib.io_add_watch(self._door, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, self._look)

    def _look(self, door: int, _: object) -> bool:
        """A knock: publish the newest Snapshot and watch its deadline."""
        with self._supervisor.trying():  # GLib forgets a callback that fails
            os.eventfd_read(door)
            self._knocked = False
            self._refresh()
        return bool(GLib.SOURCE_CONTINUE)

    def _late(self) -> bool:
        """The watch: has the gateway been silent past the deadline of its last Snapshot?"""
        self._watch = None
        with self._supervisor.trying():
            self._refresh()
        return bool(GLib.SOURCE_REMOVE)

    def _refresh(self) -> None:
        snapshot = self._newest
        if snapshot is not None and not self._stopping:
            self._arm(snapshot.valid_until)
            self._offer(vouched(snapshot, self._clock()))

    def _offer(self, snapshot: Snapshot) -> None:
        hung = snapshot.guard == HUNG
        if hung is not self._hung:
            self._hung = hung
            log.log(*((logging.ERROR, HUNG) if hung else (logging.WARNING, "the gateway is back: limits as decided")))
        readings = [state.reading for state in snapshot.bank.batteries]
        fresh = [id(reading) for reading in readings] != [id(reading) for reading in self._readings]
        self._readings = readings  # kept, so that no other reading can have the id of one of them
        self._show(self._bank, lambda: bank_view(snapshot, self._identity), fresh=fresh)
        self._stay_or_leave(snapshot)
        if self._settings.each_battery:
            self._offer_batteries(snapshot.bank.batteries)

    def _offer_batteries(self, states: Sequence[BatteryState]) -> None:
        for gone in self._batteries.keys() - {state.name for state in states}:
            self._batteries.pop(gone)[0].leave()
        for state in states:
            if state.reading is not None:
                self._offer_battery(state, state.reading)

    def _offer_battery(self, state: BatteryState, reading: Reading) -> None:
        seen = (reading, state.health, state.joined, state.remark)
        service, last = self._batteries.get(state.name) or (self._battery_service(state.name), None)
        if last != seen:
            self._show(service, lambda: battery_view(state), fresh=last is None or last[0] is not reading)
        self._batteries[state.name] = (service, seen)
        service.enter()

    def _show(self, service: BatteryService, view: Callable[[], View], *, fresh: bool) -> None:
        """Offer a view; if a defect keeps it from being made, the service must not stay with the last one."""
        with self._supervisor.trying(lambda fault: service.give_up()):
            service.offer(view(), fresh=fresh)

    def _stay_or_leave(self, snapshot: Snapshot) -> None:
        """After `leave_after` of a lost BMS the bank leaves, so that Victron's own BMS-lost handling takes over."""
        since, patience = snapshot.decision.blocked_since, self._settings.leave_after
        gone = patience is not None and since is not None and self._clock() - since >= patience
        if gone and not self._left:
            log.error("%s leaves the bus: no BMS for %.0f s", self._bank.plan.name, patience)
            self._bank.leave()
        elif not gone:
            self._bank.enter()
        self._left = gone

    def _arm(self, deadline: float) -> None:
        """Wake just past the deadline; once it has passed, only where something may still be due."""
        if self._watch is not None:
            if deadline >= self._deadline:
                return  # it wakes earlier, and then looks again
            GLib.source_remove(self._watch)
            self._watch = None
        left = deadline - self._clock()
        if left < 0.0 and self._settings.leave_after is None:
            return
        self._deadline = deadline
        self._watch = GLib.timeout_add(int((left + 0.01 if left >= 0.0 else TICK) * 1000.0), self._late)

    # ---- making services

    def _battery_service(self, name: str) -> BatteryService:
        number = len(self._batteries) + 1
        suffix = unique(f"{self._settings.service}_{legal(name)}", {s.plan.name for s in self._services()})
        return self._service(
            suffix, f"bms_gateway_{self._identity}_{name}", self._settings.device_instance + number, name, name
        )

    def _service(self, suffix: str, identity: str, instance: int, battery: str, custom_name: str) -> BatteryService:
        settings = self._settings
        plan = Plan(
            name=PREFIX + suffix, identity=identity, instance=instance, battery=battery, custom_name=custom_name,
            product_name=PRODUCT, product_id=settings.product_id,
            version=f"{VERSION} (Python {platform.python_version()})", writable=settings.writable, bms=not battery,
            min_interval=settings.min_interval, slow_interval=settings.slow_interval,
        )  # fmt: skip
        return BatteryService(plan, self._address, self._clock, self._ask, self._supervisor)


def legal(name: str) -> str:
    """A battery's name as part of a D-Bus name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)[:100]


def unique(suffix: str, taken: set[str]) -> str:
    """The suffix, with a number where another service has it already."""
    number, name = 1, suffix
    while PREFIX + name in taken:
        number += 1
        name = f"{suffix}_{number}"
    return name
