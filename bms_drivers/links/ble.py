"""A Bluetooth LE device as a byte-stream bus: requests are written, notifications are one stream of bytes.

Pieces do not respect the borders of frames, so the driver's splitter finds them.  Subscribed once, for the whole
connection.  A device that is connected and does not answer any more is let go of: BlueZ often leaves a dead link.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.service import BleakGATTService
from bleak.uuids import normalize_uuid_str

from bms_drivers.kit.declare import Ask, BleLine, Frame, Gatt, Question, Registers
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.links.ble_manager import CONNECT, LET_GO, Manager, in_words, manager_of
from bms_drivers.links.link import Counters, Tap
from gateway.model import LinkClosed, LinkError, LinkTimeout

SILENT: Final = 15.0  # s without a good answer after which the link is taken for dead; sheets: 15 to 30 s, 3 polls
SILENT_ASKED: Final = 3  # and at least so many questions in vain
BEGINS: Final = 1.5  # s within which the slowest device begins to answer
BACKLOG: Final = 2048  # bytes kept of what comes while nobody listens
NOTIFIES, PLAIN, ACKNOWLEDGED = ("notify", "indicate"), "write-without-response", "write"

Way = tuple[BleakGATTCharacteristic, BleakGATTCharacteristic | None]


class BleLink:
    """One device; closes itself when the connection goes, `open` connects again."""

    def __init__(
        self, address: str, line: BleLine, adapter: str = "", *, managers: Callable[[str], Manager] = manager_of
    ) -> None:
        """`managers` gives the manager of an adapter."""
        self.address, self.adapter = address.upper(), adapter
        self.where = f"ble:{self.address}"
        self.counters: Counters = Counter()
        self.tap: Tap | None = None
        self._line, self._managers = line, managers
        self._manager: Manager | None = None
        self._client: BleakClient | None = None
        self._write: BleakGATTCharacteristic | None = None
        self._inbox = bytearray()
        self._heard = asyncio.Event()
        self._gone = asyncio.Event()  # of this connection; an old one's end is no news
        self._last = self._good = 0.0  # s, loop time: last heard or spoken to, last good answer
        self._vain = 0  # questions in a row
        self._odd = ""  # why it cannot be spoken to in any of the ways
        self._opened = 0

    @property
    def signal(self) -> int | None:
        """As Rated.signal."""
        return self._manager.signal(self.address) if self._manager else None

    @property
    def mtu(self) -> int | None:
        """Bytes that go over the air in one piece, 3 of them its own; None = nothing is written there."""
        return self._write.max_write_without_response_size + 3 if self._write else None

    # ---- opening and closing

    async def open(self) -> None:
        """Connect and subscribe.  Raises LinkClosed."""
        if self._client is not None:
            if not self._gone.is_set():
                return
            await self.close()
        self._manager = self._managers(self.adapter)
        gone = self._gone = asyncio.Event()
        self._inbox.clear()
        self._client = await self._manager.connect(self.address, lambda: self._lost(gone))
        subscribed = False
        try:
            with in_words(self.where):
                async with asyncio.timeout(CONNECT):
                    await self._subscribe(self._client)
            subscribed = True
        finally:
            if not subscribed:
                await self.close()
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1
        self._last = self._good = asyncio.get_running_loop().time()
        self._vain = 0

    async def _subscribe(self, client: BleakClient) -> None:
        way = next(ways(list(client.services), self._line.ways), None)
        wanted = " or ".join(f"{way.service}/{way.notify}" for way in self._line.ways)
        self._odd = "" if way else f"{self.where}: it has no {wanted} to read from; another kind of device?"
        if way is None:
            return
        notify, self._write = way
        await self._greet(client)
        await client.start_notify(notify, self._notified)
        await asyncio.sleep(self._line.settle)

    async def _greet(self, client: BleakClient) -> None:
        """What some want to be told first, where they have a place for it."""
        uuid, words = self._line.greeting or ("", b"")
        place = client.services.get_characteristic(normalize_uuid_str(uuid)) if uuid else None
        if place is not None:
            await client.write_gatt_char(place, words)

    async def close(self) -> None:
        """End the connection; may be called at any time."""
        client, self._client, self._write = self._client, None, None
        self._heard.set()
        if self._manager is not None:
            self._manager.left(self.address)
        if client is None:
            return
        try:
            with in_words(self.where):
                async with asyncio.timeout(LET_GO):
                    await client.disconnect()
        except LinkClosed:
            self.counters["left open"] += 1  # the next open lets go of it first

    def _lost(self, gone: asyncio.Event) -> None:
        gone.set()
        self._heard.set()

    def _notified(self, _: BleakGATTCharacteristic, data: bytearray) -> None:
        self._last = asyncio.get_running_loop().time()
        if self.tap is not None:
            self.tap("rx", bytes(data))
        self._inbox += data
        del self._inbox[: max(0, len(self._inbox) - BACKLOG)]
        self._heard.set()

    # ---- asking

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As Link.exchange; Registers are read by Modbus RTU.  Raises LinkTimeout, LinkClosed, DeviceRefused."""
        if isinstance(question, Registers):
            return rtu.checked(question, await self._ask(rtu.question(question)))
        return await self._ask(rtu.on_line(question))

    async def _ask(self, ask: Ask) -> Sequence[Frame]:
        for _ in range(0 if self._odd else max(1, ask.tries)):
            frames = await self._attempt(ask)
            if frames is not None:
                return frames
        self._vain += bool(self._odd)
        await self._doubt()
        if self._odd:
            raise LinkTimeout(self._odd)
        what = f"no whole answer to {ask.request.hex()}" if ask.request else "nothing whole was heard"
        raise LinkTimeout(f"{self.where}: {what} within {self._timeout(ask):g} s")

    async def _attempt(self, ask: Ask) -> Sequence[Frame] | None:
        """Ask once; None when no whole answer came in time."""
        answer = Answer(ask)
        if ask.request:
            await self._silence(ask)
            self._discard()
            await self._send(ask.request)
        else:  # what comes from now on counts, however it began
            answer.feed(self._taken())
            answer.frames.clear()
        whole = await self._listen(ask, answer)
        self._count(answer)
        if whole or (ask.partial and answer.frames):
            self.counters["replies"] += 1
            self._good, self._vain = asyncio.get_running_loop().time(), 0
            return answer.frames
        self.counters["timeout"] += 1
        self.counters["torn"] += bool(answer.torn)
        self._vain += 1
        return None

    def _count(self, answer: Answer) -> None:
        for dropped in answer.dropped:
            self.counters[dropped.reason] += 1
        self.counters["foreign"] += answer.foreign

    async def _silence(self, ask: Ask) -> None:
        left = self._last + max(self._line.quiet, ask.quiet) - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    def _discard(self) -> None:
        """What came unasked is no answer to what is asked now."""
        if self._taken():
            self.counters["unasked"] += 1

    def _taken(self) -> bytes:
        data = bytes(self._inbox)
        self._inbox.clear()
        self._heard.clear()
        return data

    async def _send(self, request: bytes) -> None:
        """Write in pieces that go over the air whole."""
        client, write = self._there(), self._write
        if write is None:
            raise LinkTimeout(f"{self.where}: it is only listened to")
        self.counters["requests"] += 1
        response = ACKNOWLEDGED in write.properties and (self._line.response or PLAIN not in write.properties)
        size = len(request) if response else write.max_write_without_response_size
        try:
            with in_words(self.where):
                async with asyncio.timeout(LET_GO):
                    for start in range(0, len(request), size):
                        await client.write_gatt_char(write, request[start : start + size], response=response)
        except LinkError:
            await self.close()
            raise
        self._last = asyncio.get_running_loop().time()
        if self.tap is not None:
            self.tap("tx", request)

    async def _listen(self, ask: Ask, answer: Answer) -> bool:
        """Feed `answer` until it is whole (True) or the time is up.  Raises LinkClosed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout(ask)
        limit = min(until, loop.time() + max(ask.silent, BEGINS)) if ask.silent else until
        while loop.time() < limit:
            self._there()
            try:
                async with asyncio.timeout_at(limit):
                    await self._heard.wait()
            except TimeoutError:
                return False
            if chunk := self._taken():
                limit = until
                if answer.feed(chunk):
                    return True
        return False

    def _there(self) -> BleakClient:
        """The connection.  Raises LinkClosed when it has ended."""
        if self._client is None or self._gone.is_set():
            raise LinkClosed(f"{self.where}: the connection was lost")
        return self._client

    def _timeout(self, ask: Ask) -> float:
        return max(ask.timeout, self._line.patience if ask.request else 0.0)

    async def _doubt(self) -> None:
        """Let go of a device that has not answered for long.  Raises LinkClosed then."""
        silent = asyncio.get_running_loop().time() - self._good
        if self._vain < SILENT_ASKED or silent < SILENT:
            return
        await self.close()
        if self._odd and self._manager is not None:
            await self._manager.forget(self.address)
        raise LinkClosed(self._odd or f"{self.where}: connected, but no answer for {silent:.0f} s; connecting anew")


def ways(services: Sequence[BleakGATTService], wanted: Sequence[Gatt]) -> Iterator[Way]:
    """The ways to speak to a device that has these services, in the order wanted.

    By property, not by UUID alone: some modules have the same UUID twice, one to write to, one that notifies.
    """
    for gatt in wanted:
        notify = _with(services, gatt.service, gatt.notify, *NOTIFIES)
        write = _with(services, gatt.write_service or gatt.service, gatt.write, PLAIN, ACKNOWLEDGED)
        if notify is not None and (write is not None or not gatt.write):
            yield notify, write


def _with(
    services: Sequence[BleakGATTService], service: str, uuid: str, *properties: str
) -> BleakGATTCharacteristic | None:
    """The characteristic in such a service that has one of the properties; None = there is none."""
    if not uuid:
        return None
    return next(
        (
            found
            for one in services
            if one.uuid == normalize_uuid_str(service)
            for found in one.characteristics
            if found.uuid == normalize_uuid_str(uuid) and not set(properties).isdisjoint(found.properties)
        ),
        None,
    )
