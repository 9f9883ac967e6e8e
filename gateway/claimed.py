"""The serial ports that a configuration claims, and the words by which other programs leave them alone.

Venus OS's serial-starter reads the udev property VE_SERVICE (venus-dbus.md section 9), ModemManager ID_MM_PORT_IGNORE.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.config.schema import Settings, port_kind
from outputs.registry import of_kind

HEAD: Final = "# Made by `bms-gateway ports --udev`: these ports are the gateway's, nobody else is to send into them.\n"
IGNORED: Final = 'ENV{VE_SERVICE}="ignore", ENV{ID_MM_PORT_IGNORE}="1", ENV{ID_MM_DEVICE_IGNORE}="1"'


def devices(settings: Settings) -> list[str]:
    """Serial devices by their names in the file, each once."""
    named = [battery.port for battery in settings.batteries if port_kind(battery.port) == "serial"]
    named += [
        output.channel.partition("@")[0]
        for output in of_kind("can_bms", settings.outputs).values()
        if output.interface == "slcan"
    ]
    return [name for name in dict.fromkeys(named) if name.startswith("/dev/")]


def terminals(settings: Settings) -> Iterator[str]:
    """Names of those that are there now, as the kernel has them: ttyUSB0."""
    for name in devices(settings):
        if Path(name).exists():
            yield Path(name).resolve().name


def rules(settings: Settings) -> str:
    """A file for udev's rules.d."""
    return HEAD + "".join(f'SUBSYSTEM=="tty", {_match(name)}, {IGNORED}\n' for name in devices(settings))


def _match(name: str) -> str:
    """By the link that names the adapter, or by the kernel's name; what udev could misread matches any character."""
    below = re.sub(r"[^\w.:/@+-]", "?", name.removeprefix("/dev/"))
    return f'SYMLINK=="{below}"' if "/" in below or not below.startswith("tty") else f'KERNEL=="{below}"'
