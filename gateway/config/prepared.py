"""A configuration with all that stands in the files it names: what a gateway is built of.

Plain data, so that it may come from another process (handed.py): who runs by it keeps nothing of what reading takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from gateway.config.schema import AUTO, BatterySettings, Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """Settings that were found good."""

    settings: Settings
    read: Mapping[str, Any]  # by battery: what stands in the file that describes it; not where a library lacks
    outputs: Mapping[str, Any]  # by name: what it is built of
    doubts: tuple[str, ...]  # what is allowed but perhaps not meant

    def driver(self, battery: BatterySettings) -> Driver | None:
        """The driver of a battery; None where it is to be found out."""
        if battery.driver == AUTO:
            return None
        driver = registry.load(battery.driver)
        return driver.made_for(battery.setup, self.read[battery.name]) if battery.name in self.read else driver
