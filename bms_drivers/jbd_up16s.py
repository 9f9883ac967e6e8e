"""JBD UP16S rack boards (UP16S010/015/019/020; Eco-Worthy and many others), RS485 or RS232: the "UP" protocol.

Sheet: jbd_up16s.md.  Big endian, CRC-16/Modbus; it looks like Modbus and is none.  Not the DD .. 77 frames of `jbd`.
Current: + = charging, 300000 = 0 A, a u32 at offset 4 (recordings with 3.12 A; older readers look elsewhere).
Packs linked to a master (address 1) answer through it, but for their status alone, and later than it is true.
Current limits: the status of a master gives those of its whole bank; the pack's own are in the 0x45 block, and where
that does not answer there are none (section 5).  The configuration block is not read: it makes some firmware's DCL 0.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bms_drivers import kit
from gateway.model import DeviceRefused, WrongDevice

READ, WRITE, OWN = 0x78, 0x79, 0x45  # functions
HEADER, CRC = 8, 2  # bytes
LONGEST: Final = 512  # bytes of a payload
LEAST_CELLS, MOST_CELLS = 3, 32
HIGHEST_ADDRESS: Final = 16
UNANSWERED: Final = 5  # tries after which a block counts as not available here; sheet section 2

STATUS: Final = (READ, 0x1000, 0x10A0)  # function, start, end; sheet section 4
OWN_PACK: Final = (OWN, 0x0000, 0x0054)
FINE_SOC: Final = (READ, 0x2006, 0x2018)
IDENTITY: Final = (READ, 0x1C00, 0x1CA0)
PRODUCT: Final = (READ, 0x2810, 0x283C)
PROTECTION: Final = (READ, 0x1800, 0x1900)
SET_SOC: Final = (WRITE, 0x2006, 0x2008)
SET_SWITCHES: Final = (WRITE, 0x2902, 0x2904)
SIGNATURE: Final = b"\x11JBD"  # before what is written

IDENTITY_HEAD: Final = bytes((READ, 0x1C, 0x00, 0x1C, 0xA0))  # of the answer, behind the address

STATUS_TABLE: Final = kit.Table(  # sheet section 5
    ">",
    kit.Field("voltage", 0, "u16", 0.01, "V"),
    kit.Field("_is_slave", 2, "u16"),
    kit.Field("current", 4, "u32", 0.01, "A", -300000),
    kit.Field("_soc", 8, "u16", 0.01, "%"),
    kit.Field("remaining_capacity", 10, "u16", 0.01, "Ah"),
    kit.Field("capacity", 12, "u16", 0.01, "Ah"),
    kit.Field("mosfet_temperature", 16, "u16", 0.1, "°C", -500),
    kit.Field("ambient_temperature", 18, "u16", 0.1, "°C", -500),
    kit.Field("soh", 22, "u16", 1, "%"),
    kit.Field("_faults", 24, "u32"),
    kit.Field("_alarms", 28, "u32"),
    kit.Field("_switches", 32, "u16"),
    kit.Field("charge_cycles", 36, "u16"),
    kit.Field("max_battery_voltage", 58, "u16", 0.1, "V"),
    kit.Field("_charge_limit", 60, "u16", 0.1, "A"),
    kit.Field("min_battery_voltage", 62, "u16", 0.1, "V"),
    kit.Field("_discharge_limit", 64, "u16", 0.1, "A"),
    kit.Field("cell_count", 66, "u16"),
)
CELLS_AT: Final = 68
OWN_TABLE: Final = kit.Table(
    ">",
    kit.Field("_own_charge_limit", 96, "u16", 0.1, "A"),
    kit.Field("_own_discharge_limit", 98, "u16", 0.1, "A"),
)
SOC_TABLE: Final = kit.Table(">", kit.Field("_fine_soc", 0, "u16", 0.01, "%"))
PROTECTION_TABLE: Final = kit.Table(  # triples of value, release, delay
    ">",
    kit.Field("cell_overvoltage_protection", 6, "u16", 0.001, "V"),
    kit.Field("cell_undervoltage_protection", 18, "u16", 0.001, "V"),
)

FAULTS: Final = {  # sheet section 6; bit 25 (full) is a state
    0: ("high_cell_voltage", 2),
    1: ("low_cell_voltage", 2),
    2: ("high_voltage", 2),
    3: ("low_voltage", 2),
    4: ("high_charge_current", 2),
    5: ("high_charge_current", 2),
    6: ("high_discharge_current", 2),
    7: ("high_discharge_current", 2),
    8: ("high_charge_temperature", 2),
    9: ("low_charge_temperature", 2),
    10: ("high_temperature", 2),
    11: ("low_temperature", 2),
    12: ("high_internal_temperature", 2),
    13: ("high_temperature", 2),  # ambient
    14: ("low_temperature", 2),  # ambient
    15: ("cell_imbalance", 2),
    16: ("cell_imbalance", 2),  # temperatures that differ: own choice
    17: ("low_soc", 2),
    18: ("short_circuit", 2),
    **dict.fromkeys((19, 20, 21, 22, 23, 24, 26, 27), ("internal_failure", 2)),
}
WARNINGS: Final = {  # bits 17 (clock) and 18 (full) are no alarms
    0: ("high_cell_voltage", 1),
    1: ("low_cell_voltage", 1),
    2: ("high_voltage", 1),
    3: ("low_voltage", 1),
    4: ("high_charge_current", 1),
    5: ("high_discharge_current", 1),
    6: ("high_charge_temperature", 1),
    7: ("low_charge_temperature", 1),
    8: ("high_temperature", 1),
    9: ("low_temperature", 1),
    10: ("high_internal_temperature", 1),
    11: ("high_temperature", 1),
    12: ("low_temperature", 1),
    13: ("cell_imbalance", 1),
    14: ("cell_imbalance", 1),
    15: ("low_soc", 1),
    16: ("internal_failure", 2),  # memory
}
SUPPORTED: Final = kit.alarm_names(FAULTS)
DISCHARGE, CHARGE, HEATER = 0x01, 0x02, 0x08  # of the word of switches

Block = tuple[int, int, int]


# ---- frames


def frame(address: int, block: Block, payload: bytes = b"") -> bytes:
    """A whole frame, either way (sheet section 3)."""
    function, start, end = block
    head = bytes((address, function)) + start.to_bytes(2, "big") + end.to_bytes(2, "big")
    body = head + len(payload).to_bytes(2, "big") + payload
    return body + kit.crc16(body).to_bytes(2, "little")


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take frames off the front; kind = start, status = function, payload without the header.  Nothing marks where one
    begins but an address, a function and a CRC that fits."""
    at = 0
    while len(buffer) - at >= 2:
        size = size_at(buffer, at)
        if size and len(buffer) - at < size:
            break
        whole = bytes(buffer[at : at + size])
        if not size or kit.crc16(whole[:-CRC]).to_bytes(2, "little") != whole[-CRC:]:
            at += 1
            continue
        if at:
            yield kit.Dropped("noise", bytes(buffer[:at]))
        del buffer[: at + size]
        at = 0
        start, payload = int.from_bytes(whole[2:4], "big"), whole[HEADER:-CRC]
        yield kit.Frame(kind=start, payload=payload, address=whole[0], status=whole[1], raw=whole)
    if at:
        yield kit.Dropped("noise", bytes(buffer[:at]))
        del buffer[:at]


def size_at(buffer: bytearray, at: int) -> int:
    """Bytes of the frame that may begin at `at`, at least those of a header; 0 = none begins there."""
    if not 1 <= buffer[at] <= HIGHEST_ADDRESS or buffer[at + 1] not in (READ, WRITE, OWN):
        return 0
    length = int.from_bytes(buffer[at + 6 : at + HEADER], "big") if len(buffer) - at >= HEADER else 0
    return HEADER + length + CRC if length <= LONGEST else 0


def ask(block: Block, setup: kit.Setup, payload: bytes = b"", tries: int = 2) -> kit.Ask:
    """One question.  An echo of our own is told from the reply by who carries a payload: of a read the reply does, of
    a write the request."""
    address, (function, start, end) = setup["address"], block
    ends = end.to_bytes(2, "big")
    return kit.Ask(
        request=frame(address, block, payload),
        split=split,
        answers=lambda reply: (
            (reply.address, reply.status, reply.kind, reply.raw[4:6]) == (address, function, start, ends)
            and bool(reply.payload) is not bool(payload)
        ),
        timeout=1.5,
        tries=tries,
    )


def step(name: str, block: Block, decode: kit.Decode, *gives: str, tries: int = 1, **more: Any) -> kit.Poll:
    """The step that reads one block."""
    return kit.Poll(name, kit.simple(lambda setup, known: ask(block, setup, tries=tries), decode), gives=gives, **more)


# ---- what blocks hold


def status(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Block 0x1000: everything that changes.  Raises BadLength, WrongDevice."""
    if setup["direct_only"] and known.get("_own_charge_limit") is None:
        raise WrongDevice("its own block 0x45 is not answered: this pack is not on the port itself (direct_only)")
    data = frames[0].payload
    values = STATUS_TABLE.read(data)
    cells: int = values["cell_count"]
    if not LEAST_CELLS <= cells <= MOST_CELLS:
        raise WrongDevice(f"a UP16S has {LEAST_CELLS}..{MOST_CELLS} cells, this one says {cells}")
    after = CELLS_AT + 2 * cells
    sensors = kit.words(data, after, 1)[0]
    switches = values["_switches"]
    return {
        **values,
        "cell_voltages": kit.divided(kit.words(data, CELLS_AT, cells), 1000),
        "temperatures": tuple(round((raw - 500) * 0.1, 1) for raw in kit.words(data, after + 2, sensors)),
        "discharge_allowed": bool(switches & DISCHARGE),
        "charge_allowed": bool(switches & CHARGE),
        "heating": bool(switches & HEATER),
        "alarms": alarms(values["_faults"], values["_alarms"]),
        **tail(data[after + 2 + 2 * sensors :], cells),
    }


def tail(data: bytes, cells: int) -> kit.Values:
    """Behind the temperatures: balancing and firmware, where they came."""
    if len(data) < 6:
        return {"cell_balancing": (), "balancing": None, "_firmware": None}
    balance, firmware = kit.words(data, 2, 2)
    return {
        "cell_balancing": kit.flags(balance, cells),
        "balancing": bool(balance),
        "_firmware": f"{firmware >> 8}.{firmware & 0xFF}" if firmware >> 8 else None,  # of a slave: another number
    }


def alarms(faults: int, warnings: int) -> dict[str, int]:
    """The highest level of both words."""
    levels = kit.alarm_bits(faults, FAULTS, SUPPORTED)
    for name, level in kit.alarm_bits(warnings, WARNINGS, SUPPORTED).items():
        levels[name] = max(levels[name], level)
    return levels


def identity(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Block 0x1C00; the serial number here is the only one that is not the same for all packs."""
    data = frames[0].payload
    return {
        "serial_number": kit.text(data[16:46]),
        "production_date": kit.date(*kit.words(data, 46, 3)),
        "_product_name": kit.text(data[88:118]),
    }


def product(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Block 0x2810, firmware 12 and later."""
    data = frames[0].payload
    _, hardware, *firmware = kit.words(data, 0, 5)
    return {
        "hardware_version": str(hardware),
        "_product_firmware": ".".join(map(str, firmware)),
        "_product_model": kit.text(data[12:28]),
    }


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The finer SoC, the better texts, and the limits of this pack alone."""
    for name, sources in (
        ("soc", ("_fine_soc", "_soc")),
        ("firmware_version", ("_product_firmware", "_firmware")),
        ("model", ("_product_model", "_product_name")),
    ):
        values[name] = next((values[source] for source in sources if values.get(source) is not None), None)
    for side in ("charge", "discharge"):
        values[f"max_{side}_current"] = limit(values, side)
    return values


def limit(values: kit.Values, side: str) -> float | None:
    """A: never above the status; that of a master is its bank's, so that alone it says nothing about the pack."""
    own: float | None = values.get(f"_own_{side}_limit")
    said: float | None = values.get(f"_{side}_limit")
    if own is None:
        return said if values.get("_is_slave") else None
    return own if said is None else min(own, said)


def proof(values: kit.Values) -> str:
    """The request's header echoed, a CRC, and cells that add up to the voltage within 2 % (sheet section 8)."""
    found, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if not found or abs(sum(found) - volts) > 0.02 * volts:
        raise WrongDevice(f"no UP16S: {len(found)} cells of {sum(found):.2f} V, {volts:.2f} V in all")
    return f"JBD UP16S {values.get('serial_number') or 'pack'} with {len(found)} cells"


# ---- control writes, sheet section 7


def refuse_linked(known: kit.Values) -> None:
    """Raises DeviceRefused for a pack that is reached through a master: nobody knows whose switches that would be."""
    if known.get("_is_slave") and known.get("_own_charge_limit") is None:
        raise DeviceRefused("this pack is reached through a master; only the pack on the port itself takes writes")


def switch(bit: int, name: str) -> kit.Control:
    """A FET.  One write carries both, so the other half is what WE commanded last, never the word read back."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        refuse_linked(known)
        off = known.get("_off", 0)
        off = off & ~bit if value else off | bit
        word = (CHARGE | DISCHARGE) & ~off
        yield ask(SET_SWITCHES, setup, SIGNATURE + word.to_bytes(2, "big"), tries=1)
        return {"_off": off}

    return kit.Control(talk, kit.shown_by(name), "no capture shows its acknowledge: confirmed by the next status alone")


def set_soc(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """SoC in 0.01 %."""
    refuse_linked(known)
    yield ask(SET_SOC, setup, SIGNATURE + round(value * 100).to_bytes(2, "big"), tries=3)
    return {}


def recorded_soc(request: bytes) -> tuple[float, kit.Values] | None:
    """The SoC that a recorded request sets; None for any other request."""
    if len(request) != HEADER + 6 + CRC or request[1:6] != frame(1, SET_SOC)[1:6]:
        return None
    return int.from_bytes(request[12:14], "big") / 100, {}


DRIVER: Final = kit.Driver(
    name="jbd_up16s",
    title="JBD UP16S rack boards, UP protocol",
    line=kit.SerialLine(baud=9600, quiet=0.1, turnaround=0.2),
    options=(
        kit.Option("address", 1, "as the DIP switches say; 1 = the master", least=1, most=HIGHEST_ADDRESS),
        kit.rates(9600, 19200),
        kit.Option(
            "direct_only", False, "true = only the pack on the port itself, where each pack has a port of its own",
            kind=bool,
        ),
    ),
    plan=(
        step(
            "own_pack", OWN_PACK, kit.reads(OWN_TABLE), "max_charge_current", "max_discharge_current",
            give_up=UNANSWERED,
        ),
        step(
            "status", STATUS, status, *STATUS_TABLE.names, "soc", "cell_voltages", "temperatures", "charge_allowed",
            "discharge_allowed", "heating", "alarms", "cell_balancing", "balancing", "firmware_version",
            tries=2, essential=True,
        ),
        step("fine_soc", FINE_SOC, kit.reads(SOC_TABLE), give_up=UNANSWERED),
        step("identity", IDENTITY, identity, "serial_number", "production_date", every=kit.ONCE),
        step("product", PRODUCT, product, "model", "hardware_version", every=kit.ONCE),
        step("protection", PROTECTION, kit.reads(PROTECTION_TABLE), *PROTECTION_TABLE.names, every=kit.ONCE),
    ),
    secrets=(
        kit.secrets.in_frames(
            IDENTITY_HEAD, lambda data: (range(HEADER + 16, HEADER + 46),),
            kit.secrets.crc_of(lambda data: HEADER + int.from_bytes(data[6:HEADER], "big")), before=1,
        ),
    ),
    assemble=kit.alone(finish, manufacturer="JBD"),
    detection=kit.Detection(
        polls=("status", "identity"),
        proof=proof,
        setups=({"address": 1},),
        siblings=tuple({"address": n} for n in range(2, HIGHEST_ADDRESS + 1)),
    ),
    controls={
        "charge": switch(CHARGE, "charge_allowed"),
        "discharge": switch(DISCHARGE, "discharge_allowed"),
        "soc": kit.Control(
            set_soc,
            lambda value, reading: None if reading.soc is None else abs(reading.soc - value) <= 1.0,
            "only of the pack on the port itself",
            recorded_soc,
        ),
    },
    standing="decoded from captures",
    unseen=("hardware_version", "set charge", "set discharge", "alarms", "a slave", "discharging"),
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=lambda request: {"address": request[0]} if len(request) >= HEADER + CRC else {},
)  # fmt: skip
