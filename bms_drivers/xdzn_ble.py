"""XDZN, WattCycle and TDT BMS over Bluetooth LE.

Sheet: xdzn_ble.md.  Big endian, CRC high byte first.  Current: bit 15 = discharging, bit 14 = in 0.1 A.
It wants the word HiLink first, in a characteristic of its own.  Some boards ask for the head 1E instead of 7E.
"""

import math
from collections.abc import Iterator
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, LinkTimeout, WrongDevice

HEAD, HEADS, END = 0x7E, (0x7E, 0x1E), 0x0D
LIVE, WARNINGS, PRODUCT = 0x8C, 0x8D, 0x92  # data points
OVERHEAD, MOST = 11, 400  # bytes of a frame beside its data; of data that no frame exceeds
READ, FAILED = 0x03, 0x86
DISCHARGING, FINE = 0x8000, 0x4000  # bits of the current
BOARD_SENSORS: Final = 2  # come first among the probes: power stage and board, in an order that is not settled
PRODUCT_SIZE, TEXT = 60, 20  # bytes

MEASURED: Final = kit.Walk(  # 0x8C; sheet section 5
    ">",
    kit.Next("cell_voltages", "u16", 0.001, "V", counted=True),
    kit.Next("_probes", "u16", 0.1, "°C", -2731, counted=True),
    kit.Next("_current", "u16"),
    kit.Next("voltage", "u16", 0.01, "V"),
    kit.Next("remaining_capacity", "u16", 0.1, "Ah"),
    kit.Next("capacity", "u16", 0.1, "Ah"),
    kit.Next("charge_cycles", "u16"),
    kit.Next("_design", "u16", 0.1, "Ah"),
    kit.Next("soc", "u16", 1, "%"),
)
MORE: Final = kit.Walk(">", kit.Next("soh", "u16", 1, "%"))  # behind it, of some
STATES: Final = kit.Walk(  # 0x8D; sheet section 6
    ">",
    kit.Next("_cell_states", "u8", counted=True),
    kit.Next("_probe_states", "u8", counted=True),
    *(kit.Next(name, "u8") for name in ("_charge", "_voltage", "_discharge", "_mode", "_s1", "_s2", "_s3", "_r1")),
    *(kit.Next(name, "u8") for name in ("_s5", "_r2", "_r3", "_w1", "_w2")),
)
FIRST: Final = {
    0: "high_cell_voltage",
    1: "low_cell_voltage",
    2: "high_voltage",
    3: "low_voltage",
    4: "high_charge_current",
    5: "high_discharge_current",
    6: "internal_failure",
}
SECOND: Final = {
    0: "high_charge_temperature",
    1: "high_temperature",
    2: "low_charge_temperature",
    3: "low_temperature",
    4: "high_internal_temperature",
    5: "high_temperature",
    6: "low_temperature",
}
FAULTS: Final = dict.fromkeys(range(4), ("internal_failure", 2))  # S5
ALARMS: Final = kit.alarm_rows(  # S1, S2, S5, W1, W2; bit 7 of the first of each pair is a warning in both
    {
        0: {**{bit: (name, 2) for bit, name in FIRST.items()}, 7: ("high_voltage", 1)},
        1: {bit: (name, 2) for bit, name in SECOND.items()},
        2: FAULTS,
        3: {**{bit: (name, 1) for bit, name in FIRST.items()}, 7: ("high_voltage", 1)},
        4: {bit: (name, 1) for bit, name in SECOND.items()},
    }
)
SUPPORTED: Final = kit.alarm_names(ALARMS)
DISCHARGE_ON, CHARGE_ON = 2, 4  # bits of S3


def request(point: int, head: int = HEAD) -> bytes:
    """Read one data point."""
    body = bytes((head, 0, 1, READ, 0, point, 0, 0))
    return body + kit.crc16(body).to_bytes(2, "big") + bytes((END,))


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take replies off the front by length, end byte and CRC; the data may hold 7E and 0D."""
    while (start := buffer.find(HEAD)) >= 0:
        yield from kit.noise(buffer, start)
        if len(buffer) < OVERHEAD - 3:
            return
        size = int.from_bytes(buffer[6:8], "big") + OVERHEAD
        if size <= MOST and len(buffer) < size:
            return
        whole = bytes(buffer[:size])
        if size > MOST or whole[-1] != END or kit.crc16(whole[:-3]).to_bytes(2, "big") != whole[-3:-1]:
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[:size]
        status = FAILED if whole[3] == FAILED else 0
        yield kit.Frame(kind=int.from_bytes(whole[4:6], "big"), payload=whole[8:-3], status=status, raw=whole)
    yield from kit.noise(buffer, len(buffer))


def serial_place(data: bytes) -> Iterator[range]:
    """Where in a reply the serial number is: the third text of the product."""
    if data[4:6] == PRODUCT.to_bytes(2, "big"):
        yield range(8 + 2 * TEXT, 8 + 3 * TEXT)


def sealed(data: bytes) -> bytes:
    """The reply at the beginning of `data` with its right CRC; b"" where it is not whole."""
    body = data[: int.from_bytes(data[6:8], "big") + OVERHEAD - 3]
    whole = len(data) >= len(body) + 3 and len(body) >= 8
    return body + kit.crc16(body).to_bytes(2, "big") + bytes((END,)) if whole else b""


def read(point: int, known: kit.Values) -> kit.Talk:
    """One data point, with the head that was answered before, else with each; learns which."""
    for head in (known["_head"],) if "_head" in known else HEADS:
        try:
            frames = yield kit.Ask(
                request(point, head), split, lambda reply: reply.kind == point and not reply.status, timeout=3.0
            )
        except LinkTimeout:
            continue
        return {"_data": frames[0].payload, "_head": head}
    raise LinkTimeout(f"no answer to data point 0x{point:02X}")


def live(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Measured values.  Raises BadLength for a pack without cells."""
    found = yield from read(LIVE, known)
    data = found.pop("_data")
    values = MEASURED.read(data)
    if not values["cell_voltages"]:
        raise BadLength("data point 0x8C holds no cells")
    end = MEASURED.end(data)
    if MORE.end(data, end):
        values |= MORE.read(data, end)
    board, values["temperatures"] = values["_probes"][:BOARD_SENSORS], values["_probes"][BOARD_SENSORS:]
    if board:
        values["mosfet_temperature"] = max(board)
    return {**found, **values, "current": amps(values["_current"])}


def amps(raw: int) -> float:
    """A; below zero when it discharges."""
    size = round((raw & 0x3FFF) * (0.1 if raw & FINE else 1.0), 1)
    return -size + 0.0 if raw & DISCHARGING else size


def warnings(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Switches, balancing and alarms."""
    data = (yield from read(WARNINGS, known))["_data"]
    values = STATES.read(data)
    cells = len(values["_cell_states"])
    end = STATES.end(data)
    word = int.from_bytes(bytes(values[name] for name in ("_s1", "_s2", "_s5", "_w1", "_w2")), "little")
    found = {
        "charge_allowed": bool(values["_s3"] & CHARGE_ON),
        "discharge_allowed": bool(values["_s3"] & DISCHARGE_ON),
        "alarms": kit.alarm_bits(word, ALARMS, SUPPORTED),
    }
    balance = data[end : end + math.ceil(cells / 8)]
    if len(balance) == math.ceil(cells / 8):
        found["cell_balancing"] = kit.flags(int.from_bytes(balance, "little"), cells)
        found["balancing"] = any(balance)
    return found


def product(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Three texts; some firmware does not answer."""
    data = (yield from read(PRODUCT, known))["_data"]
    if len(data) != PRODUCT_SIZE:
        raise BadLength(f"product of {len(data)} bytes, {PRODUCT_SIZE} are needed")
    names = ("firmware_version", "manufacturer", "serial_number")
    return {name: kit.text(data[TEXT * n : TEXT * (n + 1)]) for n, name in enumerate(names)}


def proof(values: kit.Values) -> str:
    """3 to 32 cells whose sum is the voltage."""
    cells, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if not 3 <= len(cells) <= 32 or abs(sum(cells) - volts) > 0.03 * volts:
        raise WrongDevice(f"no XDZN: {len(cells)} cells of {sum(cells):.2f} V, {volts:.2f} V in all")
    return f"XDZN, WattCycle or TDT BMS with {len(cells)} cells"


DRIVER: Final = kit.Driver(
    name="xdzn_ble",
    title="XDZN / WattCycle / TDT, Bluetooth",
    transports=("ble",),
    ble=kit.BleLine(
        ways=(kit.Gatt("fff0", "fff1", "fff2"),), names=r"XDZN_|WT", makers=(0xD6C0,), settle=0.5,
        greeting=("fffa", b"HiLink"),
    ),
    plan=(
        kit.Poll(
            "live", live, essential=True,
            gives=(*MEASURED.names, *MORE.names, "current", "temperatures", "mosfet_temperature"),
        ),
        kit.Poll(
            "warnings", warnings, keep=0,
            gives=("charge_allowed", "discharge_allowed", "cell_balancing", "balancing", "alarms"),
        ),
        kit.Poll(
            "product", product, gives=("firmware_version", "manufacturer", "serial_number"), every=kit.ONCE
        ),
    ),
    secrets=tuple(kit.secrets.in_frames(bytes((head,)), serial_place, sealed) for head in HEADS),
    assemble=kit.alone(),
    detection=kit.Detection(polls=("live",), proof=proof, begins=1.5),
    unseen=("alarms", "manufacturer", "soh", "charging", "which of both board sensors is the power stage's"),
)  # fmt: skip
