"""Voltronic's register map ("Inverter and BMS 485 communication protocol", 2020): asked as Modbus, answered otherwise.

    unit  03  length  data  CRC        length: two bytes, the number of registers, where `framing` says nothing else

A register that does not exist is 0.  An answer of one register looks like a question; go by direction, not by shape.
Only 70 and 74 steer the inverter for certain.  Sheet: rs485-inverter-protocols.md section 6.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from outputs.inverter.keys import Values
from outputs.rs485_bms.heard import Heard, Request
from outputs.rs485_bms.modbus import MOST, READ, Map
from outputs.rs485_bms.parts import KELVIN, Bits, Found, Part, number, series
from outputs.rs485_bms.wire import Wire

FIRST, LAST = 0x00, 0x7F
NO_COMMAND, BAD_CRC = 2, 3  # errors
CHARGING: Final = number("current", "u16", 0.1)


class Flow:
    """30 and 31: charge and discharge current, both positive, the other one 0."""

    keys: Sequence[str] = ("current",)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        current = values.get("current")
        amps = current if isinstance(current, int | float) else 0.0
        return b"".join(CHARGING.encode({"current": max(0.0, one)}, clamped) for one in (amps, -amps))

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return 4

    def decode(self, data: bytes) -> Found:
        """As Part."""
        charge, discharge = (CHARGING.decode(raw)["current"] for raw in (data[:2], data[2:]))
        return {"current": charge - discharge}


MAP: Final[Mapping[int, Part]] = {
    0x10: number("cell_count", "u16"),
    0x11: series("cell_voltages", "u16", 0.1, places=20),
    0x25: number("temperature_count", "u16"),
    0x26: series("temperatures", "u16", 0.1, offset=KELVIN, places=10),
    0x30: Flow(),
    0x32: number("voltage", "u16", 0.1),
    0x33: number("soc", "u16"),
    0x34: number("capacity", "u32", 0.001),
    0x36: number("modules", "u16", unknown=1),
    0x37: Bits(2, {0: "high_charge_temperature_warning", 1: "a_cell_high_voltage",
                   2: "low_charge_temperature_warning", 3: "a_charge_high_current"}),
    0x38: Bits(2, {0: "a_high_temperature", 1: "a_low_temperature", 2: "a_mosfet_high_temperature",
                   3: "a_cell_low_voltage"}),
    0x39: Bits(2, {2: "p_system_error", 3: "p_charge_over_current", 5: "short_circuit_alarm",
                   6: "p_mosfet_over_temperature", 8: "high_charge_temperature_alarm",
                   9: "low_charge_temperature_alarm", 10: "p_cell_over_voltage"}),
    0x3B: Bits(2, {10: "p_mosfet_over_temperature", 11: "p_cell_under_voltage", 12: "p_discharge_over_current",
                   13: "p_under_temperature", 14: "p_over_temperature"}),
    0x3C: Bits(2, {0: "p_system_error"}),
    0x3E: number("capacity", "u32", 0.001),
    0x70: number("charge_voltage_limit", "u16", 0.1),
    0x71: number("discharge_voltage_limit", "u16", 0.1),
    0x72: number("charge_current_limit", "u16", 0.1),
    0x73: number("discharge_current_limit", "u16", 0.1),
    0x74: Bits(2, {7: "charge_enable", 6: "discharge_enable", 5: "force_charge_1", 4: "force_charge_2",
                   3: "full_charge"}),
    0x75: number("time_to_go", "u16", unknown=0xFFFF),
    0x76: number("remaining_capacity", "u32", 0.001),
}  # fmt: skip


class Voltronic(Map):
    """The map at one unit."""

    name = "voltronic"

    def __init__(self, wire: Wire, address: int = 1) -> None:
        super().__init__(MAP, FIRST, LAST, address)
        self._framing = wire.framing

    def _wrong(self, function: int, start: int, count: int) -> int:
        """As Map; there is no register that does not exist."""
        return 0 if function == READ and 1 <= count <= MOST else NO_COMMAND

    def _damaged(self, raw: bytes) -> Heard:
        """As Map: the inverter is told."""
        return Request("damaged", raw[0], raw, True, BAD_CRC, raw[1:6])

    def _answer_size(self, buffer: bytearray) -> int:
        """As Map; of an answer with a two-byte length."""
        if buffer[1] != READ or self._framing == "bytes" or len(buffer) < 4:
            return super()._answer_size(buffer)
        length = int.from_bytes(buffer[2:4], "big")
        return 6 + (2 * length if self._framing == "words" else length)

    def _length(self, count: int) -> bytes:
        if self._framing == "bytes":
            return super()._length(count)
        return (count if self._framing == "words" else 2 * count).to_bytes(2, "big")
