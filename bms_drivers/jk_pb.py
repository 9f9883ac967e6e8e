"""JK inverter BMS ("PB" boards, and B boards with UART1 protocol 001) over RS485: the 55 AA EB 90 records.

Sheet: jk_pb.md.  Records are little endian, the Modbus frames around them big endian.  Current: + = charging.
A function-10 write to 0x161C/1E/20 triggers a 300-byte record; the Modbus acknowledge behind it names who answered.
On the bus of a master (address 0) nothing may be sent: what it broadcasts, and what the units that it polls answer, is
overheard (sheet section 8).
"""

from collections.abc import Iterator
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, WrongDevice

HEAD: Final = b"\x55\xaa\xeb\x90"
RECORD, ACKNOWLEDGE = 300, 8  # bytes
SETTINGS, STATUS, ABOUT = 1, 2, 3  # record types, byte 4
REGISTER: Final = {ABOUT: 0x161C, SETTINGS: 0x161E, STATUS: 0x1620}
PADS: Final = range(3)  # bytes that may be between record and acknowledge; sheet section 3, "Receiving"
WRITE, EXCEPTION = 0x10, 0x90  # Modbus functions
MASTER: Final = 0  # the address of a unit that polls the others itself: listen only
NO_SENSOR: Final = -200.0  # °C; not fitted
FACTORY_NAMES: Final = ("Input Userdata", "JK-BMS")

STATUS_TABLE: Final = kit.Table(  # offsets in the whole record; sheet section 5, status
    "<",
    kit.Field("_present", 70, "u32"),
    kit.Field("mosfet_temperature", 144, "i16", 0.1, "°C"),
    kit.Field("voltage", 150, "u32", 0.001, "V"),
    kit.Field("current", 158, "i32", 0.001, "A"),
    kit.Field("_t1", 162, "i16", 0.1, "°C"),
    kit.Field("_t2", 164, "i16", 0.1, "°C"),
    kit.Field("_alarms", 166, "u32"),
    kit.Field("_balance", 172, "u8"),
    kit.Field("soc", 173, "u8", 1, "%"),
    kit.Field("remaining_capacity", 174, "u32", 0.001, "Ah"),
    kit.Field("_full_capacity", 178, "u32", 0.001, "Ah"),
    kit.Field("charge_cycles", 182, "u32"),
    kit.Field("soh", 190, "u8", 1, "%"),
    kit.Field("_charge", 198, "u8"),
    kit.Field("_discharge", 199, "u8"),
    kit.Field("_heating", 215, "u8"),
    kit.Field("_t4", 256, "i16", 0.1, "°C"),
    kit.Field("_t5", 258, "i16", 0.1, "°C"),
)

SETTINGS_TABLE: Final = kit.Table(  # sheet section 5, settings
    "<",
    kit.Field("cell_undervoltage_protection", 10, "u32", 0.001, "V"),
    kit.Field("cell_overvoltage_protection", 18, "u32", 0.001, "V"),
    kit.Field("_requested_cell_voltage", 38, "u32", 0.001, "V"),
    kit.Field("max_charge_current", 50, "u32", 0.001, "A"),
    kit.Field("max_discharge_current", 62, "u32", 0.001, "A"),
    kit.Field("_balance_switch", 126, "u32"),
    kit.Field("capacity", 130, "u32", 0.001, "Ah"),
)

TEXTS: Final = {  # name: (offset, length); sheet section 5, about; passwords at 62 and 118 are not read
    "model": (6, 16),
    "hardware_version": (22, 8),
    "firmware_version": (30, 8),
    "serial_number": (86, 16),
    "custom_name": (102, 16),
}

ALARMS: Final = {  # sheet section 6; bits that are not here are no alarms
    0: ("bms_cable", 1),
    1: ("high_internal_temperature", 2),
    2: ("internal_failure", 2),
    3: ("internal_failure", 2),
    4: ("high_cell_voltage", 2),
    5: ("high_voltage", 2),
    6: ("high_charge_current", 2),
    7: ("short_circuit", 2),
    8: ("high_charge_temperature", 2),
    9: ("low_charge_temperature", 2),
    10: ("internal_failure", 2),
    11: ("low_cell_voltage", 2),
    12: ("low_voltage", 2),
    13: ("high_discharge_current", 2),
    14: ("short_circuit", 2),
    15: ("high_temperature", 2),
    16: ("internal_failure", 2),
    17: ("internal_failure", 2),
    20: ("internal_failure", 2),
    21: ("high_temperature", 1),
    22: ("internal_failure", 1),
    24: ("short_circuit", 2),
    25: ("high_discharge_current", 2),
    26: ("high_discharge_current", 2),
    27: ("low_temperature", 2),
}
SUPPORTED: Final = kit.alarm_names(ALARMS)
SWITCHES: Final = {"charge": 0x1070, "discharge": 0x1074, "balance": 0x1078}  # sheet section 7


SECRETS: Final = (range(46, 78), range(86, 150))  # of an about record: names, passwords, serial number; sheet section 5


def secret_places(data: bytes) -> tuple[range, ...]:
    """Where in a record passwords, names and the serial number are."""
    return SECRETS if data[4:5] == bytes((ABOUT,)) else ()


def summed(data: bytes) -> bytes:
    """The record at the beginning of `data` with its right sum; b"" where it is not whole."""
    return data[: RECORD - 1] + bytes((kit.sum8(data[: RECORD - 1]),)) if len(data) >= RECORD else b""


def with_crc(body: bytes) -> bytes:
    """`body` and its CRC-16/Modbus, low byte first."""
    return body + kit.crc16(body).to_bytes(2, "little")


def trigger(address: int, kind: int) -> bytes:
    """The request that makes `address` send a record of this type."""
    return with_crc(bytes((address, 0x10)) + REGISTER[kind].to_bytes(2, "big") + b"\x00\x01\x02\x00\x00")


def acknowledged(raw: bytes, kind: int) -> int | None:
    """The address that an 8-byte acknowledge of this record type names, None when it is none."""
    expected = b"\x10" + REGISTER.get(kind, 0).to_bytes(2, "big") + b"\x00\x01"
    if len(raw) == ACKNOWLEDGE and raw[1:6] == expected and with_crc(raw[:6]) == raw:
        return raw[0]
    return None


def ending(buffer: bytearray, kind: int) -> tuple[int, int] | None:
    """Of the record at the front: the address its acknowledge names, and the byte after that acknowledge."""
    for end in (RECORD + pad + ACKNOWLEDGE for pad in PADS):
        address = acknowledged(bytes(buffer[end - ACKNOWLEDGE : end]), kind)
        if address is not None:
            return address, end
    return None


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take records with their acknowledge off the front (sheet section 3); pad bytes 00 are no noise."""
    while (start := buffer.find(HEAD)) >= 0:
        yield from skip(buffer, start)
        if len(buffer) < RECORD + ACKNOWLEDGE:
            return
        record = bytes(buffer[:RECORD])
        if kit.sum8(record[:-1]) != record[-1]:
            yield kit.Dropped("checksum", record[:1])
            del buffer[0]
            continue
        if (found := ending(buffer, record[4])) is not None:
            address, end = found
            yield kit.Frame(kind=record[4], payload=record, address=address, raw=bytes(buffer[:end]))
            del buffer[:end]
        elif len(buffer) < RECORD + PADS[-1] + ACKNOWLEDGE:
            return  # the acknowledge may end with the next byte
        else:
            # nobody knows who sent it; or it is a torn record and half of the next, whose 8-bit sum fits by chance
            yield kit.Dropped("foreign", record[:1])
            del buffer[0]
    keep = next((n for n in (3, 2, 1) if buffer.endswith(HEAD[:n])), 0)
    yield from skip(buffer, len(buffer) - keep)


def skip(buffer: bytearray, size: int) -> Iterator[kit.Dropped]:
    """Take `size` bytes off the front as noise, unless they are mere padding."""
    noise = bytes(buffer[:size])
    del buffer[:size]
    if noise.strip(b"\0"):
        yield kit.Dropped("noise", noise)


def split_write(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Replies to Modbus function 10: address, 10, register, count, CRC; or address, 90, code, CRC (sheet section 7)."""
    noise = bytearray()
    while len(buffer) >= 5:
        size = {WRITE: ACKNOWLEDGE, EXCEPTION: 5}.get(buffer[1], 0)
        if len(buffer) < size:
            break
        raw = bytes(buffer[:size])
        if size and with_crc(raw[:-2]) == raw:
            del buffer[:size]
            refused = raw[1] == EXCEPTION
            kind = EXCEPTION if refused else int.from_bytes(raw[2:4], "big")
            yield kit.Frame(kind=kind, payload=raw[2:-2], address=raw[0], status=raw[2] if refused else 0, raw=raw)
        else:
            noise.append(buffer.pop(0))
    if noise:
        yield kit.Dropped("noise", bytes(noise))


def record(kind: int, setup: kit.Setup, tries: int = 2) -> kit.Ask:
    """Ask one unit for one record."""
    address = setup["address"]
    return kit.Ask(
        request=trigger(address, kind),
        split=split,
        answers=lambda reply: reply.kind == kind and reply.address == address,
        size=RECORD + ACKNOWLEDGE,
        timeout=0.5 if kind == STATUS else 1.0,
        tries=tries,
    )


CYCLE: Final = 16.0  # s; a master's own cycle is 4.4 s, 6 to 15 s in older reports
SOON: Final = 8.0  # s; how long settings are waited for, lest the status gets old meanwhile


def listens(setup: kit.Setup) -> bool:
    """A master, and where one polls the unit: nothing is sent."""
    return bool(setup["address"] == MASTER or setup.get("listen"))


def overhear(kind: int, setup: kit.Setup, timeout: float) -> kit.Ask:
    """Wait for one record of one unit: the master's own broadcast, or what another one answers it."""
    address = setup["address"]
    return kit.Ask(
        request=b"",
        split=split,
        answers=lambda reply: reply.kind == kind and reply.address == address,
        timeout=timeout,
    )


def status(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """The status record, asked for or overheard."""
    if listens(setup):
        replies = yield overhear(STATUS, setup, CYCLE)
        return {**decode_status(replies[-1].payload), "_master": setup["address"] == MASTER}
    replies = yield record(STATUS, setup)
    return decode_status(replies[-1].payload)


def decode_status(data: bytes) -> kit.Values:
    """Values of a status record."""
    values = STATUS_TABLE.read(data)
    return {
        **common_status(values, data, slots=32),
        "heating": bool(values["_heating"]),
        "alarms": kit.alarm_bits(values["_alarms"], ALARMS, SUPPORTED),
    }


def common_status(values: kit.Values, data: bytes, slots: int) -> kit.Values:
    """What is alike in records with any number of cell slots.  Raises BadLength when no cell is present."""
    present = [n for n in range(slots) if values["_present"] >> n & 1]
    if not present:
        raise BadLength("a status record without any cell")
    values |= {
        "cell_voltages": tuple(int.from_bytes(data[6 + 2 * n : 8 + 2 * n], "little") / 1000 for n in present),
        "balancing": values["_balance"] != 0,
        "charge_allowed": bool(values["_charge"]),
        "discharge_allowed": bool(values["_discharge"]),
    }
    if values["mosfet_temperature"] == NO_SENSOR:
        del values["mosfet_temperature"]
    return values


def temperatures(values: kit.Values, firmware: str | None) -> tuple[float, ...]:
    """T1, T2, and T4, T5 where the board has them; T3 is a copy of the MOSFET's (sheet section 5)."""
    chosen = [values["_t1"], values["_t2"]]
    old = firmware is not None and firmware.split(".")[0].isdigit() and int(firmware.split(".")[0]) < 14
    if not old and (values["_t4"] or values["_t5"]):
        chosen += [values["_t4"], values["_t5"]]
    return tuple(value for value in chosen if value != NO_SENSOR)


def settings(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """The settings record: switch states and limits, now and then."""
    replies = yield overhear(SETTINGS, setup, SOON) if listens(setup) else record(SETTINGS, setup)
    return decode_settings(replies[-1].payload)


def decode_settings(data: bytes) -> kit.Values:
    """Values of a settings record."""
    values = SETTINGS_TABLE.read(data)
    return {**values, "balance_allowed": bool(values["_balance_switch"])}


def about(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Identity; firmware from 15.36 on does not always answer (sheet section 4)."""
    if listens(setup):
        return {}  # no master asks for it
    return decode_about((yield record(ABOUT, setup, tries=1))[-1].payload)


def decode_about(data: bytes) -> kit.Values:
    """Values of an identity record."""
    values: kit.Values = {name: kit.text(data[at : at + length]) for name, (at, length) in TEXTS.items()}
    if values["custom_name"] in FACTORY_NAMES:
        values["custom_name"] = None
    made = kit.text(data[78:86]) or ""
    if len(made) == 6 and made.isdigit():
        values["production_date"] = kit.date(2000 + int(made[:2]), int(made[2:4]), int(made[4:]))
    return values


LIMITS: Final = ("max_charge_current", "max_discharge_current", "max_battery_voltage")  # of the settings record


def combined(values: kit.Values) -> kit.Values:
    """What takes more than one record: the sensors there are, the capacity, and the voltage the board would ask for."""
    if "_t1" in values:
        values["temperatures"] = temperatures(values, values.get("firmware_version"))
    values["capacity"] = values.get("capacity") or values.get("_full_capacity") or None  # as configured, else as it is
    wished, cells = values.get("_requested_cell_voltage"), values.get("cell_voltages")
    if wished and cells:
        values["max_battery_voltage"] = round(wished * len(cells), 3)
    return {"manufacturer": "JK", **values}


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """As combined; and what a master does not ask for."""
    values = combined(values)
    if listens(setup):
        values["untold"] = kit.not_told(values, LIMITS)
    return values


def proof(values: kit.Values) -> str:
    """Record, sum and an acknowledge from the address asked; 3 to 32 cells (sheet section 8)."""
    count = len(values.get("cell_voltages", ()))
    if not 3 <= count <= 32:
        raise WrongDevice(f"a JK inverter BMS has 3..32 cells, this one says {count}")
    if values.get("_master"):
        return f"JK inverter BMS with {count} cells that is bus master; set its DIP switches to an address from 1 on"
    return f"JK {values.get('model') or 'inverter BMS'} with {count} cells"


def switch(action: str) -> kit.Control:
    """A switch by Modbus function 10; received is not done: the next records confirm it (sheet section 7)."""
    register = SWITCHES[action]

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        address = setup["address"]
        if listens(setup):
            raise DeviceRefused("a bus master talks here: it is only listened to, nothing may be sent")
        body = bytes((address, WRITE)) + register.to_bytes(2, "big") + b"\x00\x02\x04"
        replies = yield kit.Ask(
            request=with_crc(body + (1 if value else 0).to_bytes(4, "big")),
            split=split_write,
            answers=lambda reply: reply.kind in (register, EXCEPTION) and reply.address == address,
            size=ACKNOWLEDGE,
            timeout=0.5,
        )
        if replies[0].status:
            raise DeviceRefused(f"register 0x{register:04X}: Modbus exception {replies[0].status}")
        return {}

    return kit.Control(
        talk, kit.shown_by(f"{action}_allowed"), "captured on firmware 15.41; the board may itself keep a switch open"
    )


def names(table: kit.Table, *more: str) -> tuple[str, ...]:
    """What a record delivers."""
    return (*table.names, *more)


DRIVER: Final = kit.Driver(
    name="jk_pb",
    title="JK inverter BMS (PB boards), RS485",
    line=kit.SerialLine(baud=115200, quiet=0.1, turnaround=0.02),
    options=(
        kit.Option("address", 1, "DIP switches; 0 = a bus master: listens, with poll_interval: 5", least=0, most=15),
        kit.rates(115200, 9600),
        kit.Option("listen", False, "true = a master polls it: only listens, with poll_interval: 5", kind=bool),
    ),
    plan=(
        kit.Poll(
            "status", status, essential=True,
            gives=names(
                STATUS_TABLE, "cell_voltages", "temperatures", "balancing", "heating", "charge_allowed",
                "discharge_allowed", "alarms",
            ),
        ),
        kit.Poll(
            "settings", settings, every=180.0, keep=1_000_000,  # its values last while the link stands; sheet section 4
            gives=names(SETTINGS_TABLE, "balance_allowed", "max_battery_voltage"),
        ),
        kit.Poll("about", about, gives=(*TEXTS, "production_date"), every=kit.ONCE),
    ),
    secrets=(kit.secrets.in_frames(HEAD, secret_places, summed),),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        rank=11, polls=("status",), proof=proof, setups=tuple({"address": n} for n in range(1, 16)), cycle=CYCLE,
        overheard=({"address": MASTER}, *({"address": n, "listen": True} for n in range(1, 16))),
    ),
    listens=listens,
    controls={action: switch(action) for action in SWITCHES},
    daisy_chain=True,
    asked_with=kit.unit_asked,
    limits_from_bms=True,  # the settings record holds "max" currents (sheet sections 1 and 5)
    unseen=("alarms", "custom_name", "set balance", "set charge", "set discharge"),
)  # fmt: skip
