"""The few things that may be commanded, on their way back from an output or the CLI."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["charge", "discharge", "balance", "soc", "clear_history"]


@dataclass(frozen=True, slots=True)
class Command:
    """Ask a battery's BMS for something, or the gateway itself.

    action   charge, discharge, balance: value 1 = allow, 0 = forbid; soc: value = % to set;
             clear_history: 1 all, 2 capacity, 3 voltages, 4 time, 5 alarms, 6 temperature, 7 energy
    battery  its name; "" = every battery that can
    """

    action: Action
    value: float
    battery: str = ""

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
