"""How the registry makes the Modbus TCP output."""

from outputs.modbus_tcp.output import ModbusTcp
from outputs.modbus_tcp.settings import Settings
from outputs.output import Clock, Commander


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> ModbusTcp:
    """The output; it takes no commands and needs no identity."""
    return ModbusTcp(settings, clock)
