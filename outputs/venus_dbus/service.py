"""One `com.victronenergy.battery` service: its connection, its name, its items and what it answers.

    off --open--> greeting --> asking for the instance --> there --claim (once there is something to say)--> on the bus
     ^------------------- the daemon is gone, or the name is taken: again after a growing delay --------------|

All of it runs on the D-Bus thread.  Sheet: venus-dbus.md sections 1 and 2.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dbus import Dictionary
from dbus.lowlevel import ErrorMessage, MethodCallMessage, MethodReturnMessage, SignalMessage
from gi.repository import GLib

from gateway.supervise import Supervisor
from outputs.output import Clock
from outputs.venus_dbus.bus import BUS_ITEM, Bus, from_wire, to_wire
from outputs.venus_dbus.claim import Claim
from outputs.venus_dbus.controls import DONE, NOT_WRITABLE, REFUSED, Asker, Controls
from outputs.venus_dbus.pace import Pace, haste
from outputs.venus_dbus.paths import Published
from outputs.venus_dbus.tree import Item, Tree, Value, clean, hexadecimal, introspection, plain, typed
from outputs.view import View

log = logging.getLogger("bms_gateway.venus_dbus")

RETRY: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 10.0)  # s before each further try
DO_NOT_QUEUE: Final = 4
OWNER: Final = (1, 4)  # RequestName: we own it now, we own it already
RATE_WINDOW: Final = 30.0  # s over which messages are counted
NAME_LENGTH: Final = 64  # characters of a custom name
DEFECT: Final = "a defect: its values cannot be made; see the log"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a service is before it knows any value."""

    name: str  # com.victronenergy.battery.<...>
    identity: str  # stable; localsettings keeps the instance under it
    instance: int  # the wish
    battery: str  # whom commands are for; "" = the whole bank
    custom_name: str
    product_name: str
    product_id: int
    version: str
    writable: bool
    bms: bool  # has limits
    min_interval: float  # s
    slow_interval: float  # s


class BatteryService:
    """Keeps one service on the bus, whatever the daemon does."""

    def __init__(self, plan: Plan, address: str, clock: Clock, ask: Asker, supervisor: Supervisor) -> None:
        self.plan, self.problem, self.claimed = plan, "", False
        self.signals = self.reconnects = 0
        self.tree = _static(plan)
        self._controls = Controls(
            self.tree, plan.battery, ask, self._change, writable=plan.writable, history=plan.bms
        )  # fmt: skip
        self._published = Published(self.tree)
        self._address, self._clock, self._supervisor = address, clock, supervisor
        self._claim = Claim(
            plan.identity, plan.instance, plan.custom_name, self._settled, self._assigned, self._named
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
        self._retry: int | None = None  # GLib source
        self._timer: int | None = None  # GLib source
        self._due = 0.0  # s, when it fires
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
        for source in (self._retry, self._timer):
            if source is not None:
                GLib.source_remove(source)
        self._retry = self._timer = None
        self._bus.close()

    def give_up(self) -> None:
        """Values cannot be made because of a defect: off the bus, rather than leaving old limits on it."""
        if self.problem != DEFECT:
            log.critical("%s leaves the bus: its values cannot be made", self.plan.name)
        self.leave()
        self._sent = None  # no name before a whole set of values is there again
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
        now = self._clock()
        wait = self._pace.wait(now, haste(self._sent, view), fresh=self._fresh)
        if wait <= 0.0:
            self._publish()
        elif self._timer is None or now + wait < self._due:
            self._stop_timer()
            self._due = now + wait
            self._timer = GLib.timeout_add(int(wait * 1000.0) + 1, self._timed)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            GLib.source_remove(self._timer)
            self._timer = None

    def _timed(self) -> bool:
        self._timer = None
        with self._supervisor.trying(lambda fault: self.give_up()):
            self._publish()
        return bool(GLib.SOURCE_REMOVE)

    def _publish(self) -> None:
        """Bring the tree up to date and tell the bus what changed."""
        self._stop_timer()
        view, now = self._view, self._clock()
        if view is None:
            return
        slow = (
            self._sent is None or now - self._slow_at >= self.plan.slow_interval or view.reasons != self._sent.reasons
        )
        changed = self._published.update(view, slow=slow)
        self._slow_at, self._sent = now if slow else self._slow_at, view
        self._dirty.update(dict.fromkeys([*changed, *self._controls.offer(view.controls)]))
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
        message.append(self._items(list(self._dirty)), signature="a{sa{sv}}")
        self._bus.send(message)
        self._dirty.clear()
        self._say("")
        self.signals += 1
        now = self._clock()
        self._times.append(now)
        self._pace.sent(now, fresh=fresh)

    def _change(self, path: str, value: Value) -> None:
        """A value that changed by itself, at once."""
        if self.tree.put(path, value):
            self._dirty[path] = None
            self._emit()

    def _items(self, paths: Sequence[str]) -> dict[str, dict[str, object]]:
        tree = self.tree
        return {path: {"Value": to_wire(tree[path].value), "Text": tree[path].shown} for path in paths}

    # ---- connection and name

    def _greeted(self) -> None:
        self._claim.begin(self._bus)

    def _settled(self) -> None:
        self._welcome = True
        self._request_name()

    def _request_name(self) -> None:
        """Claim the name when the paths hold something, and not before."""
        busy = self.claimed or self._asked or self._retry is not None
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
        self._dropped = self._dropped or self.claimed
        self.claimed = self._welcome = self._asked = False
        self._say(reason)
        if self._running:
            self._later(self._reopen)

    def _reopen(self) -> None:
        self._bus.open(self._address)

    def _later(self, action: Callable[[], None]) -> None:
        """Try again after a delay that grows."""

        def due() -> bool:
            self._retry = None
            with self._supervisor.trying():
                action()
            return bool(GLib.SOURCE_REMOVE)

        delay = RETRY[min(self._tries, len(RETRY) - 1)]
        self._tries += 1
        self._retry = GLib.timeout_add(int(delay * 1000.0), due)

    def _say(self, problem: str) -> None:
        """Keep the present problem, and log it once."""
        if problem and problem != self.problem:
            level = logging.WARNING if self.plan.bms else logging.DEBUG  # the others suffer from the same
            log.log(level, "%s: %s; trying again", self.plan.name, problem)
        self.problem = problem

    # ---- localsettings

    def _assigned(self, instance: int) -> None:
        """The instance that Venus OS gives; a service that is already visible leaves and comes back with it."""
        if self.tree["/DeviceInstance"].value == instance:
            return
        if not self.claimed:
            self.tree.put("/DeviceInstance", instance)
            return

        def released(_: int) -> None:
            self._asked = False
            self.tree.put("/DeviceInstance", instance)
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
            return False
        reply = self._answer(message)
        if not message.get_no_reply():
            self._bus.send(reply)
        return True

    def _answer(self, message: Any) -> Any:
        path, member, interface = str(message.get_path()), message.get_member(), message.get_interface()
        if path not in self.tree and not self.tree.is_node(path):
            return ErrorMessage(message, "org.freedesktop.DBus.Error.UnknownObject", f"there is no {path}")
        if member == "Introspect":
            return _reply(message, "s", introspection(self.tree, path))
        if member == "GetAll":
            return _reply(message, "a{sv}", {})
        answer = self._bus_item(path, member, message) if interface in (None, BUS_ITEM) else None
        if answer is None:
            text = f"{interface or BUS_ITEM} has no method {member} at {path}"
            return ErrorMessage(message, "org.freedesktop.DBus.Error.UnknownMethod", text)
        return answer

    def _bus_item(self, path: str, member: str, message: Any) -> Any:
        """A reply to a method of BusItem; None = no such method there."""
        if path not in self.tree:
            return self._node(path, member, message)
        item = self.tree[path]
        if member == "GetValue":
            return _reply(message, "v", to_wire(item.value))
        if member == "GetText":
            return _reply(message, "s", item.shown)
        if member == "SetValue":
            arguments = message.get_args_list()
            return _reply(message, "i", self._write(path, item, from_wire(arguments[0])) if arguments else REFUSED)
        return None

    def _node(self, path: str, member: str, message: Any) -> Any:
        if member == "GetItems" and path == "/":
            return _reply(message, "a{sa{sv}}", self._items(list(self.tree)))
        under = self.tree.under(path).items()
        if member == "GetValue":
            return _reply(message, "v", _tree({name: to_wire(item.value) for name, item in under}))
        if member == "GetText":
            return _reply(message, "v", _tree({name: item.shown for name, item in under}))
        return None

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
        name = clean(value)[:NAME_LENGTH]
        self._change("/CustomName", name)
        self._claim.rename(name)
        return DONE


def _reply(message: Any, signature: str, value: object) -> Any:
    reply = MethodReturnMessage(message)
    reply.append(value, signature=signature)
    return reply


def _tree(values: dict[str, object]) -> object:
    return Dictionary(values, signature="sv")


def _static(plan: Plan) -> Tree:
    """The paths that never change, or only by the user's hand."""
    tree = Tree()
    for path, item in (
        ("/Mgmt/ProcessName", Item("s", plain, "bms-gateway")),
        ("/Mgmt/ProcessVersion", Item("s", plain, plan.version)),
        ("/DeviceInstance", Item("i", plain, plan.instance)),
        ("/ProductId", Item("i", hexadecimal, plan.product_id)),
        ("/ProductName", Item("s", plain, plan.product_name)),
        ("/CustomName", Item("s", plain, typed("s", plan.custom_name), writable=True)),
        ("/Connected", Item("i", plain, 1)),
        ("/Settings/HasTemperature", Item("i", plain, 1)),
        ("/History/CanBeCleared", Item("i", plain, int(plan.bms and plan.writable))),
    ):
        tree.add(path, item)
    if plan.bms:
        tree.add("/Capabilities/ChargeVoltageControl", Item("i", plain, 1))
    return tree
