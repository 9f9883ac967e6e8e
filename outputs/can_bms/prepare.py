"""Reads the files that the CAN output is told by: the inverter's, and the DBC of its dialect."""

from outputs.can_bms import brand
from outputs.can_bms.dbc_file import load
from outputs.can_bms.prepared import Prepared
from outputs.can_bms.settings import Settings


def prepare(settings: Settings) -> Prepared:
    """What the output is built of.  Raises GatewayError for a dialect or an inverter's file that cannot be used."""
    towards = brand.of(settings)
    spoken = brand.dialect_of(settings, towards)
    return Prepared(settings, towards, load(spoken, settings.dbc))
