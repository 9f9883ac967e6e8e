"""The shape of gateway.yaml: what may be set, in which range and unit, and what it is when it is not set.

Each number carries its unit and range; error messages and the JSON Schema for editors are made from them.  A battery
also has its driver's own settings: a class per driver, so that an unknown key stays an error.
Defaults: architecture.md "gateway.yaml"; field.md section 3.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal

from bms_drivers.kit.declare import Driver, Option
from bms_drivers.links.factory import kind_of, reaches
from gateway.config.beside import FileName, FilePath
from gateway.limits.settings import LimitSettings
from gateway.model import MissingPart
from gateway.model.section import Checked, Section, declared, of_the_file, worked_out

AUTO: Final = "auto"  # the driver is found by asking the device
NAME: Final = r"[^\W_]([\w .+#()-]*[\w.+#)])?"
SIMULATED: Final = "simulated"  # the port of a battery that its driver's simulator plays
PORT_FORMS: Final = (
    "a device such as /dev/ttyUSB0, socket://host:port, rfc2217://host:port, tcp:host:port, can0, spi:0.0, "
    "ble:AA:BB:CC:DD:EE:FF, or simulated"
)


def plain_name(name: str) -> str:
    """Raises ValueError for what could not be part of a cell's id."""
    if not re.fullmatch(NAME, name):
        raise ValueError(f"{name!r} cannot be a name, expected letters, digits, spaces and - _ . + # ( )")
    return name


def known_port(port: str) -> str:
    """Raises ValueError for what cannot be a battery's port."""
    if not port_kind(port):
        hint = f"write /dev/{port}" if re.fullmatch(r"tty\w+", port) else f"expected {PORT_FORMS}"
        raise ValueError(f"{port!r} is no port, {hint}")
    return port


class BatterySettings(Section):
    """One battery: what it is and where it is connected."""

    name: Annotated[str, Checked(plain_name)] = declared(
        max_length=40, description="shown everywhere; part of the cell ids (rack-1:7)"
    )
    driver: str = declared(description="the BMS family, see `bms-gateway drivers`; auto = find out")
    port: Annotated[str, Checked(known_port)] = declared(description=PORT_FORMS)
    address: int | None = declared(None, ge=0, description="the BMS's address, where the bus has addresses")
    identity: str | None = declared(
        None, min_length=1, max_length=40,
        description="who it is for a GX that keeps its device instance and name; default its serial number, else where"
        " it is connected",
    )  # fmt: skip
    poll_interval: float = declared(
        1.0,
        ge=0.1,
        le=20,
        unit="s",
        description="time between two questions; a battery is stale after three of them, lost after 60 s",
    )
    control: bool = declared(True, description="false = watched only, does not count for the limits")
    limits: LimitSettings | None = declared(None, description="what differs from the bank's limits for this battery")

    setup: Mapping[str, Any] = worked_out(dict)
    """The driver's own settings, defaults filled in; the address only where one is known."""


def dbus_name(name: str) -> str:
    """Raises ValueError for what is no name of a service."""
    if len(name) > 255 or not re.fullmatch(r"[A-Za-z_-][\w-]*(\.[A-Za-z_-][\w-]*)+", name, re.ASCII):
        raise ValueError(f"{name!r} is no name of a D-Bus service, expected one as com.victronenergy.battery.ttyUSB1")
    return name


def dbus_path(path: str) -> str:
    """Raises ValueError for what is no path of an object."""
    if not re.fullmatch(r"(/\w+)+", path, re.ASCII):
        raise ValueError(f"{path!r} is no D-Bus path, expected one as /Dc/0/Current")
    return path


DbusPath = Annotated[str, Checked(dbus_path)]


class ExternalSensorSettings(Section):
    """A shunt or the like on D-Bus that measures the whole bank; while it is away the BMSs' own values count."""

    service: Annotated[str, Checked(dbus_name)] = declared(
        description="its name on D-Bus, as com.victronenergy.battery.ttyUSB1"
    )
    current: DbusPath | None = declared(None, unit="A", description="path of its current, as /Dc/0/Current")
    soc: DbusPath | None = declared(None, unit="%", description="path of its SoC, as /Soc")
    bus: Literal["auto", "system", "session"] = declared("auto", description="as in outputs.venus_dbus.bus")

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("current or soc (or both) must say where the value is, as /Dc/0/Current and /Soc")
        if self.current == self.soc:
            raise ValueError(f"current and soc are both at {self.soc}, expected a path each, as /Dc/0/Current and /Soc")

    @property
    def paths(self) -> dict[str, str]:
        """What is read, and where."""
        return {name: path for name, path in (("current", self.current), ("soc", self.soc)) if path is not None}


class BankSettings(Section):
    """All batteries together."""

    charge_current_limit: float | None = declared(
        None, ge=0, le=10000, unit="A", description="cap for the whole bank; null = none"
    )
    discharge_current_limit: float | None = declared(
        None, ge=0, le=10000, unit="A", description="cap for the whole bank; null = none"
    )
    start_timeout: float = declared(
        60.0, ge=1, le=3600, unit="s",
        description="nothing is sent before all batteries answered once, or this long with at least one",
    )  # fmt: skip
    join_voltage_difference: float = declared(
        1.0, gt=0, le=10, unit="V",
        description="per 16 cells; a battery that comes back further away than this stays out and says so",
    )  # fmt: skip
    any_blocks: bool = declared(
        False, description="true = one lost or blocking battery stops the whole bank, not only its share"
    )
    external_sensor: ExternalSensorSettings | None = declared(
        None, description="a shunt whose current or SoC counts instead of the BMSs'"
    )


OutputsSettings = dict[str, Any]
"""An output's name and its own settings."""


class Settings(Section):
    """Everything a gateway is told."""

    batteries: tuple[BatterySettings, ...] = declared(min_length=1)
    bank: BankSettings = BankSettings()
    limits: LimitSettings = declared(default_factory=LimitSettings)
    outputs: OutputsSettings = declared(default_factory=dict)
    state_dir: FilePath | None = declared(
        None, description="what survives a restart is kept here; default $STATE_DIRECTORY, else below the home"
    )
    control_socket: FilePath | None = declared(
        None, description="where `status` and `explain` ask; default in the runtime directory"
    )

    def limits_of(self, battery: BatterySettings) -> LimitSettings:
        """The limits that hold for this battery: its own, else the bank's."""
        return battery.limits or self.limits


def port_kind(port: str) -> str:
    """simulated, serial, tcp, ble, can or spi; "" for what cannot be a battery's port."""
    if port == SIMULATED:
        return SIMULATED
    kind = kind_of(port)
    number = re.search(r"^[a-z]\w*:\S*?:(\d+)(\?|$)", port) if kind in NUMBERED else None
    if port.startswith(("replay:", "loop:")) or (number and not 0 < int(number[1]) < 65536):
        return ""
    return kind if re.fullmatch(WHOLE.get(kind, ".*"), port) else ""


NUMBERED: Final = ("serial", "tcp")
"""Kinds of port that may end with the number of a TCP port."""


WHOLE: Final = {"serial": r"/\S+|(socket|rfc2217)://[^\s/:]+:\d+(\?\S*)?"}
"""Names of ports that pyserial takes and cannot mean anything are refused before."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The drivers there are, as the configuration needs them; loaded one by one, only those that are named."""

    names: Callable[[], list[str]]
    load: Callable[[str], Driver]
    simulated: Callable[[], list[str]] = list  # names of those that have a simulator

    def options(self, name: str) -> tuple[Option, ...]:
        """The settings that one driver has of its own."""
        return self.load(name).options if name != AUTO else ()

    def has_addresses(self, name: str) -> bool:
        """Can several of this driver's BMSs share a bus?"""
        return any(option.name == "address" for option in self.options(name))

    def transports(self, name: str) -> tuple[str, ...]:
        """What a driver can be connected over; () = not known."""
        return self.load(name).transports if name != AUTO else ()

    def gives(self, name: str, setup: Mapping[str, Any] | None = None) -> set[str]:
        """Names of the values that a driver may deliver, so set up; none where the driver is to be found out."""
        if name == AUTO:
            return set()
        driver = self.load(name)
        with suppress(MissingPart):  # then nobody can tell, and what is missing is said
            driver = driver.made_for(setup) if setup is not None else driver
        return {given for poll in driver.plan for given in poll.gives}

    def reach(self, kind: str) -> list[str]:
        """Names of the drivers that can be connected over a port of this kind."""
        return [name for name in self.names() if reaches(kind, self.load(name))]


def installed() -> Catalogue:
    """The drivers of this installation."""
    from bms_drivers.kit import registry

    return Catalogue(registry.names, registry.load, registry.simulated)


@cache
def battery_class(driver: str, options: tuple[Option, ...]) -> type[BatterySettings]:
    """BatterySettings with a driver's own settings as further fields, as a file may have them."""
    fields = {option.name: _field(option) for option in options}
    kinds = {name: kind for name, (kind, _) in fields.items()}
    defaults = {name: default for name, (_, default) in fields.items()}
    made: type[BatterySettings] = type(f"Battery_{driver}", (BatterySettings,), {"__annotations__": kinds, **defaults})
    return made


def gathered(battery: BatterySettings, options: Iterable[Option]) -> BatterySettings:
    """One whose driver's own settings are fields as one like any other, with them in `setup`."""
    own = {option.name: getattr(battery, option.name) for option in options}
    common = {one.name: getattr(battery, one.name) for one in of_the_file(BatterySettings)}
    return BatterySettings(**common, setup={name: value for name, value in own.items() if value is not None})


def _field(option: Option) -> tuple[Any, Any]:
    """An Option as a type and a setting; None as default means that it may be left out."""
    kind: Any = Literal[option.choices] if option.choices else FileName if option.file else option.kind
    kind = kind if option.default is not None else kind | None
    bounds = {"ge": option.least, "le": option.most} if option.kind in (int, float) else {}
    said: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}
    return kind, declared(option.default, description=option.help, **said)
