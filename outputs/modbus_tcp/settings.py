"""What the user may say about the Modbus TCP output."""

from ipaddress import ip_address
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

BANK_UNIT: Final = 1
FIRST_UNIT, LAST_UNIT = 10, 247  # of batteries


class Settings(BaseModel):
    """`outputs: modbus_tcp:` in gateway.yaml.  `modbus_tcp: {}` answers on this machine alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field(
        default="127.0.0.1", description="address of this machine to answer on; 0.0.0.0 = everybody on the network"
    )
    port: int = Field(default=1502, ge=1, le=65535, description="502 needs a privilege, and is taken on a Victron GX")
    clients: int = Field(default=8, ge=1, le=64, description="connections at a time; further ones are closed at once")
    idle: float = Field(
        default=120.0, ge=5, le=3600, json_schema_extra={"unit": "s"},
        description="a connection on which nothing is asked for so long is closed",
    )  # fmt: skip
    units: dict[str, int] = Field(
        default_factory=dict,
        description="unit of a battery by its name, 10..247; others have 10 and up by their order in the file",
    )

    @property
    def exclusive(self) -> str:
        """Two gateways cannot both answer there."""
        return f"modbus_tcp {self.listen}:{self.port}"

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        try:
            ip_address(listen)
        except ValueError:
            raise ValueError(f"{listen!r} is no address, expected one as 127.0.0.1 or 0.0.0.0") from None
        return listen

    @field_validator("units")
    @classmethod
    def _distinct(cls, units: dict[str, int]) -> dict[str, int]:
        wrong = [name for name, unit in units.items() if not FIRST_UNIT <= unit <= LAST_UNIT]
        if wrong:
            raise ValueError(f"unit {units[wrong[0]]} of {wrong[0]}: expected {FIRST_UNIT}..{LAST_UNIT}")
        if len(set(units.values())) < len(units):
            raise ValueError("two batteries with one unit, expected a unit each")
        return units
