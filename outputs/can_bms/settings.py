"""Settings of the CAN output towards an inverter."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.beside import FilePath
from outputs.inverter.chosen import Chosen


class Settings(BaseModel):
    """outputs.can_bms in gateway.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interface: str = Field("virtual", description="kind of bus, as python-can calls it: socketcan, slcan, virtual")
    channel: str = Field("can0", description="the bus: can0, /dev/ttyACM0, ...")
    bitrate: int = Field(500_000, gt=0, le=1_000_000, description="bit/s; SocketCAN takes it from the interface")
    inverter: Chosen | None = Field(
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
    def serial_port(self) -> str:
        """The port of an adapter on one; "" for others."""
        return self.channel if self.channel.startswith("/") else ""

    @property
    def exclusive(self) -> str:
        """The bus, on which two gateways would contradict each other; an imagined one is each process's own."""
        channel = str(Path(self.channel).resolve()) if self.channel.startswith("/") else self.channel
        return "" if self.interface == "virtual" else f"{self.interface} {channel}"
