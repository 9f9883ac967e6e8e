"""The few things that may be commanded, on their way back from an output or the CLI to a battery."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["charge", "discharge", "balance", "soc"]


@dataclass(frozen=True, slots=True)
class Command:
    """Ask a battery's BMS for something.

    action   charge, discharge, balance: value 1 = allow, 0 = forbid; soc: value = % to set
    battery  its name; "" = every battery that can
    """

    action: Action
    value: float
    battery: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: `accepted` by the device, `confirmed` by reading back, and a sentence for people."""

    accepted: bool
    confirmed: bool
    note: str
