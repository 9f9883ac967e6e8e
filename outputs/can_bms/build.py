"""Builds the CAN output from its settings."""

from outputs.can_bms.bus import DIRECT, Bus, opener
from outputs.can_bms.dbc_file import load
from outputs.can_bms.output import CanOutput
from outputs.can_bms.settings import Settings
from outputs.output import Clock, Commander, Output


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> Output:
    """The output; takes no commands, needs no identity.  Raises GatewayError for a dialect that cannot be used."""
    dialect = load(settings.dialect, settings.dbc)
    bus = Bus(
        f"{settings.interface} {settings.channel}",
        opener(settings.interface, settings.channel, settings.bitrate, sorted(dialect.keep_alive)),
        direct=settings.interface in DIRECT,
    )
    return CanOutput(settings, dialect, bus, clock)
