"""A Felicity battery, from its sheet alone (felicity.md): the register blocks of RS485, or the text of Bluetooth.

settings: address (1), protocol ("modbus" or "json").
"""

import json
from typing import Any, Final

from bms_drivers.sims.modbus import Image, ModbusDevice, run, words
from bms_drivers.sims.pack import Pack

CELLS: Final = range(3, 17)
ABSENT: Final = 0x7FFF
FAULT_BITS: Final = {  # sheet section 6
    "high_cell_voltage": 2, "low_cell_voltage": 3, "high_charge_current": 4, "high_discharge_current": 5,
    "high_internal_temperature": 6, "high_charge_temperature": 8, "low_charge_temperature": 9,
}  # fmt: skip
SERIAL: Final = (1000, 1100, 242, 4470, 238)
COMMANDS: Final = {"get dev real infor": "_live", "get dev basice infor": "_basic", "get Date": "_date"}
PREFIX: Final = b"wifilocalMonitor:"


def build(pack: Pack, settings: dict[str, Any]) -> "ModbusDevice | FelicityText":
    """The battery."""
    if settings.get("protocol") == "json":
        return FelicityText(pack)
    unit = settings.get("address", 1)
    return ModbusDevice(pack, lambda asked: image(pack) if asked == unit else None, turnaround=0.05)


def image(pack: Pack) -> Image:
    """The blocks of section 4, and no others."""
    cells, probes = len(pack.cells), pack.temperatures[:3]
    faults = sum(1 << FAULT_BITS[name] for name in pack.alarms if name in FAULT_BITS)
    return words({
        **run(0x1302, pack.charge_switch | pack.discharge_switch << 2, 0, faults),
        **run(0x1306, pack.voltage * 100, -pack.flow * 10), **run(0x130A, pack.mosfet_temperature, min(pack.soc, 100)),
        **run(0x131C, 360 * cells, 300 * cells, 1500, 1500),
        **run(0x132A, *(volts * 1000 for volts in pack.cells), *[ABSENT] * (16 - cells)),
        **run(0x133A, *probes, *[ABSENT] * (3 - len(probes)), 0), **run(0xF804, *SERIAL), 0xF80B: 418,
    })  # fmt: skip


class FelicityText:
    """Bytes in, bytes out: commands without an end, one JSON object each."""

    baud = 115200  # Bluetooth is quicker than the RS485 line
    turnaround = 0.1  # s

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def answer(self, received: bytearray) -> list[bytes]:
        """A command is whole as soon as it can be read."""
        replies: list[bytes] = []
        while (start := received.find(PREFIX)) >= 0:
            del received[:start]
            said = next((c for c in COMMANDS if received.startswith(PREFIX + c.encode())), None)
            if said is None:
                return replies if len(received) < 64 else []
            del received[: len(PREFIX) + len(said)]
            text = getattr(self, COMMANDS[said])()
            replies.append(json.dumps({"CommVer": 1, **text}, separators=(",", ":")).encode())
        return replies

    def _live(self) -> dict[str, Any]:
        pack, serial = self.pack, "".join(map(str, SERIAL))
        soc = round(min(pack.soc, 100) * 100)
        cells = [round(volts * 1000) for volts in pack.cells]
        sensors = [round(t * 10) for t in pack.temperatures]
        fault = 1 if pack.alarms else 0
        return {
            "wifiSN": f"F{serial}", "modID": 1, "date": "20210101010501", "DevSN": serial, "Type": 112, "SubType": 7300,
            "Estate": 960, "Bfault": fault, "Bwarn": 0, "Bstate": 960, "BBfault": fault, "BBwarn": 0,
            "BTemp": [sensors[:2], [256, 256]], "Batt": [[round(pack.voltage * 1000)], [round(pack.flow * 10)], [None]],
            "Batsoc": [[soc, 1000, round(pack.capacity * 1000)]], "Templist": [sensors[:2], [0, 0]],
            "BattList": [[round(pack.voltage * 1000), 65535], [round(pack.flow * 10), -1]],
            "BatsocList": [[soc, 1000, round(pack.capacity * 1000)]],
            "BatcelList": [cells + [65535] * (16 - len(cells)), [65535] * 16], "EMSpara": [[1, 2]],
            "BMaxMin": [[max(cells), min(cells)], [cells.index(max(cells)), cells.index(min(cells))]],
            "LVolCur": [[576, 480], [1500, 1500]], "BMSpara": [[1, 2]], "BLVolCu": [[576, 480], [1500, 1500]],
            "BtemList": [sensors + [32767] * (8 - len(sensors))],
        }  # fmt: skip

    def _basic(self) -> dict[str, Any]:
        serial = "".join(map(str, SERIAL))
        return {
            "version": "2.06", "wifiSN": f"F{serial}", "COM": 3, "iotType": 3, "modID": 1, "DevSN": serial, "Type": 112,
            "SubType": 7300, "DSwVer": 65535, "M1SwVer": 519, "M2SwVer": 16, "DHwVer": 0, "CtHwVer": 0,
            "PwHwVer": 65535,
        }  # fmt: skip

    def _date(self) -> dict[str, Any]:
        return {"date": "20210101010501"}
