"""A Bluetooth adapter is switched off and on: what Linux still holds of a connection ends, whoever has forgotten it."""

from typing import Final

from bleak.exc import BleakDBusError
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

TRIES: Final = 3  # to switch it on again


async def restart(path: str) -> None:
    """Off and on; `path` is BlueZ's name of the adapter (/org/bluez/hci0).  Raises BleakDBusError, OSError."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        await _power(bus, path, False)
    finally:
        await _on(bus, path)
        bus.disconnect()


async def _on(bus: MessageBus, path: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            await _power(bus, path, True)
            break
        except BleakDBusError:
            if not left:
                raise


async def _power(bus: MessageBus, path: str, on: bool) -> None:
    reply = await bus.call(
        Message(
            destination="org.bluez",
            path=path,
            interface="org.freedesktop.DBus.Properties",
            member="Set",
            signature="ssv",
            body=["org.bluez.Adapter1", "Powered", Variant("b", on)],
        )
    )
    if reply is not None and reply.message_type is MessageType.ERROR:
        raise BleakDBusError(reply.error_name or "", reply.body)
