"""bms-gateway: any supported BMS in, one battery out, to Venus OS over D-Bus and to inverters over CAN."""

from typing import Final

VERSION: Final = "0.1.0"
