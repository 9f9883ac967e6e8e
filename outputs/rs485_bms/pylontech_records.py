"""INFO of every Pylontech answer, as tables.  Sheet: rs485-inverter-protocols.md sections 2 and 3."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.model import BadLength
from outputs.inverter.keys import Value, Values
from outputs.rs485_bms.parts import (
    KELVIN,
    Bits,
    Fixed,
    Found,
    Number,
    Part,
    Record,
    Text,
    Version,
    Where,
    celsius,
    limit,
    listed,
    number,
    series,
)
from outputs.rs485_bms.wire import Wire

LARGE: Final = 65.0  # Ah, above which the capacities need 24 bits
FEW_MOST, MANY_MOST = 65.535, 16777.215  # Ah that the fields of 42 hold
NO_CURRENT: Final = 0.1  # A

NAME: Final = (Text("model", 10),)
MAKER: Final = (Text("manufacturer", 20, b"-"),)


def _volts(key: str) -> Number:
    return number(key, "u16", 0.001)


# ---- the system as one: 60 to 63

BASIC: Final = Record(  # 60
    *NAME, *MAKER, Version("manufacturer_version", 2), Fixed(b"\x01"), Text("serial_number", 16, b" ")
)
ALARMS: Final = Record(  # 62
    Bits(1, {7: "a_high_voltage", 6: "a_low_voltage", 5: "a_cell_high_voltage", 4: "a_cell_low_voltage",
             3: "a_high_temperature", 2: "a_low_temperature", 1: "a_mosfet_high_temperature",
             0: "cell_imbalance_warning"}),
    Bits(1, {7: "temperature_imbalance_warning", 6: "a_charge_high_current", 5: "a_discharge_high_current",
             4: "a_internal_comm_fail"}),
    Bits(1, {7: "p_over_voltage", 6: "p_under_voltage", 5: "p_cell_over_voltage", 4: "p_cell_under_voltage",
             3: "p_over_temperature", 2: "p_under_temperature", 1: "p_mosfet_over_temperature"}),
    Bits(1, {6: "p_charge_over_current", 5: "p_discharge_over_current", 3: "p_system_error"}),
)  # fmt: skip


def analog(wire: Wire) -> Record:
    """61."""
    parts: list[Part] = [
        _volts("voltage"), number("current", "s16", wire.current_unit_61), number("soc", "u8"),
        number("charge_cycles", "u16"), number("max_charge_cycles", "u16"), number("soh", "u8"),
        number("min_soh", "u8"), number("max_cell_voltage_mV", "u16"), Where("max_voltage_cell"),
        number("min_cell_voltage_mV", "u16"), Where("min_voltage_cell"), celsius("temperature"),
        celsius("max_cell_temperature"), Where("max_temperature_cell"), celsius("min_cell_temperature"),
        Where("min_temperature_cell"),
    ]  # fmt: skip
    for part in ("mosfet", "bms"):
        parts += [celsius(f"{part}_temperature"), celsius(f"max_{part}_temperature"), Where(f"max_{part}")]
        parts += [celsius(f"min_{part}_temperature"), Where(f"min_{part}")]
    return Record(*parts)


def management(wire: Wire) -> Record:
    """63.  Bit 4 is sent only where that is set: an inverter stopped discharging upon it."""
    flags = {7: "charge_enable", 6: "discharge_enable", 5: "force_charge_1"}
    return Record(
        _volts("charge_voltage_limit"),
        _volts("discharge_voltage_limit"),
        limit("charge_current_limit", wire.limit_unit_63),
        limit("discharge_current_limit", wire.limit_unit_63, negative=wire.dcl_sign_63 < 0),
        Bits(1, {**flags, 4: "full_charge"} if wire.full_charge_63 else flags),
    )


# ---- the module: 42 44 47 51 92 93 96

MAKER_INFO: Final = Record(*NAME, Version("manufacturer_version", 2), *MAKER)  # 51


SWITCHES: Final = Bits(
    1, {7: "charge_enable", 6: "discharge_enable", 5: "force_charge_1", 4: "force_charge_2", 3: "full_charge"}
)


def module_management(wire: Wire, pack: bytes) -> Record:
    """92."""
    return Record(
        Fixed(pack),
        _volts("charge_voltage_limit"),
        _volts("discharge_voltage_limit"),
        limit("charge_current_limit", 0.1),
        limit("discharge_current_limit", 0.1, negative=wire.dcl_sign_92 < 0),
        Bits(
            1, {7: "charge_enable", 6: "discharge_enable", 5: "force_charge_1", 4: "force_charge_2", 3: "full_charge"}
        ),
    )


def serial(pack: bytes) -> Record:
    """93."""
    return Record(Fixed(pack), Text("serial_number", 16, b" "))


def firmware(pack: bytes) -> Record:
    """96."""
    return Record(Fixed(pack), Version("manufacturer_version", 2), Version("firmware_version", 3))


class System:
    """47: twelve words, told as a group of values called system_parameters."""

    WORDS: Final = Record(
        _volts("cell_high"), _volts("cell_low"), _volts("cell_under"), celsius("charge_high_temperature"),
        celsius("charge_low_temperature"), number("charge_current", "s16", 0.1), _volts("module_high"),
        _volts("module_low"), _volts("module_under"), celsius("discharge_high_temperature"),
        celsius("discharge_low_temperature"), number("discharge_current", "s16", 0.1),
    )  # fmt: skip
    keys: Sequence[str] = ("system_parameters",)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        group = values.get("system_parameters")
        inner: Any = group if isinstance(group, Mapping) else {}
        return self.WORDS.encode(inner, clamped)

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return 24

    def decode(self, data: bytes) -> Found:
        """As Part."""
        return {"system_parameters": self.WORDS.decode(data)}


CELLS: Final = series("cell_voltages", "s16", 0.001)
SENSORS: Final = series("temperatures", "s16", 0.1, offset=KELVIN)
FLOW: Final = Record(CELLS, SENSORS, number("current", "s16", 0.1), _volts("voltage"))


class Module:
    """42: one pack behind its flag and number, or all with FF; one battery is one pack."""

    def __init__(self, items: int | None) -> None:
        """`items` behind the voltage: 2, 4, or None = by the capacity."""
        self._items = items

    keys: Sequence[str] = (*FLOW.keys, "remaining_capacity", "capacity", "charge_cycles")

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """A record."""
        left, full = _number(values, "remaining_capacity"), _number(values, "capacity")
        items = self._items or (4 if max(left, full) > LARGE else 2)
        left, full = together(left, full, FEW_MOST if items == 2 else MANY_MOST, clamped)
        cycles = min(round(_number(values, "charge_cycles")), 0xFFFF).to_bytes(2, "big")
        few = [b"\xff\xff"] * 2 if items == 4 else [round(amount * 1000).to_bytes(2, "big") for amount in (left, full)]
        many = [round(amount * 1000).to_bytes(3, "big") for amount in (left, full)] if items == 4 else []
        return FLOW.encode(values, clamped) + b"".join((few[0], bytes((items,)), few[1], cycles, *many))

    def all(self, values: Values, whole: bytes, clamped: list[str]) -> bytes:
        """The number of packs, then a record of each: of those that are given, else `whole` for each module."""
        packs: Any = values.get("packs", ())
        records = [self.encode(pack, clamped) for pack in packs] or [whole] * int(_number(values, "modules") or 1)
        return bytes((len(records),)) + b"".join(records)

    def decode(self, data: bytes) -> tuple[Found, bytes]:
        """A record off the front, and what is left.  Raises BadLength."""
        at = _end(data)
        found, tail = FLOW.decode(data[:at]), data[at:]
        wide = 6 if len(tail) > 2 and tail[2] == 4 else 0
        if len(tail) < 7 + wide:
            raise BadLength(f"42: {len(data)} bytes end within a record")
        pairs = (tail[7:10], tail[10:13]) if wide else (tail[0:2], tail[3:5])
        left, full = (int.from_bytes(raw, "big") / 1000 for raw in pairs)
        found |= {"remaining_capacity": left, "capacity": full, "charge_cycles": int.from_bytes(tail[5:7], "big")}
        return found, tail[7 + wide :]


def _end(data: bytes) -> int:
    """Where current and voltage behind the counted lists end."""
    at = CELLS.size_in(data)
    at += SENSORS.size_in(data[at:])
    return at + 4


def _number(values: Mapping[str, Any], key: str) -> float:
    value = values.get(key)
    return max(0.0, value) if isinstance(value, int | float) else 0.0


def together(left: float, full: float, most: float, clamped: list[str]) -> tuple[float, float]:
    """Both capacities held to `most` by the same factor: their ratio is the SoC."""
    if max(left, full) <= most:
        return left, full
    clamped.append("capacity")
    factor = most / max(left, full)
    return left * factor, full * factor


RAISED: Final = (  # what makes a code of 44 differ from 0: cells, sensors, pack voltage, currents
    ("p_cell_over_voltage", "a_cell_high_voltage"), ("p_cell_under_voltage", "a_cell_low_voltage"),
    ("p_over_temperature", "a_high_temperature"), ("p_under_temperature", "a_low_temperature"),
    ("p_over_voltage", "a_high_voltage"), ("p_under_voltage", "a_low_voltage"),
    ("p_charge_over_current", "a_charge_high_current"), ("p_discharge_over_current", "a_discharge_high_current"),
)  # fmt: skip


class Alarms:
    """44: a code a cell and a sensor (0 normal, 1 below, 2 above), and five status bytes."""

    STATUS_1: Final = Bits(1, {7: "p_under_voltage", 6: "p_over_temperature", 5: "p_over_temperature",
                               4: "p_discharge_over_current", 2: "p_charge_over_current", 1: "p_cell_under_voltage",
                               0: "p_over_voltage"})  # fmt: skip
    keys: Sequence[str] = ("charge_enable", "discharge_enable", *STATUS_1.keys)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        cells, sensors = listed(values.get("cell_voltages")), listed(values.get("temperatures"))
        high, low, hot, cold, above, below, charge, discharge = (_raised(values, *keys) for keys in RAISED)
        currents = 2 * charge, 2 if above else int(below), 2 * discharge
        return b"".join((
            _codes(cells, high, low), _codes(sensors, hot, cold), bytes(currents),
            self.STATUS_1.encode(values, clamped), _switches(values), bytes(2),
        ))  # fmt: skip

    def decode(self, data: bytes) -> Found:
        """Codes as numbers, status bytes as hex.  Raises BadLength."""
        cells = data[1 : 1 + (data[0] if data else 0)]
        rest = data[1 + len(cells) :]
        sensors = rest[1 : 1 + (rest[0] if rest else 0)]
        tail = rest[1 + len(sensors) :]
        if len(tail) < 8:
            raise BadLength(f"44: {len(data)} bytes end before the status")
        told = {
            "cell_codes": list(cells), "temperature_codes": list(sensors), "charge_current_code": tail[0],
            "voltage_code": tail[1], "discharge_current_code": tail[2], "status": [f"{b:02X}" for b in tail[3:8]],
            "charge_fet": tail[4] >> 1 & 1, "discharge_fet": tail[4] >> 2 & 1,
        }  # fmt: skip
        return {"alarm_info": told}


def _raised(values: Values, *keys: str) -> bool:
    return any(values.get(key) for key in keys)


def _codes(numbers: Sequence[float], above: bool, below: bool) -> bytes:
    """The highest is above, the lowest below, where that is raised."""
    codes = bytearray(len(numbers))
    if numbers and below:
        codes[numbers.index(min(numbers))] = 1
    if numbers and above:
        codes[numbers.index(max(numbers))] = 2
    return bytes((len(codes),)) + codes


def _switches(values: Values) -> bytes:
    """Status 2 and 3."""
    charge, discharge = bool(values.get("charge_enable")), bool(values.get("discharge_enable"))
    current: Value = values.get("current", 0.0)
    flow = current if isinstance(current, int | float) else 0.0
    full = values.get("soc") == 100
    switches = charge << 1 | discharge << 2 | (charge or discharge) << 3
    return bytes((switches, (flow > NO_CURRENT) << 7 | (flow < -NO_CURRENT) << 6 | full << 3))
