"""bms-gateway demo: the whole house, without hardware."""

import asyncio
import io
import logging
import signal
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live

from bms_drivers.sims.host import simulated
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import Device
from gateway.app import Gateway
from gateway.cli.duration import parse_duration
from gateway.config.load import parse
from gateway.control import ControlServer, default_path
from gateway.demo.bus import PrivateBus
from gateway.demo.inverter import Inverter
from gateway.demo.view import screen
from gateway.explain import number
from gateway.logs import hushed
from gateway.model import GatewayError
from gateway.report import status_lines
from gateway.store import Store
from gateway.wiring import build

SERVICE: Final = "com.victronenergy.battery.bms_gateway"
CHANNEL: Final = "demo"
PORT: Final = 8765
FAST: Final = 90.0  # simulated seconds a second
EVENING: Final = 12.0  # s in float until the sun goes down
CONFIG: Final = """
batteries:
  - {{name: jbd, driver: jbd, port: {jbd}}}
  - {{name: jk, driver: jk_pb, port: {jk_pb}}}
limits:            # the times are short, so that one sees a whole charge
  absorption: {{time: 6, max_time: 15}}
  float_transition: {{rate: 0.15}}
  charge_voltage: {{hold: 5, rate: 0.05}}
  charge_current: {{hold: 3}}
  discharge_current: {{hold: 3}}
bank: {{charge_current_limit: 80}}
outputs:
  can_bms: {{interface: virtual, channel: demo}}
  web: {{port: {port}}}
"""


@dataclass
class House:
    """Everything that runs in the demo."""

    gateway: Gateway
    inverter: Inverter
    bus: PrivateBus
    devices: list[Device]
    modes: list[str]  # charge modes in the order they were seen


@click.command(name="demo")
@click.option("--for", "duration", metavar="TIME", help="End by itself, e.g. 15s or 2m, with a summary.")
@click.option("--svg", type=click.Path(path_type=Path), hidden=True, help="Write the last screen as a picture.")
def command(duration: str | None, svg: Path | None) -> None:
    """Two simulated packs that speak their real protocols over ptys, a virtual CAN bus with an inverter that obeys,
    a private D-Bus where a dbus-daemon is installed, and a live view. Needs no hardware, no root, no configuration.

    The sun shines, the packs fill: bulk, absorption, float; then it is evening. A browser on this machine sees it at
    the address that is shown; `bms-gateway explain` in another terminal asks the same gateway. Ctrl-C ends it.
    """
    seconds = parse_duration(duration) if duration else None
    with tempfile.TemporaryDirectory(prefix="bms-gateway-demo-") as folder, hushed(logging.ERROR):
        ok = asyncio.run(_demo(Path(folder), seconds, svg))
    if not ok:
        raise GatewayError("demo: not every output carried the pack's values, see the summary")


async def _demo(folder: Path, seconds: float | None, svg: Path | None) -> bool:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, stop.set)
    house = await _build(folder)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    finished = asyncio.Event()
    running = asyncio.create_task(house.gateway.run(finished, ControlServer(default_path(), house.gateway.answer)))
    obeying = asyncio.create_task(house.inverter.run())
    try:
        await _show(house, stop, svg)
        return await _summary(house)
    finally:
        finished.set()
        await running
        obeying.cancel()
        await asyncio.gather(obeying, return_exceptions=True)
        for device in house.devices:
            await device.close()
        house.bus.stop()


async def _build(folder: Path) -> House:
    bus = PrivateBus(folder)
    devices = [
        await simulated("jbd", {}, seed=3, soc=96.3, capacity=100.0, speed=FAST, current=0.0),
        await simulated("jk_pb", {}, seed=8, soc=96.0, capacity=200.0, speed=FAST, current=0.0),
    ]
    for device in devices:
        _match_cells(device.simulator.pack)
    text = CONFIG.format(jbd=devices[0].path, jk_pb=devices[1].path, port=_port())
    text += "" if bus.problem else "  venus_dbus: {}\n"
    gateway = await build(parse(text, "the demo's configuration"), store=Store(folder))
    return House(gateway, Inverter(CHANNEL, [device.simulator.pack for device in devices]), bus, devices, [])


def _port() -> int:
    """The page's usual one, unless somebody listens there."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", PORT)) == 0 else PORT


def _match_cells(pack: Pack) -> None:
    """Well-balanced cells: the demo is to reach float."""
    mean = pack.soc
    pack.charges = [mean + (charge - mean) * 0.25 for charge in pack.charges]


async def _show(house: House, stop: asyncio.Event, svg: Path | None) -> None:
    """The live view on a terminal, else a line now and then."""
    console = Console(record=svg is not None, width=118 if svg else None)
    if not console.is_terminal and svg is None:
        return await _tell(house, stop)
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while not stop.is_set():
            _story(house)
            live.update(screen(house.gateway.state(), _title(house)), refresh=True)
            await _pause(stop, 0.5)
    if svg is not None:
        picture = Console(record=True, width=118, file=io.StringIO())
        picture.print(screen(house.gateway.state(), _title(house)))
        picture.save_svg(str(svg), title="bms-gateway demo")
    return None


async def _tell(house: House, stop: asyncio.Event) -> None:
    click.echo(f"D-Bus: {house.bus.problem or 'a private daemon runs'}")
    page = ""
    while not stop.is_set():
        if not page and (page := _page(house)):
            click.echo(f"page: {page}")
        _story(house)
        for line in list(status_lines(house.gateway.state()))[:2]:
            click.echo(line)
        await _pause(stop, 3.0)


def _story(house: House) -> None:
    """Note the charge modes; after a while in float the evening comes."""
    snapshot = house.gateway.snapshot
    if snapshot is None or not snapshot.bank.complete:
        return
    mode = snapshot.decision.charge_mode
    if not house.modes or house.modes[-1] != mode:
        house.modes.append(mode)
        if mode == "float":
            asyncio.get_running_loop().call_later(EVENING, setattr, house.inverter, "evening", True)


def _title(house: House) -> str:
    sky = "evening, the house draws power" if house.inverter.evening else "the sun shines"
    return f"demo, {FAST:g} times as fast; {sky}; {' > '.join(house.modes)}; page: {_page(house)}"


def _page(house: House) -> str:
    """Where a browser finds it, or why it does not."""
    web = house.gateway.plan.outputs["web"].status()
    return str(web.get("address") or web["problem"])


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _summary(house: House) -> bool:
    """What both outputs carried, read by others than us; True when it is what the bank says."""
    snapshot, state = house.gateway.snapshot, house.gateway.state()
    if snapshot is None or not snapshot.bank.complete:
        click.echo(f"summary: {state.get('waiting', 'no battery has answered')}")
        return False
    bank = snapshot.bank
    polls = sum(battery["counters"].get("good", 0) for battery in state["batteries"])
    click.echo(f"summary: {len(bank.batteries)} packs, {polls} good polls, charge modes {' > '.join(house.modes)}")
    for line in status_lines(state):
        click.echo(f"  {line}")
    can_ok = _carried("CAN", house.inverter.values.get("soc"), house.inverter.values.get("voltage"), snapshot)
    click.echo(f"       {house.inverter.frames} frames read by the inverter through the DBC")
    if house.bus.problem:
        click.echo(f"D-Bus: not shown, {house.bus.problem}")
        return can_ok
    soc = await asyncio.to_thread(house.bus.read, SERVICE, "/Soc")
    volts = await asyncio.to_thread(house.bus.read, SERVICE, "/Dc/0/Voltage")
    changes = state["outputs"]["venus_dbus"]["items_changed"]
    dbus_ok = _carried("D-Bus", soc, volts, snapshot)
    click.echo(f"       {changes} ItemsChanged signals; values read by dbus-send")
    return can_ok and dbus_ok


def _carried(name: str, soc: float | None, volts: float | None, snapshot: object) -> bool:
    """Do the output's values fit the bank's?  (It moves on between the two looks.)"""
    bank = snapshot.bank  # type: ignore[attr-defined]
    good = (
        soc is not None and volts is not None and bank.soc is not None and bank.voltage is not None
        and abs(soc - bank.soc) < 3.0 and abs(volts - bank.voltage) < 1.0
    )  # fmt: skip
    click.echo(f"{name}: SoC {number(soc, '%', 1)}, {number(volts, 'V')}{'' if good else '  <- does not fit the bank'}")
    return good
