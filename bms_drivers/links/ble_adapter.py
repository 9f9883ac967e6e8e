"""A Bluetooth adapter is switched off and on: what Linux still holds of a connection ends, whoever has forgotten it."""

import asyncio
from contextlib import ExitStack
from typing import Final

from bleak.exc import BleakDBusError
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

TRIES: Final = 3  # to switch it on again
PATIENCE: Final = 5.0  # s for BlueZ to do one of them: who waits here holds the adapter


async def restart(path: str) -> None:
    """Off and on; `path` is BlueZ's name of the adapter (/org/bluez/hci0).

    Raises BleakDBusError, OSError, TimeoutError.
    """
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    with ExitStack() as stack:
        stack.callback(bus.disconnect)
        try:
            await _power(bus, path, False)
        finally:
            await _on(bus, path)


async def _on(bus: MessageBus, path: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            await _power(bus, path, True)
            break
        except BleakDBusError:
            if not left:
                raise


async def _power(bus: MessageBus, path: str, on: bool) -> None:
    message = Message(
        destination="org.bluez",
        path=path,
        interface="org.freedesktop.DBus.Properties",
        member="Set",
        signature="ssv",
        body=["org.bluez.Adapter1", "Powered", Variant("b", on)],
    )
    async with asyncio.timeout(PATIENCE):
        reply = await bus.call(message)
    if reply is not None and reply.message_type is MessageType.ERROR:
        raise BleakDBusError(reply.error_name or "", reply.body)
