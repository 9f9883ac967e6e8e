"""How the registry makes the Venus OS output."""

import os

from outputs.output import Clock, Commander
from outputs.venus_dbus.bus import bus_address
from outputs.venus_dbus.output import VenusDbus
from outputs.venus_dbus.settings import Settings


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> VenusDbus:
    """The output on the bus that settings and environment name."""
    return VenusDbus(settings, bus_address(settings.bus, os.environ), clock, commander, identity)
