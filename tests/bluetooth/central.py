"""Our end: two BMSs are read at once through bleak and BlueZ, lose their connection, their adapter and BlueZ itself,
and come back each time; a stranger of the same name is not taken for one.

Runs as root in the virtual machine, which has no hardware help and is slow: time-outs are longer, and said.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from bms_drivers.kit import plugins, registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.detect import recognised
from bms_drivers.kit.session import Session
from bms_drivers.links import Link, ble, ble_manager, converse
from bms_drivers.links.factory import open_link, open_port
from gateway.model import DeviceRefused, FrameError, LinkClosed, LinkTimeout, Reading

SLOWER = 8.0  # times
PACKS = {"jbd_ble": ("F0:F1:F2:F3:F4:F5", -12.5), "jk_ble": ("F0:F1:F2:F3:F4:F6", 7.5)}  # address, A
PLUGINS = {"jbd_bms": "jbd_ble", "jikong_bms": "jk_ble"}
STRANGER = "F0:F1:F2:F3:F4:F7"
GOOD = 3  # readings, some of them after the connection was lost
LIMIT = 1500.0  # s
BLUEZ = "/usr/libexec/bluetooth/bluetoothd"


def slow_down() -> None:
    for name in ("SEEK", "CONNECT", "LET_GO", "ANEW"):
        setattr(ble_manager, name, getattr(ble_manager, name) * SLOWER)
    ble_manager.DEAF = 150.0  # else five minutes
    ble.SILENT, ble.LET_GO, ble.CONNECT = ble.SILENT * SLOWER, ble_manager.LET_GO, ble_manager.CONNECT


def driver_of(name: str) -> Driver:
    driver = registry.load(name)
    assert driver.ble is not None
    return replace(driver, ble=replace(driver.ble, patience=driver.ble.patience * SLOWER))


class Pack:
    """One battery that is polled for ever."""

    def __init__(self, name: str, address: str, current: float) -> None:
        self.name, self.current = name, current
        self.driver = driver_of(name)
        self.port, self.session = open_port(f"ble:{address}", [self.driver]), Session(self.driver)
        self.good = self.losses = 0
        self.problem = ""
        self.lost_at = 0.0

    async def run(self) -> None:
        while True:
            try:
                async with self.port.turn(self.name) as link:
                    await self.poll(link)
            except LinkClosed as problem:
                self.lost(str(problem))
            await asyncio.sleep(1.0)

    async def poll(self, link: Link) -> None:
        for step in self.session.due(time.monotonic()):
            try:
                values = await converse(link, step.talk(self.session.setup, self.session.known))
            except (LinkTimeout, FrameError, DeviceRefused) as problem:
                self.say(f"{step.name}: {problem}")
                self.session.missed(step, time.monotonic())
                return
            self.session.learnt(step, values, time.monotonic())
        self.sound(self.session.readings()[""])

    def sound(self, reading: Reading) -> None:
        assert reading.current is not None and abs(reading.current - self.current) < 0.1, reading.current
        assert len(reading.cell_voltages) == 16
        self.good += 1
        if self.lost_at:
            self.say(f"back after {time.monotonic() - self.lost_at:.1f} s: {reading.voltage} V {reading.current} A")
        self.lost_at, self.problem = 0.0, ""

    def lost(self, problem: str) -> None:
        self.losses += not self.lost_at
        self.lost_at = self.lost_at or time.monotonic()
        if problem != self.problem:
            self.say(problem)
        self.problem = problem

    def say(self, text: str) -> None:
        print(f"{self.name}: {text}", flush=True)


async def until(what: str, done: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not done():
        await asyncio.sleep(0.5)
    print(f"-- {what}: {time.monotonic() - begun:.0f} s", flush=True)


async def each_reads(packs: list[Pack], what: str) -> None:
    """All of them read anew."""
    before = {pack.name: pack.good for pack in packs}
    await until(what, lambda: all(pack.good > before[pack.name] and not pack.problem for pack in packs))


async def each_says(packs: list[Pack], words: str, what: str) -> None:
    await until(what, lambda: all(words in pack.problem for pack in packs))


async def stranger() -> None:
    """It bears the name and has the characteristics, and is no JBD."""
    driver = driver_of("jbd_ble")
    link = open_link(f"ble:{STRANGER}", driver)
    await link.open()
    found = [one async for one in recognised(link, driver)]
    print(f"stranger: {len(found)} recognised, {dict(link.counters)}", flush=True)
    assert not found and link.counters["requests"]
    await link.close()


def powered(on: bool) -> None:
    words = ("org.bluez", "/org/bluez/hci0", "org.bluez.Adapter1", "Powered", "b", str(on).lower())
    subprocess.run(["busctl", "set-property", *words], check=False)


def bluez(sent: signal.Signals) -> None:
    os.kill(int(subprocess.check_output(["pidof", "bluetoothd"]).split()[0]), sent)


async def restarted() -> None:
    await asyncio.create_subprocess_exec(BLUEZ, "-E", "-n", stderr=asyncio.subprocess.DEVNULL)
    await asyncio.sleep(SLOWER)
    powered(True)


async def troubles(packs: list[Pack]) -> None:
    powered(False)
    await each_says(packs, "Bluetooth adapter", "the adapter is switched off, and they say so")
    powered(True)
    await each_reads(packs, "the adapter is on again, and both are read")
    bluez(signal.SIGSTOP)
    await each_says(packs, "BlueZ does not answer", "BlueZ hangs, and they say so")
    bluez(signal.SIGCONT)
    await each_reads(packs, "BlueZ goes on, and both are read")
    bluez(signal.SIGKILL)
    await each_says(packs, "Bluetooth does not run here", "BlueZ is gone, and they say so")
    await restarted()
    await each_reads(packs, "BlueZ was started anew, and both are read")


async def by_plugins() -> None:
    """The library's own decoders read the same two."""
    driver = registry.load(plugins.LIBRARY)
    for plugin, name in PLUGINS.items():
        address, current = PACKS[name]
        link, session = open_link(f"ble:{address}", driver.made_for({"model": plugin})), Session(driver)
        await link.open()
        step = driver.poll("sample")
        session.learnt(step, await converse(link, step.talk(session.setup, session.known)), 0.0)
        reading = session.readings()[""]
        print(f"{plugin}: {reading.voltage} V {reading.current} A {len(reading.cell_voltages)} cells", flush=True)
        assert reading.current is not None and abs(reading.current - current) < 0.1 and len(reading.cell_voltages) == 16
        await link.close()


async def main() -> None:
    slow_down()
    packs = [Pack(name, *wanted) for name, wanted in PACKS.items()]
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        tasks = [group.create_task(pack.run()) for pack in packs]
        await until("both read, lost, and read again", lambda: all(p.good >= GOOD and p.losses for p in packs))
        await stranger()
        await troubles(packs)
        for task in tasks:
            task.cancel()
    for pack in packs:
        pack.say(f"{pack.good} readings, {dict(pack.port.counters)}, {getattr(pack.port.link, 'signal', None)} dBm")
        await pack.port.close()
    if plugins.names():
        await by_plugins()
    else:
        print(f"skipped: {plugins.LIBRARY} is not installed; it needs Python 3.12 or later", flush=True)
    print("Bluetooth: ok", flush=True)


sys.exit(asyncio.run(main()))
