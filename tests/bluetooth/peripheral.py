"""The other end of the air: a JBD, a JK and a stranger that Google's Bumble plays behind a virtual controller.

The BMSs break their first connection after some requests, as radio links do.  The JBD says another battery's values at
a characteristic that nobody asked for.  The stranger bears the JBD's name and has its characteristics, and answers
something else.  Runs in the virtual machine.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport import open_transport

from bms_drivers.sims import jbd, jk_pb
from bms_drivers.sims.pack import Pack

JBD, JK, STRANGER = "F0:F1:F2:F3:F4:F5", "F0:F1:F2:F3:F4:F6", "F0:F1:F2:F3:F4:F7"
READY = bytes.fromhex("aa5590ebc80101") + bytes(12) + b"\x44"  # of a JK that was asked what it is
BREAK_AT = 3  # request; that one is not answered
STREAM = 0.7  # s between records


class Air(LocalLink):  # type: ignore[misc]
    """Names a sender by the address that it connected with: Linux scans with one and connects with another."""

    def send_acl_data(self, sender_controller: Any, destination_address: Any, transport: Any, data: Any) -> None:
        receiver = self.find_le_controller(destination_address)
        known = sender_controller.le_connections.values()
        own = [one.self_address for one in known if one.peer_address == destination_address]
        source = own[0] if own else sender_controller.random_address
        if receiver is not None:
            asyncio.get_running_loop().call_soon(lambda: receiver.on_link_acl_data(source, transport, data))


class Bms:
    """A simulated BMS as a GATT server; `answers` gives what a write is answered with."""

    def __init__(
        self,
        device: Device,
        uuids: tuple[str, str, str],
        answers: Callable[[bytes], list[bytes]],
        piece: int,
        chatter: str = "",
    ) -> None:
        """`uuids` of service, notifying and written characteristic, and of one at which it says what nobody asked;
        notifications are `piece` bytes long."""
        service, notify, write = uuids
        self.device, self._answers = device, answers
        self.requests, self._piece = 0, piece
        self._speaking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._notify, self._chatter = _notifying(notify), _notifying(chatter) if chatter else None
        written = Characteristic(
            UUID(write),
            Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
            Characteristic.WRITEABLE,
            CharacteristicValue(write=self._wrote),
        )
        others = [self._chatter] if self._chatter else []
        device.add_service(Service(UUID(service), [written, *others, self._notify]))
        told = [
            (AdvertisingData.COMPLETE_LOCAL_NAME, device.name.encode()),
            (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, bytes(UUID(service))),
        ]
        device.advertising_data = bytes(AdvertisingData(told))

    def _wrote(self, connection: Any, value: bytes) -> None:
        print(self.device.name, bytes(value).hex(), flush=True)
        self.requests += 1
        task = asyncio.create_task(self._reply(bytes(value), connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, value: bytes, connection: Any) -> None:
        if self.requests == BREAK_AT:
            await connection.disconnect()
            return
        if self._chatter:
            await self.device.notify_subscribers(self._chatter, ANOTHERS)
        for reply in self._answers(value):
            await self._say(reply)

    async def _say(self, reply: bytes) -> None:
        async with self._speaking:
            for start in range(0, len(reply), self._piece):
                await self.device.notify_subscribers(self._notify, reply[start : start + self._piece])

    async def run(self, stream: Callable[[], Iterator[bytes]]) -> None:
        """Say what comes by itself, for ever."""
        await self.device.power_on()
        await self.device.start_advertising(auto_restart=True)
        while True:
            await asyncio.sleep(STREAM)
            for record in stream():
                await self._say(record)


def _notifying(uuid: str) -> Characteristic:
    return Characteristic(UUID(uuid), Characteristic.Properties.NOTIFY, Characteristic.READABLE)


def jbd_answers(current: float = -12.5) -> Callable[[bytes], list[bytes]]:
    simulator = jbd.build(Pack.of(1, current=current), {})
    return lambda request: simulator.answer(bytearray(request))


ANOTHERS = jbd_answers(99.0)(bytes.fromhex("dda50300fffd77"))[0]


class Jk:
    """The records of jk_pb's simulator in the frames of Bluetooth; the status streams once it was asked for."""

    def __init__(self) -> None:
        self.simulator = jk_pb.build(Pack.of(2, current=7.5), {})
        self.streams = False

    def answers(self, request: bytes) -> list[bytes]:
        if len(request) != 20 or request[:4] != b"\xaa\x55\x90\xeb":
            return []
        if request[4] == 0x97:
            return [self.simulator._about(), b"AT\r\n", READY]
        if request[4] == 0x96:
            self.streams = True
            return [self.simulator._settings()]
        return []

    def stream(self) -> Iterator[bytes]:
        if self.streams:
            yield self.simulator._status()


async def main() -> None:
    air = Air()
    jk = Jk()
    async with AsyncExitStack() as stack:
        vhci = await stack.enter_async_context(await open_transport("vhci"))
        public = Address("00:11:22:33:44:55", Address.PUBLIC_DEVICE_ADDRESS)
        Controller("linux", host_source=vhci.source, host_sink=vhci.sink, link=air, public_address=public)
        one = Bms(_device(air, "JBD-SIM", JBD, 1), ("FF00", "FF01", "FF02"), jbd_answers(), 20, chatter="FF03")
        two = Bms(_device(air, "JK-SIM", JK, 2), ("FFE0", "FFE1", "FFE1"), jk.answers, 128)
        other = Bms(_device(air, "JBD-SIM", STRANGER, 3), ("FF00", "FF01", "FF02"), lambda request: [b"OK\r\n"], 20)
        other.requests = BREAK_AT  # it keeps its connection
        silent = lambda: iter(())  # noqa: E731
        await asyncio.gather(one.run(silent), two.run(jk.stream), other.run(silent))


def _device(air: Air, name: str, address: str, number: int) -> Device:
    host = Host()
    public = Address(f"A4:C1:37:00:00:{number:02X}", Address.PUBLIC_DEVICE_ADDRESS)
    host.controller = Controller(name, link=air, public_address=public)
    return Device(name=name, host=host, address=Address(address))


asyncio.run(main())
