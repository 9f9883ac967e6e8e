"""The few things that may be commanded, on their way back from an output or the CLI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.model.errors import CommandError

Action = Literal["charge", "discharge", "balance", "soc", "clear_history"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which values an action takes."""

    least: float
    most: float
    words: str
    whole: bool = True

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and (not self.whole or value == int(value))  # NaN fails this, too


SWITCH: Final = Allowed(0, 1, "0 (off) or 1 (on)")
ACTIONS: Final[Mapping[str, Allowed]] = {
    "charge": SWITCH,
    "discharge": SWITCH,
    "balance": SWITCH,
    "soc": Allowed(0, 100, "0..100 %", whole=False),
    "clear_history": Allowed(1, 7, "1 (all) to 7 (energy)"),
}


@dataclass(frozen=True, slots=True)
class Command:
    """Ask a battery's BMS for something, or the gateway itself.

    action   charge, discharge, balance: value 1 = allow, 0 = forbid; soc: value = % to set;
             clear_history: 1 all, 2 capacity, 3 voltages, 4 time, 5 alarms, 6 temperature, 7 energy
    battery  its name; "" = every battery that can
    source   who asks: "cli", "mqtt" ...; "" = the gateway itself

    Making one raises CommandError for any other action or value: this is the one place where they are checked.
    """

    action: Action
    value: float
    battery: str = ""
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check action and value."""
        allowed = ACTIONS.get(self.action) if isinstance(self.action, str) else None
        if allowed is None:
            raise CommandError(f"no command is called {self.action!r:.40}, expected one of {', '.join(ACTIONS)}")
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or self.value not in allowed:
            raise CommandError(f"{self.action} {self.value!s:.40} cannot be commanded, expected {allowed.words}")
        object.__setattr__(self, "value", float(self.value))  # plain, whatever kind of number the door had

    @property
    def withdraws(self) -> bool:
        """Does it stop a current?  That is never too fast."""
        return self.action in ("charge", "discharge") and not self.value

    @property
    def words(self) -> str:
        """For people: "charge on", "soc 80 %"."""
        if self.action in ("charge", "discharge", "balance"):
            return f"{self.action} {'on' if self.value else 'off'}"
        return f"{self.action} {self.value:g}{' %' if self.action == 'soc' else ''}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: `accepted` by the device, `confirmed` by reading back, and a sentence for people."""

    accepted: bool
    confirmed: bool
    note: str
