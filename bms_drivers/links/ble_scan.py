"""Who is in the air, and which drivers may know them: names, makers and services of advertisements order the asking.

An advertisement proves nothing.  Nobody is connected to whom no driver may know: they are other people's devices.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bleak.backends.scanner import AdvertisementData
from bleak.uuids import normalize_uuid_str

from bms_drivers.kit.declare import BleLine, Driver
from bms_drivers.links.ble_manager import Manager

LISTEN: Final = 8.0  # s

Knowing = Callable[[AdvertisementData, str], Sequence[str]]
"""Names of the plug-ins that know what the device of an address advertises."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that was heard, and the drivers to ask as, the likeliest first."""

    port: str
    name: str
    signal: int  # dBm
    drivers: tuple[str, ...]


async def candidates(manager: Manager, adapter: str, drivers: Sequence[Driver]) -> list[Candidate]:
    """The devices that one of `drivers` may know, the strongest first.  Raises LinkClosed."""
    found, knowing = [], await asyncio.to_thread(plugins_knowing)
    speaking = [driver.name for driver in drivers if driver.ble and driver.ble.plugin]
    for device, told in await manager.listen(LISTEN):
        name = told.local_name or device.name or ""
        names = likely(name, told.service_uuids, list(told.manufacturer_data), drivers)
        if knowing(told, device.address):
            names += speaking  # last: what one of our own drivers reads, too, is read by that
        if names:
            where = f"ble:{device.address.upper()}" + (f"@{adapter}" if adapter else "")
            found.append(Candidate(where, name, told.rssi, tuple(names)))
    return sorted(found, key=lambda one: -one.signal)


def plugins_knowing() -> Knowing:
    """Asks the library's plug-ins, which are loaded here; nobody knows anything where it is not installed."""
    try:
        from bms_drivers.links import ble_plugin
    except ImportError:
        return lambda told, address: ()
    ble_plugin.load()
    return ble_plugin.knowing


def likely(name: str, services: Sequence[str], makers: Sequence[int], drivers: Sequence[Driver]) -> list[str]:
    """Names of the drivers that may know a device, the likeliest first."""
    each = [(suits(driver.ble, name, services, makers), driver) for driver in drivers if driver.ble is not None]
    each.sort(key=lambda pair: (-pair[0], pair[1].detection.rank, pair[1].name))
    return [driver.name for points, driver in each if points]


def suits(line: BleLine, name: str, services: Sequence[str], makers: Sequence[int]) -> int:
    """How well an advertisement fits; 0 = not at all.  A name says more than a maker, both more than a service."""
    named = bool(line.names) and re.match(line.names, name.strip()) is not None
    offered = any(normalize_uuid_str(way.service) in services for way in line.ways)
    return 4 * named + 2 * (not set(makers).isdisjoint(line.makers)) + offered
