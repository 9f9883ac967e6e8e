"""Brands of inverters on a CAN bus: what a dialect's DBC file cannot say; dbc/inverters/NAME.yaml."""

from typing import Annotated, Final, Literal

from pydantic import Field

from outputs.can_bms.settings import Settings
from outputs.inverter.brand import Common, Part, Shelf
from outputs.inverter.keys import mistaken

DIALECT: Final = "pylontech"  # where neither gateway.yaml nor a brand names one
Id = Annotated[int, Field(ge=0, le=0x1FFFFFFF)]


class KeepAlive(Part):
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


class Reported(Part):
    """Where the inverter's frames say which current flows."""

    signal: str = Field(description="which signal of the DBC's messages from the node Inverter is the battery current")
    charging: Literal["positive", "negative"] = Field(
        default="positive", description="its sign while charging: positive, negative"
    )


class Order(Part):
    """A byte with which the inverter asks for something."""

    id: int = Field(ge=0, le=0x1FFFFFFF, description="CAN id")
    byte: int = Field(default=0, ge=0, le=7, description="which byte, from 0")
    value: int = Field(default=1, ge=0, le=255, description="of that byte")
    says: str = Field(description="what it wants")


class Brand(Common):
    """One file: dialect, quirks and the inverter's own side."""

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
    keepalive: KeepAlive = KeepAlive()
    current: Reported | None = None
    orders: tuple[Order, ...] = Field(default=(), description="a list")

    def mistaken(self, text: str) -> str:
        """Why an inverter of this brand may not be given the name `text`; "" = it may."""
        return mistaken(text, self.never_named)


ANY: Final = Brand()
"""Where no inverter is named: no quirks."""
SHELF: Final = Shelf("inverters", Brand)


def names() -> list[str]:
    """Brands that we ship."""
    return SHELF.names()


def load(inverter: str) -> Brand:
    """The brand called so, or in the user's file.  Raises ConfigError with FILE:LINE: key: what, expected."""
    return SHELF.load(inverter)


def of(settings: Settings) -> Brand:
    """The brand that an output's settings name.  Raises ConfigError as `load`."""
    return ANY if settings.inverter is None else load(settings.inverter)


def dialect_of(settings: Settings, brand: Brand) -> str:
    """The dialect: gateway.yaml's, else the brand's."""
    return settings.dialect or brand.dialect
