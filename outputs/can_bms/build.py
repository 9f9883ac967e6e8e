"""Builds the CAN output; whatever is read in files was read before: see prepare.py."""

from outputs.can_bms.bus import DIRECT, Bus, opener
from outputs.can_bms.interface import Interface
from outputs.can_bms.inverter import Inverter
from outputs.can_bms.others import Others
from outputs.can_bms.output import CanOutput
from outputs.can_bms.prepared import Prepared
from outputs.output import Clock, Commander, Output


def build(given: Prepared, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output; takes no commands, needs no identity."""
    settings, dialect = given.settings, given.dialect
    name = f"{settings.interface} {settings.channel}"
    others = Others(name, dialect.ids)
    inverter = Inverter(name, given.towards, dialect.keep_alive, dialect.reports)
    listen_to = [*others.ids, *((can_id, extended) for can_id in inverter.ids for extended in (False, True))]
    bus = Bus(
        name,
        opener(settings.interface, settings.channel, settings.bitrate, listen_to),
        direct=settings.interface in DIRECT,
        interface=Interface(settings.channel) if settings.interface == "socketcan" else None,
    )
    return CanOutput(settings, dialect, bus, others, clock, given.towards, inverter)
