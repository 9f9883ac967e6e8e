"""What a published value is: its unit, its digits, how long it lives, and what each interface calls it.

Sheet: face.md chapter 8 (the list), chapters 1, 3 and 4 (classes of Home Assistant, names of Prometheus, registers).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Literal

from gateway.model import BatteryState, Health, Snapshot
from gateway.model.errors import printable
from outputs.view import View, bank_view, battery_view

Plain = float | int | str | bool | None
Told = Plain | list[Any] | dict[str, Any]
Kind = Literal["float", "int", "flag", "level", "enum", "text", "moment", "list", "table", "map"]
Rounding = Literal["nearest", "down", "up"]
Lives = Literal["online", "lost", "always"]

DIES: Final[Mapping[Lives, frozenset[Health]]] = {
    "online": frozenset({Health.STARTING, Health.STALE, Health.LOST}),
    "lost": frozenset({Health.LOST}),
    "always": frozenset(),
}
PLAIN: Final = (int, str)  # as tuples: this is asked a hundred times at a time
NUMBERS: Final = (float, int)
LISTS: Final = (tuple, list)
SAFELY: Final = 1e-6  # of a digit: what binary fractions are off, which must not cost a whole digit


@dataclass(frozen=True)
class Subject:
    """Of whom values are told: the bank, or one battery."""

    snapshot: Snapshot
    state: BatteryState | None = None  # None = the bank

    @cached_property
    def view(self) -> View:
        """Made when the first value asks for it: some need none."""
        return bank_view(self.snapshot) if self.state is None else battery_view(self.state)

    @property
    def health(self) -> Health:
        """How far it can be trusted."""
        return self.snapshot.bank.health if self.state is None else self.state.health


Source = Callable[[Subject], object]


class Field:
    """A source that is a field of the View: whoever has the row knows what it is made of, and when that changes."""

    def __init__(self, of: str, inner: str = "") -> None:
        """`of`: dotted where it lies deeper; `inner`: what of it, not known while there is no such thing."""
        self.of, self.inner = of, inner
        self._lies = attrgetter(f"view.{of}")

    def __call__(self, subject: Subject) -> object:
        found = self._lies(subject)
        return self.take(found) if self.inner else found

    def take(self, found: Any) -> Any:
        """The inner one."""
        return getattr(found, self.inner, None)


class Keyed(Field):
    """The same of a map."""

    def take(self, found: Any) -> Any:
        """What it has under the key."""
        return found.get(self.inner)


def of_bank(snapshot: Snapshot) -> Subject:
    """The bank of a Snapshot that is vouched for (`outputs.view.vouched`)."""
    return Subject(snapshot)


def of_battery(snapshot: Snapshot, state: BatteryState) -> Subject:
    """One battery of it."""
    return Subject(snapshot, state)


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """How it appears there: a sensor, or for a flag or a level a binary sensor."""

    device_class: str = ""
    state_class: str = "measurement"  # "" for what is no measurement; "total_increasing" for what only grows
    diagnostic: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of Prometheus: its name without bms_bank_ or bms_battery_, or whole where it begins with bms_."""

    name: str
    factor: float = 1.0  # times our value: 0.01 makes a ratio of a percentage
    label: str = ""  # of a list (its number), a map (its key) or an enum (one series a word)
    counter: bool = False
    one_of: tuple[str, str] | None = None  # label and value that tell this row from others of the same metric


@dataclass(frozen=True, slots=True)
class Register:
    """Where it is in the map of Modbus TCP; the raw number is value x factor."""

    address: int
    kind: Literal["u16", "i16", "u32", "i32", "bits", "text", "place"] = "u16"
    factor: int = 1
    count: int = 1  # of list elements; of registers of a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A row of the list."""

    name: str  # canonical: key in JSON and MQTT, component in Home Assistant
    source: Source  # before it is rounded
    where: Literal["KB", "K", "B"] = "KB"  # K: told of the bank; B: of each battery
    kind: Kind = "float"
    title: str = ""  # for people; else the name
    unit: str = ""
    digits: int = 0
    rounding: Rounding = "nearest"
    lives: Lives = "always"  # while its BMS is silent: until it is stale, until it is lost
    slow: bool = False  # nobody needs it each second
    options: tuple[str, ...] = ()  # every word of an enum
    dbus: tuple[str, ...] = ()  # paths; <n> stands for a number
    status: tuple[str, ...] = ()  # keys in `status --json`
    ha: HomeAssistant | None = None
    prometheus: Series | None = None
    modbus: Register | None = None

    @property
    def field(self) -> Field | None:
        """The field of the View that it is; None for what is made of more."""
        return self.source if isinstance(self.source, Field) else None

    @property
    def words(self) -> str:
        """What it is, for people."""
        return self.title or self.name.replace("_", " ").capitalize()

    def of(self, subject: Subject) -> Told:
        """The value now, rounded; None = not known, or its BMS is silent for too long."""
        return None if subject.health in DIES[self.lives] else self.shown(self.source(subject))

    def shown(self, found: object) -> Told:
        """What the source found, as it is told; the commonest first, for a message has two hundred values."""
        if isinstance(found, float):
            return self._number(found)
        if found is None or found is True or found is False:
            return found
        if isinstance(found, PLAIN):
            return self._plain(found)
        if isinstance(found, LISTS):
            return [each if isinstance(each, dict) else self._plain(each) for each in found]
        if isinstance(found, Mapping):
            return {str(key): self._plain(each) for key, each in found.items()}
        return None

    def _plain(self, value: object) -> Plain:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(value)
        return self._number(value) if isinstance(value, NUMBERS) else None

    def _number(self, value: float) -> float | None:
        if not math.isfinite(value):
            return None
        if self.kind == "int":
            return int(value)
        near = ROUND[self.rounding](value, self.digits)
        return near if self.digits else int(near)

    def _text(self, text: str) -> str | None:
        """Text that may travel anywhere; of an enum only the words that everybody was told beforehand."""
        if self.kind == "enum" and text not in self.options:
            return None
        return printable(text)


def nearest(value: float, digits: int) -> float:
    """To so many decimals."""
    return round(value, digits) + 0.0  # no negative zero: it would read as a change of sign


def down(value: float, digits: int) -> float:
    """A limit (which is >= 0) never grows by rounding."""
    scale: float = 10.0**digits
    return math.floor(value * scale + SAFELY) / scale


def up(value: float, digits: int) -> float:
    """What must not be fallen below never falls by rounding."""
    scale: float = 10.0**digits
    return math.ceil(value * scale - SAFELY) / scale


ROUND: Final[Mapping[Rounding, Callable[[float, int], float]]] = {"nearest": nearest, "down": down, "up": up}
