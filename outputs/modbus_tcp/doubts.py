"""What of the Modbus TCP settings is perhaps not meant."""

from collections.abc import Iterator
from ipaddress import ip_address

from outputs.modbus_tcp.settings import Settings


def doubts(settings: Settings) -> Iterator[str]:
    """ "key: sentence", below the output."""
    if not ip_address(settings.listen).is_loopback:
        yield f"listen: {settings.listen}, and Modbus knows no password: whoever reaches this machine reads the battery"
    if settings.port < 1024:
        yield f"port: {settings.port} needs the capability CAP_NET_BIND_SERVICE; expected one from 1024 on, as 1502"
