"""Seplos BMS 1.x and 2.x (boards EMU10xx, EMU11xx, "1101-..."; 8 to 16 cells) over RS485: frames of hex text.

Sheet: seplos.md.  All integers big endian.  Current: + = charging.  The monitoring port runs at 19200 baud, the
inverter's port at 9600.  A master polls its slaves on the same pair: frames of others and requests are skipped.  With
`listen` nothing is asked there: what the slaves answer the master is overheard, which need not be all (section 2).
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import LinkTimeout, WrongDevice

CID1: Final = 0x46
TELEMETRY_COMMAND, STATE_COMMAND, SETTINGS_COMMAND, MAKER_COMMAND = 0x42, 0x44, 0x47, 0x51
CODES: Final = {  # return codes; sheet section 3
    **kit.RETURN_CODES,
    0x07: "no data",
    0xE1: "CID1 invalid",
    0xE2: "execution failed",
    0xE3: "device fault",
    0xE4: "not permitted",
}
OTHER_FORM: Final = (3, 5)  # return codes of a board that wants requests with(out) pack number; sheet section 4
MOST_CELLS: Final = 24
LEAST_CELL: Final = 1.0  # V that some cell must have, else no pack is there
SPLIT: Final = kit.hex_splitter()

TELEMETRY: Final = kit.Walk(  # reply 0x42; sheet section 5
    ">",
    kit.Next("_flag", "u8"),
    kit.Next("_group", "u8"),
    kit.Next("cell_voltages", "u16", 0.001, "V", counted=True),
    kit.Next("_sensors", "u16", 0.1, "°C", -2731, counted=True),
    kit.Next("current", "i16", 0.01, "A"),
    kit.Next("voltage", "u16", 0.01, "V"),
    kit.Next("remaining_capacity", "u16", 0.01, "Ah"),
    kit.Next("_words", "u8"),
    kit.Next("capacity", "u16", 0.01, "Ah"),
    kit.Next("soc", "u16", 0.1, "%"),
)
CONDITION: Final = kit.Walk(  # what follows, except in short replies
    ">",
    kit.Next("_rated", "u16", 0.01, "Ah"),
    kit.Next("charge_cycles", "u16"),
    kit.Next("soh", "u16", 0.1, "%"),
)
STATE: Final = kit.Walk(  # reply 0x44; the codes a cell, sensor, ... bear no level (sheet section 5)
    ">",
    kit.Next("_flag", "u8"),
    kit.Next("_group", "u8"),
    kit.Next("_cell_codes", "u8", counted=True),
    kit.Next("_sensor_codes", "u8", counted=True),
    kit.Next("_current_code", "u8"),
    kit.Next("_voltage_code", "u8"),
    kit.Next("_state", "u8", counted=True),
)
STATE_NAMES: Final = ("charge_allowed", "discharge_allowed", "heating", "cell_balancing", "balancing", "alarms")
STATE_SIZE: Final = 20  # bytes of _state
SWITCHES, BALANCE, OPEN_WIRES = 6, 7, 10  # where they are in it
SETTINGS: Final = kit.Walk(  # reply 0x47, followed by ten characters of model
    ">",
    kit.Next("_pack", "u8"),
    kit.Next("_words", "u16", counted=True),
    kit.Next("_bytes", "u8", counted=True),
    kit.Next("_switches", "u8", counted=True),
)
WORDS, MODEL, PROTOCOL = 60, 10, 20  # words of the settings; characters of the model, of the CAN protocol's name
MAKER_SIZE: Final = MODEL + 2 + PROTOCOL

FAULT: Final = ("internal_failure", 2)
ALARMS: Final = kit.alarm_rows(  # by byte of _state: events 1 to 6, open wires, events 7 and 8; sheet section 6
    {
        0: dict.fromkeys(range(8), FAULT),
        1: kit.two_levels("high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage"),
        2: kit.two_levels("high_charge_temperature", "low_charge_temperature", "high_temperature", "low_temperature"),
        3: {
            **kit.two_levels("high_internal_temperature"),  # the surroundings'
            4: ("high_internal_temperature", 2),  # the power stage's, the other way round than all else
            5: ("high_internal_temperature", 1),
        },
        4: {
            **kit.two_levels("high_charge_current", "high_discharge_current"),
            4: ("high_discharge_current", 2),
            5: ("short_circuit", 2),
            6: ("high_discharge_current", 2),
            7: ("short_circuit", 2),
        },
        5: {0: ("high_voltage", 2), 2: ("low_soc", 1), 3: ("low_soc", 2), 5: FAULT, 6: FAULT},
        10: dict.fromkeys(range(8), FAULT),
        11: dict.fromkeys(range(8), FAULT),
        13: {0: ("internal_failure", 1), 1: ("internal_failure", 1)},
    }
)
SUPPORTED: Final = kit.alarm_names(ALARMS)

Shape = Callable[[bytes], bool]


def is_telemetry(info: bytes) -> bool:
    """The shape of 0x42: all announced words behind the counts, or cut behind the SoC (sheet section 5)."""
    end = TELEMETRY.end(info)
    if not end or not 1 <= info[2] <= MOST_CELLS or info[3 + 2 * info[2]] < 2:
        return False
    return len(info) in (end, end - 4 + 2 * info[end - 5])


def is_state(info: bytes) -> bool:
    """The shape of 0x44."""
    return STATE.end(info) == len(info) and 1 <= info[2] <= MOST_CELLS


def is_settings(info: bytes) -> bool:
    """The shape of 0x47."""
    return SETTINGS.end(info) + MODEL == len(info) and info[1] == WORDS


def is_maker(info: bytes) -> bool:
    """The shape of 0x51."""
    return len(info) == MAKER_SIZE


def ask(command: int, setup: kit.Setup, shape: Shape, *, info: bytes = b"", size: int = 0, tries: int = 2) -> kit.Ask:
    """One question.  The answer does not repeat it: it has our address, a return code and the right shape."""
    address = setup["address"]
    return kit.Ask(
        request=kit.hex_frame(setup["version"], address, CID1, command, info),
        split=SPLIT,
        answers=lambda reply: (
            reply.kind & 0xFF == CID1
            and reply.address == address
            and (shape(reply.payload) if reply.status == 0 else reply.status in CODES)
        ),
        size=size,
        timeout=1.0,
        tries=tries,
    )


def told(
    command: int, setup: kit.Setup, known: kit.Values, shape: Shape, size: int
) -> Generator[kit.Question, Sequence[kit.Frame], tuple[bytes, bool]]:
    """INFO of the answer, and whether the board was asked without pack number: the form that worked is asked first."""
    address, group = setup["address"], setup["group"]
    number = bytes((address if group is None else group,))
    bare = bool(known.get("_bare", False) if setup["bare"] is None else setup["bare"])
    frames = yield ask(command, setup, shape, info=b"" if bare else number, size=size)
    if frames[0].status in OTHER_FORM and setup["bare"] is None:
        bare = not bare
        frames = yield ask(command, setup, shape, info=b"" if bare else number, size=size)
    return kit.hex_info(frames, CODES), bare


CYCLE: Final = 16.0  # s within which a master has polled its slaves; own choice, no sheet says
SOON: Final = 1.0  # s; how long what follows is waited for: a poll is 0x42, then 0x44 (section 4)


def listens(setup: kit.Setup) -> bool:
    """Where a master polls it nothing is sent."""
    return bool(setup.get("listen"))


def overhear(setup: kit.Setup, timeout: float, *shapes: Shape) -> kit.Ask:
    """Wait for a reply of one of these shapes that bears our address; requests have no return code 0."""
    address = setup["address"]
    return kit.Ask(
        request=b"",
        split=SPLIT,
        answers=lambda reply: (
            reply.kind & 0xFF == CID1
            and reply.address == address
            and reply.status == 0
            and any(shape(reply.payload) for shape in shapes)
        ),
        timeout=timeout,
    )


def overheard(setup: kit.Setup) -> kit.Talk:
    """Telemetry, and the state where the master asks for it, too; as old as the first of them."""
    first = (yield overhear(setup, CYCLE, is_telemetry, is_state))[0].payload
    if is_state(first):
        told = (yield overhear(setup, CYCLE, is_telemetry))[0].payload
        return {**measured(told), **switches(first)}
    try:
        following = (yield overhear(setup, SOON, is_state))[0].payload
    except LinkTimeout:
        return measured(first)
    return {**measured(first), **switches(following)}


def telemetry(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x42: everything that is measured.  Raises WrongDevice where no pack is."""
    if listens(setup):
        return (yield from overheard(setup))
    info, bare = yield from told(TELEMETRY_COMMAND, setup, known, is_telemetry, 168)
    return {**measured(info), "_bare": bare}


def measured(info: bytes) -> kit.Values:
    """Values of a telemetry reply; the last two sensors are those of the surroundings and of the power stage."""
    values = TELEMETRY.read(info)
    if max(values["cell_voltages"], default=0.0) < LEAST_CELL:
        raise WrongDevice("0x42: every cell is 0 V, no pack is there")
    end = TELEMETRY.end(info)
    if CONDITION.end(info, end):
        values |= CONDITION.read(info, end)
    *values["temperatures"], values["ambient_temperature"], values["mosfet_temperature"] = values["_sensors"]
    values["temperatures"] = tuple(values["temperatures"])
    values["cell_count"] = len(values["cell_voltages"])
    return values


def state(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x44: switches, balancing and alarms."""
    if listens(setup):
        return {}  # comes with the telemetry, if at all
    info, bare = yield from told(STATE_COMMAND, setup, known, is_state, 116)
    return {**switches(info), "_bare": bare}


def switches(info: bytes) -> kit.Values:
    """Values of a state reply."""
    values = STATE.read(info)
    return states(bytes(values["_state"]).ljust(STATE_SIZE, b"\0"), len(values["_cell_codes"]))


def states(block: bytes, cells: int) -> kit.Values:
    """Values of the state bytes."""
    balance = int.from_bytes(block[BALANCE : BALANCE + 2], "little")
    return {
        "charge_allowed": bool(block[SWITCHES] & 2),
        "discharge_allowed": bool(block[SWITCHES] & 1),
        "heating": bool(block[SWITCHES] & 8),
        "cell_balancing": kit.flags(balance, cells),
        "balancing": bool(balance),
        "alarms": kit.alarm_bits(int.from_bytes(block, "little"), ALARMS, SUPPORTED),
    }


def maker(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x51: model and software version."""
    if listens(setup):
        return {}
    info = kit.hex_info((yield ask(MAKER_COMMAND, setup, is_maker)), CODES)
    if not is_maker(info):
        raise WrongDevice(f"0x51: {len(info)} bytes, expected {MAKER_SIZE}")
    return {"model": kit.text(info[:MODEL]), "firmware_version": f"{info[MODEL]}.{info[MODEL + 1]}"}


def settings(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x47: where the BMS trips; 0 = that protection is off, so nothing is known (sheet section 5)."""
    if listens(setup):
        return {}
    info = kit.hex_info((yield ask(SETTINGS_COMMAND, setup, is_settings)), CODES)
    if not is_settings(info):
        raise WrongDevice("0x47: not the settings of a Seplos")
    words = SETTINGS.read(info)["_words"]
    discharge = words[55] - 0x10000 if words[55] & 0x8000 else words[55]  # below zero by the sheet
    return {
        "cell_overvoltage_protection": words[4] / 1000 or None,
        "cell_undervoltage_protection": words[6] / 1000 or None,
        "max_battery_voltage": words[14] / 100 or None,
        "min_battery_voltage": words[16] / 100 or None,
        "max_charge_current": words[54] / 100 or None,
        "max_discharge_current": abs(discharge) / 100 or None,
        "_settings_model": kit.text(info[-MODEL:]),
    }


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The model as 0x51 says it, else as the settings do."""
    if (model := values.get("model") or values.get("_settings_model")) is not None:
        values["model"] = model
    if listens(setup):
        values["untold"] = kit.not_told(values, STATE_NAMES)
    return {"manufacturer": "Seplos", **values}


def proof(values: kit.Values) -> str:
    """Plausible cells whose sum is the pack's voltage; makers with other field orders share the frame (section 8)."""
    cells, voltage = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if not cells or not all(LEAST_CELL <= volts <= 5.0 for volts in cells):
        raise WrongDevice("no Seplos: a cell outside 1..5 V")
    if abs(sum(cells) - voltage) > 0.05 * sum(cells):
        raise WrongDevice(f"no Seplos: {voltage:.2f} V, but the cells make {sum(cells):.2f} V")
    return f"Seplos {values.get('model') or 'BMS'} with {len(cells)} cells"


def asked_with(request: bytes) -> kit.Values:
    """Address and version of a recorded request, and what in it is unusual."""
    item = next(SPLIT(bytearray(request)), None)
    if not isinstance(item, kit.Frame):
        return {}
    told: kit.Values = {"address": item.address, "version": item.kind >> 8}
    if item.status in (TELEMETRY_COMMAND, STATE_COMMAND) and not item.payload:
        told["bare"] = True
    elif item.payload and item.payload[0] != item.address:
        told["group"] = item.payload[0]
    return told


DRIVER: Final = kit.Driver(
    name="seplos",
    title="Seplos BMS 1.x and 2.x (1101-..., EMU10xx, EMU11xx)",
    line=kit.SerialLine(baud=19200, quiet=0.05, turnaround=0.09),
    options=(
        kit.Option("address", 0, "DIP switches; 0 = a single pack, or the master of a set", least=0, most=15),
        kit.rates(19200, 9600),
        kit.Option("version", 0x20, "VER of the requests; 38 (0x26) for Boqiang boards", least=0, most=255),
        kit.Option("group", None, "pack number in the requests; default the address", least=0, most=255),
        kit.Option("listen", False, "true = a master polls it: only listens, with poll_interval: 5", kind=bool),
        kit.Option("bare", None, "true = requests without pack number (EMU1101-XO17); default: found out", kind=bool),
    ),
    plan=(
        kit.Poll(
            "telemetry", telemetry, essential=True,
            gives=(*TELEMETRY.names, *CONDITION.names, "temperatures", "ambient_temperature", "mosfet_temperature"),
        ),
        kit.Poll(
            "state", state, keep=0,  # unknown for this poll where it is missing; sheet section 4
            gives=STATE_NAMES,
        ),
        kit.Poll(
            "maker", maker,
            gives=("model", "firmware_version"), every=kit.ONCE,
        ),
        kit.Poll(
            "settings", settings,
            gives=(
                "cell_overvoltage_protection", "cell_undervoltage_protection", "max_battery_voltage",
                "min_battery_voltage", "max_charge_current", "max_discharge_current",
            ),
            every=kit.ONCE,
        ),
    ),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        polls=("telemetry", "maker"), proof=proof, setups=({"address": 0}, {"address": 1}),
        begins=0.6,  # the vendor's own reader gives up after 0.5 s; section 2
        siblings=tuple({"address": address} for address in range(2, 16)),
        overheard=tuple({"address": address, "listen": True} for address in range(16)),
    ),
    listens=listens,
    standing="decoded from captures",
    unseen=(
        "a protection (level 2)", "a temperature, current or SoC alarm", "a cell being balanced", "8, 13 or 15 cells",
        "an address other than 0",
    ),
    daisy_chain=True,
    asked_with=asked_with,
)  # fmt: skip
