"""A JK BMS on a CAN bus, protocol V2.1.  Written from the sheet (jk_can.md sections 5, 6), never from the DBC file."""

from collections.abc import Mapping
from typing import Any, Final

from bms_drivers.sims.can_bus import OnCan, Sent
from bms_drivers.sims.pack import Pack

CELLS: Final = range(3, 26)
LEVELS: Final = (  # 0x07F4, two bits each
    "high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage", "cell_imbalance", "high_discharge_current",
    "high_charge_current", "high_temperature", "low_temperature", "", "low_soc",
)  # fmt: skip
SERIOUS: Final = 1


def word(value: float) -> bytes:
    """16 bits, little endian, within what they hold."""
    return min(0xFFFF, max(0, round(value))).to_bytes(2, "little")


class JkCan(OnCan):
    """Sends at one address."""

    def __init__(self, pack: Pack, address: int) -> None:
        super().__init__(pack)
        self.address = address

    def frames(self) -> list[Sent]:
        """All that V2.1 sends; the alarms only while one stands."""
        pack = self.pack
        cells = [round(volts * 1000) for volts in pack.cells]
        kelvin = [round(t) + 50 for t in pack.temperatures]
        high, low = max(cells), min(cells)
        extremes = word(high) + bytes((cells.index(high) + 1,)) + word(low) + bytes((cells.index(low) + 1, 0, 0))
        hot, cold = max(kelvin), min(kelvin)
        mean, mosfet = sum(kelvin) // len(kelvin), round(pack.mosfet_temperature) + 50
        degrees = bytes((hot, kelvin.index(hot), cold, kelvin.index(cold), mean, 0, 0, 0))
        switches = pack.charge_switch | pack.discharge_switch << 1 | pack.balancing << 2
        full, left = pack.capacity * 10, pack.capacity * pack.soc / 10
        state = word(pack.voltage * 10) + word(pack.flow * 10 + 4000) + bytes((round(pack.soc), 0, 0, 0))
        asks = round(len(cells) * 36).to_bytes(2, "big") + (950).to_bytes(2, "big")
        found = [
            self.standard(0x2F4, state, 0.02),
            self.standard(0x4F4, extremes, 0.1),
            self.standard(0x5F4, degrees, 0.5),
            self.extended(0x18F128F4, word(left) + word(full) + word(0) + word(pack.cycles), 0.1),
            self.extended(0x18F228F4, bytes((0b111, kelvin[0], kelvin[1], mosfet, 0xFF, 0xFF, 0, 0)), 0.5),
            self.extended(0x18F328F4, bytes(8), 0.1),
            self.extended(0x18F428F4, bytes(6) + bytes((100, 0)), 0.5),
            self.extended(0x18F528F4, bytes((switches, 0, 0, 0, 0, 0, 0, 0)), 0.5),
            Sent(0x1806E5F4, asks + bytes(4), True, 1.0),
        ]
        for k in range(-(-len(cells) // 4)):
            four = [*cells, 0, 0, 0][4 * k : 4 * k + 4]
            found.append(self.extended(0x18E028F4 + 0x10000 * k, b"".join(map(word, four)), 1.0))
        return [*found, self.standard(0x7F4, self.alarms(), 0.1)] if pack.alarms else found

    def standard(self, identifier: int, data: bytes, every: float) -> Sent:
        """An 11-bit frame of this address."""
        return Sent(identifier + self.address, data, False, every)

    def extended(self, identifier: int, data: bytes, every: float) -> Sent:
        """A 29-bit frame of this address."""
        return Sent(identifier + self.address, data, True, every)

    def alarms(self) -> bytes:
        """Those that the frame has room for."""
        bits = sum(SERIOUS << 2 * n for n, name in enumerate(LEVELS) if name in self.pack.alarms)
        return bits.to_bytes(8, "little")


def build(pack: Pack, settings: Mapping[str, Any]) -> JkCan:
    """One BMS."""
    return JkCan(pack, settings.get("address") or 0)
