"""From settings to a Gateway that can run: the roof's carpentry."""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.detect import detect
from bms_drivers.links.factory import open_port
from bms_drivers.links.port import Port
from gateway.app import Gateway, Plan
from gateway.battery import STALE_AFTER, STALE_POLLS, Battery, Watch
from gateway.config.schema import AUTO, SIMULATED, BatterySettings, ExternalSensorSettings, Settings, battery_class
from gateway.guard import Bounds
from gateway.limits import LimitSettings, Site
from gateway.limits.correct import correct
from gateway.model import Command, ConfigError, LinkError
from gateway.store import Store, default_directory
from outputs import registry as output_registry
from outputs.output import Clock, Output

log = logging.getLogger("bms_gateway")

Closing = list[Callable[[], Awaitable[None]]]


async def build(settings: Settings, *, clock: Clock = time.monotonic, store: Store | None = None) -> Gateway:
    """A Gateway for `settings`; opens no BMS port and no bus yet, but simulators are started.

    Raises ConfigError where drivers that share a port cannot.
    """
    gateway: list[Gateway] = []  # batteries and outputs call back to what is built last
    closing: Closing = []
    settings = settings.model_copy(update={"batteries": tuple([await _known(b) for b in settings.batteries])})
    drivers = {battery.name: registry.load(battery.driver) for battery in settings.batteries}
    ports = await _ports(settings, drivers, closing)
    batteries = [
        Battery(
            _watch(battery, settings.limits_of(battery)),
            drivers[battery.name],
            ports[battery.name],
            lambda: gateway[0].changed(),
            clock,
        )
        for battery in settings.batteries
    ]
    outputs = _outputs(settings, clock, lambda command: gateway[0].commander(command))
    plan = Plan(
        batteries=batteries,
        site=_site(settings),
        bounds=_bounds(settings),
        outputs=outputs,
        start_timeout=settings.bank.start_timeout,
        join_voltage_difference=settings.bank.join_voltage_difference,
        external=_external(settings.bank.external_sensor, clock),
        floor=_floor(settings, clock),
        store=store or Store(settings.state_dir or default_directory()),
        closing=closing,
    )
    gateway.append(Gateway(plan, clock=clock))
    return gateway[0]


async def _known(battery: BatterySettings) -> BatterySettings:
    """`battery` with its driver; `auto` is found out by asking the device.  Raises ConfigError when nothing answers."""
    if battery.driver != AUTO:
        return battery
    try:
        async for found in detect(battery.port):
            log.info("%s: %s on %s (driver: %s)", battery.name, found.what, battery.port, found.driver.name)
            kind = battery_class(found.driver.name, found.driver.options)
            return kind(**{**battery.model_dump(), "driver": found.driver.name, **found.setup})
    except LinkError as problem:
        raise ConfigError(f"{battery.name}: driver auto: {problem}") from None
    tried = ", ".join(registry.names())
    raise ConfigError(f"{battery.name}: driver auto: nothing on {battery.port} answers as {tried}; name the driver")


async def _ports(settings: Settings, drivers: Mapping[str, Driver], closing: Closing) -> dict[str, Port]:
    """Each battery's port; batteries on the same one share it."""
    sharing: dict[str, list[BatterySettings]] = defaultdict(list)
    for battery in settings.batteries:
        where = battery.port if battery.port != SIMULATED else await _simulate(battery, closing)
        sharing[_same_port(where, sharing)].append(battery)
    ports: dict[str, Port] = {}
    for where, batteries in sharing.items():
        port = open_port(where, [drivers[battery.name] for battery in batteries])
        closing.append(port.close)
        ports |= {battery.name: port for battery in batteries}
    return ports


def _same_port(where: str, others: Iterable[str]) -> str:
    """`where`, or the name under which the same device was already named (ttyUSB0 and its by-id name)."""
    if not where.startswith("/"):
        return where
    device = Path(where).resolve()
    return next((other for other in others if other.startswith("/") and Path(other).resolve() == device), where)


async def _simulate(battery: BatterySettings, closing: Closing) -> str:
    """Start the driver's simulator for one battery; returns the pty it answers on."""
    from bms_drivers.sims.host import simulated  # only where it is configured

    device = await simulated(battery.driver, battery.setup, seed=sum(battery.name.encode()))
    closing.append(device.close)
    return str(device.path)


def _watch(battery: BatterySettings, limits: LimitSettings) -> Watch:
    address = "" if battery.address is None else f" address {battery.address}"
    return Watch(
        name=battery.name,
        poll_interval=battery.poll_interval,
        control=battery.control,
        connection=f"{battery.port}{address}",
        settings=battery.setup,
        correct=lambda reading: correct(reading, limits),
    )


def _external(settings: ExternalSensorSettings | None, clock: Clock) -> Any:
    """The reader of a sensor on D-Bus, where one is configured; only then is D-Bus loaded."""
    if settings is None:
        return None
    from gateway.external import ExternalSensor
    from outputs.venus_dbus.bus import bus_address

    return ExternalSensor(settings.service, settings.paths, bus_address(settings.bus, os.environ), clock)


def _floor(settings: Settings, clock: Clock) -> Any:
    """The reader of Venus OS's own discharge floor, where Venus OS is an output."""
    output = settings.outputs.get("venus_dbus")
    if output is None or not settings.limits.time_to_go.enabled:
        return None
    from gateway.external import EssFloor
    from outputs.venus_dbus.bus import bus_address

    return EssFloor(bus_address(getattr(output, "bus", "auto"), os.environ), clock)


def _site(settings: Settings) -> Site:
    return Site(
        limits=settings.limits,
        per_battery={battery.name: battery.limits for battery in settings.batteries if battery.limits},
        charge_current_limit=settings.bank.charge_current_limit,
        discharge_current_limit=settings.bank.discharge_current_limit,
        any_blocks=settings.bank.any_blocks,
    )


def _bounds(settings: Settings) -> Bounds:
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
        return max(STALE_AFTER, STALE_POLLS * battery.poll_interval)
    return limits.on_loss.timeout_minutes * 60


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _outputs(settings: Settings, clock: Clock, commander: Callable[[Command], Any]) -> dict[str, Output]:
    identity = "+".join(battery.name for battery in settings.batteries)
    return {
        name: output_registry.build(name, output, clock, commander, identity)
        for name, output in settings.outputs.items()
    }
