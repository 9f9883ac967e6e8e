"""Daly Smart BMS over Bluetooth LE: the D2 protocol, which looks like Modbus RTU, and its successor, called p81.

Sheet: daly_ble.md.  Registers are big endian.  Current: + = charging, as every recording with a known state says.
D2 answers as it is asked; what is asked as unit 81 answers as 51.  The layout of p81's alarms is not known: no alarms
are reported there.
"""

from collections.abc import Iterator
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice

D2, P81, P81_ANSWERS = 0xD2, 0x81, 0x51  # units
MOST_REGISTERS, OLD_REGISTERS = 80, 62  # of the values: of new boards, of all
ABSENT: Final = 0xFF  # of a sensor
OFFSET: Final = -40  # °C
CURRENT_ZERO: Final = -30000
WRITE: Final = 0x06

PACK: Final = kit.by_register(  # D2 from register 28 on; sheet section 5
    0x28,
    kit.Field("voltage", 0x28, "u16", 0.1, "V"),
    kit.Field("current", 0x29, "u16", 0.1, "A", CURRENT_ZERO),
    kit.Field("soc", 0x2A, "u16", 0.1, "%"),
    kit.Field("remaining_capacity", 0x30, "u16", 0.1, "Ah"),
    kit.Field("_cells", 0x31, "u16"),
    kit.Field("_sensors", 0x32, "u16"),
    kit.Field("charge_cycles", 0x33, "u16"),
    kit.Field("_balancer", 0x34, "u16"),
    kit.Field("_charge", 0x35, "u16"),
    kit.Field("_discharge", 0x36, "u16"),
)
ALARM_WORDS: Final = (0x3A, 4)  # first register, count
BALANCE: Final = 0x3E
BOARD: Final = kit.by_register(  # from register 3E on
    0x3E, kit.Field("_mosfet", 0x42, "u16"), kit.Field("_board", 0x43, "u16")
)
P81_PACK: Final = kit.by_register(  # p81 from register 38 on
    0x38,
    kit.Field("voltage", 0x38, "u16", 0.1, "V"),
    kit.Field("current", 0x39, "u16", 0.1, "A", CURRENT_ZERO),
    kit.Field("soc", 0x3A, "u16", 0.1, "%"),
    kit.Field("_cells", 0x3C, "u16"),
    kit.Field("_sensors", 0x3D, "u16"),
)
P81_MORE: Final = kit.by_register(  # p81 from register 41 on
    0x41,
    kit.Field("remaining_capacity", 0x4B, "u16", 0.1, "Ah"),
    kit.Field("charge_cycles", 0x4C, "u16"),
    kit.Field("_charge", 0x52, "u16"),
    kit.Field("_discharge", 0x53, "u16"),
    kit.Field("_mosfet", 0x5A, "u16"),
    kit.Field("_board", 0x5B, "u16"),
)
CAPACITY: Final = kit.by_register(  # settings
    0x80,
    kit.Field("capacity", 0x80, "u16", 0.1, "Ah"),
    kit.Field("cell_overvoltage_protection", 0x8C, "u16", 0.001, "V"),
    kit.Field("cell_undervoltage_protection", 0x8E, "u16", 0.001, "V"),
)

FAULT: Final = ("internal_failure", 2)
ALARMS: Final = kit.alarm_rows(  # by register from 3A on; sheet section 6
    {
        0: kit.two_levels(
            "high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage", "high_charge_temperature",
            "low_charge_temperature", "high_temperature", "low_temperature",
        ),
        1: {
            **kit.two_levels("high_charge_current", "high_discharge_current"),
            6: ("low_soc", 1),
            7: ("low_soc", 2),
            8: ("cell_imbalance", 1),
            9: ("cell_imbalance", 2),
            10: ("cell_imbalance", 1),
            11: ("cell_imbalance", 2),
        },
        2: {
            **dict.fromkeys((0, 1), ("high_internal_temperature", 1)),
            **dict.fromkeys((2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13), FAULT),
        },
        3: {0: FAULT, 1: FAULT, 2: ("short_circuit", 2), 3: ("low_voltage", 2)},
    },
    width=16,
)  # fmt: skip
SUPPORTED: Final = kit.alarm_names(ALARMS)
SWITCHES: Final = {"charge": 0xA5, "discharge": 0xA6, "balance": 0xCF}  # sheet section 7
SOC: Final = 0xA7  # 0.1 %


def read(address: int, count: int, unit: int = D2, tries: int = 2) -> kit.Registers:
    """One block; p81 answers as another unit."""
    also = (P81_ANSWERS,) if unit == P81 else ()
    return kit.Registers(unit, address, count, timeout=2.0, tries=tries, also=also)


# ---- values


def values(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Everything that changes, in the dialect that was answered before, else in each in turn."""
    for count in (known["_count"],) if "_count" in known else (MOST_REGISTERS, OLD_REGISTERS, 0):
        tries = 2 if "_count" in known else 1
        try:
            if count:
                data = (yield read(0, count, tries=tries))[0].payload
                return {**d2(data), "_count": count}
            first = (yield read(0, 0x40, P81, tries))[0].payload
            return {**p81(first, (yield read(0x41, 0x3E, P81))[0].payload), "_count": 0}
        except (LinkTimeout, DeviceRefused):
            continue
    raise LinkTimeout("no Daly answers, in none of the dialects")


def d2(data: bytes) -> kit.Values:
    """Registers from 0 on.  Raises BadLength for counts that cannot be."""
    found = PACK.read(data[2 * 0x28 :])
    words = kit.words(data, 2 * ALARM_WORDS[0], ALARM_WORDS[1])
    found |= {
        **slots(data, found, 32, 0x20),
        "balancing": bool(found["_balancer"]),
        "alarms": kit.alarm_bits(sum(word << 16 * n for n, word in enumerate(words)), ALARMS, SUPPORTED),
    }
    if len(data) >= 2 * MOST_REGISTERS:
        low, high = kit.words(data, 2 * BALANCE, 2)
        found |= board(BOARD.read(data[2 * BALANCE :]))
        found["cell_balancing"] = kit.flags(low | high << 16, found["_cells"])
    return found


def p81(first: bytes, second: bytes) -> kit.Values:
    """Both blocks; what its balancer word and its alarms mean is not known."""
    found = {**P81_PACK.read(first[2 * 0x38 :]), **P81_MORE.read(second)}
    return {**found, **slots(first, found, 48, 0x30), **board(found)}


def slots(data: bytes, found: kit.Values, most: int, sensors_at: int) -> kit.Values:
    """Cells, sensors and switches.  Raises BadLength for counts that cannot be."""
    cells, sensors = found["_cells"], found["_sensors"]
    if not 1 <= cells <= most or sensors > 8:
        raise BadLength(f"{cells} cells and {sensors} sensors, a Daly has 1..{most} and 0..8")
    return {
        "cell_voltages": kit.divided(kit.words(data, 0, cells), 1000),
        "temperatures": tuple(celsius(raw) for raw in kit.words(data, 2 * sensors_at, sensors)),
        "charge_allowed": bool(found["_charge"]),
        "discharge_allowed": bool(found["_discharge"]),
    }


def celsius(raw: int) -> float | None:
    """°C; None = not connected."""
    return None if raw >= ABSENT else float(raw + OFFSET)


def board(found: kit.Values) -> kit.Values:
    """The power stage's and the board's sensor; 0 = there is none."""
    return {
        "mosfet_temperature": celsius(found["_mosfet"] or ABSENT),
        "ambient_temperature": celsius(found["_board"] or ABSENT),
    }


def mosfet(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """The power stage's sensor where the values do not hold it; not asked again where it once was not there."""
    if known.get("_count", OLD_REGISTERS) != OLD_REGISTERS or known.get("_no_mosfet"):
        return {"_no_mosfet": True}
    degrees = board(BOARD.read((yield read(BALANCE, 9, tries=1))[0].payload))["mosfet_temperature"]
    return {"mosfet_temperature": degrees, "_no_mosfet": degrees is None}


# ---- once


def capacity(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Full capacity and protections; how wide p81's is, is not known."""
    if known.get("_count") == 0:
        return {}
    found = CAPACITY.read((yield read(0x80, 41))[0].payload)
    return {name: value or None for name, value in found.items()}


def versions(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Firmware and board."""
    unit, first, count = (P81, 0x178, 74) if known.get("_count") == 0 else (D2, 0xA9, 32)
    data = (yield read(first, count, unit))[0].payload
    return {"firmware_version": kit.text(data[:16]), "hardware_version": kit.text(data[16:32])}


def switches(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Date of production and the balancer's switch."""
    if known.get("_count") == 0:
        return {}
    data = (yield read(0xCC, 5, tries=1))[0].payload
    year, month, day = data[0], data[1], data[2]
    return {
        "production_date": kit.date(2000 + year, month, day) if year else None,
        "balance_allowed": bool(kit.words(data, 6, 1)[0]),
    }


def finish(found: kit.Values, setup: kit.Setup) -> kit.Values:
    """The maker's name."""
    return {"manufacturer": "Daly", **found}


def proof(found: kit.Values) -> str:
    """3 cells or more whose sum is the voltage; no balancer, which has no switches and no charge (sheet section 8)."""
    cells, volts = found.get("cell_voltages", ()), found.get("voltage", 0.0)
    if len(cells) < 3 or abs(sum(cells) - volts) > 0.03 * volts:
        raise WrongDevice(f"no Daly: {len(cells)} cells of {sum(cells):.2f} V, {volts:.2f} V in all")
    if not any(found[name] for name in ("charge_allowed", "discharge_allowed", "remaining_capacity", "soc")):
        raise WrongDevice("a Daly without switches and charge: an active balancer, name it where it is wanted")
    return f"Daly with {len(cells)} cells ({'D2' if found['_count'] else 'p81'} protocol)"


# ---- writes


def split_echo(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Replies to a write: its echo, with a CRC that fits."""
    head = bytes((D2, WRITE))
    while (start := buffer.find(head)) >= 0:
        yield from kit.noise(buffer, start)
        if len(buffer) < 8:
            return
        raw = bytes(buffer[:8])
        if kit.crc16(raw[:-2]).to_bytes(2, "little") != raw[-2:]:
            yield kit.Dropped("checksum", raw[:1])
            del buffer[0]
            continue
        del buffer[:8]
        yield kit.Frame(kind=int.from_bytes(raw[2:4], "big"), payload=raw[4:6], raw=raw)
    yield from kit.noise(buffer, len(buffer) - kit.begun(buffer, head))


def write(register: int, value: int, known: kit.Values) -> kit.Talk:
    """Write one register; an echo with a wrong CRC is none, so it is repeated.  Raises DeviceRefused on p81."""
    if known.get("_count") == 0:
        raise DeviceRefused("how a p81 board is switched is not known")
    body = bytes((D2, WRITE)) + register.to_bytes(2, "big") + value.to_bytes(2, "big")
    asked = body + kit.crc16(body).to_bytes(2, "little")
    yield kit.Ask(asked, split_echo, lambda reply: reply.raw == asked, timeout=2.0, tries=3)
    return {}


def switch(action: str) -> kit.Control:
    """A switch, confirmed by what is read next."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        return (yield from write(SWITCHES[action], int(bool(value)), known))

    return kit.Control(talk, kit.shown_by(f"{action}_allowed"), "D2 boards only; lasts until switched back")


def set_soc(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """SoC in 0.1 %."""
    return (yield from write(SOC, round(value * 10), known))


DRIVER: Final = kit.Driver(
    name="daly_ble",
    title="Daly Smart BMS, Bluetooth (D2 and p81 protocol)",
    transports=("ble",),
    ble=kit.BleLine(
        ways=(kit.Gatt("fff0", "fff1", "fff2"), kit.Gatt("ff00", "ff01", "ff02")),
        names=r"DL-|JHB-", makers=(0x0102, 0x0104, 0x0302, 0x0303, 0x0402), patience=2.0,
    ),
    plan=(
        kit.Poll(
            "values", values, essential=True,
            gives=(
                *(name for name in PACK.names), "cell_voltages", "temperatures", "charge_allowed", "discharge_allowed",
                "balancing", "cell_balancing", "mosfet_temperature", "ambient_temperature", "alarms",
            ),
        ),
        kit.Poll("mosfet", mosfet, gives=("mosfet_temperature",)),
        kit.Poll("capacity", capacity, gives=CAPACITY.names, every=kit.ONCE),
        kit.Poll("versions", versions, gives=("firmware_version", "hardware_version"), every=kit.ONCE),
        kit.Poll("switches", switches, gives=("production_date", "balance_allowed"), every=300.0, keep=1_000_000),
    ),
    assemble=kit.alone(finish),
    detection=kit.Detection(polls=("values",), proof=proof, begins=1.5),
    controls={
        **{action: switch(action) for action in SWITCHES},
        "soc": kit.Control(
            set_soc,
            lambda value, reading: None if reading.soc is None else abs(reading.soc - value) <= 1.0,
            "D2 boards only",
            by_hand=True,
        ),
    },
    unseen=("alarms", "production_date", "set charge", "set discharge", "set soc", "alarms of p81 boards"),
)  # fmt: skip
