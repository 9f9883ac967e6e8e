"""Daly smart BMS over UART or RS485: the A5 protocol of 13-byte frames.

Sheet: daly.md.  Big endian.  Current: its sign is learnt from the state byte, since boards disagree.
Several boards may share one RS485 pair, each with its board number.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, Implausible, LinkTimeout, WrongDevice

START: Final = 0xA5
SIZE: Final = 13  # bytes of every frame, both ways
FIRST_HOST, APP_HOST = 0x40, 0x80  # host address for board 1; of the phone app, which some boards want
CURRENT_ZERO: Final = 30000
CHARGING, DISCHARGING = 1, 2  # state byte of 0x93
MOST_CELLS, CELLS_A_FRAME, SENSORS_A_FRAME, TEXT_A_FRAME = 48, 3, 7, 7

PACK: Final = kit.Table(
    ">",
    kit.Field("voltage", 0, "u16", 0.1, "V"),
    kit.Field("_raw_current", 4, "u16"),
    kit.Field("soc", 6, "u16", 0.1, "%"),
)
EXTREME_CELLS: Final = kit.Table(
    ">",
    kit.Field("highest_cell_voltage", 0, "u16", 0.001, "V"),
    kit.Field("lowest_cell_voltage", 3, "u16", 0.001, "V"),
)
EXTREME_SENSORS: Final = kit.Table(
    ">",
    kit.Field("_hot", 0, "u8", 1, "°C", -40),
    kit.Field("_hot_number", 1, "u8"),
    kit.Field("_cold", 2, "u8", 1, "°C", -40),
    kit.Field("_cold_number", 3, "u8"),
)
SWITCHES: Final = kit.Table(
    ">",
    kit.Field("_state", 0, "u8"),
    kit.Field("_charge", 1, "u8"),
    kit.Field("_discharge", 2, "u8"),
    kit.Field("remaining_capacity", 4, "u32", 0.001, "Ah"),
)
COUNTS: Final = kit.Table(
    ">", kit.Field("_cells", 0, "u8"), kit.Field("_sensors", 1, "u8"), kit.Field("_cycles", 5, "u16")
)
RATED: Final = kit.Table(">", kit.Field("capacity", 0, "u32", 0.001, "Ah"))

LEVELS: Final = {  # (byte, first of two bits): alarm; first bit = level 1, second = level 2; sheet section 6
    (0, 0): "high_cell_voltage",
    (0, 2): "low_cell_voltage",
    (0, 4): "high_voltage",
    (0, 6): "low_voltage",
    (1, 0): "high_charge_temperature",
    (1, 2): "low_charge_temperature",
    (1, 4): "high_temperature",
    (1, 6): "low_temperature",
    (2, 0): "high_charge_current",
    (2, 2): "high_discharge_current",
    (2, 6): "low_soc",
    (3, 0): "cell_imbalance",
}
FAULTS: Final = {  # (byte, bit): alarms, all level 2; byte 7 is a code, bits 6.4..6.7 are reserved
    **{(4, bit): ("high_internal_temperature",) for bit in (0, 1)},
    **{(4, bit): ("internal_failure",) for bit in range(2, 8)},
    **{(5, bit): ("internal_failure",) for bit in (0, 2, 3, 4, 5, 6, 7)},
    (5, 1): ("internal_failure", "bms_cable"),
    (6, 0): ("internal_failure",),
    (6, 1): ("internal_failure",),
    (6, 2): ("short_circuit",),
    (6, 3): ("low_voltage",),
}
SUPPORTED: Final = tuple(dict.fromkeys([*LEVELS.values(), *(name for names in FAULTS.values() for name in names)]))


def frame(address: int, identifier: int, data: bytes) -> bytes:
    """A whole frame around 8 data bytes."""
    body = bytes((START, address, identifier, 8)) + data
    return body + bytes((kit.sum8(body),))


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take whole frames off the front of `buffer`; a data byte may be A5, too (sheet section 3)."""
    while (start := buffer.find(START)) >= 0:
        if start:
            yield kit.Dropped("noise", bytes(buffer[:start]))
            del buffer[:start]
        if len(buffer) < SIZE:
            return
        whole = bytes(buffer[:SIZE])
        if whole[3] != 8 or kit.sum8(whole[:-1]) != whole[-1]:
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[:SIZE]
        yield kit.Frame(kind=whole[2], payload=whole[4:-1], address=whole[1], raw=whole)
    if buffer:
        yield kit.Dropped("noise", bytes(buffer))
        buffer.clear()


def host(setup: kit.Setup) -> int:
    """The second byte of a request: as set, else by the board number (sheet section 2)."""
    given: int | None = setup["host_address"]
    return FIRST_HOST + setup["address"] - 1 if given is None else given


def ask(
    identifier: int,
    setup: kit.Setup,
    *,
    data: bytes | None = None,
    frames: int = 1,
    tries: int = 2,
    complete: Callable[[Sequence[kit.Frame]], bool] = kit.one_frame,
    partial: bool = False,
) -> kit.Ask:
    """One question.  Our own request, echoed, is told from the reply by its address (sheet section 8)."""
    board = setup["address"]
    return kit.Ask(
        request=frame(host(setup), identifier, bytes((setup["fill"],)) * 8 if data is None else data),
        split=split,
        answers=lambda reply: reply.kind == identifier and reply.address == board,
        complete=complete,
        size=SIZE * frames,
        timeout=0.5,
        tries=tries,
        partial=partial,
    )


Reader = Callable[[bytes, kit.Values], kit.Values]
NumberedTalk = Generator[kit.Question, Sequence[kit.Frame], tuple[Mapping[int, bytes], int]]


def one(identifier: int, read: Reader, tries: int = 3) -> Callable[[kit.Setup, kit.Values], kit.Talk]:
    """The talk of an id that is answered by one frame."""

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        frames = yield ask(identifier, setup, tries=tries)
        return read(frames[0].payload, known)

    return talk


def counts(data: bytes, known: kit.Values) -> kit.Values:
    """0x94: how many cells and sensors; cycles 0 = not known.  Raises WrongDevice for a board that is not awake."""
    values = COUNTS.read(data)
    if not 1 <= values["_cells"] <= MOST_CELLS:
        raise WrongDevice(f"0x94 says {values['_cells']} cells, expected 1..{MOST_CELLS}; asleep?")
    return {**values, "charge_cycles": values["_cycles"] or None}


def pack(data: bytes, known: kit.Values) -> kit.Values:
    """0x90: voltage, current as it is sent, SoC.  Raises WrongDevice for zeros, Implausible for nonsense."""
    values = PACK.read(data)
    if not any(data[:6]):
        raise WrongDevice("0x90 is all zero: the board is not awake")
    if values["soc"] > 100:
        raise Implausible("soc", values["soc"], "0..100 %")
    return values


def switches(data: bytes, known: kit.Values) -> kit.Values:
    """0x93: state, FETs, remaining capacity; teaches the sign of the current (sheet section 5)."""
    values = SWITCHES.read(data)
    return {
        **values,
        **sign(values["_state"], known),
        "charge_allowed": bool(values["_charge"]),
        "discharge_allowed": bool(values["_discharge"]),
    }


def sign(state: float | None, known: kit.Values) -> kit.Values:
    """What the state byte teaches of the current's sign; while it says neither, what was learnt last."""
    raw: int = known.get("_raw_current") or CURRENT_ZERO
    if raw != CURRENT_ZERO and state in (CHARGING, DISCHARGING):
        return {"_above_is_charging": (raw > CURRENT_ZERO) == (state == CHARGING)}
    return {"_above_is_charging": known.get("_above_is_charging")}


def cell_voltages(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x95: three cells a frame, numbered from 1; slots beyond the cell count hold stale values."""
    count: int = known.get("_cells", 0)
    values, needed = yield from numbered(0x95, count, CELLS_A_FRAME, setup)
    found: list[float | None] = []
    for number in range(1, needed + 1):
        data = values.get(number)
        found += [None] * 3 if data is None else [int.from_bytes(data[at : at + 2], "big") / 1000 for at in (1, 3, 5)]
    return {"cell_voltages": tuple(found[:count])}


def sensors(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x96: seven sensors a frame."""
    count: int = known.get("_sensors", 0)
    values, needed = yield from numbered(0x96, count, SENSORS_A_FRAME, setup)
    found: list[float | None] = []
    for number in range(1, needed + 1):
        data = values.get(number)
        found += [None] * 7 if data is None else [float(raw - 40) for raw in data[1:]]
    return {"_temperatures": tuple(found[:count])}


def numbered(identifier: int, count: int, each: int, setup: kit.Setup) -> NumberedTalk:
    """Frames by their number until all that `count` items need are there; more may follow and are dropped."""
    if not count:
        raise LinkTimeout(f"0x{identifier:02X} cannot be asked before 0x94 told the count")
    needed = -(-count // each)
    wanted = set(range(1, needed + 1))
    frames = yield ask(
        identifier, setup, frames=needed, complete=lambda got: wanted <= {reply.payload[0] for reply in got}
    )
    return {reply.payload[0]: reply.payload for reply in frames if reply.payload[0] in wanted}, needed


def texts(identifier: int, name: str) -> Callable[[kit.Setup, kit.Values], kit.Talk]:
    """Text in numbered frames of seven characters; as many as come within the time, from the first on."""

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        frames = yield ask(identifier, setup, complete=lambda got: False, partial=True)
        parts = {reply.payload[0]: reply.payload[1 : 1 + TEXT_A_FRAME] for reply in frames}
        if sorted(parts) != [*range(first := min(parts), first + len(parts))] or first > 1:
            raise BadLength(f"{name}: frames {sorted(parts)} came, and others are missing")
        raw = b"".join(parts[number] for number in sorted(parts)).replace(b"\0", b" ")
        kept = "".join(c for c in raw.decode("ascii", "ignore") if c.isprintable())
        return {name: " ".join(kept.split()) or None}

    return talk


def extremes(data: bytes, known: kit.Values) -> kit.Values:
    """0x91: highest and lowest cell."""
    return EXTREME_CELLS.read(data)


def extreme_sensors(data: bytes, known: kit.Values) -> kit.Values:
    """0x92: stands in where 0x96 is missing."""
    return EXTREME_SENSORS.read(data)


def balancing(data: bytes, known: kit.Values) -> kit.Values:
    """0x97: bit b of byte k = cell 8k + b + 1."""
    word = int.from_bytes(data[:6], "little")
    return {
        "cell_balancing": tuple(bool(word >> n & 1) for n in range(known.get("_cells", 0))),
        "balancing": bool(word),
    }


def alarms(data: bytes, known: kit.Values) -> kit.Values:
    """0x98: two levels for measurements, faults of the board itself are level 2."""
    levels = dict.fromkeys(SUPPORTED, 0)
    for (byte, bit), name in LEVELS.items():
        pair = data[byte] >> bit & 3
        levels[name] = 2 if pair & 2 else pair
    for (byte, bit), names in FAULTS.items():
        if data[byte] >> bit & 1:
            levels.update(dict.fromkeys(names, 2))
    return {"alarms": levels}


def rated(data: bytes, known: kit.Values) -> kit.Values:
    """0x50: rated capacity."""
    return RATED.read(data)


def made(data: bytes, known: kit.Values) -> kit.Values:
    """0x53: date of production."""
    return {"production_date": kit.date(2000 + data[2], data[3], data[4])}


def current(values: kit.Values, setup: kit.Setup) -> float:
    """A, + = charging: the magnitude of 0x90 with the sign of the state byte (sheet section 5)."""
    raw: int = values["_raw_current"] - CURRENT_ZERO
    above: bool | None = values.get("_above_is_charging")
    if setup["invert_current"] is not None:
        above = bool(setup["invert_current"])
    elif raw and values.get("_state") in (CHARGING, DISCHARGING):
        return round(abs(raw) * 0.1 * (1 if values["_state"] == CHARGING else -1), 1)
    return round(raw * (0.1 if above else -0.1), 1) + 0.0  # older boards: above the zero is discharging


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Current by its sign, temperatures from the best source."""
    if "_raw_current" in values:
        values["current"] = current(values, setup)
    if "_temperatures" in values:
        values["temperatures"] = values["_temperatures"]
    elif "_hot" in values:
        values["temperatures"] = _stand_in(values)
    if "_cells" in values:
        values["cell_count"] = values["_cells"]
    return values


def _stand_in(values: kit.Values) -> tuple[float, ...]:
    """Highest and lowest sensor in order of their numbers; one sensor is one."""
    hot, cold = (values["_hot_number"], float(values["_hot"])), (values["_cold_number"], float(values["_cold"]))
    if values.get("_sensors") == 1 or hot[0] == cold[0]:
        return (hot[1],)
    return tuple(value for _, value in sorted((hot, cold)))


def proof(values: kit.Values) -> str:
    """Address, id, length and sum, then a cell count and voltage that fit each other (sheet section 8)."""
    cells, volts = values.get("_cells", 0), values.get("voltage", 0.0)
    if not 1 <= cells <= MOST_CELLS or not 1.0 * cells <= volts <= 4.5 * cells:
        raise WrongDevice(f"a Daly's voltage fits its cells, this one says {cells} cells and {volts} V")
    return f"Daly with {cells} cells"


def switch(identifier: int, name: str) -> kit.Control:
    """A FET; the acknowledge repeats the wanted state (sheet section 7)."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        wanted = 1 if value else 0
        data = bytes((wanted,)) + bytes((setup["fill"],)) * 7
        reply = yield ask(identifier, setup, data=data, tries=1)
        if reply[0].payload[0] != wanted:
            raise DeviceRefused(f"0x{identifier:02X}: asked for {wanted}, the board says {reply[0].payload[0]}")
        return {}

    return kit.Control(talk, kit.shown_by(name), "some boards report the discharge FET as on although it is off")


def recorded_soc(request: bytes) -> tuple[float, kit.Values] | None:
    """The SoC and the time that a recorded 0x21 request sets; None for any other request."""
    if len(request) != SIZE or request[2] != 0x21:
        return None
    year, month, day, hour, minute, second = request[4:10]
    when = datetime(2000 + year, month, day, hour, minute, second)
    return int.from_bytes(request[10:12], "big") / 10, {"_wall": when.timestamp()}


def set_soc(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x21: the clock and the SoC go together; known["_wall"] is the time [s since the epoch] (sheet section 7)."""
    now = datetime.fromtimestamp(known["_wall"])
    if not 2000 <= now.year < 2000 + 256:
        raise DeviceRefused(f"the board's clock is set with the SoC, and here it is {now.year}; set this clock first")
    clock = bytes((now.year - 2000, now.month, now.day, now.hour, now.minute, now.second))
    reply = yield ask(0x21, setup, data=clock + round(value * 10).to_bytes(2, "big"), tries=1)
    if reply[0].payload[0] != 1:
        raise DeviceRefused(f"0x21: the board answers {reply[0].payload[0]}, 1 is yes")
    return {}


DRIVER: Final = kit.Driver(
    name="daly",
    title="Daly smart BMS, A5 protocol",
    line=kit.SerialLine(baud=9600, quiet=0.02, turnaround=0.06),
    options=(
        kit.Option("address", 1, "board number, as set with the maker's PC tool", least=1, most=32),
        kit.Option(
            "host_address", None, "second byte of requests; default 0x3F + board number; 0x80 as the phone app",
            least=0, most=255,
        ),
        kit.Option("fill", 0, "unused bytes of a request; 0xAA lowers read errors on some UARTs", least=0, most=255),
        kit.Option("invert_current", None, "true = above zero is charging; default: learnt from the board", kind=bool),
    ),
    plan=(
        kit.Poll("counts", one(0x94, counts), gives=("charge_cycles", "cell_count"), every=60.0, keep=1_000_000),
        kit.Poll("pack", one(0x90, pack), gives=("voltage", "soc", "current"), essential=True),
        kit.Poll("switches", one(0x93, switches), gives=("charge_allowed", "discharge_allowed", "remaining_capacity")),
        kit.Poll("extremes", one(0x91, extremes, 2), gives=("highest_cell_voltage", "lowest_cell_voltage")),
        kit.Poll("extreme_sensors", one(0x92, extreme_sensors, 2), gives=("temperatures",)),
        kit.Poll("cells", cell_voltages, gives=("cell_voltages",)),
        kit.Poll("sensors", sensors, gives=("temperatures",)),
        kit.Poll("balancing", one(0x97, balancing, 2), gives=("balancing", "cell_balancing")),
        kit.Poll("alarms", one(0x98, alarms, 2), gives=("alarms",)),
        kit.Poll("rated", one(0x50, rated, 1), gives=("capacity",), every=kit.ONCE),
        kit.Poll("made", one(0x53, made, 1), gives=("production_date",), every=kit.ONCE),
        kit.Poll("name", texts(0x57, "custom_name"), gives=("custom_name",), every=kit.ONCE),
        kit.Poll("software", texts(0x62, "firmware_version"), gives=("firmware_version",), every=kit.ONCE),
        kit.Poll("hardware", texts(0x63, "hardware_version"), gives=("hardware_version",), every=kit.ONCE),
    ),
    assemble=kit.alone(finish),
    detection=kit.Detection(rank=21, polls=("counts", "pack"), proof=proof, setups=({}, {"host_address": APP_HOST})),
    controls={
        "charge": switch(0xDA, "charge_allowed"),
        "discharge": switch(0xD9, "discharge_allowed"),
        "soc": kit.Control(
            set_soc,
            lambda value, reading: None if reading.soc is None else abs(reading.soc - value) <= 1.0,
            "sets the board's clock, too",
            recorded_soc,
        ),
    },
    daisy_chain=True,
    unseen=("capacity", "custom_name", "firmware_version", "production_date", "set discharge"),
)  # fmt: skip
