"""EG4 LL, LL-V2, WallMount (12, 24, 48 V): Modbus RTU, registers of the maker's document V01.06.

Sheet: eg4_ll.md.  Big endian, 32-bit numbers high word first.  Several packs on one RS485 line, each with its unit;
16 (all DIP switches on) is the master, which polls the others itself: foreign frames are to be expected there.
Current: + = charging, in 0.01 A as the document says; one 12 V unit over Bluetooth seems to count 0.1 A (section 10).
Some units now and then answer with all registers 0 and a right CRC: that is no reading (section 9).
Not offered: writes (no switch and no SoC register is known), and the bank's map of a master at unit 1.
"""

from collections.abc import Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, Implausible, WrongDevice

MOST_CELLS: Final = 16
HIGHEST_UNIT, MASTER = 16, 16
TEMPERATURES: Final = range(-40, 121)  # °C; other values come from sensors that are not fitted
PROTECTS: Final = 4  # low nibble of the status
CAPACITY_STEP: Final = 3_600_000  # mA·s in an Ah

RUNTIME: Final = kit.by_register(  # sheet section 5
    0,
    kit.Field("voltage", 0, "u16", 0.01, "V"),
    kit.Field("_current", 1, "i16"),
    kit.Field("mosfet_temperature", 18, "i16", 1, "°C"),
    kit.Field("_remaining", 21, "u16", 1, "Ah"),
    kit.Field("_charge_limit", 22, "u16"),
    kit.Field("soh", 23, "u16", 1, "%"),
    kit.Field("soc", 24, "u16", 1, "%"),
    kit.Field("_status", 25, "u16"),
    kit.Field("_warning", 26, "u16"),
    kit.Field("_protection", 27, "u16"),
    kit.Field("_error", 28, "u16"),
    kit.Field("charge_cycles", 29, "u32"),
    kit.Field("_full", 31, "u32"),
    kit.Field("cell_count", 36, "u16"),
    kit.Field("_design", 37, "u16", 0.1, "Ah"),
    kit.Field("_balance", 38, "u16"),
)
SETTINGS: Final = kit.by_register(
    45,
    kit.Field("cell_undervoltage_protection", 62, "u16", 0.001, "V"),
    kit.Field("min_battery_voltage", 65, "u16", 0.01, "V"),
    kit.Field("cell_overvoltage_protection", 68, "u16", 0.001, "V"),
    kit.Field("max_battery_voltage", 71, "u16", 0.01, "V"),
)

WARNINGS: Final = {  # register 26; sheet section 6
    0: ("high_voltage", 1),
    1: ("high_cell_voltage", 1),
    2: ("low_voltage", 1),
    3: ("low_cell_voltage", 1),
    4: ("high_charge_current", 1),
    5: ("high_discharge_current", 1),
    6: ("high_internal_temperature", 1),  # ambient
    7: ("high_internal_temperature", 1),
    8: ("high_charge_temperature", 1),
    9: ("high_temperature", 1),
    10: ("low_charge_temperature", 1),
    11: ("low_temperature", 1),
    12: ("low_soc", 1),
}
PROTECTIONS: Final = {  # register 27
    **{bit: (name, 2) for bit, (name, _) in WARNINGS.items()},
    6: ("high_internal_temperature", 1),
    13: ("short_circuit", 2),
}
ERRORS: Final = {  # register 28
    0: ("internal_failure", 2),
    1: ("internal_failure", 2),
    2: ("internal_failure", 2),
    4: ("cell_imbalance", 2),
}
SUPPORTED: Final = kit.alarm_names(PROTECTIONS, "internal_failure", "cell_imbalance")
STOPS_CHARGE: Final = sum(1 << bit for bit in (0, 1, 4, 8, 10))  # of register 27
STOPS_DISCHARGE: Final = sum(1 << bit for bit in (2, 3, 5, 9, 11, 13))
KNOWN_PROTECTIONS: Final = sum(1 << bit for bit in PROTECTIONS)


def runtime(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 0 to 38: everything that changes.  Raises Implausible for zeros, WrongDevice for a bank's map."""
    data = frames[0].payload
    values = RUNTIME.read(data)
    refuse_empty(values, data)
    cells: int = values["cell_count"]
    if not 1 <= cells <= MOST_CELLS:
        raise BadLength(f"{cells} cells, an EG4 LL has 1..{MOST_CELLS}")
    tenths = setup["current_step"] == "0.1"
    capacity = values["_full"] / CAPACITY_STEP or values["_design"] or None
    values |= {
        "current": round(values["_current"] * 0.1, 1) if tenths else round(values["_current"] * 0.01, 2),
        "max_charge_current": values["_charge_limit"] * (0.1 if tenths else 1.0),
        "cell_voltages": kit.divided(kit.words(data, 4, cells), 1000),
        "temperatures": temperatures(data[66:72]),
        "capacity": capacity,
        "remaining_capacity": remaining(values["_remaining"], values["soc"], capacity),
        "cell_balancing": kit.flags(values["_balance"], cells),
        "balancing": bool(values["_balance"]),
        "alarms": alarms(values),
        **allowed(values),
    }
    return values


def refuse_empty(values: kit.Values, data: bytes) -> None:
    """A sound frame that holds no pack (sheet section 9)."""
    if not any(data[:38]) and any(data[38:]):
        raise WrongDevice("registers 0 to 18 are empty: a master's map of its bank, not of a pack; ask another unit")
    if not values["voltage"] or not (values["_full"] or values["soh"] or values["_design"]):
        raise Implausible("voltage", f"{values['voltage']:g} V", "what a pack has: this reply is empty")


def temperatures(data: bytes) -> tuple[float, ...]:
    """Six sensors, a signed byte each; zeros at the end are sensors 3 to 6 that are not fitted."""
    sensors = [byte - 256 if byte > 127 else byte for byte in data]
    while len(sensors) > 2 and not sensors[-1]:
        sensors.pop()
    return tuple(float(value) for value in sensors if value in TEMPERATURES)


def remaining(said: int, soc: int, capacity: float | None) -> float | None:
    """Ah; some units send 0 or a percentage: then it follows from the SoC (sheet section 9)."""
    if capacity is None:
        return None
    return float(said) if 0 < said <= 1.05 * capacity else round(capacity * soc / 100, 2)


def alarms(values: kit.Values) -> dict[str, int]:
    """Warnings, protections and errors; the highest level wins."""
    levels = kit.alarm_bits(values["_warning"], WARNINGS, SUPPORTED)
    for word, bits in (("_protection", PROTECTIONS), ("_error", ERRORS)):
        for name, level in kit.alarm_bits(values[word], bits, SUPPORTED).items():
            levels[name] = max(levels[name], level)
    return levels


def allowed(values: kit.Values) -> kit.Values:
    """There is no register for the switches: what the protections mean for them (sheet section 6)."""
    word = values["_protection"]
    if values["_status"] & 15 == PROTECTS and not word & KNOWN_PROTECTIONS and not values["_current"]:
        return {"charge_allowed": False, "discharge_allowed": False}
    return {"charge_allowed": not word & STOPS_CHARGE, "discharge_allowed": not word & STOPS_DISCHARGE}


def told(frames: Sequence[kit.Frame]) -> bytes:
    """The registers of a block that is read once.  Raises Implausible for zeros (sheet section 9)."""
    if not any(frames[0].payload):
        raise Implausible("registers", "all of them 0", "what a pack has: this reply is empty")
    return frames[0].payload


def identity(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 105 to 127: texts, which slaves of some models do not have (bytes FF)."""
    data = told(frames)
    return {
        "model": kit.text(data[:24]),
        "firmware_version": kit.text(data[24:30]),
        "serial_number": kit.text(data[30:46]),
    }


def settings(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 45 to 135: where the pack trips; a single 0 is no such voltage."""
    return {name: value or None for name, value in SETTINGS.read(told(frames)).items()}


def proof(values: kit.Values) -> str:
    """Any Modbus BMS may answer register 0: 4 to 16 cells must add up to the voltage within 2 % (sheet section 8)."""
    cells, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if len(cells) < 4 or abs(sum(cells) - volts) > 0.02 * volts:
        raise WrongDevice(f"an EG4 LL's cells add up to its voltage, here {sum(cells):.2f} V and {volts} V")
    return f"EG4 {values.get('model') or 'LL'} with {len(cells)} cells"


DRIVER: Final = kit.Driver(
    name="eg4_ll",
    title="EG4 LL, LL-V2, WallMount",
    transports=("modbus",),
    line=kit.SerialLine(baud=9600, quiet=0.1, turnaround=0.03),
    options=(
        kit.Option("address", 1, "unit, as the DIP switches say; 16 = the master", least=1, most=HIGHEST_UNIT),
        kit.rates(9600, 19200),
        kit.Option(
            "current_step", "0.01", "A that a step of the currents is; 0.1 for 12 V units with Bluetooth",
            kind=str, choices=("0.01", "0.1"),
        ),
    ),
    plan=(
        kit.Poll(
            "runtime", kit.simple(kit.block(0, 39, timeout=1.5, tries=3), runtime), essential=True,
            gives=(
                *RUNTIME.names, "current", "max_charge_current", "cell_voltages", "temperatures", "capacity",
                "remaining_capacity", "cell_balancing", "balancing", "alarms", "charge_allowed", "discharge_allowed",
            ),
        ),
        kit.Poll(
            "identity", kit.simple(kit.block(105, 23, timeout=2.0), identity),
            gives=("model", "firmware_version", "serial_number"), every=kit.ONCE,
        ),
        kit.Poll(
            "settings", kit.simple(kit.block(45, 91, timeout=2.5), settings),
            gives=SETTINGS.names, every=kit.ONCE,
        ),
    ),
    secrets=(kit.secrets.registers(range(120, 128)),),
    assemble=kit.alone(manufacturer="EG4"),
    detection=kit.Detection(
        rank=80, polls=("runtime", "identity"),
        proof=proof,
        setups=({"address": 1}, {"address": MASTER}),
        siblings=tuple({"address": unit} for unit in range(2, MASTER)),
    ),
    standing="decoded from captures (one, of a 12 V unit over Bluetooth)",
    unseen=(
        "alarms", "capacity", "cell_overvoltage_protection", "cell_undervoltage_protection", "firmware_version",
        "max_battery_voltage", "min_battery_voltage", "model", "remaining_capacity", "serial_number", "RS485",
        "more than 4 cells", "the scale of the current", "a cell being balanced",
    ),
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=kit.unit_asked,
)  # fmt: skip
