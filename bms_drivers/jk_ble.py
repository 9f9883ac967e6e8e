"""JK (Jikong) BMS over Bluetooth LE: JK02 with 24 or 32 cell slots, and JK04 of old boards.

Sheet: jk_ble.md.  All integers little endian.  Current: + = charging.  Records of 300 bytes; once asked, the status
streams by itself.  Settings and identity have the layout of jk_pb, whose tables are used here.
The firmware's major number tells 24 slots (below 11) from 32; where no identity came, byte 287 of the record does.
"""

import math
import struct
from collections.abc import Iterator
from typing import Final

from bms_drivers import jk_pb, kit
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice

HEAD, REQUEST_HEAD = jk_pb.HEAD, b"\xaa\x55\x90\xeb"
RECORD, REQUEST = jk_pb.RECORD, 20  # bytes
SETTINGS, STATUS, ABOUT = jk_pb.SETTINGS, jk_pb.STATUS, jk_pb.ABOUT
KINDS: Final = (SETTINGS, STATUS, ABOUT, 5)  # record types; 5 = log book
READ_SETTINGS, READ_ABOUT = 0x96, 0x97  # the first starts the stream, too
READS: Final = {SETTINGS: READ_SETTINGS, STATUS: READ_SETTINGS, ABOUT: READ_ABOUT}
SWITCHES: Final = {"charge": 0x1D, "discharge": 0x1E, "balance": 0x1F}
BALANCE_JK04: Final = 0x6C
WIDE_FROM: Final = 11  # major number of the firmware from which on there are 32 slots
MARK: Final = 287  # byte that is 0 with 24 slots, above with 32; sheet section 8
STREAM: Final = 3.0  # s; a status comes each 0.5 to 1 s, of some firmware each few s
START: Final = 5.0  # s within which the stream begins once it was asked for

LATE: Final = 32  # bytes by which fields from 150 on come earlier in a record with 24 slots
NARROW: Final = kit.Table(  # status with 24 slots; sheet section 5
    "<",
    kit.Field("_present", 54, "u32"),
    kit.Field("mosfet_temperature", 134, "i16", 0.1, "°C"),
    kit.Field("_alarms", 136, "u16"),
    *(
        kit.Field(field.name, field.offset - LATE, field.type, field.scale, field.unit)
        for field in jk_pb.STATUS_TABLE.fields
        if 150 <= field.offset < 200 and field.name != "_alarms"
    ),
)
NARROW_ALARMS: Final = {bit: alarm for bit, alarm in jk_pb.ALARMS.items() if bit < 16}
NARROW_SUPPORTED: Final = kit.alarm_names(NARROW_ALARMS)
CELLS, JK04_SLOTS, JK04_BALANCER, JK04_SWITCH = 6, 24, 220, 114  # offsets, and how many cells; the last in settings
JK04_PRESENT: Final = 214  # offset of a bit for each cell that there is
JK04_HARDWARE, JK04_MODEL = "3.", "JK-B5A24S"


def request(command: int, data: bytes = b"") -> bytes:
    """A request of 20 bytes."""
    body = (REQUEST_HEAD + bytes((command, len(data))) + data).ljust(REQUEST - 1, b"\0")
    return body + bytes((kit.sum8(body),))


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take records off the front by header, type and sum; of a bad one only its header (sheet section 3).

    Noise are acknowledges (C8) and the AT CR LF of the Bluetooth module, sometimes a flood of it.
    """
    while (start := buffer.find(HEAD)) >= 0:
        yield from kit.noise(buffer, start)
        if len(buffer) < RECORD:
            return
        record = bytes(buffer[:RECORD])
        if record[4] not in KINDS or kit.sum8(record[:-1]) != record[-1]:
            yield kit.Dropped("checksum", record[: len(HEAD)])
            del buffer[: len(HEAD)]
            continue
        del buffer[:RECORD]
        yield kit.Frame(kind=record[4], payload=record, raw=record)
    yield from kit.noise(buffer, len(buffer) - kit.begun(buffer, HEAD))


def ask(kind: int, timeout: float = START, tries: int = 2) -> kit.Ask:
    """Ask for a record; the stream goes on meanwhile."""
    return kit.Ask(
        request=request(READS[kind]),
        split=split,
        answers=lambda reply: reply.kind == kind,
        timeout=timeout,
        tries=tries,
    )


def stream() -> kit.Ask:
    """Wait for the next status."""
    return kit.Ask(request=b"", split=split, answers=lambda reply: reply.kind == STATUS, timeout=STREAM)


# ---- what is asked


def about(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Identity, which decides the layout; asked first, three times at most (sheet section 5)."""
    return jk_pb.decode_about((yield ask(ABOUT, timeout=3.0, tries=3))[0].payload)


def status(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """The next status of the stream; where it does not run, it is started."""
    if known.get("_streams"):
        try:
            data = (yield stream())[-1].payload
        except LinkTimeout:
            data = (yield ask(STATUS, tries=1))[-1].payload
    else:
        data = (yield ask(STATUS))[-1].payload
    return {**decoded(data, layout(data, known)), "_streams": True}


def settings(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Switch states, limits, capacity."""
    data = (yield ask(SETTINGS, timeout=2.0, tries=5))[0].payload
    if layout(data, known) == "JK04":
        return {"balance_allowed": bool(data[JK04_SWITCH])}
    return jk_pb.decode_settings(data)


def layout(record: bytes, known: kit.Values) -> str:
    """JK04, 24S or 32S: by the identity, else by the record itself (sheet section 8)."""
    model, hardware = known.get("model") or "", known.get("hardware_version") or ""
    major = (known.get("firmware_version") or "").partition(".")[0]
    if hardware.startswith(JK04_HARDWARE) or model.startswith(JK04_MODEL):
        return "JK04"
    if major.isdecimal():
        return "32S" if int(major) >= WIDE_FROM else "24S"
    if record[4] != STATUS and "_layout" in known:
        return str(known["_layout"])
    first = struct.unpack_from("<f", record, CELLS)[0]
    if record[4] == STATUS and 1.0 <= first <= 5.0:
        return "JK04"
    return "32S" if record[MARK] else "24S"


# ---- decoding


def decoded(data: bytes, kind: str) -> kit.Values:
    """Values of a status record.  Raises BadLength when it holds no cell."""
    if kind == "JK04":
        return old_status(data)
    values = jk_pb.decode_status(data) if kind == "32S" else narrow_status(data)
    return {**values, "_layout": kind}


def narrow_status(data: bytes) -> kit.Values:
    """With 24 slots: no heater, and the alarm word has 16 bits."""
    values = NARROW.read(data)
    alarms = kit.alarm_bits(values["_alarms"], NARROW_ALARMS, NARROW_SUPPORTED)
    return {**jk_pb.common_status(values, data, slots=24), "alarms": alarms}


def old_status(data: bytes) -> kit.Values:
    """JK04: floats; no current, SoC, temperatures or switches.  Raises BadLength for cells that are no numbers."""
    present = struct.unpack_from("<I", data, JK04_PRESENT)[0]
    slots = struct.unpack_from(f"<{JK04_SLOTS}f", data, CELLS)
    cells = [cell for n, cell in enumerate(slots) if present >> n & 1]
    if not any(cells) or not all(math.isfinite(cell) and 0 <= cell < 10 for cell in cells):
        raise BadLength("a JK04 status without any sound cell")
    volts = tuple(round(cell, 4) for cell in cells)
    return {
        "cell_voltages": volts,
        "voltage": round(sum(volts), 3),
        "balancing": data[JK04_BALANCER] != 0,
        "_layout": "JK04",
    }


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """As jk_pb; with 24 slots there are two sensors, and no more."""
    if values.get("_layout") == "24S":
        values |= {"_t4": jk_pb.NO_SENSOR, "_t5": jk_pb.NO_SENSOR}
    return jk_pb.combined(values)


def proof(values: kit.Values) -> str:
    """A JK's model in its identity, and 3 to 32 cells (sheet section 8)."""
    model, count = values.get("model") or "", len(values.get("cell_voltages", ()))
    if not model.startswith("JK") or not 3 <= count <= 32:
        raise WrongDevice(f"a JK has a model JK... and 3..32 cells, this one {model!r} and {count}")
    return f"JK {model} with {count} cells ({values['_layout']})"


# ---- switches


def switch(action: str) -> kit.Control:
    """A switch; the settings record that follows tells whether it was taken (sheet section 7)."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        old = known.get("_layout") == "JK04"
        if old and action != "balance":
            raise DeviceRefused(f"a JK04 board has no {action} switch that can be set")
        register = BALANCE_JK04 if old else SWITCHES[action]
        written = request(register, int(bool(value)).to_bytes(4, "little"))
        yield kit.Ask(written, split, lambda reply: reply.kind == STATUS, timeout=START)
        data = (yield ask(SETTINGS, timeout=2.0, tries=3))[0].payload
        state = data[JK04_SWITCH] if old else data[118 + 4 * tuple(SWITCHES).index(action)]
        if bool(state) != bool(value):
            raise DeviceRefused(f"{action}: the board kept its setting")
        return {"balance_allowed": bool(value)} if action == "balance" else {}

    return kit.Control(talk, kit.shown_by(f"{action}_allowed"), "the board may itself keep a switch open")


DRIVER: Final = kit.Driver(
    name="jk_ble",
    title="JK (Jikong) BMS and inverter BMS, Bluetooth: JK02 with 24 or 32 slots, JK04",
    transports=("ble",),
    ble=kit.BleLine(ways=(kit.Gatt("ffe0", "ffe1", "ffe1"),), names=r"JK[-_]", makers=(0x0B65, 0x4B4A), quiet=0.2),
    plan=(
        kit.Poll("about", about, gives=(*jk_pb.TEXTS, "production_date"), every=3600.0, keep=1_000_000),
        kit.Poll(
            "status", status, essential=True,
            gives=jk_pb.names(
                jk_pb.STATUS_TABLE, "cell_voltages", "temperatures", "balancing", "heating", "charge_allowed",
                "discharge_allowed", "alarms",
            ),
        ),
        kit.Poll(
            "settings", settings, every=180.0, keep=1_000_000,
            gives=jk_pb.names(jk_pb.SETTINGS_TABLE, "balance_allowed", "max_battery_voltage"),
        ),
    ),
    secrets=(kit.secrets.in_frames(HEAD, jk_pb.secret_places, jk_pb.summed),),
    assemble=kit.alone(finish),
    detection=kit.Detection(rank=10, polls=("about", "status"), proof=proof, begins=3.0),
    controls={action: switch(action) for action in SWITCHES},
    limits_from_bms=True,  # the settings record holds "max" currents, as in jk_pb
    unseen=(
        "alarms", "custom_name", "max_battery_voltage", "set balance", "set charge", "set discharge",
        "firmware 19.05 and later waiting for its C8 message",
    ),
)  # fmt: skip
