"""The table of published values: path, type, text, and where it comes from.  Pure.

Values are rounded before they are compared, so that the noise of a converter sends nothing; limits are rounded towards
the safe side.  Sheet: venus-dbus.md section 4 (paths), section 8 (rounding); limits.md 9.3, 9.4 and chapter 11.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from gateway import VERSION
from gateway.model import ALARMS, Extreme
from outputs.venus_dbus.tree import Item, Kind, Text, Tree, Value, clean, fixed, plain
from outputs.view import View

VOLTS, CELL_VOLTS = fixed(2, "V"), fixed(3, "V")
AMPS, WATTS, CELSIUS, PERCENT, AMP_HOURS, SECONDS, ENERGY = (
    fixed(2, "A"), fixed(0, "W"), fixed(1, "C"), fixed(1, "%"), fixed(1, "Ah"), fixed(0, "s"), fixed(1, "kWh"),
)  # fmt: skip

RUNNING, STANDBY, ERROR = 9, 14, 10  # /State
ON, IDLE = 3, 0xFC  # /Mode
OK, HOT, WARM, FAULT, TRIPPED, EMPTY = 0x100, 0x101, 0x102, 0x103, 0x104, 0x105  # /DeviceState
SPECIAL_MAKERS: Final = ("PYLON", "BYD", "LG")
SENSORS: Final = 4  # /System/Temperature1..4


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table.  `slow`: sent only now and then, because nobody needs it each second."""

    path: str
    kind: Kind
    text: Text
    source: Callable[[View], Value]
    slow: bool = False


def rounded(value: float | None, digits: int) -> float | None:
    """To so many decimals; what is no finite number is not known."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) + 0.0  # no negative zero: it would read as a change of sign


def down(value: float | None, digits: int) -> float | None:
    """Rounded towards 0: a limit (which is sound, see outputs.view.Limits) never grows by rounding."""
    if value is None:
        return None
    scale: float = 10.0**digits
    return math.floor(value * scale + 1e-6) / scale


def amps(value: float | None) -> float | None:
    """10 mA steps for small currents, 0.1 A steps from 10 A."""
    return rounded(value, 2 if value is not None and abs(value) < 10.0 else 1)


def flag(value: bool | None) -> int | None:
    """1 or 0; None stays None."""
    return None if value is None else int(value)


def _consumed(view: View) -> float | None:
    """Ah below full, <= 0."""
    if view.capacity is None:
        return None
    remaining = view.remaining_capacity
    if remaining is None:
        remaining = None if view.soc is None else view.soc / 100.0 * view.capacity
    return None if remaining is None else rounded(min(0.0, remaining - view.capacity), 1)


def _remaining(view: View) -> float | None:
    consumed = _consumed(view)
    if view.remaining_capacity is not None or consumed is None or view.capacity is None:
        return rounded(view.remaining_capacity, 1)
    return rounded(view.capacity + consumed, 1)


def _time_to_go(view: View) -> int | None:
    return None if view.time_to_go is None else max(0, view.time_to_go)


def _low_voltage(view: View) -> float | None:
    low = view.limits.low_voltage
    return None if low is None else math.ceil(low * 100.0 - 1e-6) / 100.0


def _cvl_per_cell(view: View) -> float | None:
    cvl = view.limits.cvl
    return down(cvl / view.cell_count, 3) if cvl is not None and view.cell_count else None


def _idle(view: View) -> bool:
    return view.limits.allow_charge is False and view.limits.allow_discharge is False


def _state(view: View) -> int:
    if view.error is not None:
        return ERROR
    return STANDBY if _idle(view) else RUNNING


def _device_state(view: View) -> int:
    alarms = view.alarms
    hot = max(alarms.get("high_temperature", 0), alarms.get("high_charge_temperature", 0))
    if alarms.get("internal_failure", 0) >= 2:
        return FAULT
    if hot:
        return HOT if hot >= 2 else WARM
    if alarms.get("low_voltage", 0) >= 2:
        return EMPTY
    return TRIPPED if _idle(view) else OK


def _value(name: str, digits: int) -> Callable[[View], Value]:
    """The value of an Extreme of the view."""

    def of(view: View) -> Value:
        extreme: Extreme | None = getattr(view, name)
        return None if extreme is None else rounded(extreme.value, digits)

    return of


def _where(name: str) -> Callable[[View], Value]:
    """The id of an Extreme of the view; invalid when nobody knows it."""

    def of(view: View) -> Value:
        extreme: Extreme | None = getattr(view, name)
        return None if extreme is None else clean(extreme.where) or None

    return of


def _alarm(name: str) -> Callable[[View], Value]:
    """An alarm's level; a short circuit, which has no path, shows as over-current and as internal failure."""
    if name in ("high_discharge_current", "internal_failure"):
        return lambda view: _worse(view.alarms.get(name), view.alarms.get("short_circuit"))
    return lambda view: view.alarms.get(name)


def _worse(own: int | None, other: int | None) -> int | None:
    if own is None:
        return other
    return own if other is None else max(own, other)


def _text(name: str) -> Callable[[View], Value]:
    def of(view: View) -> Value:
        text = getattr(view, name)
        return None if text is None else clean(text)

    return of


def _alarm_path(name: str) -> str:
    """low_cell_voltage -> /Alarms/LowCellVoltage."""
    return "/Alarms/" + "".join(word.capitalize() for word in name.split("_"))


def _about(name: str) -> Callable[[View], Value]:
    def of(view: View) -> Value:
        text = getattr(view.about, name)
        return None if text is None else clean(text) or None

    return of


def _manufacturer(view: View) -> Value:
    """The maker, unless its name is one by which Victron treats batteries specially."""
    maker = clean(view.about.manufacturer or "")
    return None if not maker or maker.upper().startswith(SPECIAL_MAKERS) else maker


TABLE: Final[tuple[Entry, ...]] = (
    Entry("/Mgmt/Connection", "s", plain, lambda v: clean(v.about.connection) or "unknown", slow=True),
    Entry("/Mgmt/InsecureConnection", "i", plain, lambda v: flag(v.about.insecure), slow=True),
    Entry("/Serial", "s", plain, _about("serial"), slow=True),
    Entry("/DeviceName", "s", plain, _about("model"), slow=True),
    Entry("/Manufacturer", "s", plain, _manufacturer, slow=True),
    Entry("/FirmwareVersion", "s", plain, lambda v: _about("firmware")(v) or VERSION, slow=True),
    Entry("/HardwareVersion", "s", plain, _about("hardware"), slow=True),
    Entry("/Dc/0/Voltage", "d", VOLTS, lambda v: rounded(v.voltage, 2)),
    Entry("/Dc/0/Current", "d", AMPS, lambda v: amps(v.current)),
    Entry("/Dc/0/Power", "d", WATTS, lambda v: rounded(v.power, 0)),
    Entry("/Dc/0/Temperature", "d", CELSIUS, lambda v: rounded(v.temperature, 1)),
    Entry("/Soc", "d", PERCENT, lambda v: rounded(v.soc, 1)),
    Entry("/Soh", "d", PERCENT, lambda v: rounded(v.soh, 1)),
    Entry("/Capacity", "d", AMP_HOURS, _remaining),
    Entry("/InstalledCapacity", "d", AMP_HOURS, lambda v: rounded(v.capacity, 1)),
    Entry("/ConsumedAmphours", "d", AMP_HOURS, _consumed),
    Entry("/TimeToGo", "i", SECONDS, _time_to_go, slow=True),
    Entry("/CurrentAvg", "d", AMPS, lambda v: rounded(v.current_average, 1), slow=True),
    Entry("/State", "i", plain, _state),
    Entry("/Mode", "i", plain, lambda v: IDLE if _idle(v) else ON),
    Entry("/ErrorCode", "i", plain, lambda v: v.error),
    Entry("/DeviceState", "i", plain, _device_state),
    Entry("/ConnectionInformation", "s", plain, _text("connection_information"), slow=True),
    Entry("/Balancing", "i", plain, lambda v: flag(v.balancing)),
    Entry("/Heating", "i", plain, lambda v: flag(v.heating)),
    Entry("/Info/MaxChargeVoltage", "d", VOLTS, lambda v: down(v.limits.cvl, 2)),
    Entry("/Info/MaxChargeCurrent", "d", AMPS, lambda v: down(v.limits.ccl, 1)),
    Entry("/Info/MaxDischargeCurrent", "d", AMPS, lambda v: down(v.limits.dcl, 1)),
    Entry("/Info/BatteryLowVoltage", "d", VOLTS, _low_voltage),
    Entry("/Info/MaxChargeCellVoltage", "d", CELL_VOLTS, _cvl_per_cell),
    Entry("/Info/ChargeMode", "s", plain, _text("charge_mode")),
    Entry("/Info/ChargeLimitation", "s", plain, _text("charge_limitation"), slow=True),
    Entry("/Info/DischargeLimitation", "s", plain, _text("discharge_limitation"), slow=True),
    Entry("/Io/AllowToCharge", "i", plain, lambda v: flag(v.limits.allow_charge)),
    Entry("/Io/AllowToDischarge", "i", plain, lambda v: flag(v.limits.allow_discharge)),
    Entry("/Io/AllowToBalance", "i", plain, lambda v: flag(v.single.balance_allowed)),
    Entry("/System/NrOfCellsPerBattery", "i", plain, lambda v: v.cell_count),
    Entry("/System/NrOfModulesOnline", "i", plain, lambda v: v.online),
    Entry("/System/NrOfModulesOffline", "i", plain, lambda v: v.offline),
    Entry("/System/NrOfModulesBlockingCharge", "i", plain, lambda v: v.blocking_charge),
    Entry("/System/NrOfModulesBlockingDischarge", "i", plain, lambda v: v.blocking_discharge),
    Entry("/System/MinCellVoltage", "d", CELL_VOLTS, _value("min_cell", 3)),
    Entry("/System/MaxCellVoltage", "d", CELL_VOLTS, _value("max_cell", 3)),
    Entry("/System/MinVoltageCellId", "s", plain, _where("min_cell")),
    Entry("/System/MaxVoltageCellId", "s", plain, _where("max_cell")),
    Entry("/System/MinCellTemperature", "d", CELSIUS, _value("min_temperature", 1)),
    Entry("/System/MaxCellTemperature", "d", CELSIUS, _value("max_temperature", 1)),
    Entry("/System/MinTemperatureCellId", "s", plain, _where("min_temperature")),
    Entry("/System/MaxTemperatureCellId", "s", plain, _where("max_temperature")),
    Entry("/System/MOSTemperature", "d", CELSIUS, lambda v: rounded(v.mosfet_temperature, 1)),
    *(Entry(_alarm_path(name), "i", plain, _alarm(name)) for name in ALARMS if name != "short_circuit"),
    Entry("/History/ChargeCycles", "i", plain, lambda v: _cycles(v), slow=True),
)


def _cycles(view: View) -> Value:
    """The BMS's count, else ours."""
    if view.charge_cycles is not None or view.life is None or view.life.charge_cycles is None:
        return view.charge_cycles
    return math.floor(view.life.charge_cycles)


def _lived(name: str, digits: int, sign: int = 1) -> Callable[[View], Value]:
    """A figure of the history; discharged Ah are negative there."""

    def of(view: View) -> Value:
        value = None if view.life is None else getattr(view.life, name)
        return None if value is None else rounded(sign * value, digits)

    return of


def _counted(name: str) -> Callable[[View], Value]:
    return lambda view: None if view.life is None else getattr(view.life, name)


HISTORY: Final[tuple[Entry, ...]] = (
    Entry("/History/DeepestDischarge", "d", AMP_HOURS, _lived("deepest_discharge", 1, -1), slow=True),
    Entry("/History/LastDischarge", "d", AMP_HOURS, _lived("last_discharge", 1, -1), slow=True),
    Entry("/History/AverageDischarge", "d", AMP_HOURS, _lived("average_discharge", 1, -1), slow=True),
    Entry("/History/TotalAhDrawn", "d", AMP_HOURS, _lived("total_ah_drawn", 0, -1), slow=True),
    Entry("/History/FullDischarges", "i", plain, _counted("full_discharges"), slow=True),
    Entry("/History/AutomaticSyncs", "i", plain, _counted("automatic_syncs"), slow=True),
    Entry("/History/TimeSinceLastFullCharge", "i", SECONDS, lambda v: v.since_full, slow=True),
    Entry("/History/MinimumVoltage", "d", VOLTS, _lived("minimum_voltage", 2), slow=True),
    Entry("/History/MaximumVoltage", "d", VOLTS, _lived("maximum_voltage", 2), slow=True),
    Entry("/History/MinimumCellVoltage", "d", CELL_VOLTS, _lived("minimum_cell_voltage", 3), slow=True),
    Entry("/History/MaximumCellVoltage", "d", CELL_VOLTS, _lived("maximum_cell_voltage", 3), slow=True),
    Entry("/History/MinimumTemperature", "d", CELSIUS, _lived("minimum_temperature", 1), slow=True),
    Entry("/History/MaximumTemperature", "d", CELSIUS, _lived("maximum_temperature", 1), slow=True),
    Entry("/History/LowVoltageAlarms", "i", plain, _counted("low_voltage_alarms"), slow=True),
    Entry("/History/HighVoltageAlarms", "i", plain, _counted("high_voltage_alarms"), slow=True),
    Entry("/History/ChargedEnergy", "d", ENERGY, _lived("charged_energy", 1), slow=True),
    Entry("/History/DischargedEnergy", "d", ENERGY, _lived("discharged_energy", 1), slow=True),
)
"""Rows of a service for which a history is kept."""

OWN: Final[tuple[Entry, ...]] = (
    Entry("/SocBms", "d", PERCENT, lambda v: None if v.bms is None else rounded(v.bms.soc, 1)),
    Entry("/CapacityBms", "d", AMP_HOURS, lambda v: None if v.bms is None else rounded(v.bms.remaining_capacity, 1)),
    Entry("/ConsumedAmphoursBms", "d", AMP_HOURS, lambda v: _consumed_of_bms(v)),
)
"""Rows of a service whose SoC is counted by us or comes from a sensor outside: what the BMSs say themselves."""


def _consumed_of_bms(view: View) -> Value:
    if view.bms is None or view.bms.remaining_capacity is None or view.capacity is None:
        return None
    return rounded(min(0.0, view.bms.remaining_capacity - view.capacity), 1)


@cache
def point_entries(points: tuple[float, ...]) -> tuple[Entry, ...]:
    """Rows for the SoC points whose time is told; 12.5 % is /TimeToSoC/12_5."""
    return tuple(
        Entry(f"/TimeToSoC/{point:g}".replace(".", "_"), "i", SECONDS, _time_to(point), slow=True) for point in points
    )


def _time_to(point: float) -> Callable[[View], Value]:
    return lambda view: view.time_to_soc.get(point)


@cache
def cell_entries(count: int, balancing: int, sensors: int) -> tuple[Entry, ...]:
    """Rows for a single battery: its cells, how far they are apart, which are balanced, its sensors."""
    if not (count or balancing or sensors):
        return ()
    return (
        *(Entry(f"/Voltages/Cell{n + 1}", "d", CELL_VOLTS, _cell(n)) for n in range(count)),
        Entry("/Voltages/Sum", "d", VOLTS, _sum),
        Entry("/Voltages/Diff", "d", CELL_VOLTS, _diff),
        *(Entry(f"/Balances/Cell{n + 1}", "i", plain, _balance(n)) for n in range(balancing)),
        *(Entry(f"/System/Temperature{n + 1}", "d", CELSIUS, _sensor(n)) for n in range(min(sensors, SENSORS))),
    )


def _cell(index: int) -> Callable[[View], Value]:
    return lambda view: rounded(view.single.cell_voltages[index], 3) if index < len(view.single.cell_voltages) else None


def _balance(index: int) -> Callable[[View], Value]:
    return lambda view: flag(view.single.cell_balancing[index]) if index < len(view.single.cell_balancing) else None


def _sensor(index: int) -> Callable[[View], Value]:
    return lambda view: rounded(view.single.temperatures[index], 1) if index < len(view.single.temperatures) else None


def _sum(view: View) -> Value:
    known = [voltage for voltage in view.single.cell_voltages if voltage is not None]
    return rounded(sum(known), 2) if known and len(known) == len(view.single.cell_voltages) else None


def _diff(view: View) -> Value:
    known = [voltage for voltage in view.single.cell_voltages if voltage is not None]
    return rounded(max(known) - min(known), 3) if known else None


class Published:
    """Which rows a service publishes: the table, and whatever else there was ever something to say about."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._most = (0, 0, 0)
        self._quick: tuple[Entry, ...] = ()
        self._slow: tuple[Entry, ...] = ()
        self._extend(TABLE)

    def update(self, view: View, *, slow: bool) -> list[str]:
        """Put the view into the tree; the paths that changed.  The slow rows are looked at only where asked."""
        seen = (len(view.single.cell_voltages), len(view.single.cell_balancing), len(view.single.temperatures))
        most = tuple(map(max, seen, self._most))
        if most != self._most:
            self._most = (most[0], most[1], most[2])
            self._extend(cell_entries(*self._most))
        self._extend_once(HISTORY, view.life is not None)
        self._extend_once(OWN, view.bms is not None)
        self._extend_once(point_entries(tuple(view.time_to_soc)), bool(view.time_to_soc))
        changed = self._tree.update(_values(self._quick, view))
        return changed + self._tree.update(_values(self._slow, view)) if slow else changed

    def _extend_once(self, entries: tuple[Entry, ...], wanted: bool) -> None:
        """Rows that are there from the moment on in which there is something to say."""
        if wanted and entries[0].path not in self._tree:
            self._extend(entries)

    def _extend(self, entries: tuple[Entry, ...]) -> None:
        new = tuple(entry for entry in entries if entry.path not in self._tree)
        for entry in new:
            self._tree.add(entry.path, Item(entry.kind, entry.text))
        self._quick += tuple(entry for entry in new if not entry.slow)
        self._slow += tuple(entry for entry in new if entry.slow)


def _values(entries: tuple[Entry, ...], view: View) -> Iterator[tuple[str, Value]]:
    return ((entry.path, entry.source(view)) for entry in entries)
