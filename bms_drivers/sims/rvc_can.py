"""A house battery in the RV-C network.  Written from the sheet (rvc_can.md sections 3, 5, 6)."""

from collections.abc import Mapping
from typing import Any, Final

from bms_drivers.sims.can_bus import OnCan, Sent
from bms_drivers.sims.pack import Pack

SOURCE: Final = 0x45
PRIORITY: Final = 120
ALARMS: Final = {  # alarm: (byte, bit of the pair that says disconnected)
    "high_voltage": (2, 2), "low_voltage": (2, 6), "low_soc": (3, 2), "low_temperature": (3, 6),
    "high_temperature": (4, 2), "high_discharge_current": (4, 6),
}  # fmt: skip


def little(value: float, size: int = 2) -> bytes:
    """An unsigned number."""
    return max(0, round(value)).to_bytes(size, "little")


class RvcCan(OnCan):
    """Node 0x45."""

    def __init__(self, pack: Pack, instance: int) -> None:
        super().__init__(pack)
        self.instance = instance

    def frames(self) -> list[Sent]:
        """Status 1, 2, 3, 4, 6 and 11."""
        pack = self.pack
        soc = little(pack.soc * 2, 1)
        alarms = bytearray(6)
        for name in pack.alarms & ALARMS.keys():
            byte, bit = ALARMS[name]
            alarms[byte - 2] |= 1 << bit
        contactors = bytes((pack.discharge_switch | pack.charge_switch << 2,))
        asks = little(len(pack.cells) * 3.6 / 0.05) + little((1600 + 100) / 0.05)
        return [
            self.status(0x1FFFD, little(pack.voltage / 0.05) + little(2_000_000_000 - pack.flow * 1000, 4)),
            self.status(0x1FFFC, little((pack.temperatures[0] + 273) / 0.03125) + soc + b"\xff\xff\xff"),
            self.status(0x1FFFB, b"\xc8" + little(pack.capacity * pack.soc / 100) + soc + b"\xff\xff"),
            self.status(0x1FEC9, b"\x02" + asks + b"\x03", 5.0),
            self.status(0x1FEC7, bytes(alarms), 3.0),
            self.status(0x1FEA5, contactors + little(pack.capacity) + b"\xff\xff\xff"),
        ]

    def status(self, group: int, data: bytes, every: float = 0.5) -> Sent:
        """A message of this instance."""
        return Sent(6 << 26 | group << 8 | SOURCE, bytes((self.instance, PRIORITY)) + data, True, every)


def build(pack: Pack, settings: Mapping[str, Any]) -> RvcCan:
    """One battery."""
    return RvcCan(pack, settings.get("instance") or 1)
