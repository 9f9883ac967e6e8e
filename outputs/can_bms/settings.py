"""Settings of the CAN output towards an inverter."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from gateway.config.beside import FilePath, name_beside


def is_file(inverter: str) -> bool:
    """Is it a file of the user's own, not one of our names?"""
    return "/" in inverter or inverter.endswith((".yaml", ".yml"))


def _chosen(inverter: str, info: ValidationInfo) -> str:
    return name_beside(inverter, info) if is_file(inverter) else inverter


class Settings(BaseModel):
    """outputs.can_bms in gateway.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interface: str = Field("virtual", description="kind of bus, as python-can calls it: socketcan, slcan, virtual")
    channel: str = Field("can0", description="the bus: can0, /dev/ttyACM0, ...")
    bitrate: int = Field(500_000, gt=0, le=1_000_000, description="bit/s; SocketCAN takes it from the interface")
    inverter: Annotated[str, AfterValidator(_chosen)] | None = Field(
        None,
        description="its brand, as `bms-gateway inverters` lists them, or a file of your own (./mine.yaml): chooses "
        "the dialect and what this brand needs otherwise",
    )
    dialect: str | None = Field(
        None, description="what the inverter understands; default: that of the inverter, else pylontech"
    )
    dbc: FilePath | None = Field(None, description="your own DBC file in place of a dialect that is shipped")
    dlc: Literal["8", "native"] | None = Field(
        None,
        description="pad every frame to 8 bytes, or send its native length; default: that of the inverter, else 8",
    )
    manufacturer: str | None = Field(
        None,
        pattern=r"^[ -~]{1,16}$",
        description="name shown to the inverter; default: that of the inverter or of the dialect (pylontech: PYLON)",
    )
    keepalive: Literal["report", "require"] = Field(
        "report",
        description="when nothing is heard of the inverter: report = say so; require = 0 A both ways until it answers",
    )
    silence_after: float | None = Field(
        60.0,
        ge=0,
        description="s of 0 A and alarm after a loss of the BMS until sending stops, so that the inverter raises "
        "its own alarm; null = go on with 0 A and alarm for ever",
    )

    @property
    def exclusive(self) -> str:
        """The bus, on which two gateways would contradict each other; an imagined one is each process's own."""
        channel = str(Path(self.channel).resolve()) if self.channel.startswith("/") else self.channel
        return "" if self.interface == "virtual" else f"{self.interface} {channel}"
