"""Brands of inverters: what a dialect's DBC file cannot say, read from a YAML file, ours or a user's own.

`inverter: deye` in gateway.yaml is dbc/inverters/deye.yaml; `inverter: ./mine.yaml` is a file of one's own, which may
begin with `like: deye` and say what differs.  Keys of gateway.yaml (dialect, dlc, manufacturer) win over the brand's.
Every fact in our files bears what it rests on: a recording, a document, or a report.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

import dbc
from gateway.config.explain import hint
from gateway.config.own_file import OwnFile
from gateway.model import ConfigError
from outputs.can_bms.keys import mistaken
from outputs.can_bms.settings import Settings, is_file

DIALECT: Final = "pylontech"  # where neither gateway.yaml nor a brand names one
DEEPEST: Final = 5  # files that begin like one another
Trust = Literal["recording", "document", "report"]
Id = Annotated[int, Field(ge=0, le=0x1FFFFFFF)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Descent(_Part):
    """How the charge voltage limit comes down below the battery's voltage."""

    step: float = Field(default=0.1, ge=0.05, le=5.0, description="at a time", json_schema_extra={"unit": "V"})
    every: float = Field(
        default=180.0, ge=1.0, le=3600.0, description="between two steps", json_schema_extra={"unit": "s"}
    )


def _least() -> Any:
    """A limit that is never told as less."""
    return Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="sent where less is allowed, 0 A included, for an inverter that ignores less",
        json_schema_extra={"unit": "A"},
    )


class Quirks(_Part):
    """What is sent otherwise than decided; see `quirks`."""

    least_charge_current: float = _least()
    least_discharge_current: float = _least()
    lower_slowly: Descent | None = Field(default=None, description="null = at once, as decided")
    not_below_battery_when_stopped: bool = Field(
        default=False, description="while charging is stopped the charge voltage limit stays at the battery's voltage"
    )
    soc_until_full: int | None = Field(
        default=None,
        ge=50,
        le=99,
        description="highest SoC until the battery is declared full",
        json_schema_extra={"unit": "%"},
    )
    alarms: Literal["raised", "when_cut"] = Field(
        default="raised", description="raised, or when_cut: alarms are warnings while current may flow"
    )
    force_charge: tuple[Literal[1, 2], ...] = Field(
        default=(1, 2), description="which of the two bits ask for a charge from the grid; [] = none"
    )


class KeepAlive(_Part):
    """What the inverter sends."""

    ids: tuple[Id, ...] = Field(
        default=(0x305,), description="CAN ids, such as 0x305; standard and 29-bit frames both count"
    )
    sent: bool | None = Field(
        default=None, description="true or false = it is known to send them, or not; left out = not known"
    )
    time_out: float = Field(
        default=10.0,
        ge=2.0,
        le=3600.0,
        description="after which it counts as silent",
        json_schema_extra={"unit": "s"},
    )


class Reported(_Part):
    """Where the inverter's frames say which current flows."""

    signal: str = Field(description="which signal of the DBC's messages from the node Inverter is the battery current")
    charging: Literal["positive", "negative"] = Field(
        default="positive", description="its sign while charging: positive, negative"
    )


class Order(_Part):
    """A byte with which the inverter asks for something."""

    id: int = Field(ge=0, le=0x1FFFFFFF, description="CAN id")
    byte: int = Field(default=0, ge=0, le=7, description="which byte, from 0")
    value: int = Field(default=1, ge=0, le=255, description="of that byte")
    says: str = Field(description="what it wants")


class Cable(_Part):
    """Socket and pins at the inverter."""

    socket: str = Field(description="kind and name of the socket")
    pins: dict[str, str] = Field(description='such as {"4": CAN_H}')
    trust: Trust = Field(description="what it rests on: recording, document, report")


class Fact(_Part):
    """A sentence and what it rests on."""

    says: str = Field(description="a sentence")
    trust: Trust = Field(description="what it rests on: recording, document, report")


class Brand(_Part):
    """One file: dialect, quirks and the inverter's own side."""

    title: str = Field(default="", description="makers and models")
    dialect: str = Field(default=DIALECT, description="what it reads, of those that `dbc/` has")
    also_reads: tuple[str, ...] = Field(default=(), description="other dialects that it can be set to")
    dlc: Literal["8", "native"] = Field(default="8", description="length of the frames: 8, native")
    manufacturer: str | None = Field(
        default=None, pattern=r"^[ -~]{1,16}$", description="name of the battery; left out = the dialect's"
    )
    known_names: tuple[str, ...] = Field(default=(), description="beginnings of names that the inverter knows")
    never_named: tuple[str, ...] = Field(
        default=(), description="names for which the inverter would change the limits: refused"
    )
    quirks: Quirks = Quirks()
    keepalive: KeepAlive = KeepAlive()
    current: Reported | None = None
    orders: tuple[Order, ...] = Field(default=(), description="a list")
    time_out: float | None = Field(
        default=None, gt=0, description="after which the inverter itself acts", json_schema_extra={"unit": "s"}
    )
    setting: str = Field(default="", description="what to set on the inverter")
    cable: Cable | None = None
    standing: Trust = Field(
        default="report", description="what it rests on that this works: recording, document, report"
    )
    facts: tuple[Fact, ...] = Field(default=(), description="a list")

    def mistaken(self, text: str) -> str:
        """Why an inverter of this brand may not be given the name `text`; "" = it may."""
        return mistaken(text, self.never_named)


ANY: Final = Brand()
"""Where no inverter is named: no quirks."""


def names() -> list[str]:
    """Brands that we ship."""
    return sorted(file.stem for file in _folder().glob("*.yaml"))


def load(inverter: str, depth: int = 0) -> Brand:
    """The brand called so, or in the user's file.  Raises ConfigError with FILE:LINE: key: what, expected."""
    own, data = _merged(inverter, depth)
    return own.as_a(Brand, data)


def of(settings: Settings) -> Brand:
    """The brand that an output's settings name.  Raises ConfigError as `load`."""
    return ANY if settings.inverter is None else load(settings.inverter)


def dialect_of(settings: Settings, brand: Brand) -> str:
    """The dialect: gateway.yaml's, else the brand's."""
    return settings.dialect or brand.dialect


def _folder() -> Path:
    return Path(dbc.__file__).parent / "inverters"


def _place(inverter: str) -> Path:
    if is_file(inverter):
        return Path(inverter)
    if inverter not in names():
        raise ConfigError(f"no inverter is called {inverter!r}, {hint(inverter, names())}; or a file: ./mine.yaml")
    return _folder() / f"{inverter}.yaml"


def _merged(inverter: str, depth: int) -> tuple[OwnFile, dict[str, Any]]:
    """The file, and what stands in it laid over what it begins like."""
    own = OwnFile(_place(inverter), "keys such as like: deye")
    data = own.data
    base = _base(own, data.pop("like", None), depth)
    return own, _over(base, data)


def _base(own: OwnFile, like: Any, depth: int) -> dict[str, Any]:
    """What the file begins like; {} = nothing."""
    if like is None:
        return {}
    if not isinstance(like, str) or depth >= DEEPEST:
        own.give_up(("like",), f"expected one of {', '.join(names())}; at most {DEEPEST} files begin like one another")
    try:
        base = load(str(own.file.parent / like) if is_file(like) else like, depth + 1)
    except ConfigError as problem:
        own.give_up(("like",), *problem.problems)
    return base.model_dump(mode="json", exclude_unset=True)


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `own` laid on it, section by section; lists are replaced as a whole."""
    both = dict(base)
    for key, value in own.items():
        below = both.get(key)
        both[key] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both
