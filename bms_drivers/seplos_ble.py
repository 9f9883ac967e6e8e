"""Seplos BMS 2.x over Bluetooth LE: binary frames 7E .. 0D; the values are those of seplos, in another order.

Sheet: seplos_ble.md.  Big endian.  Current: + = charging, in 0.01 A.  Only the pack's own view (0x61) is read, never
the set's (0x62), whose units differ.  BMS 3.0 speaks Modbus: see seplos_v3_ble.  The display board leaks foreign bytes
into the notifications: by CRC or not at all.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers import kit, seplos
from gateway.model import DeviceRefused, WrongDevice

HEAD: Final = b"\x7e\x14"  # replies; requests have version 10
CID: Final = 0x46
PACK_COMMAND, MAKER_COMMAND = 0x61, 0x51
OVERHEAD, MOST = 10, 400  # bytes beside the data; of data that no reply exceeds
CODES: Final = kit.Walk(  # behind the measured values and the codes of cells and sensors; sheet section 5
    ">",
    kit.Next("_current_code", "u8"),
    kit.Next("_voltage_code", "u8"),
    kit.Next("_system", "u8"),
    kit.Next("_switches", "u8"),
    kit.Next("_events", "u8", counted=True),
)
EVENTS: Final = 8
BALANCE_SIZE: Final = 2  # bytes
PLACES: Final = (0, 1, 2, 3, 4, 5, 12, 13)  # of the events in seplos' table


def request(command: int, data: bytes) -> bytes:
    """A request to pack 0, which is the one that is connected."""
    body = bytes((0x10, 0, CID, command)) + len(data).to_bytes(2, "big") + data
    return b"\x7e" + body + kit.crc16_xmodem(body).to_bytes(2, "big") + b"\x0d"


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take replies off the front by length and CRC; the data may hold 7E and 0D (sheet section 3)."""
    while (start := buffer.find(HEAD)) >= 0:
        yield from kit.noise(buffer, start)
        if len(buffer) < 7:
            return
        size = int.from_bytes(buffer[5:7], "big") + OVERHEAD
        if size <= MOST and len(buffer) < size:
            return
        whole = bytes(buffer[:size])
        if size > MOST or whole[-1] != 0x0D or kit.crc16_xmodem(whole[1:-3]).to_bytes(2, "big") != whole[-3:-1]:
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[:size]
        yield kit.Frame(kind=whole[3], payload=whole[7:-3], address=whole[2], status=whole[4], raw=whole)
    yield from kit.noise(buffer, len(buffer) - kit.begun(buffer, HEAD))


def ask(command: int, data: bytes = b"") -> kit.Ask:
    """One question; replies may come seconds late and name their function."""
    return kit.Ask(request(command, data), split, lambda reply: reply.kind == command, timeout=3.0, tries=2)


def data_of(frames: Sequence[kit.Frame]) -> bytes:
    """The data of the reply.  Raises DeviceRefused."""
    if code := frames[0].status:
        raise DeviceRefused(f"function 0x{frames[0].kind:02X}: return code 0x{code:02X}")
    return frames[0].payload


def pack(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply 0x61: measured values, then codes, switches and events."""
    data = data_of(frames)
    values = seplos.measured(data)
    at = seplos.CONDITION.end(data, seplos.TELEMETRY.end(data)) + 2  # behind it, the voltage at the port
    cells, sensors = len(values["cell_voltages"]), len(values["_sensors"])
    at += cells + sensors
    codes = CODES.read(data, at)
    end = CODES.end(data, at)
    if len(codes["_events"]) != EVENTS or len(data) < end + BALANCE_SIZE:
        raise WrongDevice(f"0x61: {len(codes['_events'])} event bytes, a Seplos has {EVENTS}")
    block = bytearray(seplos.STATE_SIZE)
    for place, byte in zip(PLACES, codes["_events"], strict=True):
        block[place] = byte
    block[seplos.SWITCHES] = codes["_switches"]
    block[seplos.BALANCE : seplos.BALANCE + BALANCE_SIZE] = data[end : end + BALANCE_SIZE]
    wires = data[end + BALANCE_SIZE : end + 2 * BALANCE_SIZE]
    block[seplos.OPEN_WIRES : seplos.OPEN_WIRES + len(wires)] = wires
    return {**values, **seplos.states(bytes(block), cells)}


def maker(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply 0x51: CAN profile, model, version."""
    data = data_of(frames)
    if len(data) < 32:
        raise WrongDevice(f"0x51: {len(data)} bytes, a Seplos sends 36")
    return {"model": kit.text(data[20:30]), "firmware_version": f"{data[30]}.{data[31]}"}


DRIVER: Final = kit.Driver(
    name="seplos_ble",
    title="Seplos BMS 2.x, Bluetooth",
    transports=("ble",),
    ble=kit.BleLine(ways=(kit.Gatt("ff00", "ff01", "ff02"),), names=r"BP\d\d"),
    plan=(
        kit.Poll(
            "pack", kit.simple(ask(PACK_COMMAND, b"\0"), pack), essential=True,
            gives=(
                *seplos.TELEMETRY.names, *seplos.CONDITION.names, "temperatures", "ambient_temperature",
                "mosfet_temperature", *seplos.STATE_NAMES,
            ),
        ),
        kit.Poll(
            "maker", kit.simple(ask(MAKER_COMMAND), maker), gives=("model", "firmware_version"), every=kit.ONCE
        ),
    ),
    assemble=kit.alone(manufacturer="Seplos"),
    detection=kit.Detection(polls=("pack", "maker"), proof=seplos.proof, begins=1.5),
    unseen=("alarms", "the order of the balancing bytes", "discharging"),
)  # fmt: skip
