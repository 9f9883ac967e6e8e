"""A JK inverter board, from its sheet alone (jk_pb.md): trigger protocol, switch writes by function 10."""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

ALARM_BITS: Final = {  # sheet section 6
    "bms_cable": 0, "high_internal_temperature": 1, "internal_failure": 2, "high_cell_voltage": 4, "high_voltage": 5,
    "high_charge_current": 6, "short_circuit": 7, "high_charge_temperature": 8, "low_charge_temperature": 9,
    "low_cell_voltage": 11, "low_voltage": 12, "high_discharge_current": 13, "high_temperature": 15,
    "low_temperature": 27,
}  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> "JkPb":
    """The device at settings["address"] (1)."""
    return JkPb(pack, settings.get("address", 1))


def modbus_crc(data: bytes) -> bytes:
    """CRC-16 of Modbus, bit by bit, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class JkPb:
    """Bytes in, bytes out."""

    baud = 115200
    turnaround = 0.012  # s

    def __init__(self, pack: Pack, address: int) -> None:
        self.pack, self.address = pack, address

    def answer(self, received: bytearray) -> list[bytes]:
        """Function 10 requests: ADDR 10 register count bytes data CRC."""
        replies: list[bytes] = []
        while len(received) >= 7:
            size = 9 + received[6]
            if received[1] != 0x10 or received[6] > 8:
                del received[0]
                continue
            if len(received) < size:
                break
            request = bytes(received[:size])
            if modbus_crc(request[:-2]) != request[-2:]:
                del received[0]
                continue
            del received[:size]
            if request[0] == self.address:
                replies += self._act(int.from_bytes(request[2:4], "big"), request)
        return replies

    def _act(self, register: int, request: bytes) -> list[bytes]:
        acknowledge = request[:6] + modbus_crc(request[:6])
        records = {0x161C: self._about, 0x161E: self._settings, 0x1620: self._status}
        if register in records:
            return [records[register]() + acknowledge]
        switches = {0x1070: "charge_switch", 0x1074: "discharge_switch", 0x1078: "balance_switch"}
        if register not in switches:
            return []
        setattr(self.pack, switches[register], bool(int.from_bytes(request[7:11], "big")))
        return [acknowledge]

    def _record(self, kind: int, fields: dict[int, tuple[int, int]], texts: dict[int, bytes] | None = None) -> bytes:
        """`fields`: offset -> (value, bytes), little endian."""
        raw = bytearray(300)
        raw[:6] = b"\x55\xaa\xeb\x90" + bytes((kind, 0))
        for at, (value, width) in fields.items():
            raw[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
        for at, content in (texts or {}).items():
            raw[at : at + len(content)] = content
        raw[299] = sum(raw[:299]) & 0xFF
        return bytes(raw)

    def _status(self) -> bytes:
        pack = self.pack
        soc = min(pack.soc, 100.0)
        alarms = sum(1 << ALARM_BITS[name] for name in pack.alarms if name in ALARM_BITS)
        t1, t2 = (round(t * 10) for t in pack.temperatures[:2])
        fields = {6 + 2 * n: (round(volts * 1000), 2) for n, volts in enumerate(pack.cells)}
        fields |= {
            70: ((1 << len(pack.cells)) - 1, 4), 144: (round(pack.mosfet_temperature * 10), 2),
            150: (round(pack.voltage * 1000), 4), 154: (round(abs(pack.voltage * pack.flow) * 1000), 4),
            158: (round(pack.flow * 1000), 4), 162: (t1, 2), 164: (t2, 2), 166: (alarms, 4),
            172: (1 if pack.balancing else 0, 1), 173: (round(soc), 1),
            174: (round(pack.capacity * soc * 10), 4), 178: (round(pack.capacity * 1000), 4), 182: (pack.cycles, 4),
            190: (100, 1), 198: (pack.charge_switch, 1), 199: (pack.discharge_switch, 1), 214: (0xFF, 1),
            234: (round(pack.voltage * 100), 2), 254: (round(pack.mosfet_temperature * 10), 2),
            256: (t1 + 3, 2), 258: (t2 - 2, 2),
        }  # fmt: skip
        return self._record(2, fields)

    def _settings(self) -> bytes:
        pack = self.pack
        return self._record(1, {
            10: (2500, 4), 18: (3650, 4), 26: (10, 4), 38: (3450, 4), 42: (3375, 4), 50: (80000, 4), 62: (100000, 4),
            114: (len(pack.cells), 4), 118: (pack.charge_switch, 4), 122: (pack.discharge_switch, 4),
            126: (pack.balance_switch, 4), 130: (round(pack.capacity * 1000), 4), 270: (self.address, 4),
        })  # fmt: skip

    def _about(self) -> bytes:
        return self._record(3, {}, {
            6: b"JK_PB2A16S20P", 22: b"15A", 30: b"15.41", 46: self.pack.serial.encode(), 78: b"240717",
            86: self.pack.serial.encode(), 102: b"Input Userdata",
        })  # fmt: skip
