"""ANT smart BMS over UART (or Bluetooth), both generations: 7E A1 .. AA 55 since 2021, AA 55 AA FF (140 bytes) before.

Sheet: ant.md.  The new protocol is little endian, the old one big endian.  Neither has addresses: one BMS a port.
Current: positive is DISCHARGE in both, although some readers do not turn it (captures decide; sheet section 9).
The switches' states stand in opposite order: new discharge, charge; old charge, discharge (likewise section 9).
Capacity: old boards that send 0 have none here; how they answer the capacity registers of section 4 is not known.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice

NEW_HEAD, OLD_HEAD, END = b"\x7e\xa1", b"\xaa\x55\xaa\xff", b"\xaa\x55"
HEAD_SIZE, OLD_SIZE = 6, 140  # bytes
TAG, TRAILER = b"\xff", 8  # some replies end with 8 bytes of their own that begin with FF; sheet section 3, "Trap"
STATUS, INFO, COMMAND = 0x01, 0x02, 0x51  # functions of the new protocol
REPLY: Final = {STATUS: 0x11, INFO: 0x12, COMMAND: 0x61}
MOST_CELLS, MOST_PROBES = 32, 8
NOT_FITTED: Final = -40  # °C
REST_OF_STATUS: Final = 106  # bytes of data beside cells and probes

NEW_FRONT: Final = kit.Table("<", kit.Field("_probes", 8, "u8"), kit.Field("cell_count", 9, "u8"))
NEW: Final = kit.Table(  # offsets as in the sheet, section 5, without its "+o"
    "<",
    kit.Field("_mosfet", 34, "i16", 1, "°C"),
    kit.Field("voltage", 38, "u16", 0.01, "V"),
    kit.Field("current", 40, "i16", -0.1, "A"),
    kit.Field("soc", 42, "u16", 1, "%"),
    kit.Field("soh", 44, "u16", 1, "%"),
    kit.Field("_discharge", 46, "u8"),
    kit.Field("_charge", 47, "u8"),
    kit.Field("_balancer", 48, "u8"),
    kit.Field("capacity", 50, "u32", 1e-6, "Ah"),
    kit.Field("remaining_capacity", 54, "u32", 1e-6, "Ah"),
    kit.Field("_throughput", 58, "u32", 0.001, "Ah"),
    kit.Field("_balance", 70, "u32"),
)
OLD: Final = kit.Table(  # sheet section 5, old status
    ">",
    kit.Field("voltage", 4, "u16", 0.1, "V"),
    kit.Field("current", 70, "i32", -0.1, "A"),
    kit.Field("soc", 74, "u8", 1, "%"),
    kit.Field("capacity", 75, "u32", 1e-6, "Ah"),
    kit.Field("remaining_capacity", 79, "u32", 1e-6, "Ah"),
    kit.Field("_throughput", 83, "u32", 0.001, "Ah"),
    kit.Field("_mosfet", 91, "i16", 1, "°C"),
    kit.Field("_charge", 103, "u8"),
    kit.Field("_discharge", 104, "u8"),
    kit.Field("_balancer", 105, "u8"),
    kit.Field("cell_count", 123, "u8"),
    kit.Field("_balance", 132, "u32"),
)

Codes = Mapping[int, str]
OLD_CHARGE: Final[Codes] = {  # code of the charge switch -> alarm, all level 2; sheet section 6
    2: "high_cell_voltage",
    3: "high_charge_current",
    5: "high_voltage",
    6: "high_charge_temperature",
    7: "high_internal_temperature",
    8: "internal_failure",
    9: "bms_cable",
    10: "high_internal_temperature",
    13: "internal_failure",
}
OLD_DISCHARGE: Final[Codes] = {
    2: "low_cell_voltage",
    3: "high_discharge_current",
    5: "low_voltage",
    6: "high_temperature",
    7: "high_internal_temperature",
    8: "internal_failure",
    9: "bms_cable",
    10: "high_internal_temperature",
    12: "short_circuit",
    13: "internal_failure",
    14: "internal_failure",
}
NEW_CHARGE: Final[Codes] = {
    **OLD_CHARGE,
    12: "internal_failure",
    16: "high_cell_voltage",
    17: "low_charge_temperature",
    18: "cell_imbalance",
    20: "internal_failure",
}
NEW_DISCHARGE: Final[Codes] = {
    **OLD_DISCHARGE,
    4: "high_discharge_current",
    16: "low_cell_voltage",
    17: "low_temperature",
    18: "cell_imbalance",
    19: "internal_failure",
}
CONDUCTS: Final = 1  # code of a switch
BALANCES: Final = (1, 2, 4)  # codes of the balancer
TOO_HOT: Final = (3, 10)  # codes of the balancer: high_internal_temperature, level 1
SUPPORTED: Final = {
    "old": tuple(dict.fromkeys([*OLD_CHARGE.values(), *OLD_DISCHARGE.values()])),
    "new": tuple(dict.fromkeys([*NEW_CHARGE.values(), *NEW_DISCHARGE.values()])),
}

SWITCHES: Final = {  # command addresses (off, on); sheet section 7
    "charge": (0x0004, 0x0006),
    "discharge": (0x0001, 0x0003),
    "balance": (0x000E, 0x000D),
}


# ---- frames


def request(function: int, address: int, length: int) -> bytes:
    """A request of the new protocol: read `length` bytes, or a command, whose length is 0."""
    body = b"\xa1" + bytes((function,)) + address.to_bytes(2, "little") + bytes((length,))
    return b"\x7e" + body + kit.crc16(body).to_bytes(2, "little") + END


def split_new(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take frames 7E A1 .. AA 55 off the front by length and CRC (sheet section 3); payload = from 7E to the data's
    end, so that offsets are the sheet's."""
    while (start := buffer.find(NEW_HEAD)) >= 0:
        yield from skip(buffer, start)
        if len(buffer) < HEAD_SIZE or len(buffer) < (size := HEAD_SIZE + buffer[5]) + 2:
            return
        whole = bytes(buffer[: size + 2])
        if kit.crc16(whole[1:size]).to_bytes(2, "little") != whole[size:]:
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        if (end := ending(buffer, size + 2)) is None:
            return
        yield kit.Frame(kind=whole[2], payload=whole[:size], raw=bytes(buffer[:end]))
        del buffer[:end]
    yield from skip(buffer, len(buffer) - buffer.endswith(NEW_HEAD[:1]))


def ending(buffer: bytearray, after_crc: int) -> int | None:
    """Where a frame ends whose CRC ends at `after_crc`: behind AA 55 or the longer trailer; None = more must come."""
    rest = bytes(buffer[after_crc : after_crc + TRAILER])
    if len(rest) < len(END) or (rest[:1] == TAG and len(rest) < TRAILER):
        return None
    if rest[:2] == END:
        return after_crc + 2
    return after_crc + (TRAILER if rest[:1] == TAG and rest.endswith(END) else 0)


def split_old(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take 140-byte frames off the front by header and sum (sheet section 3); payload = the whole frame."""
    while (start := buffer.find(OLD_HEAD)) >= 0:
        yield from skip(buffer, start)
        if len(buffer) < OLD_SIZE:
            return
        whole = bytes(buffer[:OLD_SIZE])
        if kit.sum16(whole[4:-2]).to_bytes(2, "big") != whole[-2:]:
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[:OLD_SIZE]
        yield kit.Frame(kind=0, payload=whole, raw=whole)
    keep = next((n for n in (3, 2, 1) if buffer.endswith(OLD_HEAD[:n])), 0)
    yield from skip(buffer, len(buffer) - keep)


def skip(buffer: bytearray, size: int) -> Iterator[kit.Dropped]:
    """Take `size` bytes off the front as noise."""
    if size:
        yield kit.Dropped("noise", bytes(buffer[:size]))
        del buffer[:size]


# ---- questions


@functools.cache
def new(function: int, address: int, length: int, tries: int = 2) -> kit.Ask:
    """A question of the new protocol; its answer repeats the address."""
    asked = request(function, address, length)
    return kit.Ask(
        request=asked,
        split=split_new,
        answers=lambda reply: reply.kind == REPLY[function] and reply.payload[3:5] == asked[3:5],
        timeout=0.5,
        tries=tries,
    )


@functools.cache
def old(read: bytes, tries: int = 2) -> kit.Ask:
    """The old protocol's status; boards answer only one of the ways to ask for it."""
    return kit.Ask(request=read, split=split_old, size=OLD_SIZE, timeout=0.5, tries=tries)


WAYS: Final = (  # to ask for the status, in the order to try them; sheet section 4
    functools.partial(new, STATUS, 0x0000, 0xBE),
    functools.partial(old, b"\xdb\xdb\0\0\0\0"),
    functools.partial(old, b"\x5a\x5a\0\0\1\1"),
    functools.partial(old, b"\x5a\x5a\0\0\0\0"),
)


def status(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """The status, in the way the board answered before, else in each way in turn."""
    way: int | None = known.get("_way")
    for number in range(len(WAYS)) if way is None else (way,):
        try:
            replies = yield WAYS[number](tries=1 if way is None else 2)
        except LinkTimeout:
            continue
        return {**decoded(replies[0].payload, setup), "_way": number}
    raise LinkTimeout("no ANT status, in none of the ways it can be asked for")


def decoded(frame: bytes, setup: kit.Setup) -> kit.Values:
    """Values of a status frame of either generation."""
    values = new_status(frame) if frame.startswith(NEW_HEAD) else old_status(frame)
    charge, discharge, balancer = values["_charge"], values["_discharge"], values["_balancer"]
    probes: tuple[int, ...] = values["_temperatures"][: setup["probes"]]
    return {
        **values,
        "capacity": values["capacity"] or None,
        "charge_cycles": int(values["_throughput"] / values["capacity"]) if values["capacity"] else None,
        "mosfet_temperature": None if values["_mosfet"] == NOT_FITTED else float(values["_mosfet"]),
        "temperatures": tuple(float(value) for value in probes if value != NOT_FITTED),
        "charge_allowed": charge == CONDUCTS,
        "discharge_allowed": discharge == CONDUCTS,
        "balancing": balancer in BALANCES,
        "cell_balancing": kit.flags(values["_balance"], values["cell_count"]),
        "alarms": alarms(values["_generation"], charge, discharge, balancer),
    }


def new_status(frame: bytes) -> kit.Values:
    """Cells and probes come first, so that all the rest moves; the frame's length tells how many probes there are,
    since the byte that counts them is not reliable (sheet section 5)."""
    front = NEW_FRONT.read(frame)
    cells = front["cell_count"]
    probes, odd = divmod(len(frame) - HEAD_SIZE - REST_OF_STATUS - 2 * cells, 2)
    if odd or not 1 <= cells <= MOST_CELLS or not 0 <= probes <= MOST_PROBES:
        raise BadLength(f"a status of {len(frame)} bytes cannot hold {cells} cells")
    return {
        **front,
        **NEW.read(frame[2 * (cells + probes) :]),
        "_generation": "new",
        "cell_voltages": kit.divided(kit.words(frame, 34, cells, "<"), 1000),
        "_temperatures": kit.signed_words(frame, 34 + 2 * cells, probes, "<"),
    }


def old_status(frame: bytes) -> kit.Values:
    """All at fixed places; the index bytes of highest and lowest cell are wrong on some boards, so not read."""
    values = OLD.read(frame)
    cells = values["cell_count"]
    if not 1 <= cells <= MOST_CELLS:
        raise WrongDevice(f"an ANT has 1..{MOST_CELLS} cells, this frame says {cells}")
    return {
        **values,
        "_generation": "old",
        "cell_voltages": kit.divided(kit.words(frame, 6, cells), 1000),
        "_temperatures": kit.signed_words(frame, 95, 4),
    }


def alarms(generation: str, charge: int, discharge: int, balancer: int) -> dict[str, int]:
    """The state codes of both switches and the balancer are the whole alarm source (sheet section 6)."""
    levels = dict.fromkeys(SUPPORTED[generation], 0)
    if balancer in TOO_HOT:
        levels["high_internal_temperature"] = 1
    is_new = generation == "new"
    for code, meanings in (
        (charge, NEW_CHARGE if is_new else OLD_CHARGE),
        (discharge, NEW_DISCHARGE if is_new else OLD_DISCHARGE),
    ):
        if code in meanings:
            levels[meanings[code]] = 2
    return levels


def about(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Identity; only the new protocol has it, and not every board answers."""
    if known.get("_generation") == "old":
        return {}
    data = (yield new(INFO, 0x026C, 32))[0].payload
    return {"model": kit.text(data[6:22]), "firmware_version": kit.text(data[22:38])}


def protection(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """First-level cell protections: registers 00 and 0C of the settings block (sheet section 5, one source)."""
    if known.get("_generation") == "old":
        return {}
    data = (yield new(INFO, 0x0000, 56))[0].payload
    over, under = kit.words(data, 6, 1, "<")[0], kit.words(data, 6 + 0x0C, 1, "<")[0]
    return {"cell_overvoltage_protection": over / 1000, "cell_undervoltage_protection": under / 1000}


def proof(values: kit.Values) -> str:
    """Header, length and checksum; then cells whose sum is the voltage (sheet section 8)."""
    cells, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if not cells or abs(sum(cells) - volts) > 0.05 * volts:
        raise WrongDevice(f"an ANT's cells add up to its voltage, here {sum(cells):.2f} V and {volts} V")
    return f"ANT ({values['_generation']} protocol) with {len(cells)} cells"


def switch(action: str) -> kit.Control:
    """A command of the new protocol, acknowledged with 01 00 (sheet section 7)."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if known.get("_generation") == "old":
            raise DeviceRefused("an ANT with the old protocol acknowledges no switch: not offered")
        replies = yield new(COMMAND, SWITCHES[action][bool(value)], 0, tries=1)
        answer = replies[0].payload[6:]
        if answer != b"\1\0":
            raise DeviceRefused(f"{action}: the board answers {answer.hex(' ') or 'nothing'}, 01 00 is yes")
        return {}

    return kit.Control(talk, kit.shown_by(f"{action}_allowed"), "boards with the new protocol only")


DRIVER: Final = kit.Driver(
    name="ant",
    title="ANT BMS, new (7E A1) and old (AA 55 AA FF) protocol",
    line=kit.SerialLine(baud=19200, quiet=0.05, turnaround=0.03),
    options=(
        kit.Option(
            "probes", None, "temperature probes that are fitted; some boards send 0 °C for those that are not",
            least=0, most=MOST_PROBES,
        ),
    ),
    plan=(
        kit.Poll(
            "status", status, essential=True,
            gives=(
                *NEW.names, "cell_count", "cell_voltages", "temperatures", "mosfet_temperature", "charge_allowed",
                "discharge_allowed", "balancing", "cell_balancing", "charge_cycles", "alarms",
            ),
        ),
        kit.Poll("about", about, gives=("model", "firmware_version"), every=kit.ONCE),
        kit.Poll(
            "protection", protection, gives=("cell_overvoltage_protection", "cell_undervoltage_protection"),
            every=kit.ONCE,
        ),
    ),
    assemble=kit.alone(manufacturer="ANT"),
    detection=kit.Detection(polls=("status",), proof=proof),
    controls={action: switch(action) for action in SWITCHES},
    standing="decoded from captures",
    unseen=(
        "cell_overvoltage_protection", "cell_undervoltage_protection", "set balance", "set discharge", "charging",
        "an alarm but over-charge",
    ),
)  # fmt: skip
