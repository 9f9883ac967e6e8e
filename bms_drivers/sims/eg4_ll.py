"""An EG4 LL, from its sheet alone (eg4_ll.md): registers 0 to 38 and 45 to 135 of one unit; settings can be written."""

from typing import Any, Final

from bms_drivers.sims.modbus import Image, ModbusDevice, letters, long_word, run, words
from bms_drivers.sims.pack import Pack

CELLS: Final = range(4, 17)
WARNING_BITS: Final = {  # sheet section 6; the protections lie on the same bits
    "high_voltage": 0, "high_cell_voltage": 1, "low_voltage": 2, "low_cell_voltage": 3, "high_charge_current": 4,
    "high_discharge_current": 5, "high_internal_temperature": 7, "high_charge_temperature": 8, "high_temperature": 9,
    "low_charge_temperature": 10, "low_temperature": 11, "low_soc": 12, "short_circuit": 13,
}  # fmt: skip
ERROR_BITS: Final = {"internal_failure": 0, "cell_imbalance": 4}


def build(pack: Pack, settings: dict[str, Any]) -> ModbusDevice:
    """The pack at unit settings["address"] (1)."""
    unit, written = settings.get("address", 1), dict[int, int]()

    def image(asked: int) -> Image | None:
        return {**runtime(pack), **settings_block(pack), **identity(pack), **written} if asked == unit else None

    def write(asked: int, register: int, value: int) -> bool:
        if 45 <= register <= 104 or 128 <= register <= 135:
            written[register] = value
        return register in written

    return ModbusDevice(pack, image, write=write, turnaround=0.04)


def runtime(pack: Pack) -> Image:
    """Registers 0 to 38 as of now."""
    soc = min(pack.soc, 100.0)
    protection = sum(1 << WARNING_BITS[name] for name in pack.alarms if name in WARNING_BITS)
    error = sum(1 << ERROR_BITS[name] for name in pack.alarms if name in ERROR_BITS)
    state = 4 if protection else 1 if pack.flow > 0 else 2 if pack.flow < 0 else 0
    mean = sum(pack.temperatures) / len(pack.temperatures)
    sensors = bytes(round(t) & 0xFF for t in (pack.temperatures * 2)[:4]) + bytes(2)
    balance = 1 << pack.cells.index(max(pack.cells)) if pack.balancing else 0
    return words({
        **run(0, pack.voltage * 100, pack.flow * 100),
        **run(2, *(volts * 1000 for volts in pack.cells), *[0.0] * (16 - len(pack.cells))),
        **run(18, pack.mosfet_temperature, mean, max(pack.temperatures), pack.capacity * soc / 100, 100, 100, soc),
        **run(25, state, protection & 0x1FFF, protection, error),
        **long_word(29, pack.cycles), **long_word(31, pack.capacity * 3_600_000),
        **run(33, *(int.from_bytes(sensors[at : at + 2], "big") for at in (0, 2, 4))),
        **run(36, len(pack.cells), pack.capacity * 10, balance),
    })  # fmt: skip


def settings_block(pack: Pack) -> Image:
    """Registers 45 to 104 and 128 to 135; those without a meaning in the sheet are 0."""
    cells = len(pack.cells)
    given = {
        **run(56, 3400, 20, 10), **run(61, 2600, 2500, 2900), **run(64, 260 * cells, 250 * cells, 290 * cells),
        **run(67, 3600, 3650, 3400), **run(70, 360 * cells, 365 * cells, 340 * cells), **run(76, 5, 5, 30, 30),
        **run(80, 12000, 20500, 30000, 15000, 25000), **run(85, 10, 10, 3, 3), **run(90, 52, 50, 55, 110, 115, 105),
        **run(96, 32, 30, 35, 115, 120, 110, 140, 145, 130), **run(128, 0, 5, 20, 15, 25, 115, 120, 110),
    }  # fmt: skip
    return words({**dict.fromkeys([*range(45, 105), *range(128, 136)], 0.0), **given})


def identity(pack: Pack) -> Image:
    """Registers 105 to 127."""
    return words({
        **letters(105, "ZTR-16S200A-10KW-STD2", 12), **letters(117, "Z02T11", 3), **letters(120, pack.serial, 8),
    })  # fmt: skip
