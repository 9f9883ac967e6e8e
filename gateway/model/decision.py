"""What the limit logic decided, and every reason it weighed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter
from typing import Final

from gateway.model.fact import fact


@dataclass(frozen=True, slots=True)
class Cap:
    """An upper bound proposed by one rule; the smallest wins, the losers are kept for `explain`."""

    value: float  # A for CCL and DCL, V for CVL
    rule: str  # config, bms_limit, cell_voltage, temperature, mosfet_temperature, soc, bms_switch, ...
    why: str  # a sentence with numbers, shown to the user as it stands
    setting: str = ""  # the gateway.yaml key behind it, e.g. limits.cell_voltage.max
    battery: str = ""  # the battery it is about; "" = the bank


VALUE: Final = attrgetter("value")
RULE: Final = attrgetter("rule")


def tightest(caps: Sequence[Cap]) -> Cap:
    """The smallest cap; the first one of equals.  Raises ValueError when there is none."""
    return min(caps, key=VALUE)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The limits for the whole bank and why they are what they are."""

    cvl: float | None  # V, charge voltage limit; None only while the cell count is unknown
    ccl: float  # A, >= 0
    dcl: float  # A, >= 0
    allow_charge: bool
    allow_discharge: bool
    charge_mode: str = "bulk"  # bulk absorption float_transition float fixed error
    soc: float | None = None  # %, the SoC all rules used: BMS, counter or external
    soc_source: str = "bms"  # bms counter external
    remaining_capacity: float | None = None  # Ah, by that SoC
    soc_reset: bool = False  # the periodic higher voltage is active
    force_charge: bool = False  # the inverter is asked to charge from the grid
    full_charge: bool = False  # a full charge from the grid is asked for
    cell_ovp: str = "none"  # none limiting holding recovering
    low_voltage: float | None = None  # V, discharge voltage limit (DVL)
    cvl_caps: tuple[Cap, ...] = ()
    ccl_caps: tuple[Cap, ...] = ()
    dcl_caps: tuple[Cap, ...] = ()
    waiting: tuple[str, ...] = ()  # what the machine waits for, in numbers
    alarms: dict[str, int] = field(
        default_factory=dict
    )  # as published: of the bank, computed ones added, suppressed ones out
    notes: tuple[str, ...] = ()  # what was learnt anew in this very evaluation, for the log
    blocked_since: float | None = None  # s, monotonic: since when loss of the BMS keeps both limits at 0; None = not so

    @fact
    def ccl_reason(self) -> tuple[str, ...]:
        """Rules that give the present charge current target."""
        return _reasons(self.ccl_caps)

    @fact
    def dcl_reason(self) -> tuple[str, ...]:
        """Rules that give the present discharge current target."""
        return _reasons(self.dcl_caps)


def _reasons(caps: tuple[Cap, ...]) -> tuple[str, ...]:
    if not caps:
        return ()
    least = min(map(VALUE, caps)) + 1e-9
    binding = compress(caps, map(least.__ge__, map(VALUE, caps)))
    winners = tuple(dict.fromkeys(map(RULE, binding)))
    return ("config",) if "config" in winners else winners
