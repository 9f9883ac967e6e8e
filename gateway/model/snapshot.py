"""What every output is given: one consistent picture of bank and decision, with its deadline."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.decision import Decision
from gateway.model.life import Life
from gateway.model.restriction import RemoteLimit
from gateway.model.state import BankState


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Bank and decision at one moment.  An output must not emit it after `valid_until`."""

    bank: BankState
    decision: Decision
    at: float  # s, monotonic
    wall: float  # s since the epoch
    valid_until: float  # s, monotonic: past it the gateway itself hangs, and outputs go to their safe state
    sequence: int = 0
    time_to_go: int | None = None  # s
    time_to_soc: Mapping[float, int | None] = field(default_factory=dict)  # SoC point [%] -> s; None = not ahead
    current_average: float | None = None  # A over 5 minutes
    life: Life | None = None  # None = no history is kept
    remote: tuple[RemoteLimit, ...] = ()  # limits from outside that are in force
    guard: str = ""  # the invariant that broke, when the guard replaced the decision; "" = all well
