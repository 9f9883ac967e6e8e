"""Reads the inverter's file that the RS485 output is told by."""

from outputs.rs485_bms import brand
from outputs.rs485_bms.prepared import Prepared
from outputs.rs485_bms.settings import Settings


def prepare(settings: Settings) -> Prepared:
    """What the output is built of.  Raises ConfigError for an inverter's file that cannot be used."""
    towards = brand.of(settings)
    return Prepared(settings, towards, brand.spoken(settings, towards))
