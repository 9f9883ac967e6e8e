"""EG4 LiFePower(4), Tian Power, Narada, Basengreen over RS485: binary frames 7E .. 0D that hold numbered groups.

Sheet: eg4_lifepower.md.  Big endian.  Several packs on one line, each with its address; 0 is the master.
The check byte is the XOR of all bytes before it XORed with the low byte of their sum: every capture agrees, the table
that readers use instead is wrong for some addresses (section 3).  It is weak: a changed lowest bit may go unseen.
Current: + = charging, counted down from 30000.
Which switch an over-current or short circuit opened is not sent: it follows from the sign of the current (own choice).
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, WrongDevice

END: Final = 0x0D
OVERHEAD: Final = 6  # bytes beside the payload: start, address, command, length, check, end
GENERAL, FIRMWARE, HARDWARE = 0x01, 0x33, 0x42  # commands
CELLS, CURRENT, SOC, CAPACITY, SENSORS, STATUS, CYCLES, VOLTAGE, SOH = range(1, 10)  # groups
WIDE_FROM: Final = 0x0B  # groups from here on have elements of 4 bytes, the others of 2
MILLIVOLTS: Final = 0x3FFF  # the bits above are flags near full charge
AMBIENT, MOSFET = 0x20, 0xC0  # flags in the high byte of a temperature
COLDEST: Final = -50  # °C that a 0 stands for

NUMBERS: Final = {  # groups of one element: name, scale, what is added before scaling; sheet section 5
    CURRENT: ("current", -0.01, -30000),
    SOC: ("soc", 0.01, 0),
    CAPACITY: ("capacity", 0.01, 0),
    CYCLES: ("charge_cycles", 1, 0),
    VOLTAGE: ("voltage", 0.01, 0),
    SOH: ("soh", 0.01, 0),
}

ALARMS: Final = {  # (byte of group 06, bit): alarm, level; over-current (3, 3) is told by its direction; section 6
    **{(0, bit): ("internal_failure", 2) for bit in range(3, 8)},
    **{(1, bit): ("internal_failure", 2) for bit in range(8)},
    (2, 0): ("high_temperature", 2),
    (2, 1): ("low_temperature", 2),
    (3, 2): ("short_circuit", 2),
    (3, 4): ("high_voltage", 2),
    (3, 5): ("low_voltage", 2),
    (3, 6): ("high_charge_temperature", 2),
    (3, 7): ("low_charge_temperature", 2),
    (4, 1): ("high_internal_temperature", 2),
    (4, 4): ("low_soc", 2),
    (5, 5): ("high_internal_temperature", 2),
    (7, 0): ("low_soc", 1),
    (7, 5): ("internal_failure", 2),
    (7, 7): ("internal_failure", 2),
    (8, 0): ("high_internal_temperature", 1),
    (8, 2): ("high_internal_temperature", 1),
    (8, 3): ("low_soc", 1),
    (8, 4): ("cell_imbalance", 1),
    (8, 5): ("high_temperature", 1),
    (8, 6): ("low_temperature", 1),
    (9, 0): ("high_cell_voltage", 1),
    (9, 1): ("low_cell_voltage", 1),
    (9, 2): ("high_voltage", 1),
    (9, 3): ("low_voltage", 1),
    (9, 4): ("high_charge_current", 1),
    (9, 5): ("high_discharge_current", 1),
    (9, 6): ("high_charge_temperature", 1),
    (9, 7): ("low_charge_temperature", 1),
}
OVER_CURRENT: Final = (3, 3)
HEATER: Final = 4  # bit of the third word of group 06
SUPPORTED: Final = tuple(dict.fromkeys(name for name, _ in ALARMS.values()))
STOPS_CHARGE: Final = ("high_voltage", "high_charge_temperature", "low_charge_temperature")  # at level 2
STOPS_DISCHARGE: Final = ("low_voltage", "high_temperature", "low_temperature")
STOPS_EITHER: Final = ("short_circuit", "high_charge_current", "high_discharge_current")


def check(body: bytes) -> int:
    """The check byte over everything before it (sheet section 3)."""
    return functools.reduce(int.__xor__, body, kit.sum8(body))


def request(start: int, address: int, command: int) -> bytes:
    """A question: no payload."""
    body = bytes((start, address, command, 0))
    return body + bytes((check(body), END))


@functools.cache
def splitter(start: int) -> kit.Splitter:
    """Takes frames off the front by their length byte: 0D occurs inside them, too."""

    def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
        while (at := buffer.find(start)) >= 0:
            if at:
                yield kit.Dropped("noise", bytes(buffer[:at]))
                del buffer[:at]
            if len(buffer) < 4 or len(buffer) < (size := buffer[3] + OVERHEAD):
                return
            whole = bytes(buffer[:size])
            if whole[-1] != END or whole[-2] != check(whole[:-2]):
                yield kit.Dropped("checksum", whole[:1])
                del buffer[0]
                continue
            del buffer[:size]
            yield kit.Frame(kind=whole[2], payload=whole[4:-2], address=whole[1], raw=whole)
        if buffer:
            yield kit.Dropped("noise", bytes(buffer))
            buffer.clear()

    return split


def ask(command: int, tries: int = 2) -> Callable[[kit.Setup, kit.Values], kit.Ask]:
    """One question, for `simple`; an echo of it is told from the reply by its lack of payload."""

    def question(setup: kit.Setup, known: kit.Values) -> kit.Ask:
        start, address = setup["start_byte"], setup["address"]
        return kit.Ask(
            request=request(start, address, command),
            split=splitter(start),
            answers=lambda reply: reply.kind == command and reply.address == address and reply.payload != b"",
            timeout=0.5,
            tries=tries,
        )

    return question


def checked(frames: Sequence[kit.Frame]) -> bytes:
    """The payload.  Raises DeviceRefused for one that is a mere error code."""
    payload = frames[0].payload
    if len(payload) == 1:
        raise DeviceRefused(f"command {frames[0].kind:02X}: the pack answers with error code {payload[0]}")
    return payload


def groups(payload: bytes) -> dict[int, tuple[int, ...]]:
    """Group number -> its elements; neither their order nor that one is there may be relied on.  Raises BadLength."""
    found: dict[int, tuple[int, ...]] = {}
    at = 0
    while at + 2 <= len(payload):
        number, count = payload[at], payload[at + 1]
        width = 4 if number >= WIDE_FROM else 2
        end = at + 2 + count * width
        if end > len(payload):
            raise BadLength(f"group {number:02X} needs {end} bytes of {len(payload)}")
        elements = range(at + 2, end, width)
        found[number] = tuple(int.from_bytes(payload[n : n + width], "big") for n in elements)
        at = end
    return found


def general(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply to 01: everything that changes.  Raises BadLength without cells or voltage."""
    found = groups(checked(frames))
    if not found.get(CELLS) or not found.get(VOLTAGE):
        raise BadLength("a reply without cells (group 01) or voltage (group 08)")
    values: kit.Values = {
        name: round((found[group][0] + plus) * scale, 2) + 0 if scale != 1 else found[group][0]
        for group, (name, scale, plus) in NUMBERS.items()
        if found.get(group)
    }
    values["cell_voltages"] = tuple((raw & MILLIVOLTS) / 1000 for raw in found[CELLS])
    if "soc" in values and "capacity" in values:
        values["remaining_capacity"] = round(values["soc"] * values["capacity"] / 100, 2)
    values |= sensors(found.get(SENSORS, ()))
    if STATUS in found:
        values["alarms"] = alarms(found[STATUS], values.get("current"))
        values["heating"] = bool(found[STATUS][2] >> HEATER & 1) if len(found[STATUS]) > 2 else None
        values |= allowed(values["alarms"], values.get("current"))
    return values


def sensors(elements: Sequence[int]) -> kit.Values:
    """Flags say which sensor is which; where there are none, six are four of cells, the MOSFET's, the ambient one."""
    degrees = [(raw >> 8, float((raw & 0xFF) + COLDEST)) for raw in elements]
    if len(degrees) == 6 and not any(flag for flag, _ in degrees):
        degrees[4:] = [(MOSFET, degrees[4][1]), (AMBIENT, degrees[5][1])]
    values: kit.Values = {"temperatures": tuple(value for flag, value in degrees if not flag)}
    for flag, value in degrees:
        if flag & MOSFET:
            values["mosfet_temperature"] = value
        elif flag & AMBIENT:
            values["ambient_temperature"] = value
    return values


def alarms(elements: Sequence[int], current: float | None) -> dict[str, int]:
    """Levels from the status words that are there; the highest wins."""
    raw = b"".join(word.to_bytes(2, "big") for word in elements)
    levels = dict.fromkeys(SUPPORTED, 0)
    for (byte, bit), (name, level) in ALARMS.items():
        if byte < len(raw) and raw[byte] >> bit & 1:
            levels[name] = max(levels[name], level)
    if OVER_CURRENT[0] < len(raw) and raw[OVER_CURRENT[0]] >> OVER_CURRENT[1] & 1:
        levels |= {name: 2 for name, meant in directions(current).items() if meant}
    return levels


def directions(current: float | None) -> Mapping[str, bool]:
    """Which way an over-current went; both where nothing flows any more."""
    return {"high_charge_current": (current or 0.0) >= 0, "high_discharge_current": (current or 0.0) <= 0}


def allowed(levels: Mapping[str, int], current: float | None) -> kit.Values:
    """The switches are not sent: what the protections mean for them (sheet section 6)."""
    either = any(levels[name] == 2 for name in STOPS_EITHER)
    way = directions(current)
    charge = any(levels[name] == 2 for name in STOPS_CHARGE) or (either and way["high_charge_current"])
    discharge = any(levels[name] == 2 for name in STOPS_DISCHARGE) or (either and way["high_discharge_current"])
    return {"charge_allowed": not charge, "discharge_allowed": not discharge}


def firmware(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply to 33: text."""
    return {"firmware_version": kit.text(checked(frames))}


def hardware(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply to 42: used only where it is text, mostly it is not."""
    payload = checked(frames).rstrip(b"\0 ")
    readable = payload.isascii() and payload.decode("ascii").isprintable()
    return {"hardware_version": kit.text(payload) if readable else None}


def proof(values: kit.Values) -> str:
    """Check byte, address and command were right; 4 to 24 cells add up to the voltage (sheet section 8)."""
    cells, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if not 4 <= len(cells) <= 24 or abs(sum(cells) - volts) > 0.05 * volts:
        raise WrongDevice(f"{len(cells)} cells of {sum(cells):.2f} V in all and {volts:.2f} V are no such pack")
    return f"EG4 LiFePower or Tian Power {values.get('firmware_version') or 'pack'} with {len(cells)} cells"


DRIVER: Final = kit.Driver(
    name="eg4_lifepower",
    title="EG4 LiFePower, Tian Power, Narada, Basengreen",
    line=kit.SerialLine(baud=9600, quiet=0.5, turnaround=0.13),
    intervals=(2.0, math.inf),  # each second gave error frames in the field (sheet section 1)
    options=(
        kit.Option("address", 1, "as the DIP switches say; 0 = the master", least=0, most=15),
        kit.Option("start_byte", 0x7E, "first byte of all frames; 0x7C on some boards", choices=(0x7E, 0x7C)),
    ),
    plan=(
        kit.Poll(
            "general", kit.simple(ask(GENERAL), general), essential=True,
            gives=(
                *(name for name, _, _ in NUMBERS.values()), "cell_voltages", "remaining_capacity", "temperatures",
                "mosfet_temperature", "ambient_temperature", "alarms", "charge_allowed", "discharge_allowed", "heating",
            ),
        ),
        kit.Poll("firmware", kit.simple(ask(FIRMWARE), firmware), gives=("firmware_version",), every=kit.ONCE),
        kit.Poll("hardware", kit.simple(ask(HARDWARE, 1), hardware), gives=("hardware_version",), every=kit.ONCE),
    ),
    assemble=kit.alone(),
    detection=kit.Detection(
        polls=("general", "firmware"),
        proof=proof,
        setups=({"address": 1}, {"address": 0}),
        siblings=tuple({"address": n} for n in range(2, 16)),
    ),
    standing="decoded from captures",
    unseen=("hardware_version", "alarms", "a current", "sensors without flags", "a 7C board"),
    daisy_chain=True,
    asked_with=lambda request: {"address": request[1], "start_byte": request[0]} if len(request) == OVERHEAD else {},
)  # fmt: skip
