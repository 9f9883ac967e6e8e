"""How far Venus OS lets the bank be discharged: the minimum SoC of its ESS settings, heard of rather than asked for.

localsettings tells of every change of a setting.  It is asked when it appears, and each ten minutes in case a change
was missed or the setting is new: a question and its answer wake half of a GX.  Gone from the bus, or not answering: not
known, and in the latter case asked again after a minute.  Only the time to go rests on it.  Sheet: limits.md chapter 6.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from outputs.output import Clock
from outputs.venus_dbus.bus import BUS_ITEM, Bus, from_wire
from outputs.venus_dbus.claim import SETTINGS

ESS: Final = "/Settings/CGwacs"  # a folder: localsettings answers for all that lies in it
AGAIN: Final = 600.0  # s between two questions
PATIENCE: Final = 10.0  # s for an answer
SOON: Final = 60.0  # s until the next one where there was no answer
STALE_AFTER: Final = 2 * AGAIN  # s after an answer, if for whatever reason nothing was asked since


class Wanted(NamedTuple):
    """Where a number is below ESS, and the greatest that it can be; the least is 0."""

    place: str
    most: float


WANTED: Final = {
    "hub": Wanted("Hub4Mode", 10),
    "state": Wanted("BatteryLife/State", 20),
    "minimum": Wanted("BatteryLife/MinimumSocLimit", 100),
    "limit": Wanted("BatteryLife/SocLimit", 100),
}
NAMES: Final = {f"{ESS}/{wanted.place}": name for name, wanted in WANTED.items()}
ESS_MODE, KEEP_CHARGED, WITHOUT_BATTERY_LIFE = 1, 9, (10, 11, 12)  # Hub4Mode; states of BatteryLife

Known = Mapping[str, float]


class Floor:
    """Those settings; all but `soc` on the D-Bus thread.

    later  has something done after so many seconds
    """

    def __init__(self, clock: Clock, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._clock, self._later = clock, later
        self._bus: Bus | None = None
        self._owner = ""  # of localsettings
        self._asking = object()  # another for each that is found
        self._known: tuple[Known, float] = ({}, 0.0)  # and when it was told [s]

    def soc(self) -> float | None:
        """%; None = none is known, or Venus OS has none.  From any thread."""
        known, at = self._known
        return floor_of(known) if self._clock() - at < STALE_AFTER else None

    def begin(self, bus: Bus) -> None:
        """On a new connection: hear of each change."""
        self._bus = bus
        for path in NAMES:
            bus.match(f"type='signal',sender='{SETTINGS}',interface='{BUS_ITEM}',path='{path}'")

    def end(self) -> None:
        """The connection is gone."""
        self.found("")
        self._bus = None

    def found(self, owner: str) -> None:
        """localsettings is there under this name; "" = it is not there."""
        self._owner, self._known, self._asking = owner, ({}, 0.0), object()
        if owner:
            self._ask(self._asking)

    def signal(self, message: Any) -> None:
        """Of a setting that changed."""
        name = NAMES.get(str(message.get_path()))
        if name is None or message.get_sender() != self._owner or message.get_member() != "PropertiesChanged":
            return
        for changes in message.get_args_list():
            if isinstance(changes, dict):
                known, at = self._known
                rest = {other: number for other, number in known.items() if other != name}
                self._known = {**rest, **_numbers({WANTED[name].place: changes.get("Value")}, (name,))}, at

    # ---- questions

    def _ask(self, asking: object) -> None:
        """Ask, now and then, the one that was found then, while it is still there."""
        bus = self._bus
        if bus is None or asking is not self._asking:
            return

        def known(numbers: Known, pause: float) -> None:
            if asking is self._asking:
                self._known = numbers, self._clock()
                self._later(pause, lambda: self._ask(asking))

        bus.call(
            self._owner, ESS, BUS_ITEM, "GetValue", "", (),
            lambda told: known(_numbers(told, WANTED), AGAIN), lambda _: known({}, SOON), PATIENCE,
        )  # fmt: skip


def _numbers(told: object, names: Iterable[str]) -> Known:
    """What was told of these, by name: sound numbers."""
    found = {name: from_wire(told.get(WANTED[name].place)) for name in names} if isinstance(told, dict) else {}
    return {name: float(value) for name, value in found.items()
            if isinstance(value, int | float) and 0 <= value <= WANTED[name].most}  # fmt: skip


def floor_of(known: Known) -> float | None:
    """SoC [%] to which ESS discharges: the user's minimum, or what BatteryLife has made of it; sheet: chapter 6."""
    if known.get("hub") != ESS_MODE or known.get("state") in (None, KEEP_CHARGED):
        return None
    return known.get("minimum" if known["state"] in WITHOUT_BATTERY_LIFE else "limit")
