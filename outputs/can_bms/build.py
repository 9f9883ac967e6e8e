"""Builds the CAN output from its settings."""

from outputs.can_bms import brand
from outputs.can_bms.bus import DIRECT, Bus, opener
from outputs.can_bms.dbc_file import load
from outputs.can_bms.interface import Interface
from outputs.can_bms.inverter import Inverter, messages_of
from outputs.can_bms.others import Others
from outputs.can_bms.output import CanOutput
from outputs.can_bms.settings import Settings
from outputs.output import Clock, Commander, Output


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output; takes no commands, needs no identity.

    Raises GatewayError for a dialect or an inverter's file that cannot be used.
    """
    towards = brand.of(settings)
    spoken = brand.dialect_of(settings, towards)
    dialect = load(spoken, settings.dbc)
    name = f"{settings.interface} {settings.channel}"
    others = Others(name, dialect.ids)
    inverter = Inverter(name, towards, dialect.keep_alive, messages_of(spoken, settings.dbc))
    listen_to = [*others.ids, *((can_id, extended) for can_id in inverter.ids for extended in (False, True))]
    bus = Bus(
        name,
        opener(settings.interface, settings.channel, settings.bitrate, listen_to),
        direct=settings.interface in DIRECT,
        interface=Interface(settings.channel) if settings.interface == "socketcan" else None,
    )
    return CanOutput(settings, dialect, bus, others, clock, towards, inverter)
