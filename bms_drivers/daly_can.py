"""Daly smart BMS on a CAN bus: asked for each frame; the data are those of the serial protocol.

Sheet: daly_can.md; frames: dbc/daly_can.dbc, of board 1.  Current: + = charging, by the rule of `daly`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Final

import dbc
from bms_drivers import daly, kit
from bms_drivers.kit import can, named
from gateway.model import BadLength, LinkTimeout, WrongDevice

FRAMES: Final = can.Dbc(dbc.path("daly_can"))
BOARDS: Final = range(1, 17)
HOST: Final = 0x40
REPLY: Final = 0.3  # s within which all of a burst has come; recorded: 35 ms
CELLS_A_FRAME, SENSORS_A_FRAME = 3, 7
PLAIN: Final = {  # name of the step -> message
    "pack": "Daly_SOC", "switches": "Daly_FET", "extremes": "Daly_CellMinMax", "extreme_sensors": "Daly_TempMinMax",
    "counts": "Daly_Status", "balancing": "Daly_Balance", "alarms": "Daly_Alarms", "rated": "Daly_Settings",
}  # fmt: skip


def moved(setup: kit.Setup) -> int:
    """What the board number adds to the identifiers of the file."""
    return int(setup["address"]) - 1


@functools.cache
def asked(kind: int, address: int) -> tuple[kit.CanId, bytes]:
    """The request that messages of this kind answer."""
    return kit.CanId(kind & 0x1FFF0000 | address << 8 | HOST, extended=True), bytes(8)


def question(
    message: can.Message, setup: kit.Setup, complete: Callable[[Sequence[kit.Frame]], bool] | None = None
) -> kit.CanAsk:
    """One request, and the frames that answer it."""
    sends = (asked(message.kind, setup["address"]),)
    return kit.CanAsk((message.at(moved(setup)),), settle=REPLY, complete=complete, sends=sends, tries=2)


def plain(step: str, *, every: float = 0.0, essential: bool = False, gives: tuple[str, ...] = ()) -> kit.Poll:
    """A step of one request and one frame."""
    message = FRAMES.messages[PLAIN[step]]

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        frames = yield question(message, setup)
        return can.values_of(FRAMES, (message,), (message.at(moved(setup)),), frames)

    return kit.Poll(step, talk, (*message.gives, *gives), every=every, essential=essential)


def numbered(name: str, count: int, each: int, setup: kit.Setup) -> kit.Talk:
    """The frames of one burst, which differ in their first byte only, until `count` items are there."""
    if not count:
        raise LinkTimeout(f"{name} cannot be asked before 0x94 told the count")
    message, needed = FRAMES.messages[name], -(-count // each)
    frames = yield question(message, setup, lambda got: len({frame.payload[:1] for frame in got}) >= needed)
    from_zero = any(frame.payload[:1] == b"\0" for frame in frames)  # as the vendor's text has it; nobody has seen it
    values: kit.Values = {}
    for frame in frames:
        number = frame.payload[0] + from_zero if frame.payload else 0
        if 1 <= number <= needed:
            values |= FRAMES.values(name, bytes((number,)) + frame.payload[1:])
    return values


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x95: three cells a frame; slots beyond the cell count hold stale values."""
    count: int = known.get("cell_count") or 0
    values = yield from numbered("Daly_Cells", count, CELLS_A_FRAME, setup)
    return {"cell_voltages": tuple(values.get(f"cell_voltage_{n}") or None for n in range(1, count + 1))}


def sensors(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x96: seven sensors a frame."""
    count: int = int(known.get("_sensors") or 0)
    values = yield from numbered("Daly_Temps", count, SENSORS_A_FRAME, setup)
    return {"_temperatures": tuple(values.get(f"temperature_{n}") for n in range(1, count + 1))}


def switches(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x93; its state teaches the sign of the current."""
    values = yield from plain("switches").talk(setup, known)
    return values | daly.sign(values.get("_state"), known)


def balancing(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x97: bit b of byte k = cell 8k + b + 1."""
    word = (yield from plain("balancing").talk(setup, known))["_balancing"]
    if word is None:
        raise BadLength("Daly_Balance: shorter than six bytes")
    return {"balancing": bool(word), "cell_balancing": kit.flags(word, known.get("cell_count") or 0)}


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Current by its sign, temperatures from the best source."""
    if values.get("_raw_current") is not None:
        values["current"] = daly.current(values, setup)
    if "_temperatures" in values:
        values["temperatures"] = values["_temperatures"]
    else:
        both = {(values.get(f"_{end}_sensor"), values.get(f"_{end}")) for end in ("hottest", "coldest")}
        known = sorted((number, t) for number, t in both if number is not None and t is not None)
        values["temperatures"] = tuple(t for _, t in known[: int(values.get("_sensors") or 2)])
    if values.get("alarms", {}).get("bms_cable"):
        values["alarms"]["internal_failure"] = 2  # the board's own communication failed (daly.md section 6)
    return values


def proof(values: kit.Values) -> str:
    """A cell count and a voltage that fit each other (sheet section 8)."""
    count, volts = values.get("cell_count") or 0, values.get("voltage") or 0.0
    if not 1.0 * count <= volts <= 4.5 * count or not count:
        raise WrongDevice(f"a Daly's voltage fits its cells, this one says {count} cells and {volts} V")
    return f"Daly on CAN with {count} cells"


DRIVER: Final = kit.Driver(
    name="daly_can",
    title="Daly smart BMS on a CAN bus",
    frames=FRAMES,
    transports=("can",),
    options=(
        kit.Option("address", 1, "board number, as set with the maker's PC tool", least=1, most=16),
        kit.Option("invert_current", None, "true = above zero is charging; default: learnt from the board", kind=bool),
    ),
    plan=(
        plain("pack", essential=True, gives=("current",)),
        kit.Poll("switches", switches, gives=FRAMES.messages["Daly_FET"].gives),
        plain("counts"),
        plain("extremes"),
        plain("extreme_sensors", gives=("temperatures",)),
        kit.Poll("cells", cells, gives=("cell_voltages",)),
        kit.Poll("sensors", sensors, gives=("temperatures",)),
        kit.Poll("balancing", balancing, gives=("balancing", "cell_balancing")),
        plain("alarms"),
        plain("rated", every=kit.ONCE),
    ),
    assemble=kit.alone(lambda values, setup: finish(named.gathered(values, ()), setup)),
    detection=kit.Detection(
        rank=98, polls=("counts", "pack"), proof=proof, setups=({},), wary=True, never_auto=True,
        siblings=tuple({"address": n} for n in BOARDS[1:]),
    ),
    daisy_chain=True,
    unseen=("alarms", "balancing", "capacity", "cell_balancing", "charge_cycles"),
)  # fmt: skip
