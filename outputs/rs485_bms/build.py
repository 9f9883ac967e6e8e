"""Builds the RS485 output; the inverter's file was read before: see prepare.py."""

from outputs.output import Clock, Commander, Output
from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.output import Rs485Output
from outputs.rs485_bms.prepared import Prepared


def build(given: Prepared, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output; takes no commands."""
    dialect = make(given.spoken.dialect, given.spoken.wire, given.spoken.address)
    return Rs485Output(given.settings, given.towards, given.spoken, dialect, clock, identity)
