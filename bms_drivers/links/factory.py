"""Which link a port's name means.  Libraries are imported only where the site has such a port."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bms_drivers.kit.declare import BleLine, Driver, SerialLine, SpiLine
from bms_drivers.kit.plugins import LIBRARY
from bms_drivers.links.absent import AbsentLink
from bms_drivers.links.link import Link
from bms_drivers.links.overhear import Hearing, Overhear
from bms_drivers.links.port import REOPEN_MOST as SLOWEST
from bms_drivers.links.port import Port
from gateway.extras import missing, needed
from gateway.model import ConfigError, MissingPart

SOCKETS: Final = Path("/dev/serial/by-path")  # where udev says which socket an adapter is in
MODBUS_PORT: Final = 502  # TCP, as registered for Modbus
MODBUS_LINE: Final = SerialLine(baud=9600)  # where a Modbus driver names no line

FORMS: Final = (  # kind of port, and how its name is written
    ("replay", r"replay:.+"),
    ("serial", r"/\S*|(socket|rfc2217|loop)://\S+"),
    ("tcp", r"tcp:(//)?[^\s/:]+(:\d{1,5})?"),
    ("ble", r"ble:([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(@hci\d{1,2})?"),
    ("spi", r"spi:\d{1,3}\.\d{1,3}"),
    ("can", r"[a-z]*can[a-z0-9_.-]*\d"),
)
USABLE: Final = {
    "serial": {"serial", "modbus"},
    "tcp": {"modbus"},
    "can": {"can"},
    "spi": {"spi"},
    "ble": {"ble"},
}  # kind of port -> transports
LIBRARIES: Final = {
    "serial": ("serial",),
    "tcp": ("pymodbus",),
    "can": ("can",),
    "spi": ("spidev",),
    "ble": ("bleak", "bleak_retry_connector"),
}
REOPEN_MOST: Final = {"ble": 4.0}  # s between tries of a port that went: looking for a device takes its time, too
WORDS: Final = {"serial": "a serial port", "tcp": "Modbus TCP", "can": "CAN", "spi": "SPI", "ble": "Bluetooth"}

SPELT: Final = {
    "serial": " (socket://host:port for a serial port on the network)",
    "spi": " (spi:0.0: bus, chip)",
    "ble": " (ble:AA:BB:CC:DD:EE:FF)",
}


def open_port(where: str, drivers: Sequence[Driver], *, listening: bool = False) -> Port:
    """The port `where`, for the batteries whose drivers are given (one each); nothing is opened yet.

    `listening`: a master talks there, and not one byte is ever sent.  Raises ConfigError when a driver
    cannot use such a port, or the drivers cannot share it.
    """
    link = open_link(where, *drivers)
    most = REOPEN_MOST.get(port_kind(where), SLOWEST)
    return Port(where, only_heard(link) if listening else link, reopen_most=most)


def only_heard(link: Link) -> Link:
    """`link` as one that only listens; itself where that cannot be: then nothing is known of its batteries."""
    return Overhear(link) if isinstance(link, Hearing) else link


def open_link(where: str, *drivers: Driver) -> Link:
    """A link to `where` that suits all `drivers`; `open` it before use.  Raises ConfigError as open_port.

    Where a library is missing, a link that says so: a battery's fault is its own.
    """
    try:
        with needed(where):
            return _usable_link(where, drivers)
    except MissingPart as problem:
        return AbsentLink(str(problem))


def missing_library(where: str, driver: Driver | None = None) -> str:
    """Why `where` cannot be reached in this installation, with `driver`; "" = it can.

    Raises ConfigError for what is no port.
    """
    needed_there = missing(where, *LIBRARIES.get(port_kind(where), ()))
    return needed_there or (missing_plugins(where, driver) if driver is not None else "")


def missing_plugins(where: str, driver: Driver) -> str:
    """Why `driver` has no plug-in to speak at `where`; "" = it has, or needs none."""
    return missing(where, LIBRARY) if driver.ble is not None and driver.ble.plugin is not None else ""


def _usable_link(where: str, drivers: Sequence[Driver]) -> Link:
    kind = port_kind(where)
    if kind == "replay":
        return _replay(where)
    if problem := unusable(where, drivers):
        raise ConfigError(problem)
    if kind == "can":
        from bms_drivers.links.can import CanLink

        return CanLink(where, ids=())
    if kind == "spi":
        from bms_drivers.links.spi import SpiLink
        from bms_drivers.links.spi_bus import open_bus

        return SpiLink(where, spi_line(drivers), open_bus)
    if kind == "ble":
        return _ble(where, drivers)
    return _tcp(where) if kind == "tcp" else _serial(where, common_line(where, drivers))


def kind_of(where: str) -> str:
    """serial, tcp, can, spi, ble or replay; "" for what is no port."""
    return next((kind for kind, form in FORMS if re.fullmatch(form, where)), "")


def port_kind(where: str) -> str:
    """As kind_of.  Raises ConfigError for what is no port."""
    if kind := kind_of(where):
        return kind
    raise ConfigError(
        f"{where}: no such kind of port; expected /dev/..., socket://host:port, rfc2217://host:port, "
        "tcp:host:port, can0, spi:0.0, ble:AA:BB:CC:DD:EE:FF or replay:FILE"
    )


def place(where: str) -> str:
    """What the port is, whatever it is called: the same for ttyUSB0 and its by-id name, for tcp:h and tcp://H:502."""
    kind = kind_of(where)
    if kind == "tcp":
        host, port = _tcp_address(where)
        return f"tcp:{host.lower()}:{port}"
    if kind == "ble":
        return where.partition("@")[0].lower()
    return os.path.realpath(where) if where.startswith("/") else where.lower() if kind == "serial" else where


def lasting(where: str) -> str:
    """What the port is at every start: of a USB adapter the socket it is in, for its name may be another's tomorrow."""
    at = place(where)
    sockets: list[str] = []
    with suppress(OSError):
        sockets = sorted(link.name for link in SOCKETS.iterdir() if os.path.realpath(link) == at)
    named = where.startswith(f"{SOCKETS.parent}/")  # by the user himself, for good
    return where if named else sockets[0] if sockets else at


def unusable(where: str, drivers: Sequence[Driver]) -> str:
    """Why no link to `where` can serve these drivers, one for each battery there; "" = one can.  Opens nothing."""
    kind = kind_of(where)
    if kind not in USABLE:
        return f"{where}: this version cannot read {WORDS.get(kind, kind or 'such a port')} yet, expected {_others()}"
    for driver in drivers:
        if not reaches(kind, driver):
            return f"{where}: a {driver.name} cannot be reached over {WORDS[kind]}, expected one for {_spoken(driver)}"
    if kind == "ble" and len(names := sorted({driver.name for driver in drivers})) > 1:
        return f"{where}: one device is of one kind, expected one driver, not {' and '.join(names)}"
    return _different_rates(where, drivers) if kind == "serial" else ""


def reaches(kind: str, driver: Driver) -> bool:
    """Can a port of this kind carry what the driver speaks?"""
    return bool(USABLE.get(kind, set()) & set(driver.transports))


def _others() -> str:
    return " or ".join(WORDS[kind] for kind in USABLE)


def _spoken(driver: Driver) -> str:
    return " or ".join(driver.transports) + next(
        (more for kind, more in SPELT.items() if kind in driver.transports), ""
    )


def _lines(drivers: Sequence[Driver]) -> list[tuple[str, SerialLine]]:
    """Each name and line once: by its settings one driver may speak at several rates."""
    return list(dict.fromkeys((driver.name, driver.line or MODBUS_LINE) for driver in drivers))


def _different_rates(where: str, drivers: Sequence[Driver]) -> str:
    lines = _lines(drivers)
    if len({(line.baud, line.parity) for _, line in lines}) < 2:
        return ""
    rates = ", ".join(f"{name} {line.baud}{' even' * (line.parity == 'E')}" for name, line in lines)
    return f"{where}: drivers on one port must use one baud rate and parity, these do not: {rates}"


def common_line(where: str, drivers: Sequence[Driver]) -> SerialLine:
    """How a port must be used so that it suits all `drivers`: one baud rate and parity, the longest gaps.

    Raises ConfigError when their baud rates or parities differ.
    """
    if problem := _different_rates(where, drivers):
        raise ConfigError(problem)
    lines = [line for _, line in _lines(drivers)]
    return SerialLine(
        baud=lines[0].baud,
        parity=lines[0].parity,
        quiet=max(line.quiet for line in lines),
        turnaround=max(line.turnaround for line in lines),
    )


def spi_line(drivers: Sequence[Driver]) -> SpiLine:
    """How the chip is spoken to; one driver a chip, since chips have no addresses."""
    return next((driver.spi for driver in drivers if driver.spi is not None), SpiLine(hertz=500_000))


def _serial(where: str, line: SerialLine) -> Link:
    from bms_drivers.links.serial import SerialLink

    return SerialLink(where, line.baud, quiet=line.quiet, turnaround=line.turnaround, parity=line.parity)


def _ble(where: str, drivers: Sequence[Driver]) -> Link:
    line = next((driver.ble for driver in drivers if driver.ble is not None), BleLine(ways=()))
    address, _, adapter = where.removeprefix("ble:").partition("@")
    if line.plugin is not None:
        from bms_drivers.links.ble_plugin import PluginLink

        return PluginLink(address, line.plugin, adapter)
    from bms_drivers.links.ble import BleLink

    return BleLink(address, line, adapter)


def _tcp(where: str) -> Link:
    from bms_drivers.links.modbus import ModbusLink

    return ModbusLink(where, *_tcp_address(where))


def _tcp_address(where: str) -> tuple[str, int]:
    host, _, port = where.removeprefix("tcp:").removeprefix("//").partition(":")
    return host, int(port or MODBUS_PORT)


def _replay(where: str) -> Link:
    from bms_drivers.links.recording import load
    from bms_drivers.links.replay import ReplayLink

    return ReplayLink(load(Path(where.removeprefix("replay:"))))
