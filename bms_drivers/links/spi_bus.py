"""The kernel's SPI devices, by spidev."""

import spidev

from bms_drivers.kit.declare import SpiLine
from bms_drivers.links.spi import SpiBus


def open_bus(where: str, line: SpiLine) -> SpiBus:
    """The device of `where`: "spi:0.0" is bus 0, chip select 0, /dev/spidev0.0.  Raises OSError."""
    bus, _, chip = where.removeprefix("spi:").partition(".")
    device = spidev.SpiDev()
    device.open(int(bus), int(chip))
    device.max_speed_hz, device.mode = line.hertz, line.mode
    opened: SpiBus = device
    return opened
