"""What of the RS485 output's settings cannot work, found without opening the port."""

from collections.abc import Iterator

from gateway.model import ConfigError
from outputs.rs485_bms import brand
from outputs.rs485_bms.settings import Settings

UNITS_MOST = 247  # of Modbus
RESERVED = (0, 255)  # of Pylontech


def problems(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key that is wrong, and why."""
    try:
        spoken = brand.spoken(settings, brand.of(settings))
    except ConfigError as problem:
        yield from ((("inverter",), text) for text in problem.problems)
        return
    if spoken.dialect != "pylontech" and spoken.address > UNITS_MOST:
        key = "address" if settings.address is not None else "inverter"
        yield (key,), f"{spoken.address} is no unit of {spoken.dialect}, expected 1..{UNITS_MOST}"
