"""Daren boards (DR-JC03, DR48100JC, DR48200; Basen and many rack packs) over RS485: hex text, dialect DR-1363.

Sheet: daren_485.md.  All integers big endian.  Current: + = charging.  With each pack at an address of its own several
share one bus; a pack that is set to master polls the others itself, and their frames are skipped.
Which of the two FET bits is which is disputed; the document's order is taken (section 6), no capture tells.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final

from bms_drivers import kit
from bms_drivers.kit import dr1363
from gateway.model import BadLength

CID1: Final = 0x4A
REALTIME, PARAMETERS, MAKER, MODULE = 0x42, 0x47, 0x51, 0xB0
SERIAL: Final = 3  # module
SERIAL_SIZE: Final = 119  # bytes
OTHER_GROUP: Final = (5, 6)  # return codes of a pack that wants the group 01 whatever its address; section 4
SPLIT: Final = kit.hex_splitter()

FAULT: Final = ("internal_failure", 2)
ALARMS: Final = kit.alarm_rows(  # a row a status word; section 6: 5 and 6 of the fourth are settings, 2 an SD card
    {
        **dr1363.MEASURED,
        3: {
            0: ("cell_imbalance", 1),
            7: ("low_soc", 1),
            8: ("high_internal_temperature", 2),
            9: ("high_internal_temperature", 1),
            **dict.fromkeys((1, 3, 4, *range(10, 16)), FAULT),
        },
        4: dict.fromkeys((2, 3), FAULT),
    },
    width=16,
)
SUPPORTED: Final = kit.alarm_names(ALARMS)

Shape = Callable[[bytes], bool]
Told = Generator[kit.Question, Sequence[kit.Frame], tuple[bytes, int]]


def is_serial(info: bytes) -> bool:
    """The shape of B0, module 3."""
    return len(info) == SERIAL_SIZE and info[0] == MODULE and info[3] == SERIAL


def ask(command: int, setup: kit.Setup, shape: Shape, info: bytes = b"", size: int = 0, tries: int = 2) -> kit.Ask:
    """One question.  The answer does not repeat it: it has our address, a return code and the right shape."""
    address, kind = setup["address"], dr1363.VERSION << 8 | CID1
    return kit.Ask(
        request=kit.hex_frame(dr1363.VERSION, address, CID1, command, info),
        split=SPLIT,
        answers=lambda reply: (
            reply.kind == kind
            and reply.address == address
            and (shape(reply.payload) if reply.status == 0 else reply.status in dr1363.CODES)
        ),
        size=size,
        timeout=1.0,
        tries=tries,
    )


def told(command: int, setup: kit.Setup, known: kit.Values, shape: Shape, rest: bytes = b"", size: int = 0) -> Told:
    """INFO of the answer, and the group that was asked: the address, or 01 for a pack that refused that."""
    given: int | None = setup["group"]
    learnt: int = known["_group"] if "_group" in known else setup["address"]
    group = learnt if given is None else given
    frames = yield ask(command, setup, shape, bytes((group,)) + rest, size)
    if frames[0].status in OTHER_GROUP and given is None and group != 1:
        group = 1
        frames = yield ask(command, setup, shape, bytes((group,)) + rest, size)
    return kit.hex_info(frames, dr1363.CODES), group


def realtime(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """42: all that is measured, switches and alarms."""
    info, group = yield from told(REALTIME, setup, known, dr1363.is_realtime, size=216)
    values = dr1363.realtime(info)
    return {
        **values,
        "charge_allowed": bool(values["_switch_word"] & 2),
        "discharge_allowed": bool(values["_switch_word"] & 1),
        "alarms": kit.alarm_bits(values["_status"], ALARMS, SUPPORTED),
        "_group": group,
    }


def parameters(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """47: limits of cells and current."""
    info, group = yield from told(PARAMETERS, setup, known, dr1363.is_parameters)
    return {**dr1363.parameters(info), "_group": group}


def maker(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """51: hardware, product, software."""
    return dr1363.maker(kit.hex_info(frames, dr1363.CODES))


def serial(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """B0, module 3.  Operation 01 reads; 02 would write and is never sent."""
    info, group = yield from told(MODULE, setup, known, is_serial, bytes((1, SERIAL, 0xFF, 0)))
    if not is_serial(info):
        raise BadLength(f"B0, module {SERIAL}: {len(info)} bytes, expected {SERIAL_SIZE}")
    return {
        "serial_number": dr1363.padded(info[6:36]),
        "production_date": kit.date(2000 + info[96], info[97], info[98]),
        "manufacturer": dr1363.padded(info[99:119]),
        "_group": group,
    }


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Limits of the pack from those of a cell; the one current limit holds both ways (section 5, an assumption)."""
    values["manufacturer"] = values.get("manufacturer") or "Daren"
    count = values.get("cell_count")
    if count and "_cell_upper" in values:
        values["max_battery_voltage"] = round(values["_cell_upper"] * count, 3)
        values["min_battery_voltage"] = round(values["_cell_lower"] * count, 3)
    if "_current_limit" in values:
        values["max_charge_current"] = 0.0 if values.get("charge_allowed") is False else values["_current_limit"]
        values["max_discharge_current"] = 0.0 if values.get("discharge_allowed") is False else values["_current_limit"]
    return values


def proof(values: kit.Values) -> str:
    """Version, CID1, checksums, and cells that make the pack's voltage (section 8)."""
    count = dr1363.proof(values)
    return f"Daren {values.get('model') or 'BMS'} with {count} cells"


def asked_with(request: bytes) -> kit.Values:
    """The address of a recorded request, and its group where that is another number."""
    item = next(SPLIT(bytearray(request)), None)
    if not isinstance(item, kit.Frame):
        return {}
    grouped = item.status in (REALTIME, PARAMETERS) and item.payload not in (b"", bytes((item.address or 0,)))
    return {"address": item.address, **({"group": item.payload[0]} if grouped else {})}


DRIVER: Final = kit.Driver(
    name="daren_485",
    title="Daren DR-JC03, DR48100JC; Basen (RS485, DR-1363)",
    line=kit.SerialLine(baud=19200, quiet=0.1, turnaround=0.1),
    options=(
        kit.Option("address", 1, "DIP switches 1 to 4", least=0, most=15),
        kit.rates(19200, 9600),
        kit.Option("group", None, "group byte of requests; default the address, 1 where refused", least=0, most=255),
    ),
    plan=(
        kit.Poll(
            "realtime", realtime, essential=True,
            gives=(
                *dr1363.REALTIME.names, "cell_balancing", "balancing", "charge_allowed", "discharge_allowed", "alarms",
            ),
        ),
        kit.Poll(
            "parameters", parameters, every=300.0, keep=1_000_000,  # settings: they last while the link stands
            gives=("max_charge_current", "max_discharge_current", "max_battery_voltage", "min_battery_voltage"),
        ),
        kit.Poll(
            "maker", kit.simple(lambda setup, known: ask(MAKER, setup, dr1363.is_maker), maker),
            gives=("hardware_version", "model", "firmware_version"), every=kit.ONCE,
        ),
        kit.Poll(
            "serial", serial, gives=("serial_number", "production_date", "manufacturer"), every=kit.ONCE
        ),
    ),
    secrets=(kit.secrets.hex_text(b"~", MODULE, range(6, 36)),),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        polls=("maker", "realtime"), proof=proof, setups=({"address": 1}, {"address": 2}),
        begins=0.6,  # time-out in the document 0.5 s; section 2
        siblings=tuple({"address": address} for address in range(3, 16)),
    ),
    standing="decoded from captures",
    unseen=(
        "production_date", "serial_number", "an alarm but low SoC",
        "an open FET (the order of the two is the document's)", "other than 16 cells",
    ),
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=asked_with,
)  # fmt: skip
