"""What boards of the "DR-1363" dialect of hex text (VER 22) have in common: real-time data, parameters, maker.

Sheets: daren_485.md and ks48100.md, section 5.  Start bytes, some alarms and the order of the switches differ.
"""

from typing import Final

from bms_drivers.kit.declare import Field, Table, Values, text
from bms_drivers.kit.payload import flags
from bms_drivers.kit.walk import Next, Walk
from gateway.model import BadLength, WrongDevice

VERSION: Final = 0x22
MOST_CELLS: Final = 32
LEAST_CELL: Final = 1.0  # V that some cell must have, else no pack is there
CODES: Final = {
    0: "ok", 1: "version", 2: "checksum", 3: "checksum of the length", 4: "unknown command", 5: "format", 6: "data",
    0x90: "address", 0x91: "communication with the battery",
}  # fmt: skip

STATUS: Final = ("_voltage_word", "_current_word", "_temperature_word", "_alarm_word", "_switch_word")
REALTIME: Final = Walk(  # service 42
    ">",
    Next("_flag", "u8"),
    Next("soc", "u16", 0.01, "%"),
    Next("voltage", "u16", 0.01, "V"),
    Next("cell_voltages", "u16", 0.001, "V", counted=True),
    Next("ambient_temperature", "i16", 0.1, "°C"),
    Next("_average", "i16", 0.1, "°C"),
    Next("mosfet_temperature", "i16", 0.1, "°C"),
    Next("temperatures", "i16", 0.1, "°C", counted=True),
    Next("current", "i16", 0.01, "A"),
    Next("_resistance", "u16", 0.1, "mOhm"),
    Next("soh", "u16", 1, "%"),
    Next("_user", "u8"),
    Next("capacity", "u16", 0.01, "Ah"),
    Next("remaining_capacity", "u16", 0.01, "Ah"),
    Next("charge_cycles", "u16"),
    *(Next(name, "u16") for name in STATUS),
    *(Next(f"_cells_1_{n}", "u16") for n in range(4)),  # a bit a cell; not always filled, no alarms of their own
    Next("_balance_low", "u16"),
    Next("_balance_high", "u16"),
    *(Next(f"_cells_17_{n}", "u16") for n in range(4)),
    Next("_machine", "u8"),
    Next("_io", "u16"),
)
PARAMETERS: Final = Table(  # service 47
    ">",
    Field("_cell_upper", 1, "u16", 0.001, "V"),
    Field("_cell_lower", 3, "u16", 0.001, "V"),
    Field("_current_limit", 17, "u16", 0.01, "A"),
)
PARAMETERS_SIZE, MAKER_SIZE = 65, 33  # bytes; at least

MEASURED: Final = {  # alarms of the first three status words, a row a word
    0: {
        0: ("high_cell_voltage", 2),
        1: ("low_cell_voltage", 2),
        2: ("high_voltage", 2),
        3: ("low_voltage", 2),
        4: ("high_cell_voltage", 1),
        5: ("low_cell_voltage", 1),
        6: ("high_voltage", 1),
        7: ("low_voltage", 1),
        8: ("cell_imbalance", 1),
        13: ("fuse_blown", 2),
        14: ("cell_imbalance", 2),
    },
    1: {
        2: ("high_charge_current", 2),
        3: ("short_circuit", 2),
        4: ("high_discharge_current", 2),
        5: ("high_discharge_current", 2),
        6: ("high_charge_current", 1),
        7: ("high_discharge_current", 1),
    },
    2: {
        bit + 8 * (2 - level): (name, level)
        for level in (1, 2)
        for bit, name in {
            0: "high_charge_temperature",
            1: "low_charge_temperature",
            2: "high_temperature",
            3: "low_temperature",
            4: "high_internal_temperature",  # the surroundings'
            6: "high_internal_temperature",  # the MOSFETs'
        }.items()
    },
}


def is_realtime(info: bytes) -> bool:
    """The shape of service 42."""
    return 0 < REALTIME.end(info) == len(info) and 1 <= info[5] <= MOST_CELLS


def is_parameters(info: bytes) -> bool:
    """The shape of service 47."""
    return len(info) == PARAMETERS_SIZE


def is_maker(info: bytes) -> bool:
    """The shape of service 51."""
    return MAKER_SIZE <= len(info) < PARAMETERS_SIZE


def realtime(info: bytes) -> Values:
    """What is measured, and the status words as one number, "_status".  Raises WrongDevice where no pack is."""
    if not is_realtime(info):
        raise BadLength(f"service 42: {len(info)} bytes do not hold as many cells and sensors as they say")
    values = REALTIME.read(info)
    count = len(values["cell_voltages"])
    if max(values["cell_voltages"]) < LEAST_CELL:
        raise WrongDevice("service 42: every cell is 0 V, no pack is there")
    balance = values["_balance_low"] | values["_balance_high"] << 16
    return {
        **values,
        "cell_count": count,
        "cell_balancing": flags(balance, count),
        "balancing": bool(balance),
        "_status": sum(values[name] << 16 * n for n, name in enumerate(STATUS)),
    }


def parameters(info: bytes) -> Values:
    """The limits that are set.  Raises WrongDevice for zeros."""
    if not is_parameters(info) or not any(info[1:]):
        raise WrongDevice("service 47: no parameters")
    return PARAMETERS.read(info)


def maker(info: bytes) -> Values:
    """Hardware, product and software."""
    if not is_maker(info):
        raise BadLength(f"service 51: {len(info)} bytes, expected {MAKER_SIZE} or a few more")
    return {
        "hardware_version": padded(info[:10]),
        "model": padded(info[10:20]),
        "firmware_version": ".".join(f"{part:02d}" for part in info[30:33]),
    }


def padded(raw: bytes) -> str | None:
    """Text that ends at the first FF or NUL, then blanks; "" -> None."""
    return text(raw.split(b"\xff", 1)[0])


def proof(values: Values) -> int:
    """The number of cells of a pack that is plausible.  Raises WrongDevice."""
    cells, voltage = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if len(cells) < 8 or abs(sum(cells) - voltage) > 0.05 * sum(cells):
        raise WrongDevice(f"no DR-1363: {voltage:.2f} V, but {len(cells)} cells make {sum(cells):.2f} V")
    return len(cells)
