"""An ECS GreenMeter and its LiPro modules, from their sheet alone (ecs.md): units on one line, one a cell.

settings: address (1) of the GreenMeter, lipro_start_address (2) of the first module.
"""

from typing import Any, Final

from bms_drivers.sims.modbus import Image, ModbusDevice, long_word, run, words
from bms_drivers.sims.pack import Pack

CHARGE_CODES: Final = {  # sheet section 6
    "high_voltage": 1, "high_charge_current": 2, "high_charge_temperature": 3, "low_charge_temperature": 5,
}  # fmt: skip
DISCHARGE_CODES: Final = {
    "low_voltage": 1, "high_discharge_current": 2, "high_temperature": 3, "low_temperature": 5,
}  # fmt: skip
UNKNOWN_CODE: Final = 9


def build(pack: Pack, settings: dict[str, Any]) -> ModbusDevice:
    """The line."""
    unit, first = settings.get("address", 1), settings.get("lipro_start_address", 2)

    def image(asked: int) -> Image | None:
        if asked == unit:
            return meter(pack)
        return module(pack, asked - first) if first <= asked < first + len(pack.cells) else None

    return ModbusDevice(pack, image, baud=19200, turnaround=0.004)


def meter(pack: Pack) -> Image:
    """The GreenMeter's registers; the SoC's high word stays FFFF below 65.536 %."""
    thousandths = round(min(pack.soc, 100.0) * 1000)
    soc = run(128, thousandths & 0xFFFF, 0xFFFF if thousandths < 65536 else 1)
    return words({
        0: 501, **long_word(2, 123456, low_first=True), 30: -200, 31: 100,
        **long_word(46, pack.capacity * 1000, low_first=True),
        **run(102, *(t * 100 for t in pack.temperatures[:2])),
        **long_word(108, pack.voltage * 1000, low_first=True), **long_word(114, pack.flow * 1000, low_first=True),
        **soc, 130: code(pack, CHARGE_CODES, pack.charge_switch),
        131: code(pack, DISCHARGE_CODES, pack.discharge_switch),
    })  # fmt: skip


def code(pack: Pack, codes: dict[str, int], closed: bool) -> int:
    """State of a side."""
    if "internal_failure" in pack.alarms:
        return UNKNOWN_CODE
    return min((codes[name] for name in pack.alarms if name in codes), default=0 if closed else UNKNOWN_CODE)


def module(pack: Pack, number: int) -> Image:
    """One LiPro's registers."""
    highest = pack.cells[number] == max(pack.cells)
    effort = 80 if pack.balancing and highest else 0
    return words({0: 102, 100: pack.cells[number] * 1000, 101: pack.temperatures[0] * 100, 102: effort})
