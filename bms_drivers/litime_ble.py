"""LiTime, Redodo and PowerQueen LiFePO4 batteries over Bluetooth LE (Beken modules).

Sheet: litime_ble.md.  Little endian.  Current: + = charging.  Only the status (0x13) is proven by captures.
The voltage is the sum of the cells; the one measured at the terminals sags under load.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import WrongDevice

STATUS_COMMAND: Final = 0x13
HEAD: Final = bytes((0, 0, 0x65, 1, STATUS_COMMAND + 0x80, 0x55, 0xAA, 0))
SIZE: Final = 105  # bytes of a status, one notification
SLOTS, CELLS, BALANCE = 16, 16, 84  # cells there is room for; offsets
CHARGE_OFF: Final = 4  # battery state: charging disabled
SWITCHED_OFF: Final = 0x80  # bit of the state word: discharge disabled from the app
STOPS_DISCHARGE: Final = (0x20, 0x80)  # protections

STATUS: Final = kit.Table(  # offsets in the whole reply; sheet section 5
    "<",
    kit.Field("voltage", 12, "u32", 0.001, "V"),
    kit.Field("current", 48, "i32", 0.001, "A"),
    kit.Field("_cells", 52, "i16", 1, "°C"),
    kit.Field("_mosfet", 54, "i16", 1, "°C"),
    kit.Field("remaining_capacity", 62, "u16", 0.01, "Ah"),
    kit.Field("capacity", 64, "u16", 0.01, "Ah"),
    kit.Field("_state", 68, "u32"),
    kit.Field("_protection", 76, "u32"),
    kit.Field("_failure", 80, "u32"),
    kit.Field("_balance", BALANCE, "u32"),
    kit.Field("_battery", 88, "u16"),
    kit.Field("soc", 90, "u16", 1, "%"),
    kit.Field("_soh", 92, "u32", 1, "%"),
    kit.Field("charge_cycles", 96, "u32"),
)
PROTECTION: Final = {  # sheet section 6; any other bit is an internal_failure 1
    2: ("high_voltage", 2),
    5: ("low_voltage", 2),
    6: ("high_charge_current", 2),
    7: ("high_discharge_current", 2),
}
SUPPORTED: Final = kit.alarm_names(PROTECTION, "internal_failure")
KNOWN: Final = sum(1 << bit for bit in PROTECTION)


def request(command: int) -> bytes:
    """A request of eight bytes."""
    body = bytes((0, 0, 4, 1, command, 0x55, 0xAA))
    return body + bytes((kit.sum8(body),))


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take status replies off the front by head, length and sum."""
    while (start := buffer.find(HEAD)) >= 0:
        yield from kit.noise(buffer, start)
        if len(buffer) < SIZE:
            return
        whole = bytes(buffer[:SIZE])
        if kit.sum8(whole[:-1]) != whole[-1]:
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[:SIZE]
        yield kit.Frame(kind=whole[4], payload=whole, raw=whole)
    yield from kit.noise(buffer, len(buffer) - kit.begun(buffer, HEAD))


def status(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """All there is."""
    data = frames[0].payload
    values = STATUS.read(data)
    cells = tuple(raw / 1000 for raw in kit.words(data, CELLS, SLOTS, "<") if raw)
    protection = values["_protection"]
    stopped = bool(values["_state"] & SWITCHED_OFF) or protection in STOPS_DISCHARGE
    return {
        **values,
        "cell_voltages": cells,
        "temperatures": (float(values["_cells"]),),
        "mosfet_temperature": float(values["_mosfet"]),
        "soh": min(100, values["_soh"]),
        "charge_allowed": values["_battery"] != CHARGE_OFF,
        "discharge_allowed": not stopped,
        "cell_balancing": kit.flags(values["_balance"], len(cells)),
        "balancing": bool(values["_balance"]),
        "alarms": alarms(protection, values["_failure"]),
    }


def alarms(protection: int, failure: int) -> dict[str, int]:
    """Levels of the protections; a bit that is not known is a failure of level 1, a failure word one of level 2."""
    levels = kit.alarm_bits(protection, PROTECTION, SUPPORTED)
    levels["internal_failure"] = 2 if failure else 1 if protection & ~KNOWN else 0
    return levels


def proof(values: kit.Values) -> str:
    """3 to 16 cells whose sum is the voltage."""
    cells, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if len(cells) < 3 or abs(sum(cells) - volts) > 0.03 * volts:
        raise WrongDevice(f"no LiTime: {len(cells)} cells of {sum(cells):.2f} V, {volts:.2f} V in all")
    return f"LiTime, Redodo or PowerQueen battery with {len(cells)} cells"


ASK: Final = kit.Ask(request(STATUS_COMMAND), split, size=SIZE, timeout=2.0, tries=2)

DRIVER: Final = kit.Driver(
    name="litime_ble",
    title="LiTime / Redodo / PowerQueen, Bluetooth",
    transports=("ble",),
    ble=kit.BleLine(
        ways=(kit.Gatt("ffe0", "ffe1", "ffe2"),), names=r"(P|PQ|R|RO|L|LT|S|SS)-\d\d", makers=(0x585A,), response=True
    ),
    plan=(
        kit.Poll(
            "status", kit.simple(ASK, status), essential=True,
            gives=(
                *STATUS.names, "soh", "cell_voltages", "temperatures", "mosfet_temperature", "charge_allowed",
                "discharge_allowed", "cell_balancing", "balancing", "alarms",
            ),
        ),
    ),
    assemble=kit.alone(manufacturer="LiTime"),
    detection=kit.Detection(polls=("status",), proof=proof, begins=1.0),
    unseen=("alarms", "charging"),
)  # fmt: skip
