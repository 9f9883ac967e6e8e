"""What Venus OS keeps for a service: its device instance and the name that the user gave it.

com.victronenergy.settings (localsettings) may be absent, come later, restart or be slow: the service does without it,
and claims when it appears.  A name that the user gave meanwhile is written then.  Sheet: venus-dbus.md section 5.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from outputs.venus_dbus.bus import BUS_ITEM, DAEMON, DAEMON_PATH, Bus, from_wire
from outputs.venus_dbus.tree import clean

SETTINGS: Final = "com.victronenergy.settings"
ADDER: Final = "com.victronenergy.Settings"  # the interface by which it is asked to keep something
SHORTLY: Final = 1.0  # s that the service name waits for an answer of a localsettings that is there
AGAIN: Final = 20.0  # s until one that failed to answer is asked again
KEPT: Final = 0  # what SetValue returns
INSTANCE, NAME = "ClassAndVrmInstance", "CustomName"


def settings_id(identity: str) -> str:
    """A unique id as localsettings allows it: letters, digits and _, no underscore first."""
    return re.sub(r"[^A-Za-z0-9]", "_", identity).lstrip("_") or "bms_gateway"


class Claim:
    """One service's entries in localsettings.

    settled   called once a connection: the instance is known, or nobody can tell
    assigned  called with an instance whenever localsettings gives one
    named     called with the stored custom name
    later     has something done after so many seconds
    owned     called with the unique name of localsettings when it appears, with "" when it goes
    """

    def __init__(
        self,
        identity: str,
        wish: int,
        name: str,
        settled: Callable[[], None],
        assigned: Callable[[int], None],
        named: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], object],
        owned: Callable[[str], None] = lambda owner: None,
    ) -> None:
        self._root = f"/Settings/Devices/{settings_id(identity)}"
        self._wish, self._name = wish, name
        self._settled, self._assigned, self._named, self._later = settled, assigned, named, later
        self._owned = owned
        self._waiting = True
        self._owner = ""
        self._bus: Bus | None = None
        self._writing: str | None = None  # the name that is on its way to localsettings
        self._unsaved = False  # the user gave a name that localsettings may not have

    def begin(self, bus: Bus) -> None:
        """On a new connection: look for localsettings and watch it."""
        self._bus, self._waiting, self._owner, self._writing = bus, True, "", None
        bus.match(f"type='signal',sender='{DAEMON}',member='NameOwnerChanged',path='{DAEMON_PATH}',arg0='{SETTINGS}'")
        bus.match(f"type='signal',sender='{SETTINGS}',interface='{BUS_ITEM}',path_namespace='{self._root}'")
        bus.call(
            DAEMON, DAEMON_PATH, DAEMON, "GetNameOwner", "s", (SETTINGS,), self._found, lambda _: self._settle()
        )  # fmt: skip

    def end(self) -> None:
        """The connection is gone."""
        self._bus, self._owner = None, ""

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
        self._name, self._unsaved = name, True
        self._save()

    # ---- localsettings

    def _found(self, owner: str) -> None:
        self._owner, self._writing = str(owner), None
        self._owned(self._owner)
        if self._owner:
            here = self._owner
            self._later(SHORTLY, lambda: self._settle() if self._owner == here else None)
            self._add()
        else:
            self._settle()

    def _add(self) -> None:
        if self._bus is None or not self._owner:
            return
        owner = self._owner
        wanted = [
            {"path": f"{self._root}/{INSTANCE}", "default": f"battery:{self._wish}"},
            {"path": f"{self._root}/{NAME}", "default": self._name},
        ]
        self._bus.call(
            owner, "/", ADDER, "AddSettings", "aa{sv}", (wanted,), self._added,
            lambda _: self._missed(owner),
        )  # fmt: skip

    def _missed(self, owner: str) -> None:
        """It is there and does not answer: ask again, unless it is another one by then."""
        self._settle()
        self._later(AGAIN, lambda: self._add() if self._owner == owner else None)

    def _added(self, answers: object = ()) -> None:
        for answer in answers if isinstance(answers, list) else ():
            if isinstance(answer, dict) and from_wire(answer.get("error", 0)) == 0:
                self._take(str(answer.get("path", "")).rpartition("/")[2], answer.get("value"))
        self._save()
        self._settle()

    def _take(self, setting: str, value: object) -> None:
        text = from_wire(value)
        if setting == INSTANCE and (found := re.fullmatch(r"battery:(\d{1,6})", str(text))):
            self._assigned(int(found[1]))
        elif setting == NAME and isinstance(text, str) and not self._unsaved:
            self._name = clean(text)
            self._named(self._name)

    def _save(self) -> None:
        """Write the newest name, one at a time: each is a write to the flash of the GX."""
        if not (self._unsaved and self._owner and self._bus is not None) or self._writing is not None:
            return
        self._writing = self._name
        path = f"{self._root}/{NAME}"
        self._bus.call(self._owner, path, BUS_ITEM, "SetValue", "v", (self._name,), self._saved, self._not_saved)

    def _saved(self, result: object) -> None:
        if from_wire(result) != KEPT:
            self._not_saved()
            return
        self._unsaved, self._writing = self._writing != self._name, None
        self._save()

    def _not_saved(self, _: str = "") -> None:
        """Written when localsettings is found the next time."""
        self._writing = None

    def _settle(self) -> None:
        if self._waiting:
            self._waiting = False
            self._settled()
