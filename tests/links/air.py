"""What cannot be here: a radio, and devices that are heard on it.  Stands for bleak's backend, nothing else.

BleakScanner, BleakClient, bleak-retry-connector, our manager and our link are the real ones.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDBusError, BleakError
from bleak.uuids import normalize_uuid_str

Answers = Callable[[bytes], Sequence[bytes]]
Table = Sequence[tuple[str, Sequence[tuple[str, Sequence[str]]]]]  # service -> characteristic -> properties
BRIDGE: Table = [("ff00", [("ff01", ["notify"]), ("ff02", ["write-without-response"])])]
ADVERTISED_EACH = 0.01  # s


class Peripheral:
    """A device; `answers` gives the notifications that a write is answered with."""

    def __init__(
        self, address: str, answers: Answers = lambda request: (), table: Table = BRIDGE, mtu: int = 23
    ) -> None:
        self.address, self.answers, self.table, self.mtu = address, answers, table, mtu
        self.advertises, self.refuses, self.name = True, False, "SIM"
        self.services: Sequence[str] = ()  # advertised
        self.path = ""  # BlueZ's
        self.slow = 0.01  # s that a connection takes
        self.client: Any = None
        self.written: list[tuple[str, bytes, bool]] = []
        self.connections = 0

    def drop(self) -> None:
        """The connection is lost."""
        self.client.fall()

    def say(self, *pieces: bytes, where: str = "") -> None:
        """Notify, at the characteristic that is called so; default: at every one that somebody listens to."""
        for piece in pieces:
            self.client.notify(piece, where)


class Air:
    """Everybody in reach; `scanner` and `client` are backends for bleak."""

    def __init__(self, *peripherals: Peripheral) -> None:
        self.peripherals = {one.address: one for one in peripherals}
        self.scans = 0
        self.ended = 0  # of the scans, those that end unnoticed: their adapter was switched off meanwhile
        self.busy: list[str] = []  # what the adapter is doing now
        self.most_busy = 0
        self.broken: Exception | None = None
        self.asked = False  # BlueZ was asked to scan, and not to end it
        self.hangs = False  # BlueZ is there and does not answer
        self.scanner = type("FakeScanner", (_Scanner,), {"air": self})
        self.client = type("FakeClient", (_Client,), {"air": self})

    def switch_off(self) -> None:
        """The adapter goes off and on: a scan that runs hears nothing more, and nobody is told."""
        self.ended = self.scans
        for one in self.peripherals.values():
            if one.client is not None:
                one.drop()

    def begin(self, what: str) -> None:
        """The adapter begins to do something."""
        self.busy.append(what)
        self.most_busy = max(self.most_busy, len(self.busy))


class _Scanner(BaseBleakScanner):
    air: Air

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: str, **_: Any) -> None:
        super().__init__(detection_callback, service_uuids)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self.air.asked:  # BlueZ takes one start from each who asks
            raise BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"])
        self.air.asked = True
        while self.air.hangs:
            await asyncio.sleep(ADVERTISED_EACH)
        if self.air.broken is not None:
            self.air.asked = False
            raise self.air.broken
        self.air.scans += 1
        self._number = self.air.scans
        self.air.begin("scan")
        self._task = asyncio.create_task(self._advertise())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.air.busy.remove("scan")
        self.air.asked = False

    async def _advertise(self) -> None:
        while True:
            await asyncio.sleep(ADVERTISED_EACH)
            for one in self.air.peripherals.values():
                if one.advertises and one.client is None and self._number > self.air.ended:
                    services = [normalize_uuid_str(uuid) for uuid in one.services]
                    data = AdvertisementData(one.name, {}, {}, services, None, -67, ())
                    self.call_detection_callbacks(BLEDevice(one.address, one.name, {"path": one.path}), data)


class _Client(BaseBleakClient):
    air: Air

    def __init__(self, device: BLEDevice, **kwargs: Any) -> None:
        super().__init__(device, disconnected_callback=kwargs["disconnected_callback"], timeout=kwargs["timeout"])
        self._one = self.air.peripherals[device.address]
        self._callbacks: dict[str, Callable[[bytearray], None]] = {}  # by characteristic
        self._connected = False

    @property
    def name(self) -> str:
        return "SIM"

    @property
    def mtu_size(self) -> int:
        return self._one.mtu

    @property
    def is_connected(self) -> bool:
        return self._connected

    async def connect(self, pair: bool, **_: Any) -> None:
        self.air.begin("connect")
        try:
            await asyncio.sleep(self._one.slow)
            if self._one.refuses:
                raise BleakError("failed to discover services, device disconnected")
        finally:
            self.air.busy.remove("connect")
        self.services = BleakGATTServiceCollection()
        handle = 1
        for uuid, characteristics in self._one.table:
            service = BleakGATTService(None, handle, normalize_uuid_str(uuid))
            self.services.add_service(service)
            for char, properties in characteristics:
                handle += 2
                size = self._one.mtu - 3
                self.services.add_characteristic(
                    BleakGATTCharacteristic(
                        None, handle, normalize_uuid_str(char), list(properties), lambda s=size: s, service
                    )
                )
            handle += 10
        self._one.client, self._connected = self, True
        self._one.connections += 1

    async def disconnect(self) -> None:
        self.fall()

    def fall(self) -> None:
        if self._connected:
            self._connected, self._one.client = False, None
            if self._disconnected_callback is not None:
                self._disconnected_callback()

    def notify(self, piece: bytes, where: str = "") -> None:
        for uuid, callback in self._callbacks.items():
            if where in ("", uuid):
                callback(bytearray(piece))

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: Any, **_: Any) -> None:
        assert "notify" in characteristic.properties
        self._callbacks[characteristic.uuid[4:8]] = callback

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        del self._callbacks[characteristic.uuid[4:8]]

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: Any, response: bool) -> None:
        if not self._connected:
            raise BleakError("Not connected")
        assert response or len(data) <= self._one.mtu - 3
        self._one.written.append((characteristic.uuid[4:8], bytes(data), response))
        loop = asyncio.get_running_loop()
        for piece in self._one.answers(bytes(data)):
            loop.call_soon(self.notify, piece)

    async def pair(self, *args: Any, **_: Any) -> None:
        raise NotImplementedError

    async def unpair(self) -> None:
        raise NotImplementedError

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **_: Any) -> bytearray:
        return bytearray(b"\1")

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **_: Any) -> bytearray:
        raise NotImplementedError

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: Any) -> None:
        raise NotImplementedError
