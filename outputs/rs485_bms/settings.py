"""Settings of the RS485 output towards an inverter."""

import os
from typing import Annotated, Literal

from gateway.model.section import Checked, Section, declared
from outputs.inverter.chosen import Chosen
from outputs.rs485_bms.wire import Wire


def device(port: str) -> str:
    """Raises ValueError for a port that is not on this machine."""
    if not port.startswith("/"):
        raise ValueError(
            f"{port!r} is no serial port of this machine, expected one as /dev/ttyUSB1;"
            " over a network an answer could come late"
        )
    return port


class Settings(Section):
    """outputs.rs485_bms in gateway.yaml."""

    port: Annotated[str, Checked(device)] = declared(
        description="the adapter on the inverter's line, as /dev/serial/by-id/... or /dev/ttyUSB1"
    )
    inverter: Chosen | None = declared(
        None,
        description="its brand, as `bms-gateway inverters` lists them, or a file of your own (./mine.yaml): chooses "
        "dialect, address, speed and what this brand needs otherwise",
    )
    dialect: Literal["pylontech", "growatt", "voltronic"] | None = declared(
        None, description="what the inverter asks in; default: that of the inverter, else pylontech"
    )
    address: int | None = declared(
        None, ge=1, le=254, description="that is answered; default: the inverter's, else pylontech 2, others 1"
    )
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = declared(
        None, description="bit/s; default: the inverter's, else 9600", unit="bit/s"
    )
    wire: Wire = declared(Wire(), description="units, signs and habits; what is set here wins over the inverter's")
    manufacturer: str | None = declared(
        None, pattern=r"^[ -~]{1,20}$", description="name shown to the inverter; default: that of the inverter"
    )
    silence_after: float | None = declared(
        60.0,
        ge=0,
        description="s of 0 A and alarm after a loss of the BMS until nothing is answered any more, so that the "
        "inverter raises its own alarm; null = go on with 0 A and alarm for ever",
    )

    @property
    def serial_port(self) -> str:
        """The port that nobody else may use."""
        return self.port

    @property
    def exclusive(self) -> str:
        """The port, whatever it is called."""
        return f"serial {os.path.realpath(self.port)}"
