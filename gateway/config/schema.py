"""The shape of gateway.yaml: what may be set, in which range and unit, and what it is when it is not set.

Each number carries its unit (`json_schema_extra`) and range; error messages and the JSON Schema for editors are made
from them.  A battery also has its driver's own settings: a class per driver, so that an unknown key stays an error.
Defaults: architecture.md "gateway.yaml"; field.md section 3.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, create_model, field_validator, model_validator

from bms_drivers.kit.declare import Driver, Option
from bms_drivers.links.factory import kind_of, reaches
from gateway.config.beside import FileName, FilePath
from gateway.limits.settings import LimitSettings
from gateway.model import MissingPart

AUTO: Final = "auto"  # the driver is found by asking the device
NAME: Final = r"[^\W_]([\w .+#()-]*[\w.+#)])?"
SIMULATED: Final = "simulated"  # the port of a battery that its driver's simulator plays
PORT_FORMS: Final = (
    "a device such as /dev/ttyUSB0, socket://host:port, rfc2217://host:port, tcp:host:port, can0, spi:0.0, "
    "ble:AA:BB:CC:DD:EE:FF, or simulated"
)


class Model(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def unit(name: str) -> dict[str, Any]:
    """Says in which unit a field is."""
    return {"unit": name}


class BatterySettings(Model):
    """One battery: what it is and where it is connected."""

    options: ClassVar[tuple[str, ...]] = ()  # names of the driver's own settings

    name: str = Field(max_length=40, description="shown everywhere; part of the cell ids (rack-1:7)")
    driver: str = Field(description="the BMS family, see `bms-gateway drivers`; auto = find out")
    port: str = Field(description=PORT_FORMS)
    address: int | None = Field(default=None, ge=0, description="the BMS's address, where the bus has addresses")
    identity: str | None = Field(
        default=None, min_length=1, max_length=40,
        description="who it is for a GX that keeps its device instance and name; default its serial number, else where"
        " it is connected",
    )  # fmt: skip
    poll_interval: float = Field(
        default=1.0,
        ge=0.1,
        le=20,
        json_schema_extra=unit("s"),
        description="time between two questions; a battery is stale after three of them, lost after 60 s",
    )
    control: bool = Field(default=True, description="false = watched only, does not count for the limits")
    limits: LimitSettings | None = Field(
        default=None, description="what differs from the bank's limits for this battery"
    )

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not re.fullmatch(NAME, name):
            raise ValueError(f"{name!r} cannot be a name, expected letters, digits, spaces and - _ . + # ( )")
        return name

    @field_validator("port")
    @classmethod
    def _known_port(cls, port: str) -> str:
        if not port_kind(port):
            hint = f"write /dev/{port}" if re.fullmatch(r"tty\w+", port) else f"expected {PORT_FORMS}"
            raise ValueError(f"{port!r} is no port, {hint}")
        return port

    @property
    def setup(self) -> dict[str, Any]:
        """The driver's own settings, defaults filled in; the address only where one is known."""
        return {name: value for name in self.options if (value := getattr(self, name)) is not None}


class ExternalSensorSettings(Model):
    """A shunt or the like on D-Bus that measures the whole bank; while it is away the BMSs' own values count."""

    service: str = Field(description="its name on D-Bus, as com.victronenergy.battery.ttyUSB1")
    current: str | None = Field(
        default=None, json_schema_extra=unit("A"), description="path of its current, as /Dc/0/Current"
    )
    soc: str | None = Field(default=None, json_schema_extra=unit("%"), description="path of its SoC, as /Soc")
    bus: Literal["auto", "system", "session"] = Field(default="auto", description="as in outputs.venus_dbus.bus")

    @field_validator("service")
    @classmethod
    def _name(cls, name: str) -> str:
        if len(name) > 255 or not re.fullmatch(r"[A-Za-z_-][\w-]*(\.[A-Za-z_-][\w-]*)+", name, re.ASCII):
            raise ValueError(
                f"{name!r} is no name of a D-Bus service, expected one as com.victronenergy.battery.ttyUSB1"
            )
        return name

    @field_validator("current", "soc")
    @classmethod
    def _path(cls, path: str | None) -> str | None:
        if path is not None and not re.fullmatch(r"(/\w+)+", path, re.ASCII):
            raise ValueError(f"{path!r} is no D-Bus path, expected one as /Dc/0/Current")
        return path

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.paths:
            raise ValueError("current or soc (or both) must say where the value is, as /Dc/0/Current and /Soc")
        if self.current == self.soc:
            raise ValueError(f"current and soc are both at {self.soc}, expected a path each, as /Dc/0/Current and /Soc")
        return self

    @property
    def paths(self) -> dict[str, str]:
        """What is read, and where."""
        return {name: path for name, path in (("current", self.current), ("soc", self.soc)) if path is not None}


class BankSettings(Model):
    """All batteries together."""

    charge_current_limit: float | None = Field(
        default=None, ge=0, le=10000, json_schema_extra=unit("A"), description="cap for the whole bank; null = none"
    )
    discharge_current_limit: float | None = Field(
        default=None, ge=0, le=10000, json_schema_extra=unit("A"), description="cap for the whole bank; null = none"
    )
    start_timeout: float = Field(
        default=60.0, ge=1, le=3600, json_schema_extra=unit("s"),
        description="nothing is sent before all batteries answered once, or this long with at least one",
    )  # fmt: skip
    join_voltage_difference: float = Field(
        default=1.0, gt=0, le=10, json_schema_extra=unit("V"),
        description="per 16 cells; a battery that comes back further away than this stays out and says so",
    )  # fmt: skip
    any_blocks: bool = Field(
        default=False, description="true = one lost or blocking battery stops the whole bank, not only its share"
    )
    external_sensor: ExternalSensorSettings | None = Field(
        default=None, description="a shunt whose current or SoC counts instead of the BMSs'"
    )


OutputsSettings = dict[str, SerializeAsAny[BaseModel]]
"""An output's name and its own settings."""


class Settings(Model):
    """Everything a gateway is told."""

    batteries: tuple[SerializeAsAny[BatterySettings], ...] = Field(min_length=1)
    bank: BankSettings = BankSettings()
    limits: LimitSettings = Field(default_factory=LimitSettings)
    outputs: OutputsSettings = Field(default_factory=dict)
    state_dir: FilePath | None = Field(
        default=None, description="what survives a restart is kept here; default $STATE_DIRECTORY, else below the home"
    )
    control_socket: FilePath | None = Field(
        default=None, description="where `status` and `explain` ask; default in the runtime directory"
    )

    def limits_of(self, battery: BatterySettings) -> LimitSettings:
        """The limits that hold for this battery: its own, else the bank's."""
        return battery.limits or self.limits


def port_kind(port: str) -> str:
    """simulated, serial, tcp, ble, can or spi; "" for what cannot be a battery's port."""
    if port == SIMULATED:
        return SIMULATED
    number = re.search(r"^[a-z]\w*:\S*?:(\d+)(\?|$)", port)
    if port.startswith(("replay:", "loop:")) or (number and not 0 < int(number[1]) < 65536):
        return ""
    return kind_of(port) if re.fullmatch(WHOLE.get(kind_of(port), ".*"), port) else ""


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


def battery_class(driver: str, options: Iterable[Option]) -> type[BatterySettings]:
    """BatterySettings with a driver's own settings as further fields."""
    fields: dict[str, Any] = {option.name: _field(option) for option in options}
    model: type[BatterySettings] = create_model(f"Battery_{driver}", __base__=BatterySettings, **fields)
    model.options = tuple(fields)
    return model


def _field(option: Option) -> tuple[Any, Any]:
    """An Option as pydantic wants it; None as default means that it may be left out."""
    kind: Any = Literal[option.choices] if option.choices else FileName if option.file else option.kind
    kind = kind if option.default is not None else kind | None
    bounded = option.kind in (int, float)
    return kind, Field(
        default=option.default,
        description=option.help,
        ge=option.least if bounded else None,
        le=option.most if bounded else None,
    )
