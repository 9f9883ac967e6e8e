"""A Daren board, from its sheet alone (daren_485.md): services 42, 47, 51, 4F, 83 and B0 (reading)."""

from collections.abc import Callable
from typing import Any

from bms_drivers.sims.dr1363 import Dr1363
from bms_drivers.sims.hex_text import ERRORS
from bms_drivers.sims.pack import Pack

DATA_ERROR = 6  # return code


def build(pack: Pack, settings: dict[str, Any]) -> "Daren":
    """The board at settings["address"] (1); "only_group_1": it takes no other group byte."""
    return Daren(pack, settings.get("address", 1), bool(settings.get("only_group_1")))


class Daren(Dr1363):
    """Bytes in, bytes out."""

    baud = 19200
    turnaround = 0.1  # s

    def __init__(self, pack: Pack, address: int, only_group_1: bool = False) -> None:
        super().__init__(pack, address)
        self.group = 1 if only_group_1 else address

    def act(self, cid1: int, command: int, info: bytes) -> tuple[int, bytes] | None:
        """CID1 4A."""
        if cid1 != 0x4A:
            return ERRORS["command"], b""
        plain: dict[int, Callable[[], bytes]] = {0x51: self.maker, 0x4F: lambda: b""}
        grouped: dict[int, Callable[[], bytes]] = {0x42: self.realtime, 0x47: self.parameters}
        if command in plain:
            return (ERRORS["format"], b"") if info else (0, plain[command]())
        if command in grouped:
            return (0, grouped[command]()) if info == bytes((self.group,)) else (DATA_ERROR, b"")
        if command == 0x83:
            return 0, b"\x83\x01" + bytes((0, 1, 0, 0)) + bytes(24)
        return self._module(info) if command == 0xB0 else (ERRORS["command"], b"")

    def _module(self, info: bytes) -> tuple[int, bytes]:
        if info[:2] != bytes((self.group, 1)) or len(info) != 5:
            return DATA_ERROR, b""
        head = b"\xb0" + info[:4]
        if info[2] == 4:
            return 0, head + b"\0" + self.capacities()
        if info[2] != 3:
            return DATA_ERROR, b""
        names = (self.pack.serial, "DR48100JC", "BMS0001")
        texts = b"".join(name.encode().ljust(30) for name in names)
        return 0, head + bytes((113,)) + texts + bytes((24, 7, 17)) + b"SIMULATED".ljust(20, b"\xff")
