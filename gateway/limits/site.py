"""What the rules are told: the settings of the bank and of each battery, with their tables ready to be looked up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.limits.settings import ByCellVoltage, ByMosfetTemperature, BySoc, ByTemperature, LimitSettings, Table
from gateway.limits.tables import Curve


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """One LimitSettings with its tables compiled; None = the table is off.  Each is equal to itself alone."""

    settings: LimitSettings
    charge: Mapping[str, Curve | None]  # by cell_voltage, temperature, mosfet_temperature, soc
    discharge: Mapping[str, Curve | None]


def compiled(settings: LimitSettings) -> Rules:
    """The tables of `settings`, ready."""
    tables: dict[str, ByCellVoltage | ByTemperature | ByMosfetTemperature | BySoc] = {
        "cell_voltage": settings.by_cell_voltage,
        "temperature": settings.by_temperature,
        "mosfet_temperature": settings.by_mosfet_temperature,
        "soc": settings.by_soc,
    }
    return Rules(
        settings,
        {name: _curve(table.charge) for name, table in tables.items()},
        {name: _curve(table.discharge) for name, table in tables.items()},
    )


def _curve(table: Table) -> Curve | None:
    return Curve(table.points, table.fractions) if table.enabled else None


@dataclass(frozen=True)
class Site:
    """Settings of the bank, and of batteries that differ from it."""

    limits: LimitSettings
    per_battery: Mapping[str, LimitSettings] = field(default_factory=dict)
    charge_current_limit: float | None = None  # A, the user's cap for the bank
    discharge_current_limit: float | None = None  # A
    any_blocks: bool = False  # one blocking battery stops all
    _bank: Rules = field(init=False, repr=False, compare=False)
    _each: Mapping[str, Rules] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile every table once."""
        each = {name: compiled(settings) for name, settings in self.per_battery.items()}
        object.__setattr__(self, "_bank", compiled(self.limits))
        object.__setattr__(self, "_each", each)

    def rules(self, battery: str) -> Rules:
        """Those of one battery ("<device>/<pack>" has the device's)."""
        if not self._each:
            return self._bank
        return self._each.get(battery) or self._each.get(battery.partition("/")[0]) or self._bank

    def of(self, battery: str) -> LimitSettings:
        """Settings of one battery."""
        return self.rules(battery).settings

    def most(self, batteries: Iterable[str]) -> dict[str, float]:
        """A that may flow at most by what is configured, with all of `batteries`: "ccl" and "dcl"."""
        each = [self.of(battery) for battery in batteries]
        sums = {
            "ccl": (sum(one.charge_current.max for one in each), self.charge_current_limit),
            "dcl": (sum(one.discharge_current.max for one in each), self.discharge_current_limit),
        }
        return {way: amps if cap is None else min(amps, cap) for way, (amps, cap) in sums.items()}
