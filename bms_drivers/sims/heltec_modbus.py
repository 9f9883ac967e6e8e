"""A Heltec smart BMS, from its sheet alone (heltec_modbus.md): a little-endian memory image behind Modbus registers."""

from typing import Any, Final

from bms_drivers.sims.modbus import Image, ModbusDevice
from bms_drivers.sims.pack import Pack

CELLS: Final = range(3, 26)
WARNING_BITS: Final = {  # sheet section 6
    "high_cell_voltage": 0, "low_cell_voltage": 1, "high_voltage": 3, "low_voltage": 4, "high_charge_current": 5,
    "high_discharge_current": 7, "short_circuit": 8, "high_charge_temperature": 9, "low_charge_temperature": 10,
    "high_temperature": 11, "low_temperature": 12, "high_internal_temperature": 13, "low_soc": 14,
    "internal_failure": 16,
}  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> ModbusDevice:
    """The pack at unit settings["address"] (1)."""
    unit, memory = settings.get("address", 1), bytearray(400)

    def image(asked: int) -> Image | None:
        if asked != unit:
            return None
        fill(memory, pack, unit)
        return {at // 2: int.from_bytes(memory[at : at + 2], "big") for at in range(0, len(memory), 2)}

    return ModbusDevice(pack, image, turnaround=0.06)


def fill(memory: bytearray, pack: Pack, unit: int) -> None:
    """Write the pack's values where the sheet has them; offsets are bytes, twice the register."""
    soc = min(pack.soc, 100.0)
    state = (not pack.charge_switch) << 28 | (not pack.discharge_switch) << 29
    warnings = sum(1 << WARNING_BITS[name] for name in pack.alarms if name in WARNING_BITS)
    balance = 1 << pack.cells.index(max(pack.cells)) if pack.balancing else 0
    for at, content in {
        4: bytes.fromhex("53494d0000000001"), 14: b"HT-16S100A-SIM".ljust(26, b"\0"), 82: b"HBMS-SIM".ljust(12, b"\0"),
        94: b"1234",
    }.items():  # fmt: skip
        memory[at : at + len(content)] = content
    for at, value, width in (
        (76, 3, 1), (78, 2023, 2), (80, 15, 1), (81, 4, 1), (150, len(pack.cells), 1), (151, 1, 1),
        (152, pack.voltage * 1000, 4), (156, -pack.flow * 100, 4),
        *((162 + 2 * n, volts * 1000, 2) for n, volts in enumerate(pack.cells)),
        (224, 60, 1), (225, pack.mosfet_temperature + 40, 1), (226, pack.temperatures[1] + 40, 1),
        (227, pack.temperatures[0] + 40, 1), (234, 1, 1), (235, 2, 1), (236, pack.capacity * 10, 2),
        (238, pack.capacity * 9.9, 2), (240, soc, 1), (241, 100, 1), (252, pack.capacity * 9.8, 2), (278, balance, 4),
        (304, state, 4), (312, warnings, 4), (338, 3650, 2), (344, 2500, 2), (382, 10000, 2), (388, 15000, 2),
    ):  # fmt: skip
        memory[at : at + width] = (round(value) & (1 << 8 * width) - 1).to_bytes(width, "little")
