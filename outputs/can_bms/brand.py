"""Brands of inverters on a CAN bus: what a dialect's DBC file cannot say; dbc/inverters/NAME.yaml."""

from typing import Annotated, Final, Literal

from gateway.model.section import Section, Within, declared
from outputs.can_bms.settings import Settings
from outputs.inverter.brand import Common, Shelf
from outputs.inverter.keys import mistaken

DIALECT: Final = "pylontech"  # where neither gateway.yaml nor a brand names one
Id = Annotated[int, Within(ge=0, le=0x1FFFFFFF)]


class KeepAlive(Section):
    """What the inverter sends."""

    ids: tuple[Id, ...] = declared(
        (0x305,), description="CAN ids, such as 0x305; standard and 29-bit frames both count"
    )
    sent: bool | None = declared(
        None, description="true or false = it is known to send them, or not; left out = not known"
    )
    time_out: float = declared(
        10.0,
        ge=2.0,
        le=3600.0,
        description="after which it counts as silent",
        unit="s",
    )


class Reported(Section):
    """Where the inverter's frames say which current flows."""

    signal: str = declared(
        description="which signal of the DBC's messages from the node Inverter is the battery current"
    )
    charging: Literal["positive", "negative"] = declared(
        "positive", description="its sign while charging: positive, negative"
    )


class Order(Section):
    """A byte with which the inverter asks for something."""

    id: int = declared(ge=0, le=0x1FFFFFFF, description="CAN id")
    byte: int = declared(0, ge=0, le=7, description="which byte, from 0")
    value: int = declared(1, ge=0, le=255, description="of that byte")
    says: str = declared(description="what it wants")


class Brand(Common):
    """One file: dialect, quirks and the inverter's own side."""

    dialect: str = declared(DIALECT, description="what it reads, of those that `dbc/` has")
    also_reads: tuple[str, ...] = declared((), description="other dialects that it can be set to")
    dlc: Literal["8", "native"] = declared("8", description="length of the frames: 8, native")
    manufacturer: str | None = declared(
        None, pattern=r"^[ -~]{1,16}$", description="name of the battery; left out = the dialect's"
    )
    known_names: tuple[str, ...] = declared((), description="beginnings of names that the inverter knows")
    never_named: tuple[str, ...] = declared(
        (), description="names for which the inverter would change the limits: refused"
    )
    keepalive: KeepAlive = KeepAlive()
    current: Reported | None = None
    orders: tuple[Order, ...] = declared((), description="a list")

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
