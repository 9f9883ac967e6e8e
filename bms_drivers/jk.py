"""JK (Jikong) BMS over UART, the "4E 57" monitoring-platform protocol (UART1 protocol 000).

Sheet: jk.md.  All integers big endian.  Current: by protocol version, see `current`.  Point to point: no addresses.
One question answers everything, as a list of tags, each of fixed width.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, Implausible, LinkTimeout, WrongDevice

HEAD: Final = b"\x4e\x57"
LEAST, MOST = 18, 600  # of the length field; sheet section 3, "Receiving"
ACTIVATE, WRITE, READ_ALL = 0x01, 0x02, 0x06
COMMANDS: Final = (0x01, 0x02, 0x03, 0x05, 0x06)  # byte 8
REPLY: Final = 1  # byte 10: 0 request, 1 reply, 2 upload that nobody asked for
UPLOAD: Final = 2
HEADER: Final = 11  # bytes before the list
CHARGE, DISCHARGE, BALANCE = 0xAB, 0xAC, 0x9D
CELLS: Final = 0x79

WIDTHS: Final[Mapping[int, int]] = {  # tags that are not two bytes wide; sheet section 5
    0x85: 1, 0x86: 1, 0x89: 4, 0x9D: 1, 0xA9: 1, 0xAA: 4, 0xAB: 1, 0xAC: 1, 0xAE: 1, 0xAF: 1, 0xB1: 1, 0xB2: 10,
    0xB3: 1, 0xB4: 8, 0xB5: 4, 0xB6: 4, 0xB7: 15, 0xB8: 1, 0xB9: 4, 0xBA: 24, 0xC0: 1,
}  # fmt: skip
TWO_BYTES: Final = frozenset(range(0x80, 0xB1)) - frozenset((0x88, 0x8D)) - frozenset(WIDTHS)
LAST_TAG: Final = 0xC0

NUMBERS: Final = {  # tag: (name, scale); unsigned; sheet section 5
    0x83: ("voltage", 0.01),
    0x85: ("soc", 1),
    0x87: ("charge_cycles", 1),
    0x90: ("cell_overvoltage_protection", 0.001),
    0x93: ("cell_undervoltage_protection", 0.001),
    0x97: ("max_discharge_current", 1),
    0x99: ("max_charge_current", 1),
    0xAA: ("capacity", 1),
}

WARNINGS: Final = {  # sheet section 6; bits 14, 15 reserved
    0: ("low_soc", 1),
    1: ("high_internal_temperature", 2),
    2: ("high_voltage", 2),
    3: ("low_voltage", 2),
    4: ("high_temperature", 2),
    5: ("high_charge_current", 2),
    6: ("high_discharge_current", 2),
    7: ("cell_imbalance", 2),
    8: ("high_temperature", 2),
    9: ("low_charge_temperature", 2),
    10: ("high_cell_voltage", 2),
    11: ("low_cell_voltage", 2),
    12: ("internal_failure", 2),
    13: ("internal_failure", 2),
}
SUPPORTED: Final = kit.alarm_names(WARNINGS, "high_charge_temperature", "low_temperature")
SECRET_TAGS: Final = (0xB2, 0xB4, 0xBA)  # password, name, serial number; sheet section 5
FILLER_SERIAL: Final = "BT3072020120000200521001"  # the same on different boards; sheet section 5, tag BA


def frame(command: int, register: int | None = 0, data: bytes = b"", kind: int = 0) -> bytes:
    """A request from source 3 (PC); `register` None for the command that names none."""
    info = b"" if register is None else bytes((register,)) + data
    body = b"\0\0\0\0" + bytes((command, 3, kind)) + info + b"\0\0\0\0" + b"\x68" + b"\0\0"
    whole = HEAD + (len(body) + 4).to_bytes(2, "big") + body
    return whole + kit.sum16(whole).to_bytes(2, "big")


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take whole frames off the front of `buffer`: length, end mark 68 and sum must fit (sheet section 3)."""
    while (start := buffer.find(HEAD)) >= 0:
        if start:
            yield kit.Dropped("noise", bytes(buffer[:start]))
            del buffer[:start]
        if len(buffer) < HEADER:
            return
        length = number(buffer[2:4])
        if not LEAST <= length <= MOST or buffer[8] not in COMMANDS or buffer[10] > UPLOAD:
            yield kit.Dropped("length", bytes(buffer[:2]))  # 4E 57 inside noise; its length would keep us waiting
            del buffer[:2]
            continue
        if len(buffer) < length + 2:
            return
        whole = bytes(buffer[: length + 2])
        if whole[length - 3] != 0x68 or number(whole[length:]) != kit.sum16(whole[:length]):
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[: length + 2]
        yield kit.Frame(kind=whole[8], status=whole[10], payload=whole[HEADER : length - 7], raw=whole)
    keep = 1 if buffer[-1:] == HEAD[:1] else 0  # its second byte may still come
    if len(buffer) > keep:
        yield kit.Dropped("noise", bytes(buffer[: len(buffer) - keep]))
        del buffer[: len(buffer) - keep]


READ: Final = kit.Ask(
    request=frame(READ_ALL),
    split=split,
    answers=lambda reply: reply.status == REPLY and reply.payload[:1] == bytes((CELLS,)),
    timeout=1.0,
    tries=2,
)
WAKE: Final = kit.Ask(
    request=frame(ACTIVATE, None),
    split=split,
    answers=lambda reply: reply.status == REPLY and reply.kind == ACTIVATE,
    timeout=1.0,
)
WAKE_AFTER: Final = 3  # failed polls; sheet section 2
DOUBTS: Final = 2  # readings in a row that may be refused as nonsense before they are believed


def status(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Read all; a board that left three polls unanswered may sleep, and is activated first (sheet section 2)."""
    silent = known.get("_silent", 0)
    known["_silent"] = silent + 1  # until it answers
    if silent == WAKE_AFTER:
        with suppress(LinkTimeout):
            yield WAKE
    frames = yield READ
    known["_silent"] = 0
    return decode(frames[0].payload, known)


def tags(info: bytes) -> tuple[dict[int, bytes], bool]:
    """The reply's list, tag -> its bytes, and whether it was understood to its end.

    An unknown tag ends the walk, because nobody knows its width; what was read before is kept (sheet section 5).
    """
    found: dict[int, bytes] = {}
    end = 0
    for tag, place in places(info):
        if place.stop > len(info):
            return found, False
        found[tag] = info[place.start : place.stop]
        end = place.stop
    return found, end >= len(info) or LAST_TAG in found


def places(info: bytes) -> Iterator[tuple[int, range]]:
    """Where the bytes of each tag are, as far as the list is understood; those of the last may be torn."""
    at = 0
    while at < len(info):
        tag = info[at]
        if tag == CELLS:
            width = 1 + info[at + 1] if at + 1 < len(info) else 1
        elif tag in TWO_BYTES:
            width = 2
        elif tag in WIDTHS:
            width = WIDTHS[tag]
        else:
            return
        yield tag, range(at + 1, at + 1 + width)
        if tag == LAST_TAG:
            return
        at += 1 + width


def secret_places(data: bytes) -> Iterator[range]:
    """Where in a frame the password, the name and the serial number are."""
    for tag, place in places(data[HEADER:]):
        if tag in SECRET_TAGS:
            yield range(HEADER + place.start, HEADER + place.stop)


def summed(data: bytes) -> bytes:
    """The frame at the beginning of `data` with its right sum; b"" where it is not whole."""
    size = number(data[2:4]) + 2
    body = data[: size - 2]
    return body + kit.sum16(body).to_bytes(2, "big") if HEADER < size <= len(data) else b""


def number(raw: bytes | bytearray) -> int:
    """Unsigned, big endian."""
    return int.from_bytes(raw, "big")


def temperature(raw: bytes) -> float:
    """°C: up to 100 as it is, above it 100 - raw (sheet section 5, "Temperature")."""
    value = number(raw)
    return float(value if value <= 100 else 100 - value)


def current(raw: bytes, version: int | None) -> float | None:
    """A, + = charging, by the protocol version (sheet section 5, "Current"); None for a version that is not known.

    Version 1: bit 15 = charging.  Version 0: offset 10000, above it discharging.
    """
    value = number(raw)
    if version == 1:
        return round((value & 0x7FFF) * (0.01 if value & 0x8000 else -0.01), 2) + 0.0  # no -0.0
    return round((10000 - value) * 0.01, 2) if version == 0 else None


def protocol_version(found: Mapping[int, bytes], whole: bool) -> int | None:
    """Tag C0; boards of 2020 lack it, which counts as 0 only where the list was understood to its end."""
    if LAST_TAG in found:
        return number(found[LAST_TAG])
    return 0 if whole else None


def cell_voltages(raw: bytes) -> tuple[float | None, ...]:
    """Triplets of cell number (from 1) and mV.  Raises BadLength."""
    triplets = raw[1:]
    count = len(triplets) // 3
    if not count or len(triplets) % 3 or count > 32:
        raise BadLength(f"cell list of {len(triplets)} bytes, expected 3 for each of 1..32 cells")
    cells: list[float | None] = [None] * count
    for at in range(0, len(triplets), 3):
        place = triplets[at] - 1
        if 0 <= place < count:
            cells[place] = number(triplets[at + 1 : at + 3]) / 1000
    return tuple(cells)


def decode(info: bytes, known: kit.Values) -> kit.Values:
    """The whole reading.  Raises BadLength when the list has no cells, Implausible for a single faulty one."""
    found, whole = tags(info)
    values: kit.Values = {"cell_voltages": cell_voltages(found.get(CELLS, b"\0"))}
    for tag, (name, scale) in NUMBERS.items():
        if tag in found:
            values[name] = number(found[tag]) if scale == 1 else round(number(found[tag]) * scale, 3)
    if 0x84 in found:
        values["current"] = current(found[0x84], protocol_version(found, whole))
    if 0x80 in found:
        values["mosfet_temperature"] = temperature(found[0x80])
    sensors = number(found.get(0x86, b"\2"))
    values["temperatures"] = tuple(temperature(found[tag]) for tag in (0x81, 0x82)[:sensors] if tag in found)
    if 0x8C in found:
        state = number(found[0x8C])
        values |= {
            "charge_allowed": bool(state & 1),
            "discharge_allowed": bool(state & 2),
            "balancing": bool(state & 4),
        }
    if 0x9D in found:
        values["balance_allowed"] = bool(number(found[0x9D]))
    if 0x8B in found:
        values["alarms"] = alarms(number(found[0x8B]), values)
    believe(values, found, known)
    return values | identity(found)


def believe(values: kit.Values, found: Mapping[int, bytes], known: kit.Values) -> None:
    """Refuse a nonsense reading that follows a good one, at most twice in a row: single ones happen (sheet section 9).

    Refusing it whole lets the last good reading age, which holding back one field would hide.  Raises Implausible.
    """
    doubts = known.get("_doubts", 0)
    values["_doubts"] = known["_doubts"] = 0
    if doubts >= DOUBTS or "cell_voltages" not in known:
        return
    known["_doubts"] = doubts + 1
    if 0.0 in values["cell_voltages"]:
        raise Implausible("cell_voltages", "0 V in a single reading", "0.5..5 V")
    switches = found.get(0xAB, b"\0") + found.get(0xAC, b"\0")
    if found.get(0x8C) == b"\0\0" and found.get(0x8B) == b"\0\0" and any(switches):
        raise Implausible("state word", "0 (all off, but no warning and a switch is on)", "a reason to be off")
    known["_doubts"] = 0


def alarms(word: int, values: kit.Values) -> dict[str, int]:
    """Levels by the warning word, and what its bits mean in the present state (sheet section 6)."""
    levels = kit.alarm_bits(word, WARNINGS, SUPPORTED)
    if word >> 4 & 1 and (values.get("current") or 0.0) > 0:
        levels["high_charge_temperature"] = 2
    if word >> 9 & 1 and values.get("discharge_allowed") is False:
        levels["low_temperature"] = 2
    return levels


def identity(found: Mapping[int, bytes]) -> kit.Values:
    """Texts, decoded leniently: never a reason to fail a reading (sheet section 9)."""
    values: kit.Values = {}
    name = kit.text(found.get(0xB4, b""))
    if name and not name.startswith("Input Us"):
        values["custom_name"] = name
    if version := kit.text(found.get(0xB7, b"")):
        values["firmware_version"] = version.rstrip("_") or None
    made = kit.text(found.get(0xB5, b"")) or ""
    if len(made) == 4 and made.isdigit():
        values["production_date"] = kit.date(2000 + int(made[:2]), int(made[2:]), 1)
    owner = found.get(0xBA, b"")
    second = kit.text(owner[12:24])
    if second and kit.text(owner) != FILLER_SERIAL:
        values["model" if second.startswith("JK") else "serial_number"] = second
    return values


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """What is not reported: remaining capacity is capacity x SoC.  A capacity setting of 0 is none."""
    capacity, soc = values.get("capacity") or None, values.get("soc")
    values["capacity"] = capacity
    if capacity is not None and soc is not None:
        values["remaining_capacity"] = round(capacity * soc / 100, 3)
    return {"manufacturer": "JK", **values}


def proof(values: kit.Values) -> str:
    """Header, length, sum and a cell list are unique among our protocols (sheet section 8)."""
    if not values.get("cell_voltages"):
        raise WrongDevice("a JK answers with a cell list")
    return f"JK {values.get('firmware_version') or ''} with {len(values['cell_voltages'])} cells".replace("  ", " ")


def write(register: int, name: str) -> kit.Control:
    """A switch (sheet section 7); acknowledged by command 02 with the register, confirmed by the next reading."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        reply = yield kit.Ask(
            request=frame(WRITE, register, bytes((1 if value else 0,)), kind=2),
            split=split,
            answers=lambda reply: reply.kind == WRITE and reply.status == REPLY,
            timeout=1.0,
        )
        if reply[0].payload[:1] != bytes((register,)):
            raise DeviceRefused(f"register 0x{register:02X}: the reply names 0x{reply[0].payload[:1].hex()}")
        return {}

    return kit.Control(
        talk, kit.shown_by(name), "some firmware wants a password first; firmware 11 does not take the balance switch"
    )


DRIVER: Final = kit.Driver(
    name="jk",
    title="JK (Jikong) BMS, 4E 57 protocol",
    line=kit.SerialLine(baud=115200, quiet=0.1, turnaround=0.06),
    plan=(
        kit.Poll(
            "status",
            status,
            gives=(
                "cell_voltages", *(name for name, _ in NUMBERS.values()), "current", "mosfet_temperature",
                "temperatures", "charge_allowed", "discharge_allowed", "balancing", "balance_allowed", "alarms",
                "remaining_capacity", "custom_name", "firmware_version", "production_date", "model", "serial_number",
            ),
            essential=True,
            keep=WAKE_AFTER,
        ),
    ),
    secrets=(kit.secrets.in_frames(HEAD, secret_places, summed),),
    assemble=kit.alone(finish),
    detection=kit.Detection(rank=10, polls=("status",), proof=proof),
    controls={
        "charge": write(CHARGE, "charge_allowed"),
        "discharge": write(DISCHARGE, "discharge_allowed"),
        "balance": write(BALANCE, "balance_allowed"),
    },
    limits_from_bms=True,  # 97 and 99 are listed as limits, unlike 8E and 8F (sheet sections 1 and 5)
    unseen=("serial_number", "set balance", "set charge", "set discharge"),
)  # fmt: skip
