"""What a BMS says about its battery at one moment, in SI units, with None for everything that is not known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.model.fact import fact

CellVoltages = tuple[float | None, ...]

CONTROL: Final = frozenset({
    "voltage", "current", "cell_voltages", "lowest_cell_voltage", "highest_cell_voltage", "temperatures",
    "mosfet_temperature", "charge_allowed", "discharge_allowed", "max_charge_current", "max_discharge_current",
    "max_battery_voltage", "min_battery_voltage",
})  # fmt: skip
"""Names of the values that limits rest on: the oldest answer among theirs dates a reading; limits.md 8.2."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One battery's values.  None = not known; it never stands for 0 and never loosens a limit.

    What follows from them is worked out when it is first asked for, and once.
    """

    voltage: float | None = None  # V, whole pack
    current: float | None = None  # A, + = charging
    soc: float | None = None  # %, 0..100
    soh: float | None = None  # %, 0..100
    capacity: float | None = None  # Ah, installed (full)
    remaining_capacity: float | None = None  # Ah
    charge_cycles: int | None = None
    cell_count: int | None = None  # in series, as the BMS counts them; see `cells`
    cell_voltages: CellVoltages = ()  # V, in order; None = this cell is not known
    lowest_cell_voltage: float | None = None  # V, as the BMS says, for BMSs without single cells
    highest_cell_voltage: float | None = None  # V, likewise
    cell_balancing: tuple[bool, ...] = ()  # per cell; () = not reported
    temperatures: tuple[float | None, ...] = ()  # °C, cell sensors in order; None = broken sensor
    mosfet_temperature: float | None = None  # °C
    ambient_temperature: float | None = None  # °C
    balancing: bool | None = None  # a balancer works now
    heating: bool | None = None  # a heater works now
    charge_allowed: bool | None = None  # the charge switch (FET, contactor) conducts
    discharge_allowed: bool | None = None
    balance_allowed: bool | None = None
    max_charge_current: float | None = None  # A, >= 0, the limit the BMS asks for
    max_discharge_current: float | None = None  # A, >= 0
    max_battery_voltage: float | None = None  # V, the charge voltage the BMS asks for
    min_battery_voltage: float | None = None  # V
    cell_overvoltage_protection: float | None = None  # V, where the BMS cuts off; for start-up checks only
    cell_undervoltage_protection: float | None = None  # V
    alarms: Mapping[str, int] = field(default_factory=dict)  # supported alarms -> level; see model.alarms
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    hardware_version: str | None = None
    firmware_version: str | None = None
    production_date: str | None = None  # YYYY-MM-DD
    custom_name: str | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)  # value that cannot be -> why; see gateway.plausible
    held: tuple[str, ...] = ()  # alarms as they were told last: nothing is said of them now; see gateway.held
    untold: tuple[str, ...] = ()  # values that its BMS has, but does not tell: nobody asks it, or asks in vain

    @fact
    def power(self) -> float | None:
        """W, + = charging."""
        if self.voltage is None or self.current is None:
            return None
        return self.voltage * self.current

    @fact
    def rejections(self) -> str:
        """Why what of it was rejected, in a line; "" when nothing was."""
        return "; ".join(dict.fromkeys(self.rejected.values()))

    @fact
    def remarks(self) -> str:
        """What of it is not known now although its BMS has it, in a line; "" when nothing."""
        if not (self.rejected or self.held or self.untold):
            return ""
        untold = f"not told, though its BMS has it: {', '.join(self.untold)}" if self.untold else ""
        held = f"alarms as last told, not answered now: {', '.join(self.held)}" if self.held else ""
        return "; ".join(filter(None, (self.rejections, held, untold)))

    @fact
    def strings(self) -> int:
        """Parallel strings that `cell_voltages` lists; more than one where they are a multiple of `cell_count`."""
        listed, count = len(self.cell_voltages), self.cell_count
        if listed == count:
            return 1
        return listed // count if count and listed and listed % count == 0 else 1

    @fact
    def cells(self) -> int | None:
        """Number of cells in series, from the single cells or as the BMS counts them."""
        return len(self.cell_voltages) // self.strings or self.cell_count

    @fact
    def cells_sum(self) -> float | None:
        """What the cells of a string add up to [V]; None unless every single one is known."""
        cells = self.cell_voltages
        known = _known(cells)
        return sum(known) / self.strings if known and known is cells else None

    @fact
    def min_cell(self) -> float | None:
        """Lowest cell voltage [V] of the single cells; the BMS's own figure counts where one of them is not known."""
        return min(self._cells_with(self.lowest_cell_voltage), default=None)

    @fact
    def max_cell(self) -> float | None:
        """Highest cell voltage [V] of the single cells; the BMS's own figure counts where one of them is not known."""
        return max(self._cells_with(self.highest_cell_voltage), default=None)

    def _cells_with(self, own: float | None) -> Sequence[float]:
        cells = self.cell_voltages
        known = _known(cells)
        return known if own is None or (cells and known is cells) else (*known, own)

    @fact
    def coldest(self) -> float | None:
        """Lowest cell temperature [°C]."""
        return min(_known(self.temperatures), default=None)

    @fact
    def hottest(self) -> float | None:
        """Highest cell temperature [°C]."""
        return max(_known(self.temperatures), default=None)


def _known(values: tuple[float | None, ...]) -> tuple[float, ...]:
    """Those of a list that are known: itself, where all are."""
    if None not in values:
        return values  # type: ignore[return-value]
    return tuple([value for value in values if value is not None])


NOTHING_TOLD: Final = Reading()
"""What others are made from by `records.replace`, more quickly than by naming all fields."""
