"""From settings to a Gateway that can run: the roof's carpentry."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bms_drivers.kit.can import listens_to
from bms_drivers.kit.declare import Driver, SerialLine
from bms_drivers.kit.detect import UNKNOWN, Found, Search
from bms_drivers.links.factory import lasting, open_port, place
from bms_drivers.links.port import Port
from gateway.absent import NoSensor
from gateway.app import Gateway, Plan
from gateway.battery import Battery, Watch, silent_after
from gateway.commander import Asking
from gateway.config.prepared import Prepared
from gateway.config.schema import AUTO, SIMULATED, BatterySettings, ExternalSensorSettings, Settings
from gateway.extras import needed
from gateway.guard import Bounds
from gateway.installation import installation
from gateway.limits import LimitSettings, Site
from gateway.limits.correct import correct
from gateway.model import MissingPart
from gateway.store import Copy, Store, default_directory
from outputs import registry as output_registry
from outputs.absent import AbsentOutput
from outputs.output import Clock, Commander, Output

if TYPE_CHECKING:
    from bms_drivers.sims.sim import Device


Sharing = set[tuple[str, SerialLine | None]]
"""Drivers that share a port, as written, and how they use its line."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a Plan was built of, so that a later one may take over what is to stay as it is."""

    given: Mapping[str, BatterySettings]  # by name
    drivers: Mapping[str, Driver]  # by battery
    devices: Mapping[str, "Device"]  # simulators, by battery
    plugs: Mapping[str, "tuple[Sharing, Plug]"]  # by place
    polled: Mapping[str, Battery]  # by name
    outputs: Mapping[str, tuple[Any, Output]]  # by name: settings and output
    external: tuple[Any, Any] = (None, None)  # settings and sensor
    places: Mapping[str, str] = field(default_factory=dict)  # of ports, by their names as written


NOTHING: Final = Parts({}, {}, {}, {}, {}, {})


@dataclass(frozen=True, slots=True)
class Calls:
    """How batteries and outputs call back."""

    changed: Callable[[], None]
    commander: Commander
    clock: Clock


@dataclass(frozen=True, slots=True)
class Plug:
    """Where batteries are connected: a port, and how to find out what is there where that is not known."""

    port: Port
    search: Search | None

    def finder(self, battery: BatterySettings) -> "Finder | None":
        """For a battery whose driver is to be found out."""
        if battery.driver != AUTO or self.search is None:
            return None
        given = {} if battery.address is None else {"address": battery.address}
        return Finder(self.search, self.port, battery.name, given)


@dataclass(frozen=True, slots=True)
class Finder:
    """The search of one battery."""

    search: Search
    port: Port
    name: str
    given: Mapping[str, Any]

    async def __call__(self) -> Found | None:
        """Ask once as each driver that can be there.  Raises LinkError while the port is away."""
        return await self.search.find(self.port, self.name, self.given)

    def __str__(self) -> str:
        return f"{', '.join(driver.name for driver in self.search.candidates)} on {self.search.where}"


async def build(given: Settings | Prepared, *, clock: Clock = time.monotonic, store: Store | None = None) -> Gateway:
    """A Gateway for what is `given`; opens no BMS port and no bus yet, but simulators are started.

    Raises ConfigError for what `survey` finds wrong; settings that were loaded from a file have passed it.
    """
    prepared = await _prepared(given)
    settings = prepared.settings
    gateway: list[Gateway] = []  # batteries and outputs call back to what is built last
    calls = Calls(lambda: gateway[0].changed(), Asking(lambda: gateway[0]), clock)
    store = store or Store(settings.state_dir or default_directory(), copy=_copy(settings))
    plan = await _plan(prepared, calls, NOTHING, store)
    gateway.append(Gateway(plan, clock=clock))
    return gateway[0]


async def rebuild(gateway: Gateway, given: Settings | Prepared, *, clock: Clock = time.monotonic) -> Plan:
    """A Plan for changed settings: batteries, ports and outputs whose own settings are as before are the running ones.

    The store stays.  Raises GatewayError; then nothing has changed.
    """
    calls = Calls(gateway.changed, Asking(lambda: gateway), clock)
    return await _plan(await _prepared(given), calls, gateway.plan.parts, gateway.plan.store)


async def _prepared(given: Settings | Prepared) -> Prepared:
    """With what stands in the files that are named, where nobody has read them yet.  Raises ConfigError as build."""
    if isinstance(given, Prepared):
        return given
    from gateway.config.prepare import checked  # a gateway that is handed everything keeps nothing of it

    return await asyncio.to_thread(checked, given)  # it reads files, and frames must go on


async def _plan(prepared: Prepared, calls: Calls, old: Parts, store: Store | None) -> Plan:
    """What to run, taken over from `old` where it is the same.  Raises GatewayError."""
    settings = prepared.settings
    drivers = {battery.name: prepared.driver(battery) or UNKNOWN for battery in settings.batteries}
    given = {battery.name: battery for battery in settings.batteries}
    async with AsyncExitStack() as undo:
        devices = await _devices(settings, old, undo)
        places = _places(settings, devices, old.places)
        plugs, by_battery = _plugs(settings, drivers, devices, places, old)
        polled = {
            name: _battery(battery, drivers[name], by_battery[name], settings, calls, old)
            for name, battery in given.items()
        }
        outputs = await _outputs(prepared, calls, old, store)
        undo.pop_all()
    for name, battery in given.items():
        polled[name].watch = _watch(battery, settings.limits_of(battery))
    sensor = settings.bank.external_sensor
    external = _kept(old.external, sensor, lambda: _external(sensor, calls.clock))
    closing: list[Callable[[], Awaitable[None]]] = [device.close for device in devices.values()]
    return Plan(
        batteries=list(polled.values()),
        site=site_of(settings),
        bounds=bounds_of(settings),
        outputs={name: output for name, (_, output) in outputs.items()},
        start_timeout=settings.bank.start_timeout,
        join_voltage_difference=settings.bank.join_voltage_difference,
        store=store,
        external=external[1],
        closing=[*closing, *(plug.port.close for _, plug in plugs.values())],
        ports={name: by_battery[name].port for name in given},
        parts=Parts(given, drivers, devices, plugs, polled, outputs, external, places),
    )


def _kept(before: tuple[Any, Any], settings: Any, make: Callable[[], Any]) -> tuple[Any, Any]:
    """`settings` and what was made for them: the running one, where they are the same."""
    return before if before[0] == settings else (settings, make())


async def _devices(settings: Settings, old: Parts, undo: AsyncExitStack) -> dict[str, "Device"]:
    """The simulators of batteries that are simulated, by name; those that are new are started."""
    devices: dict[str, Device] = {}
    for battery in settings.batteries:
        if battery.port == SIMULATED:
            device = old.devices.get(battery.name)
            if device is None or not _same_device(battery, old.given[battery.name]):
                device = await _simulate(battery)
                undo.push_async_callback(device.close)
            devices[battery.name] = device
    return devices


def _same_device(one: BatterySettings, other: BatterySettings) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("driver", "port", "address", "setup"))


def _where(battery: BatterySettings, devices: Mapping[str, "Device"]) -> str:
    """The battery's port, that of its simulator where it has one."""
    return str(devices[battery.name].path) if battery.name in devices else battery.port


def _places(settings: Settings, devices: Mapping[str, "Device"], old: Mapping[str, str]) -> dict[str, str]:
    """Where each port is, by its name; one that was there before stays what it was.

    A by-id name leads nowhere while its adapter is unplugged, and elsewhere when it is back: it is the same port, and
    its battery must not be forgotten for that.  Not so where another name means that very place now.
    """
    found = {where: place(where) for where in (_where(battery, devices) for battery in settings.batteries)}
    return {where: at if old.get(where, at) in found.values() else old[where] for where, at in found.items()}


def _plugs(
    settings: Settings, drivers: Mapping[str, Driver], devices: Mapping[str, "Device"], places: Mapping[str, str],
    old: Parts,
) -> tuple[dict[str, tuple[Sharing, Plug]], dict[str, Plug]]:  # fmt: skip
    """The plugs by place and by battery; batteries on one port share it.  Raises ConfigError where they cannot."""
    sharing: dict[str, list[BatterySettings]] = defaultdict(list)
    for battery in settings.batteries:
        sharing[places[_where(battery, devices)]].append(battery)
    plugs = {at: _plug(at, batteries, drivers, devices, old) for at, batteries in sharing.items()}
    return plugs, {battery.name: plugs[at][1] for at, batteries in sharing.items() for battery in batteries}


def _plug(
    at: str, batteries: Sequence[BatterySettings], drivers: Mapping[str, Driver], devices: Mapping[str, "Device"],
    old: Parts,
) -> tuple[Sharing, Plug]:  # fmt: skip
    """One port for all of `batteries`: the running one, unless others used it, for whom it may be set up else.

    While no driver on it is known, its line is that of the first to be tried.
    """
    sharing = {(battery.driver, drivers[battery.name].line) for battery in batteries}
    known = [(drivers[battery.name], battery.setup) for battery in batteries if battery.driver != AUTO]
    before = old.plugs.get(at)
    plug = before[1] if before is not None and before[0] == sharing else _new_plug(batteries, known, devices)
    for driver, setup in known:
        plug.port.expect(listens_to(driver, driver.setup(setup)))
    return sharing, plug


def _new_plug(
    batteries: Sequence[BatterySettings], known: Sequence[tuple[Driver, Mapping[str, Any]]],
    devices: Mapping[str, "Device"],
) -> Plug:  # fmt: skip
    """A port that is not open yet.  Raises ConfigError."""
    first = batteries[0]
    device, where = devices.get(first.name), _where(first, devices)
    search = Search(where, known) if len(known) < len(batteries) else None
    speak = [driver for driver, _ in known]
    if device is not None:
        return Plug(Port(where, device.link(*speak)), search)
    listening = any(driver.listens(driver.setup(setup)) for driver, setup in known)
    lines = speak or (search.candidates[:1] if search else [])
    return Plug(open_port(where, lines, listening=listening), search)


def _battery(
    battery: BatterySettings, driver: Driver, plug: Plug, settings: Settings, calls: Calls, old: Parts
) -> Battery:
    """The running battery of that name, if it is the same device on the same port, and as its file describes it."""
    before = old.polled.get(battery.name)
    taken = any(plug is other for _, other in old.plugs.values())
    if before is not None and taken and _same_device(battery, old.given[battery.name]) and (
        driver.described == old.drivers[battery.name].described
    ):  # fmt: skip
        return before
    watch = _watch(battery, settings.limits_of(battery))
    return Battery(watch, driver, plug.port, calls.changed, calls.clock, plug.finder(battery))


async def _simulate(battery: BatterySettings) -> "Device":
    """Start the driver's simulator for one battery."""
    from bms_drivers.sims.host import simulated  # only where it is configured

    return await simulated(battery.driver, battery.setup, seed=sum(battery.name.encode()))


def _watch(battery: BatterySettings, limits: LimitSettings) -> Watch:
    address = "" if battery.address is None else f" address {battery.address}"
    return Watch(
        name=battery.name,
        poll_interval=battery.poll_interval,
        control=battery.control,
        connection=f"{battery.port}{address}",
        identity=battery.identity or "",
        place=lambda: f"{battery.name if battery.port == SIMULATED else lasting(battery.port)}{address}",
        settings=battery.setup,
        correct=lambda reading: correct(reading, limits),
    )


def _external(settings: ExternalSensorSettings | None, clock: Clock) -> Any:
    """The reader of a sensor on D-Bus, where one is configured; only then is D-Bus loaded."""
    if settings is None:
        return None
    try:
        with needed("bank.external_sensor"):
            from gateway.external import ExternalSensor
            from outputs.venus_dbus.bus import bus_address
    except MissingPart as problem:
        return NoSensor(str(problem))
    return ExternalSensor(settings.service, settings.paths, bus_address(settings.bus, os.environ), clock)


def _copy(settings: Settings) -> Copy | None:
    """A second place for the state, where Venus OS is an output."""
    output: Any = settings.outputs.get("venus_dbus")
    if output is None or output_registry.missing_library("venus_dbus"):
        return None
    from gateway.venus_copy import VenusCopy
    from outputs.venus_dbus.bus import bus_address

    return VenusCopy(bus_address(output.bus, os.environ), output.service)


def site_of(settings: Settings) -> Site:
    return Site(
        limits=settings.limits,
        per_battery={battery.name: battery.limits for battery in settings.batteries if battery.limits},
        charge_current_limit=settings.bank.charge_current_limit,
        discharge_current_limit=settings.bank.discharge_current_limit,
        any_blocks=settings.bank.any_blocks,
    )


def bounds_of(settings: Settings) -> Bounds:
    """The guard's absolute bounds, read straight from the settings."""
    each = {battery.name: settings.limits_of(battery) for battery in settings.batteries}
    infinite = float("inf")
    return Bounds(
        cell_voltage={name: _highest_cell_voltage(limits) for name, limits in each.items()},
        voltage_drop=max(limits.voltage_drop for limits in each.values()),
        charge_current={name: limits.charge_current.max for name, limits in each.items()},
        discharge_current={name: limits.discharge_current.max for name, limits in each.items()},
        silence={battery.name: _silence(battery, each[battery.name]) for battery in settings.batteries},
        bank_charge_current=_or(settings.bank.charge_current_limit, infinite),
        bank_discharge_current=_or(settings.bank.discharge_current_limit, infinite),
        float_voltage={name: limits.cell_voltage.float_ for name, limits in each.items()},
        cable_alarm=frozenset(name for name, limits in each.items() if limits.on_loss.alarm),
    )


def _highest_cell_voltage(limits: LimitSettings) -> float:
    """The charge set-point [V per cell], with the periodic higher one where it is switched on."""
    reset = limits.soc_reset.cell_voltage if limits.soc_reset.after_days else 0.0
    return max(limits.cell_voltage.max, reset)


def _silence(battery: BatterySettings, limits: LimitSettings) -> float:
    """s without an answer after which the battery must count for nothing; limits.md 8.2."""
    if limits.on_loss.block:
        return silent_after(battery.poll_interval)
    return limits.on_loss.timeout_minutes * 60


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


async def _outputs(
    prepared: Prepared, calls: Calls, old: Parts, store: Store | None
) -> dict[str, tuple[Any, Output]]:  # fmt: skip
    """The outputs by name, each with its settings; one whose settings stayed the same is the running one."""
    settings = prepared.settings
    if not settings.outputs:
        return {}
    identity = await asyncio.to_thread(installation, store.directory if store is not None else None)
    found: dict[str, tuple[Any, Output]] = {}
    for name, output in settings.outputs.items():
        before = old.outputs.get(name)
        if before is not None and before[0] == output and not isinstance(before[1], AbsentOutput):
            found[name] = before
        else:  # in a thread: it loads libraries, and those that run already must not wait
            make = partial(output_registry.build, name, prepared.outputs[name], calls.clock, calls.commander, identity)
            found[name] = (output, await asyncio.to_thread(make))
    return found
