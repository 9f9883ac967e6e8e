"""Readings with what we know about them: age and health of one battery, and several batteries seen as one."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.reading import Reading


class Health(enum.Enum):
    """How far a battery's reading can be trusted.

    starting  never answered so far
    online    answered lately
    stale     silent for longer than `stale_after`: its values are old, its limits are being withdrawn
    lost      silent for longer than `lost_after`
    """

    STARTING = "starting"
    ONLINE = "online"
    STALE = "stale"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class BatteryState:
    """One battery: its last good reading, how old that is, and how its link fares."""

    name: str
    driver: str = ""
    connection: str = ""  # for people: "serial /dev/ttyUSB0 address 1"
    control: bool = True  # False = watched only, never counts for limits
    reading: Reading | None = None
    age: float | None = None  # s since the oldest answer that its control values rest on; None = never answered
    health: Health = Health.STARTING
    good_in_a_row: int = 0  # consecutive good reads; recovery after a loss wants three
    flaky: bool = False  # > 20 % of reads failed within 5 minutes
    joined: bool = True  # False = kept out of the bank because its voltage differs
    shares: bool = True  # False = its limits and alarms count, but it adds nothing: its voltage is not the bank's
    remark: str = ""  # why it is not online or not joined, for people
    poll_interval: float = 1.0  # s
    signal: int | None = None  # dBm, how strong it was heard when it was looked for last; None = not over the air
    counters: Mapping[str, int] = field(default_factory=dict)  # polls, failures, checksum, foreign, timeout, ...
    identity: str = ""  # who it is, for good: gateway/identity.py; "" = not known yet
    controls: tuple[str, ...] = ()  # what its BMS can be commanded: names of actions

    @property
    def contributes(self) -> bool:
        """Counts for the bank: controlled, joined, and has a reading."""
        return self.joined and self.control and self.reading is not None

    @property
    def contributes_if_joined(self) -> bool:
        """Would count for the bank, its voltage permitting: controlled and has a reading."""
        return self.control and self.reading is not None


@dataclass(frozen=True)
class Extreme:
    """A highest or lowest value and where it was found: "<battery>:<n>", n from 1."""

    value: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """What a sensor outside the batteries says of the whole bank; None = it does not, the BMSs' values count."""

    current: float | None = None  # A, + = charging
    soc: float | None = None  # %
    fault: str = ""  # what of it is missing, for people


@dataclass(frozen=True, kw_only=True)
class BankState:
    """Several batteries in parallel seen as one.  Values stem from contributing, not lost, members."""

    batteries: tuple[BatteryState, ...] = ()
    complete: bool = False  # all answered once, or start_timeout passed with at least one: outputs may speak
    health: Health = Health.STARTING  # of the bank as a whole: lost when no contributing member is left
    age: float | None = None  # s, of the freshest contributing member
    voltage: float | None = None  # V, mean of those that agree
    current: float | None = None  # A, sum, or by the external sensor; + = charging
    power: float | None = None  # W
    soc: float | None = None  # %, as the BMSs say, weighted by capacity
    soh: float | None = None  # %
    capacity: float | None = None  # Ah, sum
    remaining_capacity: float | None = None  # Ah, sum
    temperature: float | None = None  # °C, mean of all cell sensors
    min_cell: Extreme | None = None  # V
    max_cell: Extreme | None = None  # V
    min_temperature: Extreme | None = None  # °C
    max_temperature: Extreme | None = None  # °C
    mosfet_temperature: float | None = None  # °C, highest
    charge_cycles: int | None = None  # highest
    balancing: bool | None = None
    heating: bool | None = None
    external: External | None = None  # None = no such sensor is configured
    inverter_currents: tuple[float, ...] = ()  # A, + = charging, as inverters report them; only for the obey check
    discharge_floor: float | None = None  # %, where somebody outside stops discharging; None = not known
    alarms: Mapping[str, int] = field(default_factory=dict)  # highest level per name of what the BMSs raise
    online: int = 0
    offline: int = 0
    blocking_charge: int = 0
    blocking_discharge: int = 0
