"""Settings of the CAN output towards an inverter."""

from pathlib import Path
from typing import Literal

from gateway.config.beside import FilePath
from gateway.model.section import Section, declared
from outputs.inverter.chosen import Chosen


class Settings(Section):
    """outputs.can_bms in gateway.yaml."""

    interface: str = declared("virtual", description="kind of bus, as python-can calls it: socketcan, slcan, virtual")
    channel: str = declared("can0", description="the bus: can0, /dev/ttyACM0, ...")
    bitrate: int = declared(500_000, gt=0, le=1_000_000, description="bit/s; SocketCAN takes it from the interface")
    inverter: Chosen | None = declared(
        None,
        description="its brand, as `bms-gateway inverters` lists them, or a file of your own (./mine.yaml): chooses "
        "the dialect and what this brand needs otherwise",
    )
    dialect: str | None = declared(
        None, description="what the inverter understands; default: that of the inverter, else pylontech"
    )
    dbc: FilePath | None = declared(None, description="your own DBC file in place of a dialect that is shipped")
    dlc: Literal["8", "native"] | None = declared(
        None,
        description="pad every frame to 8 bytes, or send its native length; default: that of the inverter, else 8",
    )
    manufacturer: str | None = declared(
        None,
        pattern=r"^[ -~]{1,16}$",
        description="name shown to the inverter; default: that of the inverter or of the dialect (pylontech: PYLON)",
    )
    keepalive: Literal["report", "require"] = declared(
        "report",
        description="when nothing is heard of the inverter: report = say so; require = 0 A both ways until it answers",
    )
    silence_after: float | None = declared(
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
