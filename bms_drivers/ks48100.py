"""KS48100 packs (PAPool, Bemory, CERRNSS, VoltPolska; 16 cells, 100 Ah) over RS485: DR-1363 that begins with ">".

Sheet: ks48100.md.  All integers big endian.  Current: + = charging.  A slow board: real-time data take about 3 s.
"""

from collections.abc import Callable, Sequence
from typing import Final

from bms_drivers import kit
from bms_drivers.kit import dr1363
from gateway.model import BadLength

START: Final = b">"
OWN, COMMON = 0x42, 0x4A  # CID1 of most services; of the manufacturing parameters
REALTIME, PARAMETERS, MAKER, MODULE = 0x42, 0x47, 0x51, 0xB0
SERIAL, SERIAL_END = 3, 21  # module; the byte after its 15 letters
SPLIT: Final = kit.hex_splitter(START)

ALARMS: Final = kit.alarm_rows(  # a row a status word; section 6
    {
        **dr1363.MEASURED,
        3: {7: ("low_soc", 2), **dict.fromkeys((*range(1, 7), *range(9, 16)), ("internal_failure", 2))},
    },
    width=16,
)
SUPPORTED: Final = kit.alarm_names(ALARMS)

Shape = Callable[[bytes], bool]


def is_serial(info: bytes) -> bool:
    """The shape of B0, module 3."""
    return len(info) >= SERIAL_END and info[1:3] == bytes((1, SERIAL))


def asker(
    cid1: int, command: int, shape: Shape, timeout: float, rest: bytes | None = None, size: int = 0
) -> Callable[[kit.Setup, kit.Values], kit.Ask]:
    """The question; INFO is the address and `rest`, or nothing where that is None."""

    def ask(setup: kit.Setup, known: kit.Values) -> kit.Ask:
        address = setup["address"]
        info = b"" if rest is None else bytes((address,)) + rest
        return kit.Ask(
            request=kit.hex_frame(dr1363.VERSION, address, cid1, command, info, START),
            split=SPLIT,
            answers=lambda reply: (
                reply.kind == dr1363.VERSION << 8 | cid1
                and reply.address == address
                and (shape(reply.payload) if reply.status == 0 else reply.status in dr1363.CODES)
            ),
            size=size,
            timeout=timeout,
        )

    return ask


def realtime(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """42: all that is measured, switches (the other way round than daren_485) and alarms."""
    values = dr1363.realtime(kit.hex_info(frames, dr1363.CODES))
    return {
        **values,
        "charge_allowed": bool(values["_switch_word"] & 1),
        "discharge_allowed": bool(values["_switch_word"] & 2),
        "alarms": kit.alarm_bits(values["_status"], ALARMS, SUPPORTED),
    }


def parameters(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """47: of the limits only that of the current; the scales of the others are not sure (section 5)."""
    return dr1363.parameters(kit.hex_info(frames, dr1363.CODES))


def maker(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """51: hardware, product, software."""
    return dr1363.maker(kit.hex_info(frames, dr1363.CODES))


def serial(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """B0, module 3; unlike with daren_485 no service byte is in front."""
    info = kit.hex_info(frames, dr1363.CODES)
    if not is_serial(info):
        raise BadLength(f"B0, module {SERIAL}: {len(info)} bytes")
    return {"serial_number": dr1363.padded(info[6:SERIAL_END])}


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The one current limit holds both ways, and is 0 where the switch is open (section 5)."""
    if "_current_limit" in values:
        values["max_charge_current"] = 0.0 if values.get("charge_allowed") is False else values["_current_limit"]
        values["max_discharge_current"] = 0.0 if values.get("discharge_allowed") is False else values["_current_limit"]
    return values


def proof(values: kit.Values) -> str:
    """A reply that begins with ">", and cells that make the pack's voltage (section 8)."""
    count = dr1363.proof(values)
    return f"KS48100 {values.get('serial_number') or 'pack'} with {count} cells"


def asked_with(request: bytes) -> kit.Values:
    """The address of a recorded request."""
    item = next(SPLIT(bytearray(request)), None)
    return {"address": item.address} if isinstance(item, kit.Frame) else {}


DRIVER: Final = kit.Driver(
    name="ks48100",
    title="KS48100 (PAPool, Bemory, CERRNSS, VoltPolska)",
    line=kit.SerialLine(baud=9600, quiet=0.1, turnaround=0.3),
    options=(kit.Option("address", 1, "DIP switches", least=0, most=15),),
    plan=(
        kit.Poll(
            "realtime",
            kit.simple(asker(OWN, REALTIME, dr1363.is_realtime, timeout=3.5, size=216), realtime),
            essential=True,
            gives=(
                *dr1363.REALTIME.names, "cell_balancing", "balancing", "charge_allowed", "discharge_allowed", "alarms",
            ),
        ),
        kit.Poll(
            "parameters",
            kit.simple(asker(OWN, PARAMETERS, dr1363.is_parameters, timeout=1.5, rest=b""), parameters),
            gives=("max_charge_current", "max_discharge_current"), every=60.0, keep=1_000_000,
        ),
        kit.Poll(
            "maker", kit.simple(asker(OWN, MAKER, dr1363.is_maker, timeout=1.5), maker),
            gives=("hardware_version", "model", "firmware_version"), every=kit.ONCE,
        ),
        kit.Poll(
            "serial",
            kit.simple(
                asker(COMMON, MODULE, is_serial, timeout=2.0, rest=bytes((1, SERIAL, 0xFF, 0x56))), serial
            ),
            gives=("serial_number",), every=kit.ONCE,
        ),
    ),
    secrets=(kit.secrets.hex_text(START, MODULE, range(6, SERIAL_END)),),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        rank=85, begins=1.5, polls=("serial", "realtime"), proof=proof, setups=({"address": 1},),
        siblings=tuple({"address": address} for address in range(2, 16)),
    ),
    standing="from documentation only",
    unseen=("the start byte of replies is assumed",),
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=asked_with,
)  # fmt: skip
