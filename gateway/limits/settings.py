"""The `limits:` section of gateway.yaml.  Sheet: limits.md chapters 2 to 10; defaults: chapter 10.

Every number states its unit and range; what contradicts itself is refused here, across sections by the rules of
sense.py; what is merely doubtful is told by `doubts` in checks.py.
"""

from collections.abc import Sized
from typing import Annotated, Any, Final, Literal

from gateway.limits.sense import Contradictory, contradictions
from gateway.model.section import Checked, Section, declared

TOLERANCE: Final = 0.005  # V a cell, that a charger or one high cell may keep a pack below its maximum
ABORT: Final = 0.030  # V a cell, below which a pack is no longer at its maximum


def number(default: float | None, unit: str, description: str, **bounds: Any) -> Any:
    """A field with its unit, meaning and range."""
    return declared(default, description=description, unit=unit, **bounds)


class CellVoltage(Section):
    """Set-points per cell."""

    max: float = number(3.45, "V", "bulk and absorption", gt=1.0, lt=5.0)
    float_: float = number(3.375, "V", "float", key="float", gt=1.0, lt=5.0)
    min: float = number(2.9, "V", "floor of the charge voltage, and the empty point", gt=1.0, lt=5.0)

    def __post_init__(self) -> None:
        if not self.min < self.float_ <= self.max:
            raise ValueError(f"must rise: min {self.min:g} < float {self.float_:g} <= max {self.max:g}")


class Current(Section):
    """A current limit and how it comes back after it was lowered."""

    max: float = number(50.0, "A", "of one battery", ge=0, le=2000)
    hold: float = number(30.0, "s", "how long a lower limit is kept before it rises", ge=0, le=3600)
    rate: float = number(5.0, "A/s", "how fast it rises; 0 = at once", ge=0, le=1000)
    step_fraction: float = number(0.2, "1", "share of max that it rises by at a time; 0 = evenly", ge=0, le=1)
    recovery_threshold_fraction: float = number(0.015, "1", "share of max below which 0 A is not left", ge=0, le=0.5)
    scale_by_bms: bool = declared(False, description="tables scale the BMS's own limit where that is smaller")


class DischargeCurrent(Current):
    """The same, for discharging."""

    max: float = number(60.0, "A", "of one battery", ge=0, le=2000)


class ChargeVoltage(Section):
    """How the charge voltage is controlled."""

    enabled: bool = declared(True, description="false = always max, no float")
    controller: Literal["off", "penalty", "integral", "clipped"] = declared(
        "penalty", description="what a cell above max does to the charge voltage"
    )
    integral_factor: float = number(0.2, "1/s", "gain of the integral controller", gt=0, le=10)
    hold: float = number(240.0, "s", "how long a lowered voltage is kept", ge=0, le=3600)
    rate: float = number(0.001, "V/s", "how fast it rises again, whole pack; 0 = at once", ge=0, le=1)
    release: float = number(0.005, "V", "it rises when the highest cell is so far below max again", ge=0, le=0.1)
    step: float = number(0.05, "V", "by so much at a time, whole pack; 0 = evenly", ge=0, le=1)
    correct_after: float | None = number(
        15.0, "s", "a cell above max by more than release for so long, though told less: told less yet; null = never",
        ge=5, le=3600,
    )  # fmt: skip


class Absorption(Section):
    """When absorption ends."""

    time: float = number(900.0, "s", "at max voltage with balanced cells; 0 = none", ge=0, le=86400)
    cell_difference: float | None = number(0.010, "V", "balanced when at most this; null = whatever it is", ge=0, le=1)
    cell_difference_deviation: float = number(0.003, "V", "more than this above it restarts the time", ge=0, le=1)
    abort_below: float | None = number(
        None, "V", "so far below max, whole pack, absorption pauses; null = 30 mV a cell", gt=0, le=10
    )
    abort_after: float = number(900.0, "s", "paused for so long it is given up; 0 = at once", ge=0, le=3600)
    voltage_tolerance: float | None = number(
        None, "V", "so far below max, whole pack, max counts as reached; null = 5 mV a cell", ge=0.001, le=1
    )
    max_time: float | None = number(
        3600.0, "s", "so long at max voltage, balanced or not, it ends in any case; null = never", gt=0, le=86400
    )
    tail_current: float | None = number(None, "A", "it ends only at or below this current; null = any", ge=0, le=1000)

    def __post_init__(self) -> None:
        if self.voltage_tolerance and self.abort_below and self.voltage_tolerance >= self.abort_below:
            raise ValueError(
                f"voltage_tolerance {self.voltage_tolerance:g} V must be less than abort_below {self.abort_below:g} V"
            )

    def tolerance(self, cells: int) -> float:
        """V below the maximum, for a pack of so many cells, from which on it counts as reached."""
        return self.voltage_tolerance or TOLERANCE * cells

    def abort(self, cells: int) -> float:
        """V below the maximum, for a pack of so many cells, from which on it counts as left; above the tolerance."""
        return max(self.abort_below or ABORT * cells, self.tolerance(cells) + 0.001)


class Rebulk(Section):
    """What ends float."""

    soc: float | None = number(80.0, "%", "SoC below this; null or 0 = never", ge=0, le=100)
    cell_difference: float | None = number(0.080, "V", "cells further apart than this; null = never", gt=0, le=1)
    debounce: float = number(0.0, "s", "so long must the difference last", ge=0, le=3600)
    cell_voltage: float | None = number(None, "V", "highest cell at or below this; null = never", gt=1, lt=5)
    days: float | None = number(None, "d", "since the last full charge; null = never", gt=0, le=365)


class FloatTransition(Section):
    """From absorption down to float."""

    rate: float = number(0.001, "V/s", "whole pack; a jump would make inverters discharge at full power", gt=0, le=10)


class Table(Section):
    """Points and the share of the maximum current that is allowed there."""

    enabled: bool = True
    points: tuple[float, ...] = ()
    fractions: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.points) != len(self.fractions):
            raise ValueError(
                f"points has {len(self.points)} numbers and fractions {len(self.fractions)}, expected as many"
            )
        if len(self.points) < 2:
            raise ValueError("a table needs two points at least")
        steps = [b - a for a, b in zip(self.points, self.points[1:], strict=False)]
        if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
            raise ValueError("points must all rise or all fall, none twice")
        if not all(0 <= fraction <= 1 for fraction in self.fractions):
            raise ValueError("fractions lie between 0 and 1 (0.25 is a quarter)")


def table(points: tuple[float, ...], fractions: tuple[float, ...], unit: str, enabled: bool = True) -> Any:
    """A table field with its default."""
    return declared(
        Table(enabled=enabled, points=points, fractions=fractions), unit=unit,
        description="points and fractions of the maximum current",
    )  # fmt: skip


class ByCellVoltage(Section):
    """Charge by the highest cell, discharge by the lowest."""

    charge: Table = table((3.430, 3.450, 3.465, 3.475), (1.0, 0.4, 0.1, 0.0), "V")
    discharge: Table = table((2.800, 2.900, 3.000, 3.100, 3.190), (0.0, 0.005, 0.05, 0.25, 1.0), "V")


class ByTemperature(Section):
    """By the hottest and by the coldest sensor; the smaller counts."""

    charge: Table = table((0, 2, 5, 10, 40, 45, 50, 55), (0, 0.25, 0.5, 1, 1, 0.5, 0.25, 0), "°C")
    discharge: Table = table((-10, 0, 5, 10, 40, 45, 50, 55), (0, 0.25, 0.5, 1, 1, 0.5, 0.25, 0), "°C")


class ByMosfetTemperature(Section):
    """By the switch's own sensor."""

    charge: Table = table((70, 80, 90), (1, 0.25, 0), "°C")
    discharge: Table = table((70, 80, 90), (1, 0.25, 0), "°C")


class BySoc(Section):
    """By state of charge; off by default."""

    charge: Table = table((85, 90, 95, 98), (1, 0.5, 0.2, 0.1), "%", enabled=False)
    discharge: Table = table((5, 10, 15, 20), (0.1, 0.2, 0.5, 1), "%", enabled=False)


class SocReset(Section):
    """A higher voltage every so many days, so that the BMS finds its 100 % again."""

    after_days: float | None = number(None, "d", "null or 0 = off", ge=0, le=365)
    cell_voltage: float = number(3.65, "V", "the voltage then", gt=1, lt=5)
    at_first_start: bool = declared(True, description="false = the days count from the first start")
    write_to_bms: bool = declared(True, description="tell BMSs that can that a completed charge is 100 %")


class CurrentMap(Section):
    """Corrects a BMS that measures current wrongly; off while both lists are equal."""

    reported: tuple[float, ...] = (-300.0, 300.0)
    measured: tuple[float, ...] = (-300.0, 300.0)

    def __post_init__(self) -> None:
        if len(self.reported) != len(self.measured) or len(self.reported) < 2:
            raise ValueError("reported and measured need equally many numbers, two at least")
        if any(b <= a for a, b in zip(self.reported, self.reported[1:], strict=False)):
            raise ValueError("reported must rise")


def plausible(adjust: tuple[float, float]) -> tuple[float, float]:
    """Raises ValueError for a correction that no sensor needs."""
    offset, factor = adjust
    if not (-50 <= offset <= 50 and 0.1 <= factor <= 10):
        raise ValueError("expected an offset of -50..50 °C and a factor of 0.1..10, as [0, 1]")
    return adjust


Adjust = Annotated[tuple[float, float], Checked(plausible)]
"""Offset [°C] and factor of a temperature sensor."""

AS_IT_IS: Adjust = (0.0, 1.0)
ALL_AS_THEY_ARE: Final = (AS_IT_IS,) * 5


def adjust(which: str) -> Any:
    """A field with the correction of one sensor."""
    return declared(
        AS_IT_IS, unit="°C",
        description=f"{which}: offset and factor; the sensor's value x factor + offset counts",
    )  # fmt: skip


class TemperatureAdjust(Section):
    """Corrects sensors that measure wrongly."""

    sensor_1: Adjust = adjust("sensor 1")
    sensor_2: Adjust = adjust("sensor 2")
    sensor_3: Adjust = adjust("sensor 3")
    sensor_4: Adjust = adjust("sensor 4")
    mosfet: Adjust = adjust("MOSFET sensor")

    @property
    def active(self) -> bool:
        """Any sensor is corrected at all."""
        return (*self._sensors, self.mosfet) != ALL_AS_THEY_ARE

    @property
    def _sensors(self) -> tuple[Adjust, ...]:
        return (self.sensor_1, self.sensor_2, self.sensor_3, self.sensor_4)

    def of_sensors(self, sensors: Sized) -> tuple[Adjust, ...]:
        """One for each of `sensors`; those beyond the fourth are taken as they are."""
        return (*self._sensors, *[AS_IT_IS] * len(sensors))[: len(sensors)]


class Soc(Section):
    """Where the state of charge comes from."""

    source: Literal["bms", "counter"] = declared("bms", description="counter = count the current ourselves")
    efficiency: float = number(1.0, "1", "of charging, for the counter", gt=0.5, le=1)
    capacity: float | None = number(None, "Ah", "of a battery whose BMS does not tell; null = not known", gt=0, le=5000)
    cap_until_full: bool = declared(False, description="99 % at most until a full charge was completed")
    current_map: CurrentMap = CurrentMap()
    low_warning: float = number(20.0, "%", "low_soc warning; floor of time-to-go", ge=0, le=100)
    low_alarm: float = number(10.0, "%", "low_soc alarm", ge=0, le=100)

    def __post_init__(self) -> None:
        if self.low_alarm > self.low_warning:
            raise ValueError(f"low_alarm {self.low_alarm:g} must not be above low_warning {self.low_warning:g}")


class OnLoss(Section):
    """When a BMS falls silent.  Sheet: limits.md 8.2."""

    block: bool = declared(False, description="true = 0 A as soon as it is stale")
    timeout_minutes: float = number(
        30.0, "min", "how long to go on without it where its cells were safe", ge=1, le=1440
    )
    cell_voltage_min: float = number(3.225, "V", "safe above this", gt=1, lt=5)
    cell_voltage_max: float = number(3.375, "V", "safe below this", gt=1, lt=5)
    alarm: bool = declared(True, description="raise the BMS cable alarm")


class Imbalance(Section):
    """A computed cell_imbalance warning, for BMSs that have none."""

    enabled: bool = False
    cell_difference: float = number(0.160, "V", "warn above this", gt=0, le=1)
    below_c_rate: float = number(0.05, "1/h", "only while the current is below this share of the capacity", gt=0, le=5)
    after: float = number(60.0, "s", "and for so long", ge=0, le=3600)


class ObeyCheck(Section):
    """An alarm when the inverter takes or gives more than it is allowed."""

    enabled: bool = False
    margin_fraction: float = number(0.10, "1", "above the limit", ge=0, le=1)
    after: float = number(60.0, "s", "for so long", ge=0, le=3600)


class ForceCharge(Section):
    """Ask the inverter for a charge from the grid when nearly empty (CAN request bits); Victron has its own."""

    enabled: bool = False
    below: float = number(10.0, "%", "SoC under which it is asked for", gt=0, lt=100)
    until: float = number(15.0, "%", "SoC at which the request ends", gt=0, le=100)

    def __post_init__(self) -> None:
        if not self.below < self.until:
            raise ValueError(f"below {self.below:g} % must be less than until {self.until:g} %")


class FullChargeRequest(Section):
    """Ask the inverter for a full charge from the grid when there was none for long (a CAN request bit)."""

    after_days: float | None = number(None, "d", "without the SoC below; null or 0 = off", ge=0, le=365)
    soc: float = number(97.0, "%", "SoC from which on it counts as full, and at which the request ends", gt=50, le=100)


class TimeToGo(Section):
    """Time until empty or full."""

    enabled: bool = True
    every: float = number(60.0, "s", "how often it is worked out", ge=5, le=3600)
    points: tuple[float, ...] = declared((), description="more SoC points", unit="%")


ALL_SENSORS: Final = (1, 2, 3, 4)
"""Those of them that the BMS has; any other choice names sensors that must be there."""

OF_THE_BANK: Final = (
    "absorption", "float_transition", "rebulk", "charge_voltage.enabled", "charge_voltage.hold", "charge_voltage.rate",
    "soc_reset.after_days", "soc_reset.at_first_start", "soc_reset.write_to_bms", "soc.low_warning", "soc.low_alarm",
    "imbalance", "obey_check", "force_charge", "full_charge_request", "time_to_go", "history", "voltage_drop",
)  # fmt: skip
"""Keys of which there is one for all batteries; a single battery cannot differ in them."""


def from_one(sensors: tuple[int, ...]) -> tuple[int, ...]:
    """Raises ValueError for a number that no sensor has."""
    if any(sensor < 1 for sensor in sensors):
        raise ValueError("sensors are counted from 1")
    return sensors


class LimitSettings(Section):
    """How high and how much.  A battery may differ in what is its own: cells, currents, tables, SoC, loss."""

    mode: Literal["linear", "step"] = declared("linear", description="how tables are read between their points")
    cell_voltage: CellVoltage = CellVoltage()
    charge_current: Current = Current()
    discharge_current: DischargeCurrent = DischargeCurrent()
    charge_voltage: ChargeVoltage = ChargeVoltage()
    absorption: Absorption = Absorption()
    float_transition: FloatTransition = FloatTransition()
    rebulk: Rebulk = Rebulk()
    by_cell_voltage: ByCellVoltage = ByCellVoltage()
    by_temperature: ByTemperature = ByTemperature()
    by_mosfet_temperature: ByMosfetTemperature = ByMosfetTemperature()
    by_soc: BySoc = BySoc()
    soc_reset: SocReset = SocReset()
    soc: Soc = Soc()
    on_loss: OnLoss = OnLoss()
    imbalance: Imbalance = Imbalance()
    obey_check: ObeyCheck = ObeyCheck()
    force_charge: ForceCharge = ForceCharge()
    full_charge_request: FullChargeRequest = FullChargeRequest()
    time_to_go: TimeToGo = TimeToGo()
    history: bool = declared(True, description="keep counters of the battery's life")
    voltage_drop: float = number(0.0, "V", "added to the published charge voltage, 0.05 V per cell at most", ge=0, le=2)
    use_bms_values: bool = declared(False, description="take the charge voltage that the BMS asks for, if lower")
    temperature_sensors: Annotated[tuple[int, ...], Checked(from_one)] = declared(
        ALL_SENSORS,
        description="sensors that count, from 1; of the default those there are, of any other choice all must be there",
    )

    temperature_adjust: TemperatureAdjust = TemperatureAdjust()

    def __post_init__(self) -> None:
        if found := tuple(contradictions(self)):
            raise Contradictory(found)
