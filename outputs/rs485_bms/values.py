"""Snapshot -> the values that an RS485 dialect can carry: those of every inverter, and what only such lines tell.

Several batteries are one pack: an inverter that counts packs might multiply a limit by their number.  Of their cells
(and sensors) as many are told as one has, the lowest and the highest among them; all were measured.
Stand-ins, where a fixed place has no way to say "not known": `filled`.  Sheet: rs485-inverter-protocols.md sections
2, 3, 5, 6 and 9.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway import VERSION
from gateway.model import BatteryState, Extreme, Health, Snapshot
from outputs.inverter import values as every
from outputs.inverter.coder import TINY
from outputs.inverter.keys import Value

SENSORS: Final = 4  # of cells; before them stands that of the board
CELLS_MOST: Final = 24
LOWEST: Final = 0.8  # of the charge voltage: 2.76 V a cell of LFP, 3.3 V of others
LFP: Final = 3.3  # V, a cell of which the number is to be guessed
OWN: Final[Mapping[str, Value]] = {
    "model": "BMS-GW", "manufacturer": "BMS-Gateway", "manufacturer_version": "1.0", "firmware_version": VERSION,
}  # fmt: skip
PARAMETERS: Final = {  # °C of 47; the gateway's own curves hold the current, so these only bound it
    "charge_high_temperature": 45.0, "charge_low_temperature": 0.0,
    "discharge_high_temperature": 50.0, "discharge_low_temperature": -10.0,
}  # fmt: skip
STAND_INS: Final[tuple[tuple[str, str | float], ...]] = (  # in this order: a number, or another value
    ("soh", 100.0), ("min_soh", "soh"), ("charge_cycles", 0.0), ("max_charge_cycles", "charge_cycles"),
    ("temperature", 25.0), ("max_cell_temperature", "temperature"), ("min_cell_temperature", "temperature"),
    ("mosfet_temperature", "temperature"), ("max_mosfet_temperature", "mosfet_temperature"),
    ("min_mosfet_temperature", "mosfet_temperature"), ("bms_temperature", "mosfet_temperature"),
    ("max_bms_temperature", "bms_temperature"), ("min_bms_temperature", "bms_temperature"), ("capacity", 100.0),
)  # fmt: skip


class Values:
    """What each Snapshot says, for a dialect that has `keys`; what is not known is left out."""

    def __init__(self, keys: Container[str]) -> None:
        self._keys, self._every = keys, every.Every(keys)

    def __call__(self, snapshot: Snapshot) -> dict[str, Value]:
        """What `snapshot` says."""
        values = {**self._every(snapshot), **_own(snapshot, self._keys)}
        return {**values, **_temperatures(snapshot, values)}


def values_of(snapshot: Snapshot, keys: Container[str]) -> dict[str, Value]:
    """What one `snapshot` says; what is not known is left out."""
    return Values(keys)(snapshot)


def _own(snapshot: Snapshot, keys: Container[str]) -> dict[str, Value]:
    """What only such lines tell, or tell otherwise."""
    bank, decision = snapshot.bank, snapshot.decision
    found: dict[str, Any] = {
        "capacity": bank.capacity or None,
        "remaining_capacity": decision.remaining_capacity,
        "mosfet_temperature": bank.mosfet_temperature,
        "cell_voltages": _cells(snapshot),
        "cell_spread_mV": _spread_mv(bank.min_cell, bank.max_cell),
        "time_to_go": None if snapshot.time_to_go is None else snapshot.time_to_go // 60,
        "serial_number": _serial(snapshot),
        "modules": 1,
    }  # fmt: skip
    return {key: value for key, value in found.items() if key in keys and value is not None}


def _spread_mv(low: Extreme | None, high: Extreme | None) -> float | None:
    return None if low is None or high is None else 1000 * (high.value - low.value)


def filled(values: Mapping[str, Value], identity: str = "") -> tuple[dict[str, Value], list[str]]:
    """`values` with what is the gateway's own and with stand-ins, and sentences about these."""
    made: dict[str, Value] = {**OWN, "serial_number": identity, **values}
    unsaid = []
    for key, source in STAND_INS:
        if key not in made:
            made[key] = made[source] if isinstance(source, str) else source
            if not isinstance(source, str):
                unsaid.append(f"{key} is not known: {source:g} is sent")
    unsaid += [*_cell_stand_ins(made), *_lowest(made)]
    made["remaining_capacity"] = _remaining(made)
    made.setdefault("temperatures", tuple([_plain(made, "temperature")] * (1 + SENSORS)))
    made.setdefault("temperature_count", len(_listed(made, "temperatures")))
    return made, unsaid


def settled(values: Mapping[str, Value]) -> dict[str, Value]:
    """What is told in the end, the safe state too, with what follows from it: 47, and no more Ah than the SoC says."""
    left, capacity, soc = (_plain(values, key) for key in ("remaining_capacity", "capacity", "soc"))
    made = {**values, "system_parameters": parameters(values)}
    return {**made, "remaining_capacity": min(left, capacity * (soc + 0.5) / 100)} if "soc" in values else made


def _cell_stand_ins(made: dict[str, Value]) -> Iterator[str]:
    """The mean of the pack's voltage, where no cell is known."""
    voltage = _plain(made, "voltage")
    if voltage and not {"max_cell_voltage_mV", "min_cell_voltage_mV"} <= made.keys():
        count = _plain(made, "cell_count") or max(1, round(voltage / LFP))
        for key in ("max_cell_voltage_mV", "min_cell_voltage_mV"):
            made.setdefault(key, 1000 * voltage / count)
        yield f"cells are not known: {1000 * voltage / count:.0f} mV is sent, their mean"


def _lowest(made: dict[str, Value]) -> Iterator[str]:
    """A discharge voltage limit; 0 V would be none."""
    if "charge_voltage_limit" in made and "discharge_voltage_limit" not in made:
        made["discharge_voltage_limit"] = LOWEST * _plain(made, "charge_voltage_limit")
        yield f"discharge_voltage_limit is not known: {LOWEST:.0%} of the charge voltage limit is sent"


def _remaining(made: Mapping[str, Value]) -> float:
    """Ah, by the SoC: readers of 42 divide it by the capacity."""
    given, capacity, soc = (made.get(key) for key in ("remaining_capacity", "capacity", "soc"))
    if isinstance(given, int | float):
        return given
    return capacity * soc / 100 if isinstance(capacity, int | float) and isinstance(soc, int | float) else 0.0


def parameters(made: Mapping[str, Value]) -> dict[str, float]:
    """The limits of now, so that nothing in 47 is looser than what 92 says; V, A, °C."""
    high, low = _plain(made, "charge_voltage_limit"), _plain(made, "discharge_voltage_limit")
    count = _plain(made, "cell_count") or len(_listed(made, "cell_voltages")) or max(1, round(high / 3.5))
    charge, discharge = (_down(_plain(made, f"{way}_current_limit"), 10) for way in ("charge", "discharge"))
    least, least_cell = _up(low, 1000), _up(low / count, 1000)
    return {
        "cell_high": _down(high / count, 1000), "cell_low": least_cell, "cell_under": least_cell,
        "charge_current": charge, "module_high": _down(high, 1000), "module_low": least, "module_under": least,
        "discharge_current": -discharge, **PARAMETERS,
    }  # fmt: skip


def _down(value: float, steps: int) -> float:
    """To the next of so many steps a unit."""
    return math.floor(value * steps + TINY) / steps


def _up(value: float, steps: int) -> float:
    """The same, the other way."""
    return math.ceil(value * steps - TINY) / steps


def _plain(values: Mapping[str, Value], key: str) -> float:
    value = values.get(key)
    return value if isinstance(value, int | float) else 0.0


def _listed(values: Mapping[str, Value], key: str) -> Sequence[float]:
    value = values.get(key)
    return value if isinstance(value, list | tuple) else ()


def _there(snapshot: Snapshot) -> list[BatteryState]:
    """Batteries whose readings count."""
    found = snapshot.bank.batteries
    return [s for s in found if s.contributes and s.health is not Health.LOST and s.reading is not None]


def _cells(snapshot: Snapshot) -> tuple[float, ...] | None:
    """V of the cells of one battery; of several as many of all as one has."""
    readings = [state.reading for state in _there(snapshot) if state.reading is not None]
    cells = [volts for reading in readings for volts in reading.cell_voltages if volts is not None]
    if not cells:
        return None
    most = max(reading.cells or 0 for reading in readings)
    return spread(cells, max(2, min(CELLS_MOST, most))) if len(cells) > most else tuple(cells)


def _temperatures(snapshot: Snapshot, values: Mapping[str, Value]) -> dict[str, Value]:
    """°C of the board, then of cells; none where no cell's is known."""
    readings = [state.reading for state in _there(snapshot) if state.reading is not None]
    found = [celsius for reading in readings for celsius in reading.temperatures if celsius is not None]
    if not found:
        return {}
    board = _plain(values, "mosfet_temperature") if "mosfet_temperature" in values else sum(found) / len(found)
    cells = spread(found, SENSORS) if len(found) > SENSORS else tuple((found * SENSORS)[:SENSORS])
    return {"temperatures": (board, *cells), "temperature_count": 1 + SENSORS}


def spread(numbers: Sequence[float], count: int) -> tuple[float, ...]:
    """`count` of them (2 or more), from the lowest to the highest."""
    ordered, most = sorted(numbers), len(numbers) - 1
    return tuple(ordered[round(place * most / (count - 1))] for place in range(count))


def _serial(snapshot: Snapshot) -> str | None:
    """That of a single battery."""
    states = snapshot.bank.batteries
    reading = states[0].reading if len(states) == 1 else None
    return reading.serial_number if reading is not None else None
