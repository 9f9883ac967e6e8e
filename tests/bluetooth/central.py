"""Our end: both BMSs are read at once through bleak and BlueZ, lose their connection, and come back.

Runs in the virtual machine, which has no hardware help and is slow: time-outs are longer, and said.
"""

import asyncio
import sys
import time
from dataclasses import replace

from bms_drivers.kit import registry
from bms_drivers.kit.session import Session
from bms_drivers.links import ble, ble_manager, converse
from bms_drivers.links.factory import open_port
from gateway.model import DeviceRefused, FrameError, LinkClosed, LinkTimeout, Reading

SLOWER = 8.0  # times
WANTED = {"jbd_ble": ("F0:F1:F2:F3:F4:F5", -12.5), "jk_ble": ("F0:F1:F2:F3:F4:F6", 7.5)}  # address, A
GOOD = 3  # readings, some of them after the connection was lost
LIMIT = 400.0  # s


def slow_down() -> None:
    ble_manager.SEEK, ble_manager.CONNECT = ble_manager.SEEK * SLOWER, ble_manager.CONNECT * SLOWER
    ble.SILENT, ble.LET_GO = ble.SILENT * SLOWER, ble.LET_GO * SLOWER


async def read(name: str, address: str, current: float) -> None:
    """Until there are good readings before and after a loss."""
    driver = registry.load(name)
    assert driver.ble is not None
    driver = replace(driver, ble=replace(driver.ble, patience=driver.ble.patience * SLOWER))
    port, session = open_port(f"ble:{address}", [driver]), Session(driver)
    good = losses = 0
    lost_at = 0.0
    while good < GOOD or not losses:
        try:
            async with port.turn(name) as link:
                if lost_at:
                    print(f"{name}: back after {time.monotonic() - lost_at:.1f} s", flush=True)
                    lost_at = 0.0
                await poll(session, link)
                good += sound(name, session.readings()[""], current)
            await asyncio.sleep(2.0)
        except LinkClosed as problem:
            losses += 1
            lost_at = lost_at or time.monotonic()
            print(f"{name}: {problem}", flush=True)
            await asyncio.sleep(0.5)
    print(f"{name}: ok, {good} readings, {dict(link.counters)}, {getattr(link, 'signal', None)} dBm", flush=True)
    await port.close()


async def poll(session: Session, link: ble.BleLink) -> None:  # type: ignore[name-defined]
    for step in session.due(time.monotonic()):
        try:
            values = await converse(link, step.talk(session.setup, session.known))
        except (LinkTimeout, FrameError, DeviceRefused) as problem:
            print(f"{session.driver.name}: {step.name}: {problem}", flush=True)
            session.missed(step, time.monotonic())
        else:
            session.learnt(step, values, time.monotonic())


def sound(name: str, reading: Reading, current: float) -> bool:
    print(f"{name}: {reading.voltage} V {reading.current} A {len(reading.cell_voltages)} cells", flush=True)
    return reading.current is not None and abs(reading.current - current) < 0.1 and len(reading.cell_voltages) == 16


async def main() -> None:
    slow_down()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*(read(name, *wanted) for name, wanted in WANTED.items()))
    print("Bluetooth: ok", flush=True)


sys.exit(asyncio.run(main()))
