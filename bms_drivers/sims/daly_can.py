"""A Daly board on a CAN bus.  Written from the sheet (daly_can.md sections 3 to 6), never from the DBC file."""

from collections.abc import Mapping
from typing import Any, Final

from bms_drivers.kit.declare import CanId
from bms_drivers.sims.can_bus import OnCan, Sent
from bms_drivers.sims.pack import Pack

ALARMS: Final = {  # alarm: (byte, bit of the lower of a pair, the upper being the second level)
    "high_cell_voltage": (0, 0), "low_cell_voltage": (0, 2), "high_voltage": (0, 4), "low_voltage": (0, 6),
    "high_charge_temperature": (1, 0), "low_charge_temperature": (1, 2), "high_temperature": (1, 4),
    "low_temperature": (1, 6), "high_charge_current": (2, 0), "high_discharge_current": (2, 2), "low_soc": (2, 6),
    "cell_imbalance": (3, 0),
}  # fmt: skip


def big(value: float, size: int = 2) -> bytes:
    """An unsigned number."""
    return max(0, round(value)).to_bytes(size, "big")


class DalyCan(OnCan):
    """Answers at one board number; sends nothing by itself."""

    def __init__(self, pack: Pack, board: int) -> None:
        super().__init__(pack)
        self.board = board

    def asked(self, wanted: CanId, data: bytes) -> list[Sent]:
        """The frames of the data id that is asked for."""
        if not wanted.extended or wanted.id & 0xFF00FFFF != 0x18000040 | self.board << 8:
            return []
        number = wanted.id >> 16 & 0xFF
        return [Sent(0x18004000 | number << 16 | self.board, part, True) for part in self.parts(number)]

    def parts(self, number: int) -> list[bytes]:
        """The data of each frame that answers."""
        pack = self.pack
        millivolts = [round(volts * 1000) for volts in pack.cells]
        degrees = [round(t) + 40 for t in pack.temperatures]
        state = 1 if pack.flow > 0 else 2 if pack.flow < 0 else 0
        left = big(pack.capacity * pack.soc * 10, 4)
        if number == 0x95:
            threes = [[*millivolts, 0, 0][n : n + 3] for n in range(0, len(millivolts), 3)]
            return [bytes((n,)) + b"".join(map(big, three)) + b"\xff" for n, three in enumerate(threes, 1)]
        plain = {
            0x50: big(pack.capacity * 1000, 4) + big(3200, 4),
            0x90: big(pack.voltage * 10) + bytes(2) + big(30000 - pack.flow * 10) + big(pack.soc * 10),
            0x91: _extremes(millivolts, 2) + b"\xff\xff",
            0x92: _extremes(degrees, 1) + b"\xff" * 4,
            0x93: bytes((state, pack.charge_switch, pack.discharge_switch, 7)) + left,
            0x94: bytes((len(millivolts), len(degrees), 0, 0, 0)) + big(pack.cycles) + b"\0",
            0x96: bytes((1, *degrees)) + b"\xff" * (7 - len(degrees)),
            0x97: bytes((pack.balancing,)) + bytes(7),
            0x98: self.alarms(),
        }
        return [plain[number]] if number in plain else []

    def alarms(self) -> bytes:
        """Second levels of those that are raised."""
        data = bytearray(8)
        for name in self.pack.alarms & ALARMS.keys():
            byte, bit = ALARMS[name]
            data[byte] |= 2 << bit
        return bytes(data)


def _extremes(values: list[int], size: int) -> bytes:
    high, low = max(values), min(values)
    return b"".join(big(v, size) + bytes((values.index(v) + 1,)) for v in (high, low))


def build(pack: Pack, settings: Mapping[str, Any]) -> DalyCan:
    """One board."""
    return DalyCan(pack, settings.get("address") or 1)
