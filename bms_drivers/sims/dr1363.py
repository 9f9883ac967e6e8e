"""The data that boards of the DR-1363 dialect send, from the sheets alone (daren_485.md, ks48100.md, section 5)."""

from typing import Final

from bms_drivers.sims.hex_text import HexText, long, signed, word
from bms_drivers.sims.pack import Pack

ALARMS: Final = {  # status word, bit; sheets, section 6
    "high_cell_voltage": (0, 0), "low_cell_voltage": (0, 1), "high_voltage": (0, 2), "low_voltage": (0, 3),
    "cell_imbalance": (0, 14), "fuse_blown": (0, 13), "high_charge_current": (1, 2), "short_circuit": (1, 3),
    "high_discharge_current": (1, 4), "high_charge_temperature": (2, 0), "low_charge_temperature": (2, 1),
    "high_temperature": (2, 2), "low_temperature": (2, 3), "high_internal_temperature": (2, 6), "low_soc": (3, 7),
    "internal_failure": (3, 1),
}  # fmt: skip
LIMIT: Final = 120.0  # A
ROOM: Final = 25.0  # °C


class Dr1363(HexText):
    """Real-time data, parameters, maker; how they are asked for differs."""

    version = 0x22
    switch_order = ("discharge_switch", "charge_switch")  # bits 0 and 1 of the FET word

    def __init__(self, pack: Pack, address: int) -> None:
        self.pack, self.address = pack, address

    def realtime(self) -> bytes:
        """99 bytes with 16 cells and four sensors."""
        pack, soc = self.pack, min(self.pack.soc, 100.0)
        cells = [*pack.temperatures, *pack.temperatures][:4]
        status = [0, 1 if pack.flow > 0 else 2 if pack.flow < 0 else 0, 0, 0, 0]
        for name in pack.alarms & ALARMS.keys():
            number, bit = ALARMS[name]
            status[number] |= 1 << bit
        status[4] = sum(getattr(pack, name) << bit for bit, name in enumerate(self.switch_order))
        return b"".join(
            (
                b"\0", word(soc, 0.01), word(pack.voltage, 0.01), bytes((len(pack.cells),)),
                *(word(volts, 0.001) for volts in pack.cells), word(ROOM, 0.1), word(sum(cells) / len(cells), 0.1),
                word(pack.mosfet_temperature, 0.1), bytes((len(cells),)), *(word(t, 0.1) for t in cells),
                signed(pack.flow, 0.01), word(1), word(100), b"\0", word(pack.capacity, 0.01),
                word(pack.capacity * soc / 100, 0.01), word(pack.cycles), *(word(value) for value in status), bytes(8),
                word(1 if pack.balancing else 0), bytes(10), b"\0", bytes(2),
            )
        )  # fmt: skip

    def parameters(self) -> bytes:
        """65 bytes."""
        numbers = (3650, 2500, 115, -45, 10400, 3650, 2500, len(self.pack.cells), LIMIT * 100, self.pack.capacity * 100)
        return b"\0" + b"".join(word(value) for value in (*numbers, 90, 0)) + b"\xff" * 20 + b"SIM4C0001".ljust(20)

    def maker(self) -> bytes:
        """35 bytes."""
        return b"SIM_1_G".ljust(10, b"\0") + b"SIM48100".ljust(10) + b"0001-SIM".ljust(10) + bytes((1, 0, 2, 1, 1))

    def capacities(self) -> bytes:
        """The 18 bytes of module 4 behind its head."""
        pack = self.pack
        left = pack.capacity * min(pack.soc, 100.0) / 100
        thrown = pack.cycles * pack.capacity
        capacities = b"".join(word(value, 0.01) for value in (left, pack.capacity, pack.capacity))
        return capacities + long(thrown, 0.01) * 2 + word(thrown * 0.05) * 2
