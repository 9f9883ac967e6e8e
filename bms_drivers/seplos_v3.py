"""Seplos BMS 3.0 (10E boards by XZH-ElecTech; up to 16 cells) over RS485 or through its BLE module: Modbus RTU.

Sheet: seplos_v3.md.  Registers are big endian, 32-bit values low word first.  Current: + = charging.  Function 04 reads
registers, 01 bits; unit 0 is a unit like any other.  Alarms are taken from PIC (bits 0x1200 on), never from SFA
(0x1400), whose bits tell which functions are enabled (section 6).  Through the BLE module identity is at unit 0 and
the settings are at unit 0xE0 in two halves; where PIC is refused, the bank's EIC stands in for a single pack: so the
captured vector has it (section 4).  With `listen` nothing is asked: a master polls its slaves on the link port, and
what of PIA, PIB and PIC it asks for is overheard (section 2).
"""

from collections.abc import Container, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice

PIA, PIB, PIC, SPA, VIA, EIA, EIC = 0x1000, 0x1100, 0x1200, 0x1300, 0x1700, 0x2000, 0x2200
BANK, DISPLAY = 0, 0xE0  # units of the bank's view and of the display's
SPA_HALF: Final = 0x35  # registers
REGISTERS, BITS = 4, 1  # Modbus functions
MAKER: Final = "XZH-ElecTech"
COARSE, FINE = 0.1, 0.01  # A a count of PIA's current: 300 A boards, all others
TELLING: Final = 2.0  # A from which the bank's own current tells the unit of the pack's
LEAST_CELL: Final = 1.0  # V that some cell must have, else no pack is there

PACK: Final = kit.Table(  # PIA; sheet section 5
    ">",
    kit.Field("voltage", 0, "u16", 0.01, "V"),
    kit.Field("_raw_current", 2, "i16"),
    kit.Field("remaining_capacity", 4, "u16", 0.01, "Ah"),
    kit.Field("capacity", 6, "u16", 0.01, "Ah"),
    kit.Field("soc", 10, "u16", 0.1, "%"),
    kit.Field("soh", 12, "u16", 0.1, "%"),
    kit.Field("charge_cycles", 14, "u16"),
    kit.Field("max_discharge_current", 30, "u16", 1, "A"),
    kit.Field("max_charge_current", 32, "u16", 1, "A"),
)
PACK_SIZE, CELLS_SIZE, STATE_SIZE, SETTINGS_SIZE, IDENTITY_SIZE = 17, 26, 144, 106, 51  # registers or bits
CELLS: Final = 16
SENSORS: Final = kit.Table(  # PIB behind the cells; 0x1114..0x1117 are reserved and read 0 °C
    ">",
    *(kit.Field(f"_t{n}", 2 * (CELLS + n), "u16", 0.1, "°C", -2731) for n in range(4)),
    kit.Field("ambient_temperature", 48, "u16", 0.1, "°C", -2731),
    kit.Field("mosfet_temperature", 50, "u16", 0.1, "°C", -2731),
)
SETTINGS: Final = kit.Table(  # SPA
    ">",
    kit.Field("_count", 2, "u16"),
    kit.Field("max_battery_voltage", 10, "u16", 0.01, "V"),
    kit.Field("min_battery_voltage", 18, "u16", 0.01, "V"),
    kit.Field("cell_overvoltage_protection", 26, "u16", 0.001, "V"),
    kit.Field("cell_undervoltage_protection", 34, "u16", 0.001, "V"),
)
WHOLE: Final = kit.Table(">", kit.Field("_bank_low", 4, "u16"), kit.Field("_packs", 44, "u16"))  # EIA
WHOLE_SIZE, WHOLE_STATE_SIZE = 26, 80  # registers; bits
TEXTS: Final = {"manufacturer": (0, 20), "model": (20, 20), "_firmware": (40, 2), "serial_number": (42, 30)}  # VIA

FAULT: Final = ("internal_failure", 2)
ALARMS: Final = kit.alarm_rows(  # by byte of PIC from 8 on, EIC alike; sheet section 6
    {
        1: kit.two_levels("high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage"),
        2: kit.two_levels("high_charge_temperature", "low_charge_temperature", "high_temperature", "low_temperature"),
        3: {
            **kit.two_levels("high_internal_temperature"),  # the surroundings'
            4: ("high_internal_temperature", 1),
            5: ("high_internal_temperature", 2),
        },
        4: {
            0: ("high_charge_current", 1),
            1: ("high_charge_current", 2),
            2: ("high_charge_current", 2),
            3: ("high_discharge_current", 1),
            4: ("high_discharge_current", 2),
            5: ("high_discharge_current", 2),
            6: ("short_circuit", 2),
        },
        5: {0: ("short_circuit", 2), 1: FAULT, 2: ("high_charge_current", 2), 3: ("high_discharge_current", 2)},
        6: {2: ("low_soc", 1), 3: ("low_soc", 2), 4: ("cell_imbalance", 1)},
        9: dict.fromkeys(range(8), FAULT),
    }
)
SUPPORTED: Final = kit.alarm_names(ALARMS)
BALANCE, EVENTS, SWITCHES = 6, 8, 7  # bytes of PIC; SWITCHES counts from EVENTS on


def read(unit: int, address: int, count: int, function: int = REGISTERS, tries: int = 2) -> kit.Registers:
    """One block."""
    return kit.Registers(unit, address, count, function, timeout=0.4, tries=tries)


def data(frames: Sequence[kit.Frame], size: int) -> bytes:
    """What came.  Raises BadLength when it is not `size` bytes."""
    if len(frames[0].payload) != size:
        raise BadLength(f"{len(frames[0].payload)} bytes where {size} are needed")
    return frames[0].payload


CYCLE: Final = 16.0  # s within which a master has polled its slaves; own choice, no sheet says
SOON: Final = 1.0  # s; how long what follows PIA is waited for
BLOCKS: Final = {PIA: 2 * PACK_SIZE, PIB: 2 * CELLS_SIZE, PIC: STATE_SIZE // 8}  # bytes that are needed of each


def listens(setup: kit.Setup) -> bool:
    """Where a master polls it nothing is sent."""
    return bool(setup.get("listen"))


def overhear(setup: kit.Setup, blocks: Container[int], timeout: float) -> kit.Ask:
    """Wait for a reply of our unit to a request for one of `blocks`."""
    unit = setup["address"]
    return kit.Ask(
        request=b"",
        split=kit.modbus_pairs,
        answers=lambda reply: (
            reply.address == unit
            and not reply.status
            and reply.kind in blocks
            and len(reply.payload) >= BLOCKS[reply.kind]
        ),
        timeout=timeout,
    )


def overheard(setup: kit.Setup) -> kit.Talk:
    """PIA, and what else the master asks for; as old as the first of them."""
    found: dict[int, bytes] = {}
    while wanted := BLOCKS.keys() - found.keys():
        try:
            reply = (yield overhear(setup, wanted, SOON if PIA in found else CYCLE))[0]
        except LinkTimeout:
            if PIA not in found:
                raise
            break
        found[reply.kind] = reply.payload[: BLOCKS[reply.kind]]
    each = {PIA: measured, PIB: slots, PIC: states}
    return {"_heard": True} | {name: value for block, raw in found.items() for name, value in each[block](raw).items()}


def pack(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """PIA: voltage, current as it is sent, capacities, limits."""
    if listens(setup):
        return (yield from overheard(setup))
    return measured(data((yield read(setup["address"], PIA, PACK_SIZE)), 2 * PACK_SIZE))


def measured(raw: bytes) -> kit.Values:
    """Values of PIA.  Raises WrongDevice for zeros."""
    values = PACK.read(raw)
    if not values["voltage"]:
        raise WrongDevice("PIA: a pack of 0 V, nothing is there")
    return values


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """PIB: 16 cell slots, four cell sensors, surroundings, power stage."""
    if listens(setup):
        return {}  # comes with PIA, if at all
    return slots(data((yield read(setup["address"], PIB, CELLS_SIZE)), 2 * CELLS_SIZE))


def slots(raw: bytes) -> kit.Values:
    """Values of PIB.  Raises WrongDevice for zeros."""
    volts = kit.divided(kit.words(raw, 0, CELLS), 1000)
    if max(volts) < LEAST_CELL:
        raise WrongDevice("PIB: every cell is 0 V, no pack is there")
    values = SENSORS.read(raw)
    return {**values, "_slots": volts, "temperatures": tuple(values[f"_t{n}"] for n in range(4))}


def bank(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """EIA of the master: how many packs there are; a single one's current tells the unit of PIA's (section 9)."""
    if listens(setup):
        return {}
    values = WHOLE.read(data((yield read(BANK, EIA, WHOLE_SIZE, tries=1)), 2 * WHOLE_SIZE))
    amps = ((values["_bank_low"] ^ 0x8000) - 0x8000) * 0.1
    raw = known.get("_raw_current", 0)
    if values["_packs"] == 1 and abs(amps) >= TELLING and raw:
        values["_unit"] = min(COARSE, FINE, key=lambda unit: abs(raw * unit - amps))
    elif "_unit" in known:
        values["_unit"] = known["_unit"]
    return values


def state(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """PIC, or where that is not to be had the EIC of a bank that is this pack alone: switches, balancing, alarms."""
    if listens(setup):
        return {}
    alone = known.get("_packs") == 1
    if not (alone and known.get("_by_bank")):
        try:
            raw = data((yield read(setup["address"], PIC, STATE_SIZE, BITS)), STATE_SIZE // 8)
        except (LinkTimeout, DeviceRefused):
            if not alone:
                raise
        else:
            return states(raw)
    raw = data((yield read(BANK, EIC, WHOLE_STATE_SIZE, BITS)), WHOLE_STATE_SIZE // 8)
    return {**events(raw), "_by_bank": True}


def states(raw: bytes) -> kit.Values:
    """Values of PIC."""
    balance = int.from_bytes(raw[BALANCE : BALANCE + 2], "little")
    return {**events(raw[EVENTS:]), "_balance": balance, "balancing": bool(balance)}


def events(block: bytes) -> kit.Values:
    """Switches and alarms of PIC from byte 8 on, or of EIC."""
    return {
        "charge_allowed": bool(block[SWITCHES] & 2),
        "discharge_allowed": bool(block[SWITCHES] & 1),
        "heating": bool(block[SWITCHES] & 8),
        "alarms": kit.alarm_bits(int.from_bytes(block, "little"), ALARMS, SUPPORTED),
    }


def settings(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """SPA at the pack's unit, else at the display's in two halves; a protection of 0 is off: not known."""
    if listens(setup):
        return {}
    try:
        raw = data((yield read(setup["address"], SPA, SETTINGS_SIZE, tries=1)), 2 * SETTINGS_SIZE)
    except (LinkTimeout, DeviceRefused):
        raw = data((yield read(DISPLAY, SPA, SPA_HALF, tries=1)), 2 * SPA_HALF)
        raw += data((yield read(DISPLAY, SPA + SPA_HALF, SPA_HALF, tries=1)), 2 * SPA_HALF)
    return {name: value or None for name, value in SETTINGS.read(raw).items()}


def identity(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """VIA at the pack's unit, else at the bank's."""
    if listens(setup):
        return {}
    try:
        raw = data((yield read(setup["address"], VIA, IDENTITY_SIZE, tries=1)), 2 * IDENTITY_SIZE)
    except (LinkTimeout, DeviceRefused):
        if setup["address"] == BANK:
            raise
        raw = data((yield read(BANK, VIA, IDENTITY_SIZE, tries=1)), 2 * IDENTITY_SIZE)
    values: kit.Values = {name: kit.text(raw[at : at + size]) for name, (at, size) in TEXTS.items()}
    return {**values, "firmware_version": ".".join(values["_firmware"] or "") or None}


CELLS_NAMES: Final = ("cell_voltages", "temperatures", "ambient_temperature", "mosfet_temperature")
STATE_NAMES: Final = ("charge_allowed", "discharge_allowed", "heating", "balancing", "cell_balancing", "alarms")


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The current in its unit; of the 16 slots those that have a cell."""
    if "_raw_current" in values:
        unit = setup["current_unit"] or values.get("_unit", FINE)
        values["current"] = round(values["_raw_current"] * unit, 2)
    slots = values.get("_slots", ())
    count = values.get("_count") or 0
    if not 1 <= count <= CELLS:
        count = max((n for n, volts in enumerate(slots, 1) if volts), default=0)
    values["cell_count"], values["cell_voltages"] = count or None, slots[:count]
    if "_balance" in values:
        values["cell_balancing"] = kit.flags(values["_balance"], count)
    if listens(setup):
        values["untold"] = kit.not_told(values, CELLS_NAMES, STATE_NAMES)
    return values


def proof(values: kit.Values) -> str:
    """The maker's name, and a pack at the address asked: identity alone may be another unit's (sheet section 8).

    Where it is only listened to nobody asks for the name; the blocks at these registers, twice, must do.
    """
    if "_heard" not in values and MAKER not in (values.get("manufacturer") or ""):
        raise WrongDevice(f"no Seplos 3.0: the maker is {values.get('manufacturer')!r}")
    slots, voltage = values.get("_slots", ()), values.get("voltage", 0.0)
    if not slots or abs(sum(slots) - voltage) > 0.05 * sum(slots):
        raise WrongDevice("no Seplos 3.0: the cells do not make the pack's voltage")
    return f"Seplos 3.0 {values.get('model') or ''} with {sum(map(bool, slots))} cells".replace("  ", " ")


def asked_with(request: bytes) -> kit.Values:
    """The unit whose pack a recorded request is about."""
    about = int.from_bytes(request[2:4], "big")
    return {"address": request[0]} if len(request) == 8 and PIA <= about < SPA else {}


DRIVER: Final = kit.Driver(
    name="seplos_v3",
    title="Seplos BMS 3.0 (10E, XZH-ElecTech), Modbus",
    transports=("modbus",),
    line=kit.SerialLine(baud=19200, quiet=0.1, turnaround=0.03),
    options=(
        kit.Option("address", 0, "DIP switches; 0 = single pack or master; through BLE 1..16", least=0, most=127),
        kit.Option("listen", False, "true = a master polls it: only listens, with poll_interval: 5", kind=bool),
        kit.Option(
            "current_unit", None, "A a count: 0.1 on 300 A boards, else 0.01; default: found out", kind=float,
            least=FINE, most=COARSE,
        ),
    ),
    plan=(
        kit.Poll("pack", pack, gives=(*PACK.names, "current"), essential=True),
        kit.Poll("cells", cells, gives=("cell_voltages", "temperatures", *SENSORS.names), keep=0),
        kit.Poll("bank", bank, every=300.0, keep=1_000_000),
        kit.Poll(
            "state", state, keep=0,  # unknown for this poll where it is missing; sheet section 4
            gives=STATE_NAMES,
        ),
        kit.Poll("settings", settings, gives=SETTINGS.names, every=300.0, keep=1_000_000),
        kit.Poll(
            "identity", identity, gives=("manufacturer", "model", "firmware_version", "serial_number"), every=kit.ONCE
        ),
    ),
    secrets=(kit.secrets.registers(range(VIA + 21, VIA + 36)),),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        polls=("identity", "pack", "cells"), proof=proof, setups=({"address": 0}, {"address": 1}),
        siblings=tuple({"address": unit} for unit in range(2, 17)),
        overheard=tuple({"address": unit, "listen": True} for unit in range(17)),
    ),
    listens=listens,
    standing="decoded from captures",
    unseen=("alarms", "balancing", "cell_balancing", "less than 16 cells", "a 300 A board"),
    limits_from_bms=True,
    asked_with=asked_with,
)  # fmt: skip
