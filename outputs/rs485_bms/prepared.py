"""The settings of the RS485 output with what stands in the file of the inverter that they name."""

from dataclasses import dataclass

from outputs.rs485_bms.brand import Brand, Spoken
from outputs.rs485_bms.settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """Plain data; see prepare.py."""

    settings: Settings
    towards: Brand
    spoken: Spoken
