"""One `com.victronenergy.battery` service: its connection, its name, its items and what it answers.

    off --open--> greeting --> asking for the instance --> there --claim (once there is something to say)--> on the bus
     ^------------------- the daemon is gone, or the name is taken: again after a growing delay --------------|

All of it runs on the D-Bus thread.  Sheet: venus-dbus.md sections 1 and 2.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from dbus.lowlevel import MethodCallMessage, SignalMessage

from gateway.supervise import Supervisor
from outputs.output import Clock
from outputs.venus_dbus.alarms import Alarms
from outputs.venus_dbus.answers import Answers, items
from outputs.venus_dbus.bus import BUS_ITEM, Bus
from outputs.venus_dbus.claim import Claim
from outputs.venus_dbus.controls import DONE, NOT_WRITABLE, REFUSED, Asker, Controls
from outputs.venus_dbus.floor import Floor
from outputs.venus_dbus.pace import Haste, Pace, haste
from outputs.venus_dbus.plan import Plan, fixed_items
from outputs.venus_dbus.published import Published
from outputs.venus_dbus.tree import Item, Value, clean
from outputs.view import View

log = logging.getLogger("bms_gateway.venus_dbus")

RETRY: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 10.0)  # s before each further try
DO_NOT_QUEUE: Final = 4
OWNER: Final = (1, 4)  # RequestName: we own it now, we own it already
RATE_WINDOW: Final = 30.0  # s over which messages are counted
TOGETHER: Final = 0.01  # s; a wish, its outcome and the sentence about it make one message
NAME_LENGTH: Final = 64  # characters of a custom name
DEFECT: Final = "a defect: its values cannot be made; see the log"


class BatteryService:
    """Keeps one service on the bus, whatever the daemon does."""

    def __init__(
        self, plan: Plan, address: str, clock: Clock, ask: Asker, supervisor: Supervisor, alarms: Alarms
    ) -> None:
        self.plan, self.problem, self.claimed = plan, "", False
        self.signals = self.reconnects = 0
        self.tree = fixed_items(plan)
        self._controls = Controls(
            self.tree, plan.battery, ask, self._change, clock, writable=plan.writable, history=plan.bms
        )  # fmt: skip
        self._answers = Answers(self.tree, self._write)
        self._published = Published(self.tree, plan.cells, bms=plan.bms, midpoint=plan.midpoint)
        self._address, self._clock, self._alarms = address, clock, alarms
        self.trying = supervisor.trying(lambda fault: self.give_up())  # with values that cannot be made it leaves
        self.floor = Floor(clock, self._after)
        self._claim = Claim(
            plan.identity, plan.instance, plan.custom_name, self._settled, self._assigned, self._named, self._after,
            self.floor.found,
        )  # fmt: skip
        self._bus = Bus(self._greeted, self._message, self._lost, supervisor)
        self._pace = Pace(plan.min_interval)
        self._running = self._welcome = self._asked = self._dropped = False
        self._view: View | None = None  # the newest
        self._fresh = False  # it has a new reading that nobody was told
        self._sent: View | None = None  # the one in the tree
        self._slow_at = float("-inf")
        self._dirty: dict[str, None] = {}  # paths whose change nobody was told, in order
        self._tries = 0
        self._retry, self._timer = alarms.alarm(self._reopen), alarms.alarm(self._publish_or_leave)
        self._times: deque[float] = deque(maxlen=256)

    # ---- life

    def enter(self) -> None:
        """Get on the bus, and back whenever it is lost."""
        if not self._running:
            self._running = True
            self._bus.open(self._address)

    def leave(self) -> None:
        """Leave the bus and stay away."""
        self._running = self.claimed = self._welcome = self._asked = False
        self._retry.clear()
        self._timer.clear()
        self._end()
        self._bus.close()
        self._sent = None  # no name before a whole set of values is there again

    def give_up(self) -> None:
        """Values cannot be made because of a defect: off the bus, rather than leaving old limits on it."""
        if self.problem != DEFECT:
            log.critical("%s leaves the bus: its values cannot be made", self.plan.name)
        self.leave()
        self.problem = DEFECT

    @property
    def rate(self) -> float:
        """ItemsChanged per second, lately."""
        now = self._clock()
        lately = [at for at in tuple(self._times) if now - at <= RATE_WINDOW]
        return len(lately) / max(1.0, now - lately[0]) if lately else 0.0

    # ---- values

    def offer(self, view: View, *, fresh: bool) -> None:
        """Take the newest values; they go out as soon as the pace allows.  `fresh`: there is a new reading in them."""
        self._view, self._fresh = view, fresh or self._fresh
        self._tell(haste(self._sent, view), fresh=self._fresh)

    def _tell(self, urgency: Haste, *, fresh: bool, gather: float = 0.0) -> None:
        """Publish what is new, as soon as the pace allows; together with what else comes within `gather` s."""
        now = self._clock()
        wait = max(gather, self._pace.wait(now, urgency, fresh=fresh))
        if wait <= 0.0:
            self._publish_or_leave()
        else:
            self._timer.set_sooner(wait)

    def _publish_or_leave(self) -> None:
        with self.trying:
            self._publish()

    def _publish(self) -> None:
        """Bring the tree up to date and tell the bus what changed."""
        self._timer.clear()
        view, now = self._view, self._clock()
        if view is None:
            return
        slow = (
            self._sent is None or now - self._slow_at >= self.plan.slow_interval or view.reasons != self._sent.reasons
        )
        changed = self._published.update(view, slow=slow)
        self._slow_at, self._sent = now if slow else self._slow_at, view
        self._dirty.update(dict.fromkeys([*changed, *self._controls.offer(view.controls, view.on)]))
        fresh, self._fresh = self._fresh, False
        self._emit(fresh=fresh)
        self._request_name()

    def _emit(self, *, fresh: bool = False) -> None:
        """One ItemsChanged with everything that nobody was told; later, if the daemon does not read."""
        if not (self.claimed and self._dirty):
            return
        if self._bus.stalled:
            self._say("the D-Bus daemon does not read; changes wait")
            return
        message = SignalMessage("/", BUS_ITEM, "ItemsChanged")
        message.append(items(self.tree, self._dirty), signature="a{sa{sv}}")
        self._bus.send(message)
        self._dirty.clear()
        self._say("")
        self.signals += 1
        now = self._clock()
        self._times.append(now)
        self._pace.sent(now, fresh=fresh)

    def _change(self, path: str, value: Value) -> None:
        """A value that changed by somebody's hand: early, as long as that remains rare."""
        if self.tree.put(path, value):
            self._dirty[path] = None
            self._tell(Haste.SOON, fresh=False, gather=TOGETHER)

    # ---- connection and name

    def _greeted(self) -> None:
        if self.plan.bms:
            self.floor.begin(self._bus)
        self._claim.begin(self._bus)

    def _end(self) -> None:
        """What was known by this connection is known no more."""
        self._claim.end()
        self.floor.end()

    def _settled(self) -> None:
        self._welcome = True
        self._request_name()

    def _request_name(self) -> None:
        """Claim the name when the paths hold something, and not before."""
        busy = self.claimed or self._asked or self._retry.is_set
        if self._welcome and self._sent is not None and not busy:
            self._asked = True
            self._bus.daemon("RequestName", "su", (self.plan.name, DO_NOT_QUEUE), self._requested)

    def _requested(self, answer: int) -> None:
        self._asked = False
        if answer not in OWNER:
            self._say(f"{self.plan.name} is owned by another program (a second gateway?)")
            self._later(self._request_name)
            return
        if not self.claimed:
            self.reconnects += self._dropped
            self.claimed, self._dropped, self._tries = True, False, 0
            self._dirty.clear()  # whoever sees the name asks for all items
            self._say("")
            log.info("%s is on the bus, device instance %s", self.plan.name, self.tree["/DeviceInstance"].value)

    def _lost(self, reason: str) -> None:
        self._end()
        self._dropped = self._dropped or self.claimed
        self.claimed = self._welcome = self._asked = False
        self._say(reason)
        if self._running:
            self._later(self._reopen)

    def _reopen(self) -> None:
        self._bus.open(self._address)

    def _later(self, action: Callable[[], None]) -> None:
        """Try again after a delay that grows; nothing else that was to be tried is tried besides."""
        self._retry.action = action
        self._retry.set(RETRY[min(self._tries, len(RETRY) - 1)])
        self._tries += 1

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something done later."""
        self._alarms.alarm(action).set(seconds)

    def _say(self, problem: str) -> None:
        """Keep the present problem, and log it once."""
        if problem and problem != self.problem:
            level = logging.WARNING if self.plan.bms else logging.DEBUG  # the others suffer from the same
            log.log(level, "%s: %s; trying again", self.plan.name, problem)
        self.problem = problem

    # ---- localsettings

    def _assigned(self, instance: int) -> None:
        """The instance that Venus OS gives; a service that is already visible leaves and comes back with it."""
        if not self.tree.put("/DeviceInstance", instance) or not self.claimed:
            return

        def released(_: int) -> None:
            self._asked = False
            self._request_name()

        self.claimed, self._asked = False, True
        log.info("%s: Venus OS gives device instance %d", self.plan.name, instance)
        self._bus.daemon("ReleaseName", "s", (self.plan.name,), released)

    def _named(self, name: str) -> None:
        self._change("/CustomName", name)

    # ---- what others ask

    def _message(self, message: Any) -> bool:
        if not isinstance(message, MethodCallMessage):
            self._claim.signal(message)
            self.floor.signal(message)
            return False
        reply = self._answers.to(message)
        if not message.get_no_reply():
            self._bus.send(reply)
        return True

    def _write(self, path: str, item: Item, value: Value) -> int:
        """SetValue: 0 = accepted; whatever it changes is told to everybody."""
        if not item.writable:
            return NOT_WRITABLE
        if path == "/CustomName":
            return self._rename(value)
        return self._controls.write(path, value)

    def _rename(self, value: Value) -> int:
        if not isinstance(value, str):
            return REFUSED
        name = clean(value[:NAME_LENGTH])
        self._change("/CustomName", name)
        self._claim.rename(name)
        return DONE
