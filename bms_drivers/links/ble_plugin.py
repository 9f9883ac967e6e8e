"""A Bluetooth LE device that a plug-in of the library aiobmsble speaks to: a question is a word, its answer a line.

Our manager finds the device and says when it may be connected, as for any other; the library gets it with what it
advertised, connects, and keeps the connection until it is lost or closed here: it never connects by itself again.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from aiobmsble import BMSConfig, TempSensor
from aiobmsble.basebms import BaseBMS
from aiobmsble.utils import bms_supported
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakCharacteristicNotFoundError, BleakError

from bms_drivers.kit import plugins
from bms_drivers.kit.declare import Ask, Frame, Plugin, Question
from bms_drivers.kit.framing import Answer
from bms_drivers.links.ble_manager import LET_GO, Manager, in_words, manager_of
from bms_drivers.links.link import Counters, Tap
from gateway.model import FrameError, LinkClosed, LinkTimeout

FRESH: Final = 3.0  # s; plug-ins that listen hand out what came since the last sample, however long ago that was
WATCH: Final = 0.25  # s between looks whether the connection stands
VAIN: Final = 2  # samples in a row that the library gave up, after 5 to 10 s each; then it is connected anew
ODD: Final = (ValueError, LookupError, TypeError, ArithmeticError)
"""What plug-ins raise for bytes that they cannot read."""


class PluginLink:
    """One device; closes itself when the connection goes, `open` connects again."""

    def __init__(
        self, address: str, plugin: Plugin, adapter: str = "", *, managers: Callable[[str], Manager] = manager_of
    ) -> None:
        """`managers` gives the manager of an adapter."""
        self.address, self.adapter = address.upper(), adapter
        self.where = f"ble:{self.address}"
        self.counters: Counters = Counter()
        self.tap: Tap | None = None
        self._plugin, self._managers = plugin, managers
        self._manager: Manager | None = None
        self._bms: BaseBMS | None = None
        self._name = plugin.name  # of the plug-in that speaks
        self._odd = ""  # why none can
        self._sampled = 0.0  # s, loop time
        self._vain = self._opened = 0

    @property
    def signal(self) -> int | None:
        """As Rated.signal."""
        return self._manager.signal(self.address) if self._manager else None

    async def open(self) -> None:
        """Have the plug-in connect.  Raises LinkClosed."""
        if self._bms is not None:
            if self._bms.is_connected:
                return
            await self.close()
        self._manager = self._managers(self.adapter)
        if not self._plugin.name:
            await asyncio.to_thread(load)
        with self._understood():
            await self._manager.introduce(self.address, self._connect)
        self.counters["reopened"] += bool(self._opened)
        self._opened += 1
        self._vain = 0
        self._sampled = asyncio.get_running_loop().time()

    async def _connect(self, device: BLEDevice, told: AdvertisementData) -> None:
        fitting = [self._plugin.name] if self._plugin.name else knowing(told, device.address)
        self._odd = "" if len(fitting) == 1 else _which(self.where, fitting)
        if self._odd:
            return
        self._name = fitting[0]
        config = BMSConfig(keep_alive=True, secret=self._plugin.password)
        self._bms = _class(self._name)(device, config)
        connected = False
        try:
            await self._enter(self._bms)
            connected = True
        finally:
            if not connected:
                await self.close()

    async def _enter(self, bms: BaseBMS) -> None:
        """Connect.  Raises LinkClosed for what the library knows better than BlueZ, and what BlueZ raises."""
        try:
            await bms.__aenter__()
        except PermissionError:
            raise LinkClosed(f"{self.where}: it does not take the password; expected the right password:") from None
        except BleakCharacteristicNotFoundError:
            await self._managers(self.adapter).forget(self.address)
            text = f"it has no {bms.uuid_rx()} that {self._name} reads from; another kind of device?"
            raise LinkClosed(f"{self.where}: {text}") from None

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """While connecting: another kind of device is none that can be connected."""
        try:
            yield
        except ODD as problem:
            raise LinkClosed(f"{self.where}: {self._strange(problem)}") from None

    def _strange(self, problem: Exception) -> str:
        words = " ".join(str(problem).split()) or type(problem).__name__
        return f"{self._name} cannot read what it answers ({words}); another kind of device?"

    async def close(self) -> None:
        """End the connection; may be called at any time."""
        bms, self._bms = self._bms, None
        if self._manager is not None:
            self._manager.left(self.address)
        if bms is None:
            return
        try:
            with in_words(self.where):
                async with asyncio.timeout(LET_GO):
                    await bms.disconnect()
        except LinkClosed:
            self.counters["left open"] += 1  # the next open lets go of it first

    # ---- asking

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As Link.exchange.  Raises LinkTimeout, LinkClosed, FrameError for what the plug-in cannot read."""
        assert isinstance(question, Ask), "only the driver of the library asks here"
        if self._odd:
            raise LinkTimeout(self._odd)
        self.counters["requests"] += 1
        if self.tap is not None:
            self.tap("tx", question.request)
        line, since = await self._said(question)
        if self.tap is not None:
            self.tap("rx", line)
        answer = Answer(question)
        answer.feed(line)
        self.counters["replies"] += 1
        return [frame._replace(at=since) for frame in answer.frames]

    async def _said(self, question: Ask) -> tuple[bytes, float]:
        """The answer as a line, and the time [s, monotonic] since which it was told."""
        word, asked = question.request.decode().strip(), {"sample": self._sample, "about": self._about}
        try:
            said, since = await asyncio.wait_for(asked[word](), question.timeout)
        except (TimeoutError, BleakError) as problem:
            await self._doubt()
            words = "no whole answer" if isinstance(problem, TimeoutError) else " ".join(str(problem).split())
            raise LinkTimeout(f"{self.where}: {self._name}: {words}") from None
        except ODD as problem:
            await self._doubt()
            raise FrameError(f"{self.where}: {self._strange(problem)}") from None
        self._vain = 0
        return f"{word} {json.dumps(said, default=plain)}\n".encode(), since

    async def _doubt(self) -> None:
        """Let go of a device of which nothing came for long.  Raises LinkClosed then."""
        self.counters["timeout"] += 1
        self._vain += 1
        if self._vain >= VAIN:
            await self.close()
            raise LinkClosed(f"{self.where}: connected, but {self._name} got no answer; connecting anew")

    async def _sample(self) -> tuple[object, float]:
        loop = asyncio.get_running_loop()
        if loop.time() - self._sampled > FRESH:
            await self._connected(lambda bms: bms.async_update(raw=True))  # old, perhaps
            self._sampled = loop.time()
        since = self._sampled
        said = await self._connected(lambda bms: bms.async_update(raw=True))
        self._sampled = loop.time()
        return said, since

    async def _about(self) -> tuple[object, float]:
        bms = self._there()
        said = await self._connected(lambda bms: bms.device_info())
        return {**bms.INFO, **said, "plugin": self._name}, asyncio.get_running_loop().time()

    async def _connected(self, work: Callable[[BaseBMS], Coroutine[Any, Any, Any]]) -> Any:
        """Do `work` while the connection stands.  Raises LinkClosed when it does not, and what the work raises."""
        task = asyncio.ensure_future(work(self._there()))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=WATCH)
                if not task.done():
                    self._there()
            return task.result()
        finally:
            task.cancel()

    def _there(self) -> BaseBMS:
        """The plug-in.  Raises LinkClosed when its connection has ended."""
        if self._bms is None or not self._bms.is_connected:
            raise LinkClosed(f"{self.where}: the connection was lost")
        return self._bms


def load() -> None:
    """Load all plug-ins, which takes a while the first time."""
    for name in plugins.names():
        _class(name)


def knowing(told: AdvertisementData, address: str) -> list[str]:
    """Names of the plug-ins that know such an advertisement."""
    return [name for name in plugins.names() if bms_supported(_class(name), told, address)]


def plain(value: object) -> object:
    """What JSON does not know: a temperature as [°C, kind of its sensor].  Raises TypeError for anything else."""
    if isinstance(value, TempSensor):
        return [value.value, value.type.name]
    raise TypeError(f"{type(value).__name__} in a sample")


def _class(name: str) -> Any:
    return import_module(f"{plugins.LIBRARY}.bms.{name}").BMS


def _which(where: str, fitting: Sequence[str]) -> str:
    if not fitting:
        return f"{where}: {plugins.LIBRARY} knows no device that advertises so; expected model: with its plug-in's name"
    return f"{where}: {' and '.join(fitting)} both know such an advertisement; expected model: with one of them"
