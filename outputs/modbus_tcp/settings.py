"""What the user may say about the Modbus TCP output."""

from ipaddress import ip_address
from typing import Annotated, Final

from gateway.model.section import Checked, Section, declared

BANK_UNIT: Final = 1
FIRST_UNIT, LAST_UNIT = 10, 247  # of batteries


def address(listen: str) -> str:
    """Raises ValueError for what is no address."""
    try:
        ip_address(listen)
    except ValueError:
        raise ValueError(f"{listen!r} is no address, expected one as 127.0.0.1 or 0.0.0.0") from None
    return listen


def distinct(units: dict[str, int]) -> dict[str, int]:
    """Raises ValueError for units by which batteries could not be told apart."""
    wrong = [name for name, unit in units.items() if not FIRST_UNIT <= unit <= LAST_UNIT]
    if wrong:
        raise ValueError(f"unit {units[wrong[0]]} of {wrong[0]}: expected {FIRST_UNIT}..{LAST_UNIT}")
    if len(set(units.values())) < len(units):
        raise ValueError("two batteries with one unit, expected a unit each")
    return units


class Settings(Section):
    """`outputs: modbus_tcp:` in gateway.yaml.  `modbus_tcp: {}` answers on this machine alone."""

    listen: Annotated[str, Checked(address)] = declared(
        "127.0.0.1", description="address of this machine to answer on; 0.0.0.0 = everybody on the network"
    )
    port: int = declared(1502, ge=1, le=65535, description="502 needs a privilege, and is taken on a Victron GX")
    clients: int = declared(8, ge=1, le=64, description="connections at a time; further ones are closed at once")
    idle: float = declared(
        120.0, ge=5, le=3600, unit="s",
        description="a connection on which nothing is asked for so long is closed",
    )  # fmt: skip
    units: Annotated[dict[str, int], Checked(distinct)] = declared(
        default_factory=dict,
        description="unit of a battery by its name, 10..247; others have 10 and up by their order in the file",
    )

    @property
    def door(self) -> tuple[str, int]:
        """Where it listens."""
        return self.listen, self.port

    @property
    def exclusive(self) -> str:
        """Two gateways cannot both answer there."""
        return f"modbus_tcp {self.listen}:{self.port}"
