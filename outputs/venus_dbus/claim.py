"""What Venus OS keeps for a service: its device instance and the name that the user gave it.

com.victronenergy.settings (localsettings) may be absent, come later, or restart: the service does without it, and
claims when it appears.  Sheet: venus-dbus.md section 5.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from outputs.venus_dbus.bus import BUS_ITEM, DAEMON, DAEMON_PATH, Bus, from_wire
from outputs.venus_dbus.tree import clean

SETTINGS: Final = "com.victronenergy.settings"
SHORTLY: Final = 1.0  # s that the service name waits for an answer of a localsettings that is there
INSTANCE, NAME = "ClassAndVrmInstance", "CustomName"


def settings_id(identity: str) -> str:
    """A unique id as localsettings allows it: letters, digits and _, no underscore first."""
    return re.sub(r"[^A-Za-z0-9]", "_", identity).lstrip("_") or "bms_gateway"


class Claim:
    """One service's entries in localsettings.

    settled   called once a connection: the instance is known, or nobody can tell
    assigned  called with an instance whenever localsettings gives one
    named     called with the stored custom name
    """

    def __init__(
        self,
        identity: str,
        wish: int,
        name: str,
        settled: Callable[[], None],
        assigned: Callable[[int], None],
        named: Callable[[str], None],
    ) -> None:
        self._root = f"/Settings/Devices/{settings_id(identity)}"
        self._wish, self._name = wish, name
        self._settled, self._assigned, self._named = settled, assigned, named
        self._waiting = True
        self._owner = ""
        self._bus: Bus | None = None

    def begin(self, bus: Bus) -> None:
        """On a new connection: look for localsettings and watch it."""
        self._bus, self._waiting, self._owner = bus, True, ""
        bus.match(f"type='signal',sender='{DAEMON}',member='NameOwnerChanged',path='{DAEMON_PATH}',arg0='{SETTINGS}'")
        bus.match(f"type='signal',sender='{SETTINGS}',interface='{BUS_ITEM}',path_namespace='{self._root}'")
        bus.call(
            DAEMON, DAEMON_PATH, DAEMON, "GetNameOwner", "s", (SETTINGS,), self._found, lambda _: self._settle()
        )  # fmt: skip

    def signal(self, message: Any) -> None:
        """A signal of the daemon about localsettings, or of localsettings about our entries."""
        if message.get_sender() == DAEMON and message.get_member() == "NameOwnerChanged":
            name, _, owner = message.get_args_list()
            if name == SETTINGS:
                self._found(owner)
        elif message.get_sender() == self._owner and message.get_member() == "PropertiesChanged":
            setting = str(message.get_path()).removeprefix(self._root + "/")
            for changes in message.get_args_list():
                if isinstance(changes, dict):
                    self._take(setting, changes.get("Value"))

    def rename(self, name: str) -> None:
        """Have the user's name kept; without localsettings it lasts as long as we do."""
        self._name = name
        if self._owner and self._bus is not None:
            path = f"{self._root}/{NAME}"
            self._bus.call(self._owner, path, BUS_ITEM, "SetValue", "v", (name,), _ignore, _ignore)

    def _found(self, owner: str) -> None:
        self._owner = str(owner)
        if not self._owner or self._bus is None:
            self._settle()
            return
        wanted = [
            {"path": f"{self._root}/{INSTANCE}", "default": f"battery:{self._wish}"},
            {"path": f"{self._root}/{NAME}", "default": self._name},
        ]
        self._bus.call(
            self._owner, "/", "com.victronenergy.Settings", "AddSettings", "aa{sv}", (wanted,),
            self._added, lambda _: self._settle(), timeout=SHORTLY,
        )  # fmt: skip

    def _added(self, answers: object = ()) -> None:
        for answer in answers if isinstance(answers, list) else ():
            if isinstance(answer, dict) and from_wire(answer.get("error", 0)) == 0:
                self._take(str(answer.get("path", "")).rpartition("/")[2], answer.get("value"))
        self._settle()

    def _take(self, setting: str, value: object) -> None:
        text = from_wire(value)
        if setting == INSTANCE and (found := re.fullmatch(r"battery:(\d{1,6})", str(text))):
            self._assigned(int(found[1]))
        elif setting == NAME and isinstance(text, str):
            self._name = clean(text)
            self._named(self._name)

    def _settle(self) -> None:
        if self._waiting:
            self._waiting = False
            self._settled()


def _ignore(*_: object) -> None:
    """An answer that changes nothing."""
