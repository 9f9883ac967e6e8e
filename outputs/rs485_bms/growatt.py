"""Growatt's register map ("BMS RS485 protocol 1xSxxP ESS"), which EG4, EASun and Anenji ask, too.

Standard Modbus RTU, function 03.  The stop of a direction is its enable bit in 13 cleared and its limit 0.
Sheet: rs485-inverter-protocols.md section 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from outputs.inverter.keys import Values
from outputs.rs485_bms.modbus import NO_FUNCTION, Map
from outputs.rs485_bms.parts import Bits, Fixed, Found, Part, Where, number, series
from outputs.rs485_bms.pylontech_records import together
from outputs.rs485_bms.wire import Wire

FIRST, LAST = 0x00, 0x90  # 31-52 and 81-90, a second battery, are zeros
MODES: Final = ("soft_start", "standby", "charging", "discharging")
REPEATED: Final = 10  # bit from which the mode stands once more
MODE: Final = 3  # its bits
FLAGS: Final = Bits(2, {3: "balancing", 5: "discharge_enable", 6: "charge_enable", 12: "force_charge_1"})
ERROR: Final = 2  # bit


class Status:
    """13: what it does, twice, and flags."""

    keys: Sequence[str] = (*FLAGS.keys, "operating_state", "protections_valid")

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        named, state = values.get("mode"), values.get("operating_state", 1)
        mode = MODES.index(named) if named in MODES else int(state) if state in (1, 2, 3) else 1
        error = bool(values.get("error_flag") or values.get("protections_valid"))
        word = int.from_bytes(FLAGS.encode(values, clamped), "big")
        return (word | mode | mode << REPEATED | error << ERROR).to_bytes(2, "big")

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return 2

    def decode(self, data: bytes) -> Found:
        """As Part."""
        word = int.from_bytes(data, "big")
        return {"mode": MODES[word & MODE], "error_flag": word >> ERROR & 1, **FLAGS.decode(data)}


@dataclass(frozen=True, slots=True)
class Capacities:
    """1A and 1B: remaining and full capacity in steps of `unit` [Ah], held to the range by one factor."""

    unit: float
    keys: Sequence[str] = ("remaining_capacity", "capacity")

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        amounts: list[Any] = [values.get(key, 0.0) for key in self.keys]
        left, full = (max(0.0, amount) for amount in amounts)
        both = together(left, full, 0xFFFF * self.unit, clamped)
        return b"".join(min(round(amount / self.unit), 0xFFFF).to_bytes(2, "big") for amount in both)

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return 4

    def decode(self, data: bytes) -> Found:
        """As Part."""
        raws = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big")
        return {key: round(raw * self.unit, 2) for key, raw in zip(self.keys, raws, strict=True)}


def registers(wire: Wire) -> Mapping[int, Part]:
    """The map."""
    return {
        0x13: Status(),
        0x14: Bits(2, {0: "p_discharge_over_current", 1: "short_circuit_alarm", 2: "p_over_voltage",
                       3: "p_under_voltage", 4: "p_over_temperature", 5: "high_charge_temperature_alarm",
                       6: "p_under_temperature", 7: "low_charge_temperature_alarm", 9: "contactor_alarm",
                       10: "cell_imbalance_warning", 11: "p_charge_over_current", 12: "p_mosfet_over_temperature"}),
        0x15: number("soc", "u16"),
        0x16: number("voltage", "u16", 0.01),
        0x17: number("current", "s16", 0.01),
        0x18: number("temperature", "s16"),
        0x19: number("charge_current_limit", "u16", 0.01),
        0x1A: Capacities(wire.capacity_unit),
        0x1C: Fixed(bytes.fromhex(wire.register_1c)),
        0x1D: number("cell_spread_mV", "u16"),
        0x1E: number("charge_cycles", "u16"),
        0x20: number("soh", "u16"),
        0x21: number("charge_voltage_limit", "u16", 0.01),
        0x22: Bits(2, {0: "a_cell_high_voltage", 1: "a_cell_low_voltage", 2: "a_high_voltage", 3: "a_low_voltage",
                       4: "a_discharge_high_current", 5: "a_charge_high_current", 6: "a_high_temperature",
                       7: "a_low_temperature", 8: "high_charge_temperature_warning",
                       9: "low_charge_temperature_warning", 10: "a_mosfet_high_temperature"}),
        0x23: number("discharge_current_limit", "u16", 0.01),
        0x24: Bits(2, {3: "a_internal_comm_fail"}),
        0x25: number("max_cell_voltage_mV", "u16"),
        0x26: number("min_cell_voltage_mV", "u16"),
        0x27: Where("max_voltage_cell", 10),
        0x28: Where("min_voltage_cell", 10),
        0x29: number("cell_count", "u16"),
        0x71: series("cell_voltages", "u16", 0.001, places=16),
    }  # fmt: skip


class Growatt(Map):
    """The map at one unit."""

    name = "growatt"

    def __init__(self, wire: Wire, address: int = 1) -> None:
        super().__init__(registers(wire), FIRST, LAST, address)
        self._end = wire.registers_end

    def _wrong(self, function: int, start: int, count: int) -> int:
        """As Map; beyond an end that is set, an exception as a Seplos gives it."""
        beyond = self._end is not None and start + count - 1 > self._end
        return super()._wrong(function, start, count) or (NO_FUNCTION if beyond else 0)
