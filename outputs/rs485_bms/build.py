"""Builds the RS485 output from its settings."""

from outputs.output import Clock, Commander, Output
from outputs.rs485_bms import brand
from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.output import Rs485Output
from outputs.rs485_bms.settings import Settings


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output; takes no commands.  Raises ConfigError for an inverter's file that cannot be used."""
    towards = brand.of(settings)
    spoken = brand.spoken(settings, towards)
    dialect = make(spoken.dialect, spoken.wire, spoken.address)
    return Rs485Output(settings, towards, spoken, dialect, clock, identity)
