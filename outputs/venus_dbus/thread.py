"""The D-Bus thread: GLib's main loop, the services on it, and the watch over the gateway's own heartbeat.

The event loop only leaves the newest Snapshot here and knocks once.  The thread decides by itself when a Snapshot is
too old: then its limits are 0 A, whatever keeps the loop from saying so.
"""

import logging
import platform
import threading
from collections import deque
from collections.abc import Callable
from operator import is_
from typing import Final

from dbus.mainloop.glib import threads_init
from gi.repository import GLib

from gateway import VERSION
from gateway.model import Reading, Snapshot
from gateway.supervise import Supervisor
from outputs.output import Clock
from outputs.venus_dbus.alarms import Alarms
from outputs.venus_dbus.controls import Asker
from outputs.venus_dbus.loss import Loss, Stand
from outputs.venus_dbus.members import PREFIX, Members
from outputs.venus_dbus.plan import Plan
from outputs.venus_dbus.service import BatteryService
from outputs.venus_dbus.settings import Settings
from outputs.view import HUNG, READING, View, bank_view, vouched

log = logging.getLogger("bms_gateway.venus_dbus")

PRODUCT: Final = "BMS gateway"
NEXT: Final = 2.5  # s within which another Snapshot comes: a watch that is due before that is set anew, and never wakes
JUST: Final = 0.01  # s past a deadline, to be sure that it is past
TICK: Final = 1.0  # s between looks at a Snapshot that has expired


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
        self._work: deque[Callable[[], object]] = deque()
        self._offered = self._stopping = self._hung = False
        self._alarms = Alarms(self._look, self._supervisor)
        self._watch = self._alarms.alarm(self._late)
        self._deadline = 0.0  # what the watch is set to
        self._loop = GLib.MainLoop()
        self._thread = threading.Thread(target=self._run, name="venus-dbus", daemon=True)
        self._bank = self._service(
            settings.service, settings.service, settings.device_instance, "", settings.custom_name
        )
        self._loss, self._stand = Loss(settings), Stand.BMS
        self._members = Members(settings.service, self._member, self._show)

    # ---- from any thread

    def start(self) -> None:
        """Begin; the daemon need not be there yet."""
        self._alarms.begin()
        self.soon(self._bank.enter)
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Leave the newest Snapshot and knock, unless the thread has not yet come to the last knock."""
        if snapshot.bank.complete:
            self._newest = snapshot
        if not (self._offered or self._stopping):
            self._offered = True
            self._alarms.knock()

    def stop(self, timeout: float) -> bool:
        """Leave the bus and end the thread; False when it did not end within `timeout` [s]."""
        self._stopping = True
        self._alarms.knock()
        self._thread.join(timeout)
        ended = not self._thread.is_alive()
        if ended:
            self._alarms.close()
        return ended

    def soon(self, work: Callable[[], object]) -> None:
        """Have `work` done on the thread, unless it is ending."""
        if not self._stopping:
            self._work.append(work)
            self._alarms.knock()

    def status(self) -> dict[str, object]:
        """Figures of all services together; connected = the bank is on the bus."""
        services = self._services()
        problems = dict.fromkeys([service.problem for service in services if service.problem])
        problems |= dict.fromkeys(self._members.problems())
        return {
            "connected": self._bank.claimed,
            "problem": "; ".join(problems) or (HUNG if self._hung else ""),
            "service": self._bank.plan.name,
            "device_instance": self._bank.tree["/DeviceInstance"].value,
            "services": [service.plan.name for service in services if service.claimed],
            "items_changed": sum([service.signals for service in services]),
            "changes_per_second": round(sum([service.rate for service in services]), 2),
            "reconnects": sum([service.reconnects for service in services]),
        }

    def discharge_floor(self) -> float | None:
        """SoC [%] to which Venus OS lets the bank be discharged; None = none is known.  From any thread."""
        return self._bank.floor.soc()

    def _services(self) -> list[BatteryService]:
        return [self._bank, *self._members.services()]

    # ---- on the thread

    def _run(self) -> None:
        threads_init()
        try:
            self._loop.run()
        finally:
            self._leave()

    def _quit(self) -> None:
        self._alarms.end()
        self._leave()
        self._loop.quit()

    def _leave(self) -> None:
        for service in self._services():
            service.leave()

    def _look(self) -> None:
        """A knock: publish the newest Snapshot, watch its deadline, and do what was left here."""
        if self._stopping:
            self._quit()
            return
        if self._offered:
            self._offered = False
            with self._supervisor.trying():
                self._refresh()
        while self._work:
            with self._supervisor.trying():
                self._work.popleft()()

    def _late(self) -> None:
        """The watch: has the gateway been silent past the deadline of its last Snapshot?"""
        if self._newest is not None and self._clock() <= self._newest.valid_until:
            self._arm(self._newest.valid_until)  # another one has come since, and its knock is answered
        else:
            self._refresh()

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
        readings = list(map(READING, snapshot.bank.batteries))
        fresh = len(readings) != len(self._readings) or not all(map(is_, readings, self._readings))
        self._readings = readings
        self._become(self._loss.stand(snapshot, self._clock()))
        self._show(self._bank, lambda: self._view(snapshot), fresh=fresh)
        if self._settings.each_battery:
            self._members.offer(snapshot.bank.batteries)

    def _show(self, service: BatteryService, view: Callable[[], View], *, fresh: bool) -> None:
        """Offer a view; if a defect keeps it from being made, the service must not stay with the last one."""
        with service.trying:
            service.offer(view(), fresh=fresh)

    def _view(self, snapshot: Snapshot) -> View:
        """The bank; without a charge voltage where it is to be no BMS."""
        view = bank_view(snapshot, self._identity)
        return view if self._stand is Stand.BMS else view._replace(limits=view.limits._replace(cvl=None))

    def _become(self, stand: Stand) -> None:
        """What a loss of the BMS makes of the bank's service, or its end."""
        if stand is not self._stand:
            level = logging.WARNING if stand is Stand.BMS else logging.ERROR
            why = "" if stand is Stand.BMS else ": its batteries do not answer"
            log.log(level, "%s is %s now%s", self._bank.plan.name, stand.value, why)
        self._stand = stand
        if stand is Stand.GONE:
            self._bank.leave()
        else:
            self._bank.enter()

    def _arm(self, deadline: float) -> None:
        """Wake just past the deadline; once it has passed, only where something may still be due."""
        now = self._clock()
        if self._watch.is_set and deadline >= self._deadline > now + NEXT:
            return  # it wakes earlier, and then looks again
        self._watch.clear()
        left = deadline - now
        if left < 0.0 and not self._loss.watches:
            return
        self._deadline = deadline
        self._watch.set(left + JUST if left >= 0.0 else TICK)

    # ---- making services

    def _member(self, suffix: str, identity: str, number: int, name: str) -> BatteryService:
        return self._service(suffix, f"bms_gateway_{identity}", self._settings.device_instance + number, name, name)

    def _service(self, suffix: str, identity: str, instance: int, battery: str, custom_name: str) -> BatteryService:
        settings = self._settings
        plan = Plan(
            name=PREFIX + suffix, identity=identity, instance=instance, battery=battery, custom_name=custom_name,
            product_name=PRODUCT, product_id=settings.product_id,
            version=f"{VERSION} (Python {platform.python_version()})", writable=settings.writable, bms=not battery,
            cells=settings.cells, midpoint=settings.midpoint, slow_interval=settings.slow_interval,
            min_interval=settings.battery_interval if battery else settings.min_interval,
        )  # fmt: skip
        return BatteryService(plan, self._address, self._clock, self._ask, self._supervisor, self._alarms)
