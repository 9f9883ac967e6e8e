"""JBD (Jiabaida; LLT Power, Overkill Solar, Xiaoxiang) smart BMS over UART or RS485: the DD .. 77 protocol.

Sheet: jbd.md.  All integers big endian.  Current: + = charging.  One BMS a port: frames bear no address.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, FrameError, LinkTimeout, WrongDevice

BASIC: Final = kit.Table(  # reply 0x03, offsets in its data; sheet section 5
    ">",
    kit.Field("voltage", 0, "u16", 0.01, "V"),
    kit.Field("current", 2, "i16", 0.01, "A"),
    kit.Field("remaining_capacity", 4, "u16", 0.01, "Ah"),
    kit.Field("capacity", 6, "u16", 0.01, "Ah"),
    kit.Field("charge_cycles", 8, "u16"),
    kit.Field("_date", 10, "u16"),
    kit.Field("_balance_low", 12, "u16"),
    kit.Field("_balance_high", 14, "u16"),
    kit.Field("_protection", 16, "u16"),
    kit.Field("_version", 18, "u8"),
    kit.Field("soc", 19, "u8", 1, "%"),
    kit.Field("_switches", 20, "u8"),
    kit.Field("cell_count", 21, "u8"),
    kit.Field("_sensors", 22, "u8"),
)

PROTECTION: Final = {  # sheet section 6; bit 12 (switched off by software) is no alarm, 13 only a time-out
    0: ("high_cell_voltage", 2),
    1: ("low_cell_voltage", 2),
    2: ("high_voltage", 2),
    3: ("low_voltage", 2),
    4: ("high_charge_temperature", 2),
    5: ("low_charge_temperature", 2),
    6: ("high_temperature", 2),
    7: ("low_temperature", 2),
    8: ("high_charge_current", 2),
    9: ("high_discharge_current", 2),
    10: ("short_circuit", 2),
    11: ("internal_failure", 2),
}
SUPPORTED: Final = kit.alarm_names(PROTECTION)

STATUS: Final = {  # sheet section 3
    0x80: "unknown command",
    0x81: "not allowed (outside factory mode, or a password is set)",
    0x82: "checksum",
    0x83: "password",
}
READ: Final = 0xA5
WRITE: Final = 0x5A
FACTORY_ENTER, FACTORY_LEAVE, SWITCHES, REMAINING, FUNCTIONS = 0x00, 0x01, 0xE1, 0xE0, 0x2D
BALANCE_BIT: Final = 0x04  # of the function word 0x2D


def checksum(body: bytes) -> bytes:
    """Two's complement of the 16-bit sum, big endian (sheet section 3)."""
    return (-sum(body) & 0xFFFF).to_bytes(2, "big")


def frame(action: int, register: int, data: bytes = b"") -> bytes:
    """A request that reads (0xA5) or writes (0x5A) one register."""
    body = bytes((register, len(data))) + data
    return b"\xdd" + bytes((action,)) + body + checksum(body) + b"\x77"


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take whole replies off the front of `buffer`; its length byte decides where one ends (sheet section 3)."""
    while (start := buffer.find(0xDD)) >= 0:
        if start:
            yield kit.Dropped("noise", bytes(buffer[:start]))
            del buffer[:start]
        if len(buffer) < 4 or len(buffer) < (size := buffer[3] + 7):
            return
        whole = bytes(buffer[:size])
        if whole[-3:] != checksum(whole[2:-3]) + b"\x77":
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]  # a 0xDD inside noise is no frame start
            continue
        del buffer[:size]
        yield kit.Frame(kind=whole[1], status=whole[2], payload=whole[4:-3], raw=whole)
    if buffer:
        yield kit.Dropped("noise", bytes(buffer))
        buffer.clear()


def ask(register: int, *, size: int = 0, tries: int = 2, action: int = READ, data: bytes = b"") -> kit.Ask:
    """One exchange; asked twice because the first packet may only wake a sleeping board (sheet section 2)."""
    return kit.Ask(
        request=frame(action, register, data),
        split=split,
        answers=lambda reply: reply.kind == register,
        size=size,
        timeout=0.7,
        tries=tries,
    )


def checked(frames: Sequence[kit.Frame]) -> bytes:
    """The data of the reply.  Raises DeviceRefused with the meaning of its status."""
    reply = frames[0]
    if reply.status:
        meaning = STATUS.get(reply.status, "unknown status")
        raise DeviceRefused(f"register 0x{reply.kind:02X}: status 0x{reply.status:02X}, {meaning}")
    return reply.payload


def basic(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply 0x03: everything but single cells."""
    data = checked(frames)
    values = BASIC.read(data)
    present = min(values["_sensors"], (len(data) - BASIC.size) // 2)  # fewer than announced: use those present
    sensors = kit.divided(kit.words(data, BASIC.size, present), 10, less=2731)
    # Two or more sensors: the first is the MOSFET's (sheet section 5, "NTC rule").
    if len(sensors) >= 2:
        values["mosfet_temperature"], sensors = sensors[0], sensors[1:]
    switches, balance = values["_switches"], values["_balance_low"] | values["_balance_high"] << 16
    values |= {
        "temperatures": sensors,
        "production_date": _packed_date(values["_date"]),
        "firmware_version": f"{values['_version'] >> 4}.{values['_version'] & 15}",
        "charge_allowed": bool(switches & 1),
        "discharge_allowed": bool(switches & 2),
        "cell_balancing": kit.flags(balance, values["cell_count"]),
        "balancing": bool(balance),
        "alarms": kit.alarm_bits(values["_protection"], PROTECTION, SUPPORTED),
    }
    return values


@lru_cache(maxsize=16)
def _packed_date(word: int) -> str | None:
    return kit.date(2000 + (word >> 9), word >> 5 & 15, word & 31)


def cells(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply 0x04: one u16 in mV a cell; publish what came, even if that is not the count of 0x03."""
    data = checked(frames)
    if len(data) % 2:
        raise BadLength(f"cell reply of {len(data)} bytes, an even number is needed")
    return {"cell_voltages": kit.divided(kit.words(data, 0, len(data) // 2), 1000)}


def model(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply 0x05: ASCII, perhaps NUL padded."""
    return {"model": kit.text(checked(frames))}


def functions(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Function word 0x2D: plainly, and where that is refused inside factory mode, discarding (sheet section 5)."""
    plain = yield ask(FUNCTIONS, tries=1)
    if plain[0].status == 0x81:
        return (yield from in_factory_mode(function_word()))
    return functions_of(int.from_bytes(checked(plain)[:2], "big"))


def function_word() -> kit.Talk:
    """Read it."""
    return functions_of(int.from_bytes(checked((yield ask(FUNCTIONS)))[:2], "big"))


def functions_of(word: int) -> kit.Values:
    """Values of the function word."""
    return {"_functions": word, "balance_allowed": bool(word & BALANCE_BIT)}


def protection_of(name: str) -> kit.Decode:
    """Decoder of a cell protection setting, u16 in mV."""

    def decode(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
        return {name: int.from_bytes(checked(frames)[:2], "big") / 1000}

    return decode


def enter() -> kit.Ask:
    """Begin factory mode."""
    return ask(FACTORY_ENTER, action=WRITE, data=b"\x56\x78")


def leave() -> kit.Ask:
    """End factory mode without saving: no EEPROM wear, counters kept (sheet section 7)."""
    return ask(FACTORY_LEAVE, action=WRITE, data=b"\x00\x00")


def in_factory_mode(talk: kit.Talk) -> kit.Talk:
    """Lead `talk` inside factory mode; a board is not left there, whatever became of it."""
    try:
        checked((yield enter()))
        values = yield from talk
    except (LinkTimeout, FrameError, DeviceRefused):
        with suppress(LinkTimeout, FrameError, DeviceRefused):
            yield leave()
        raise
    checked((yield leave()))
    return values


def switch(bit: int, name: str) -> kit.Control:
    """A FET switch.  One write sets both, so the other half is what WE commanded last, never the state read back:
    copying a protection's open FET would lock it (sheet section 7, "Trap")."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        off = known.get("_off", 0)
        off = off & ~bit if value else off | bit
        checked((yield ask(SWITCHES, action=WRITE, data=bytes((0, off)))))
        return {"_off": off}

    return kit.Control(talk, kit.shown_by(name), "lasts until switched back; the board may itself keep the switch open")


def set_balance(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Balancing on or off: only bit 2 of the function word changes; left without saving (sheet section 7)."""
    return (yield from in_factory_mode(balance_bit(bool(value))))


def balance_bit(value: bool) -> kit.Talk:
    """Read the function word, write it with that bit."""
    word: int = (yield from function_word())["_functions"]
    word = word | BALANCE_BIT if value else word & ~BALANCE_BIT
    yield from written(FUNCTIONS, word)
    return functions_of(word)


def written(register: int, word: int) -> kit.Talk:
    """Write one register.  Raises DeviceRefused."""
    checked((yield ask(register, action=WRITE, data=word.to_bytes(2, "big"))))
    return {}


def set_soc(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """SoC by writing the remaining capacity [10 mAh] to 0xE0 (sheet section 7; register map, no recording)."""
    if known.get("capacity") is None:
        raise DeviceRefused("SoC cannot be set before the full capacity was read")
    return (yield from in_factory_mode(written(REMAINING, min(0xFFFF, round(known["capacity"] * value)))))


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Nothing to derive: this BMS says it all."""
    return {"manufacturer": "JBD", **values} if "voltage" in values else values


def proof(values: kit.Values) -> str:
    """A JBD echoes the register with status 0 and has 1..32 cells (sheet section 8)."""
    count = values.get("cell_count")
    if count is None or not 1 <= count <= 32:
        raise WrongDevice(f"a JBD has 1..32 cells, this reply says {count}")
    return f"JBD {values.get('model') or ''} with {count} cells".replace("  ", " ")


DRIVER: Final = kit.Driver(
    name="jbd",
    title="JBD / LLT Power / Overkill Solar / Xiaoxiang",
    line=kit.SerialLine(baud=9600, quiet=0.02, turnaround=0.03),
    plan=(  # cells first: current, alarms and switches move fastest, and are to be youngest when it is decided
        kit.Poll("cells", kit.simple(ask(0x04), cells), gives=("cell_voltages",)),
        kit.Poll(
            "basic",
            kit.simple(ask(0x03), basic),
            gives=(
                *BASIC.names, "temperatures", "mosfet_temperature", "production_date", "firmware_version",
                "charge_allowed", "discharge_allowed", "cell_balancing", "balancing", "alarms",
            ),
            essential=True,
        ),
        kit.Poll("model", kit.simple(ask(0x05), model), gives=("model",), every=kit.ONCE),
        kit.Poll("functions", functions, gives=("balance_allowed",), every=kit.ONCE),
        kit.Poll(
            "cell_over", kit.simple(ask(0x24, tries=1), protection_of("cell_overvoltage_protection")),
            gives=("cell_overvoltage_protection",), every=kit.ONCE,
        ),
        kit.Poll(
            "cell_under", kit.simple(ask(0x26, tries=1), protection_of("cell_undervoltage_protection")),
            gives=("cell_undervoltage_protection",), every=kit.ONCE,
        ),
    ),
    assemble=kit.alone(finish),
    detection=kit.Detection(rank=20, wakes=True, begins=0.4, polls=("basic", "model"), proof=proof),
    controls={
        "charge": switch(1, "charge_allowed"),
        "discharge": switch(2, "discharge_allowed"),
        "balance": kit.Control(
            set_balance,
            lambda value, reading: None if reading.balance_allowed is None else reading.balance_allowed == bool(value),
            "kept until the board restarts",
        ),
        "soc": kit.Control(
            set_soc,
            lambda value, reading: None if reading.soc is None else abs(reading.soc - value) <= 1.0,
            "writes the remaining capacity; some firmware wants a password first",
            by_hand=True,
        ),
    },
    unseen=(
        "alarms", "balance_allowed", "cell_overvoltage_protection", "cell_undervoltage_protection", "set balance",
        "set soc",
    ),
)  # fmt: skip
