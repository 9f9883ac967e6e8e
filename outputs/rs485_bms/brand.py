"""Brands of inverters on RS485: dialect, address, speed and what differs on the wire; dbc/inverters/rs485/NAME.yaml."""

from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.section import declared
from outputs.inverter.brand import Common, Shelf
from outputs.rs485_bms.dialects import ADDRESSES
from outputs.rs485_bms.settings import Settings
from outputs.rs485_bms.wire import Wire

BAUD: Final = 9600
Name = Literal["pylontech", "growatt", "voltronic"]


class Brand(Common):
    """One file."""

    dialect: Name = declared("pylontech", description="what it asks in: pylontech, growatt, voltronic")
    also_asks: tuple[Name, ...] = declared((), description="other dialects that it can be set to")
    address: int | None = declared(None, ge=1, le=254, description="that it asks; left out = 2 for pylontech, else 1")
    baud: int = declared(BAUD, ge=1200, le=115200, description="speed", unit="bit/s")
    wire: Wire = Wire()
    manufacturer: str | None = declared(
        None, pattern=r"^[ -~]{1,20}$", description="name of the battery; left out = the gateway's"
    )
    asks: str = declared("", description="what it asks, and how often")
    asks_within: float = declared(10.0, ge=2.0, le=3600.0, description="after which it counts as silent", unit="s")


ANY: Final = Brand()
"""Where no inverter is named."""
SHELF: Final = Shelf("inverters/rs485", Brand)


@dataclass(frozen=True, slots=True)
class Spoken:
    """How one line is answered: gateway.yaml, else the brand, else what is usual."""

    dialect: str
    address: int
    baud: int
    wire: Wire
    manufacturer: str | None


def of(settings: Settings) -> Brand:
    """The brand that an output's settings name.  Raises ConfigError as Shelf.load."""
    return ANY if settings.inverter is None else SHELF.load(settings.inverter)


def spoken(settings: Settings, brand: Brand) -> Spoken:
    """How it is answered."""
    dialect = settings.dialect or brand.dialect
    usual = brand.address if brand.address is not None and dialect == brand.dialect else ADDRESSES[dialect]
    return Spoken(
        dialect=dialect,
        address=usual if settings.address is None else settings.address,
        baud=settings.baud or brand.baud,
        wire=brand.wire.changed(**settings.wire.said()),
        manufacturer=settings.manufacturer or brand.manufacturer,
    )
