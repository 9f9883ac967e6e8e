"""Which link a port's name means.  Libraries are imported only where the site has such a port."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bms_drivers.kit.declare import Driver, SerialLine
from bms_drivers.links.absent import AbsentLink
from bms_drivers.links.link import Link
from bms_drivers.links.port import Port
from gateway.extras import missing, needed
from gateway.model import ConfigError, MissingPart

MODBUS_PORT: Final = 502  # TCP, as registered for Modbus
MODBUS_LINE: Final = SerialLine(baud=9600)  # where a Modbus driver names no line
CAN_NAME: Final = re.compile(r"[a-z]*can[a-z0-9_.-]*\d")


def open_port(where: str, drivers: Sequence[Driver]) -> Port:
    """The port `where`, for the batteries whose drivers are given (one each); nothing is opened yet.

    Raises ConfigError when a driver cannot use such a port, or the drivers cannot share it.
    """
    return Port(where, _link(where, drivers))


def open_link(where: str, *drivers: Driver) -> Link:
    """A link to `where` that suits all `drivers`; `open` it before use.  Raises ConfigError as open_port."""
    return _link(where, drivers)


def missing_library(where: str) -> str:
    """Why `where` cannot be reached in this installation; "" = it can.  Raises ConfigError for what is no port."""
    return missing(where, *LIBRARIES.get(port_kind(where), ()))


def _link(where: str, drivers: Sequence[Driver]) -> Link:
    """The link, or one that says what is missing: a battery's fault is its own."""
    try:
        with needed(where):
            return _usable_link(where, drivers)
    except MissingPart as problem:
        return AbsentLink(str(problem))


def _usable_link(where: str, drivers: Sequence[Driver]) -> Link:
    kind = port_kind(where)
    if kind == "replay":
        return _replay(where)
    for driver in drivers:
        _check_transport(where, kind, driver)
    if kind == "can":
        from bms_drivers.links.can import CanLink

        return CanLink(where)
    return _tcp(where) if kind == "tcp" else _serial(where, common_line(where, drivers))


def port_kind(where: str) -> str:
    """serial, tcp, can or replay.  Raises ConfigError for what is no port."""
    if where.startswith("replay:"):
        return "replay"
    if re.fullmatch(r"tcp:(//)?[^\s/:]+(:\d{1,5})?", where):
        return "tcp"
    if where.startswith(("/", "socket://", "rfc2217://", "loop://")):
        return "serial"
    if CAN_NAME.fullmatch(where):
        return "can"
    raise ConfigError(
        f"{where}: no such kind of port; expected /dev/..., socket://host:port, rfc2217://host:port, "
        "tcp:host:port, can0 or replay:FILE"
    )


LIBRARIES: Final = {"serial": ("serial",), "tcp": ("pymodbus",), "can": ("can",)}
USABLE: Final = {"serial": {"serial", "modbus"}, "tcp": {"modbus"}, "can": {"can"}}  # kind of port -> transports


def _check_transport(where: str, kind: str, driver: Driver) -> None:
    if not USABLE[kind] & set(driver.transports):
        wanted = " or ".join(driver.transports)
        raise ConfigError(f"{where}: a {driver.name} cannot be reached over such a port, expected one for {wanted}")


def common_line(where: str, drivers: Sequence[Driver]) -> SerialLine:
    """How a port must be used so that it suits all `drivers`: one baud rate and parity, the longest gaps.

    Raises ConfigError when their baud rates or parities differ.
    """
    lines = {driver.name: driver.line or MODBUS_LINE for driver in drivers}
    if len({(line.baud, line.parity) for line in lines.values()}) > 1:
        rates = ", ".join(f"{name} {line.baud}{' even' * (line.parity == 'E')}" for name, line in lines.items())
        raise ConfigError(f"{where}: drivers on one port must use one baud rate and parity, these do not: {rates}")
    one = next(iter(lines.values()))
    return SerialLine(
        baud=one.baud,
        parity=one.parity,
        quiet=max(line.quiet for line in lines.values()),
        turnaround=max(line.turnaround for line in lines.values()),
    )


def _serial(where: str, line: SerialLine) -> Link:
    from bms_drivers.links.serial import SerialLink

    return SerialLink(where, line.baud, quiet=line.quiet, turnaround=line.turnaround, parity=line.parity)


def _tcp(where: str) -> Link:
    from bms_drivers.links.modbus import ModbusLink

    host, _, port = where.removeprefix("tcp:").removeprefix("//").partition(":")
    return ModbusLink(where, host, int(port or MODBUS_PORT))


def _replay(where: str) -> Link:
    from bms_drivers.links.replay import ReplayLink

    file = Path(where.removeprefix("replay:"))
    try:
        return ReplayLink(json.loads(file.read_text(encoding="utf-8")))
    except OSError as problem:
        raise ConfigError(f"{where}: {problem.strerror}") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise ConfigError(f"{where}: not a recording in the vector format ({problem})") from None
