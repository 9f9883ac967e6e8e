"""A Renogy battery, from its sheet alone (renogy.md): the blocks at 5000 and 5200; what lies between them is refused.

settings["variant"]: "pro" answers as unit 255 and counts currents in 0.1 A.
"""

from typing import Any, Final

from bms_drivers.sims.modbus import Image, ModbusDevice, letters, long_word, run, words
from bms_drivers.sims.pack import Pack

CELLS: Final = range(4, 17)
STATUS_1: Final = {  # alarm -> bit of 5106; sheet section 6
    "low_voltage": 15, "high_charge_temperature": 14, "low_charge_temperature": 13, "high_temperature": 12,
    "low_temperature": 11, "high_discharge_current": 10, "high_charge_current": 9, "high_cell_voltage": 8,
    "low_cell_voltage": 7, "high_voltage": 6, "short_circuit": 0,
}  # fmt: skip
RUNNING: Final = 1 << 3  # on the module's own power


def build(pack: Pack, settings: dict[str, Any]) -> ModbusDevice:
    """The battery at unit settings["address"] (48)."""
    unit, pro = settings.get("address", 48), settings.get("variant") == "pro"

    def image(asked: int) -> Image | None:
        if asked not in (unit, 255):
            return None
        return {**measured(pack, 10 if pro else 100), **states(pack), **identity(pack), **settings_block(pack, unit)}

    return ModbusDevice(pack, image, answer_as=255 if pro else None, turnaround=0.05)


def measured(pack: Pack, steps: int) -> Image:
    """Registers 5000 to 5052; `steps` of the current are an ampere."""
    soc, cells, sensors = min(pack.soc, 100.0), len(pack.cells), len(pack.temperatures)
    return words({
        **run(5000, cells, *(volts * 10 for volts in pack.cells), *[0] * (16 - cells)),
        **run(5017, sensors, *(t * 10 for t in pack.temperatures), *[0] * (16 - sensors)),
        **run(5034, 0, pack.mosfet_temperature * 10, 1, 200, 0, 1, 180, 0),
        **run(5042, pack.flow * steps, pack.voltage * 10),
        **long_word(5044, pack.capacity * soc * 10), **long_word(5046, pack.capacity * 1000),
        **run(5048, pack.cycles, 37 * cells, 25 * cells, 5000, -10000),
    })  # fmt: skip


def states(pack: Pack) -> Image:
    """Registers 5100 to 5109; a cell's error shows in 5108, a hot board in the last pairs of 5104."""
    status = sum(1 << STATUS_1[name] for name in pack.alarms if name in STATUS_1) | RUNNING
    status |= pack.charge_switch << 1 | pack.discharge_switch << 2
    flow = (pack.flow > 0) << 15 | (pack.flow < 0) << 14
    error = 1 if "internal_failure" in pack.alarms else 0
    hot = 0x8000 if "high_internal_temperature" in pack.alarms else 0
    return words(run(5100, 0, 0, 0, 0, hot, 0, status, flow, error, 0x00C0))


def identity(pack: Pack) -> Image:
    """Registers 5110 to 5141."""
    return words({
        **letters(5110, pack.serial, 8), **letters(5118, "01", 1), **letters(5119, "0100", 2),
        **letters(5121, "17", 1), **letters(5122, "RBT100LFP48S-SIM", 8, b" "), **letters(5130, "0100", 2),
        **letters(5132, "RENOGY", 10),
    })  # fmt: skip


def settings_block(pack: Pack, unit: int) -> Image:
    """Registers 5200 to 5229."""
    cells = len(pack.cells)
    return words(run(
        5200, 37, 36, 29, 25, 550, 500, 50, 0, 6000, 5500, 5000, 37 * cells, 36 * cells, 29 * cells, 25 * cells,
        600, 550, -100, -200, 12000, 11000, 10000, 0, unit, 0, 0, 0, 0, 100, 100,
    ))  # fmt: skip
