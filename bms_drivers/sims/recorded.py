"""A Modbus device that holds what the registers of a recording held: to try a register map without the BMS."""

from collections.abc import Mapping
from typing import Any

from bms_drivers.links.replay import ReplayLink
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import NO_ADDRESS, Refused, Rtu
from gateway.model import ConfigError


class Recorded(Rtu):
    """Answers at the units of the recording; refuses registers that it does not hold."""

    baud, turnaround = 9600, 0.03

    def __init__(self, recording: Mapping[str, Any]) -> None:
        """Raises ConfigError for a recording that holds no registers."""
        self.pack = Pack.of(1)  # nothing of it shows
        self._image = ReplayLink(recording).image
        self._units = {unit for unit, _, _ in self._image}
        if not self._units:
            raise ConfigError("holds no answers of a Modbus device, expected a recording of one")

    def hears(self, unit: int) -> bool:
        """Is it one of the recording's?"""
        return unit in self._units

    def registers(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """As they were."""
        try:
            return [self._image[unit, function, n] for n in range(address, address + count)]
        except KeyError:
            raise Refused(NO_ADDRESS) from None

    def bits(self, unit: int, function: int, address: int, count: int) -> list[bool]:
        """As they were."""
        return [bool(bit) for bit in self.registers(unit, function, address, count)]
