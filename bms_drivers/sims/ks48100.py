"""A KS48100 pack, from its sheet alone (ks48100.md): five services, slow, frames that begin with ">"."""

from typing import Any

from bms_drivers.sims.dr1363 import Dr1363
from bms_drivers.sims.hex_text import ERRORS
from bms_drivers.sims.pack import Pack

DATA_ERROR = 6  # return code


def build(pack: Pack, settings: dict[str, Any]) -> "Ks48100":
    """The pack at settings["address"] (1)."""
    return Ks48100(pack, settings.get("address", 1))


class Ks48100(Dr1363):
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.15  # s; readers look after 0.4 s at the shorter answers, after 3 s at real-time data
    start = b">"
    switch_order = ("charge_switch", "discharge_switch")

    def act(self, cid1: int, command: int, info: bytes) -> tuple[int, bytes] | None:
        """CID1 42, for B0 4A."""
        own = bytes((self.address,))
        services = {
            (0x42, 0x42, b""): self.realtime, (0x42, 0x47, own): self.parameters, (0x42, 0x51, b""): self.maker,
            (0x4A, 0xB0, own + bytes.fromhex("0103FF56")): self._serial,
            (0x4A, 0xB0, own + bytes.fromhex("0104FF00")): self._capacities,
        }  # fmt: skip
        if (cid1, command, info) in services:
            return 0, services[cid1, command, info]()
        return (DATA_ERROR if command in (0x42, 0x47, 0x51, 0xB0) else ERRORS["command"]), b""

    def _serial(self) -> bytes:
        return bytes((self.address, 1, 3, 0xFF, 0x56, 0)) + self.pack.serial.encode().ljust(45)

    def _capacities(self) -> bytes:
        return bytes((self.address, 1, 4, 0xFF, 0, 0)) + self.capacities()
