"""Bluetooth LE: the one who scans and connects, for all packs of an adapter.

One scan serves all who look for a device, and connections are made one at a time: adapters do neither well side by
side.  What BlueZ still holds of an earlier run is let go of first, since a connected device does not advertise; what
Linux holds without BlueZ's knowing ends when the adapter is switched off and on, once nobody was heard for long.
Bleak does the work, bleak-retry-connector knows BlueZ's moods.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from bleak import BleakClient, BleakScanner
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakError, BleakGATTProtocolError
from bleak.exc import BleakGATTProtocolErrorCode as Refusal
from bleak_retry_connector import (
    BleakClientWithServiceCache,
    BleakOutOfConnectionSlotsError,
    clear_cache,
    close_stale_connections_by_address,
    establish_connection,
)

from bms_drivers.links import ble_adapter
from gateway.model import LinkClosed, LinkError

SEEK: Final = 8.0  # s that a device is looked for in one go; they advertise each 0.1 to 2 s
CONNECT: Final = 12.0  # s for one connection with its list of services
LET_GO: Final = 5.0  # s for an end of a connection, and for whatever else BlueZ does without the device
ANEW: Final = 15.0  # s after which a scan is begun anew: it ends unnoticed when the adapter is switched off meanwhile
DEAF: Final = 300.0  # s after which an adapter that carried somebody, and hears nobody any more, is switched off and on
SELDOMER: Final = 4  # times as long until the next time
NO_BLUETOOTH: Final = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Spawn",
)
OFF: Final = ("org.bluez.Error.NotReady", "org.freedesktop.DBus.Error.UnknownObject")
UNPAIRED: Final = (
    Refusal.INSUFFICIENT_AUTHENTICATION, Refusal.INSUFFICIENT_AUTHORIZATION, Refusal.INSUFFICIENT_ENCRYPTION,
    Refusal.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
)  # fmt: skip
REFUSED: Final = ("org.bluez.Error.NotPermitted", "org.bluez.Error.AuthenticationFailed")
WANTS_PAIRING: Final = "it wants to be paired first, once: bluetoothctl, then scan on, pair and its address"

Lost = Callable[[], None]
Restart = Callable[[str], Awaitable[None]]
Seen = tuple[BLEDevice, AdvertisementData]
T = TypeVar("T")


class Hung(BleakError):
    """BlueZ is there and does not answer."""


@contextmanager
def in_words(where: str) -> Iterator[None]:
    """What Bluetooth raises becomes LinkClosed with one sentence about `where`."""
    try:
        yield
    except LinkError:
        raise
    except TimeoutError:
        raise LinkClosed(f"{where}: no connection within {CONNECT:g} s; out of reach, or somebody else's?") from None
    except (BleakError, OSError, EOFError, AttributeError) as problem:  # the last when the D-Bus went meanwhile
        raise LinkClosed(f"{where}: {sentence(problem)}") from None


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """What BlueZ does without the device takes no time to speak of.  Raises Hung."""
    try:
        async with asyncio.timeout(LET_GO):
            yield
    except TimeoutError:
        raise Hung from None


def sentence(problem: Exception) -> str:
    """What went wrong, for the owner of the battery."""
    cause = getattr(problem, "dbus_error", "") if isinstance(problem, BleakDBusError) else ""
    if isinstance(problem, FileNotFoundError | ConnectionRefusedError) or cause.startswith(NO_BLUETOOTH):
        return "Bluetooth does not run here; install bluez and start it: sudo systemctl enable --now bluetooth"
    if isinstance(problem, BleakBluetoothNotAvailableError) or "No Bluetooth adapters" in str(problem):
        return "there is no Bluetooth adapter that is switched on; see: bluetoothctl list, bluetoothctl power on"
    if isinstance(problem, Hung):
        return "BlueZ does not answer; see: systemctl status bluetooth, sudo systemctl restart bluetooth"
    if isinstance(problem, BleakOutOfConnectionSlotsError):
        return "the Bluetooth adapter carries no further connection; read it through another one: ble:...@hci1"
    if (isinstance(problem, BleakGATTProtocolError) and problem.code in UNPAIRED) or cause.startswith(REFUSED):
        return WANTS_PAIRING
    if cause.startswith(OFF):
        return "the Bluetooth adapter is not there or switched off; see: bluetoothctl list, bluetoothctl power on"
    words = " ".join(str(problem).split()) or type(problem).__name__
    return f"no connection ({words})"


class Manager:
    """One adapter's scans and connections."""

    def __init__(
        self,
        adapter: str = "",
        *,
        scanner: type[BaseBleakScanner] | None = None,
        client: type[BaseBleakClient] | None = None,
        restart: Restart = ble_adapter.restart,
    ) -> None:
        """`adapter` such as hci1, "" = the system's first; the rest is bleak's own choice of a backend, and BlueZ's way
        to restart an adapter."""
        self._bluez: dict[str, str] = {"adapter": adapter} if adapter else {}
        self._scanner, self._client, self._restart = scanner, client, restart
        self._radio = asyncio.Lock()  # scanning or connecting; first come, first served
        self._sought: dict[str, asyncio.Future[Seen]] = {}
        self._news = asyncio.Event()
        self._listening = False
        self._scanning: asyncio.Task[None] | None = None
        self._late: tuple[BleakScanner, asyncio.Task[None]] | None = None  # a start that BlueZ has not answered yet
        self._path = ""  # BlueZ's name of the adapter; "" = nobody was connected yet
        self._carried: set[str] = set()  # addresses that are connected
        self._alive, self._patience = 0.0, DEAF  # s: when one of ours was there last (loop time), how long it may be
        self.heard: dict[str, AdvertisementData] = {}  # by address, what was last heard of those who were sought

    def signal(self, address: str) -> int | None:
        """dBm at which it was heard last."""
        heard = self.heard.get(address)
        return None if heard is None else heard.rssi

    # ---- connecting

    async def connect(self, address: str, lost: Lost) -> BleakClient:
        """A connection with its services; `lost` is called when it ends by itself.  Raises LinkClosed."""
        return await self.introduce(address, lambda device, _: self._connected(device, lost))

    async def introduce(self, address: str, connect: Callable[[BLEDevice, AdvertisementData], Awaitable[T]]) -> T:
        """What `connect` makes of the device, as soon as it is heard: it alone uses the adapter, for CONNECT seconds.

        Raises LinkClosed.
        """
        with in_words(f"ble:{address}"):
            async with answering():
                await close_stale_connections_by_address(address)
            device, told = await self._heard_at_last(address)
            async with self._radio, asyncio.timeout(CONNECT):
                made = await connect(device, told)
            self._path = str((device.details or {}).get("path", "")).rpartition("/")[0] or self._path
            self._carried.add(address)
            return made

    def left(self, address: str) -> None:
        """The connection with it has ended, or is given up."""
        if address in self._carried:
            self._carried.remove(address)
            self._here()

    async def _connected(self, device: BLEDevice, lost: Lost) -> BleakClient:
        options: dict[str, Any] = {"bluez": self._bluez} if self._client is None else {"backend": self._client}
        return await establish_connection(
            BleakClientWithServiceCache,
            device,
            device.name or device.address,
            disconnected_callback=lambda _client: lost(),
            max_attempts=1,
            **options,
        )

    async def forget(self, address: str) -> None:
        """Have BlueZ forget the services it remembers of a device: they are not what the device has now."""
        with suppress(BleakError, OSError, EOFError):
            await clear_cache(address)

    # ---- an adapter that hears nobody

    async def _heard_at_last(self, address: str) -> Seen:
        """As find; where nobody was heard for long, the adapter is restarted, and that is said."""
        try:
            return await self.find(address)
        except LinkClosed:
            silent = asyncio.get_running_loop().time() - self._alive
            if not self._path or self._carried or silent < self._patience:
                raise
        self._here()
        self._patience *= SELDOMER
        async with self._radio, answering():
            await self._restart(self._path)
        raise LinkClosed(f"ble:{address}: nobody was heard for {silent:.0f} s; the adapter was switched off and on")

    def _here(self) -> None:
        self._alive = asyncio.get_running_loop().time()

    # ---- scanning

    async def find(self, address: str) -> Seen:
        """The device, as soon as it is heard.  Raises LinkClosed when it is not, and what the scanner raises."""
        if address not in self._sought:
            self._sought[address] = asyncio.get_running_loop().create_future()
        self._news.set()
        try:
            return await self._found(address, self._sought[address])
        finally:
            self._sought.pop(address, None)
            self._news.set()

    async def _found(self, address: str, sought: "asyncio.Future[Seen]") -> Seen:
        """Wait for it; the time that the adapter spends on a connection does not count, since nobody listens then."""
        while True:
            scan = self._running_scan()
            either: set[asyncio.Future[Any]] = {sought, scan}
            await asyncio.wait(either, timeout=SEEK, return_when=asyncio.FIRST_COMPLETED)
            if sought.done():
                return sought.result()
            if scan.done():
                scan.result()  # raises what ended it, for all who look
            elif self._listening:
                why = "is it awake and near, and is no phone connected to it?"
                raise LinkClosed(f"ble:{address}: not heard within {SEEK:g} s; {why}")

    def _running_scan(self) -> "asyncio.Task[None]":
        if self._scanning is None or self._scanning.done():
            self._scanning = asyncio.create_task(self._scan())
            self._scanning.add_done_callback(lambda scan: scan.cancelled() or scan.exception())  # seen, whoever waits
        return self._scanning

    async def _scan(self) -> None:
        """Scan while anybody looks for a device that was not heard yet.  Raises what the scanner raises."""
        while any(not sought.done() for sought in self._sought.values()):
            async with self._radio, self._scanned(self._heard):
                self._listening = True
                try:
                    await self._something_new()
                finally:
                    self._listening = False

    async def _something_new(self) -> None:
        """Until a device that is sought was heard, nobody looks any more, or the scan has lasted long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANEW):
                while self._sought and not any(sought.done() for sought in self._sought.values()):
                    self._news.clear()
                    await self._news.wait()

    @asynccontextmanager
    async def _scanned(self, heard: Callable[[BLEDevice, AdvertisementData], None]) -> AsyncIterator[None]:
        """`heard` is told who is in the air meanwhile."""
        scanner = self._scanner_for(heard)
        await self._begin(scanner)
        try:
            yield
        finally:
            async with answering():
                await scanner.stop()

    async def _begin(self, scanner: BleakScanner) -> None:
        """Start to scan.  A start that BlueZ does not answer goes on: it may do so later, and is ended before another.

        Raises Hung, and what the scanner raises.
        """
        if self._late is not None:
            await self._end_late(*self._late)
        start = asyncio.create_task(scanner.start())
        await asyncio.wait({start}, timeout=LET_GO)
        if not start.done():
            self._late = scanner, start
            raise Hung
        start.result()

    async def _end_late(self, scanner: BleakScanner, start: "asyncio.Task[None]") -> None:
        await asyncio.wait({start}, timeout=LET_GO)
        if not start.done():
            raise Hung
        self._late = None
        with suppress(BleakError, OSError, EOFError):
            start.result()
            async with answering():
                await scanner.stop()

    def _scanner_for(self, heard: Callable[[BLEDevice, AdvertisementData], None]) -> BleakScanner:
        if self._scanner is not None:
            return BleakScanner(heard, backend=self._scanner)
        return BleakScanner(heard, bluez=self._bluez)  # type: ignore[arg-type]

    def _heard(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        address = device.address.upper()
        sought = self._sought.get(address)
        if sought is not None:
            self.heard[address] = advertisement
            self._here()
            self._patience = DEAF
            if not sought.done():
                sought.set_result((device, advertisement))
                self._news.set()

    async def listen(self, seconds: float) -> list[Seen]:
        """Everybody who is heard within so long.  Raises LinkClosed."""
        found: dict[str, Seen] = {}
        with in_words("ble"):
            async with self._radio, self._scanned(lambda d, a: found.update({d.address.upper(): (d, a)})):
                await asyncio.sleep(seconds)
        return list(found.values())


_managers: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Manager]]" = WeakKeyDictionary()


def manager_of(adapter: str) -> Manager:
    """The one manager of an adapter, for all who run on this loop."""
    of_loop = _managers.setdefault(asyncio.get_running_loop(), {})
    if adapter not in of_loop:
        of_loop[adapter] = Manager(adapter)
    return of_loop[adapter]
