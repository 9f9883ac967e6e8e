"""What is allowed but perhaps not meant: said at start and by `check`, never a reason to refuse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.config import rounds
from gateway.config.parts import missing_parts
from gateway.config.schema import AUTO, SIMULATED, BatterySettings, Catalogue, Settings, installed, port_kind
from gateway.limits.checks import doubts as limit_doubts
from outputs import registry
from outputs.registry import PACKAGES, of_kind

NETWORK: Final = Path("/sys/class/net")  # Linux: one entry for each network interface
RADIOS: Final = Path("/sys/class/bluetooth")
SERIAL: Final = ("/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*")
SHOWN_MOST: Final = 4
WIDE: Final = 3.0  # V per 16 cells
LONGEST: Final = 107  # bytes of a Unix socket's name in Linux


def doubts(settings: Settings, catalogue: Catalogue | None = None) -> list[str]:
    """One sentence for each thing that looks unintended; each begins with the key it is about."""
    catalogue = catalogue or installed()
    found = [*missing_parts(settings, catalogue), *_outputs(settings), *_bank(settings), *_socket(settings)]
    found += [f"outputs.{name}.{text}" for name, own in settings.outputs.items() for text in registry.doubts(name, own)]
    found += rounds.doubts(settings.batteries)
    found += limit_doubts(settings.limits)
    for battery in settings.batteries:
        found += [*_battery(battery, catalogue), *_advice(battery, catalogue), *_soc(battery, settings, catalogue)]
        if battery.limits is not None:
            found += [f"{battery.name}: {doubt}" for doubt in limit_doubts(battery.limits) if doubt not in found]
    return found


def _outputs(settings: Settings) -> Iterator[str]:
    if not settings.outputs:
        yield f"outputs: none is configured, so the gateway tells nobody; expected {' or '.join(PACKAGES)}"
    for name, output in settings.outputs.items():
        if getattr(output, "silence_after", None) == 0:
            yield f"outputs.{name}.silence_after: 0 s, so after a loss the inverter is not told 0 A, it hears nothing"
    for name, inverter in of_kind("can_bms", settings.outputs).items():
        for battery in settings.batteries:
            if battery.port == inverter.channel:
                yield f"outputs.{name}.channel: {battery.port} is also the port of {battery.name}: each hears the other"


def _bank(settings: Settings) -> Iterator[str]:
    bank = settings.bank
    if not any(battery.control for battery in settings.batteries):
        yield "batteries: all have control: false, so no limits are ever given"
    for name in ("charge_current_limit", "discharge_current_limit"):
        if getattr(bank, name) == 0:
            yield f"bank.{name}: 0 A forbids this direction for ever; remove the line for no cap"
    if bank.join_voltage_difference > WIDE:
        yield (
            f"bank.join_voltage_difference: {bank.join_voltage_difference:g} V per 16 cells lets very different"
            " batteries be connected, with a high current between them"
        )
    named = {"@" in battery.port for battery in settings.batteries if port_kind(battery.port) == "ble"}
    if named == {True, False}:
        yield (
            "batteries: some Bluetooth ports name their adapter and some do not, so one adapter may be used twice at a"
            " time; expected @hci0 and so on at each"
        )
    kinds = {battery.port == SIMULATED for battery in settings.batteries}
    if kinds == {True, False}:
        yield "batteries: simulated and real ones in one bank; limits will rest on invented values"


def _socket(settings: Settings) -> Iterator[str]:
    length = len(str(settings.control_socket or "").encode())
    if length > LONGEST:
        yield f"control_socket: {length} bytes where {LONGEST} at most are possible: status and explain will not work"


def _battery(battery: BatterySettings, catalogue: Catalogue) -> Iterator[str]:
    if battery.address is None:
        return
    if battery.driver == AUTO:
        yield f"{battery.name}: address {battery.address} is not used, auto takes the first BMS that answers"
    elif not catalogue.has_addresses(battery.driver):
        yield f"{battery.name}: address {battery.address} is not used, {battery.driver} has no addresses"


def _advice(battery: BatterySettings, catalogue: Catalogue) -> Iterator[str]:
    """What the driver itself says of such settings."""
    if battery.driver != AUTO:
        driver = catalogue.load(battery.driver)
        if advice := driver.advice(driver.setup(battery.setup)):
            yield f"{battery.name}: {advice}"


def _soc(battery: BatterySettings, settings: Settings, catalogue: Catalogue) -> Iterator[str]:
    """A BMS that measures the current and tells no SoC needs the gateway's own counter."""
    gives = catalogue.gives(battery.driver, battery.setup)
    sensor = settings.bank.external_sensor
    if "current" not in gives or "soc" in gives or (sensor is not None and sensor.soc is not None):
        return
    soc = settings.limits_of(battery).soc
    if soc.source != "counter":
        yield f"{battery.name}: a {battery.driver} tells no SoC; expected limits.soc.source: counter"
    if "capacity" not in gives and soc.capacity is None:
        yield f"{battery.name}: a {battery.driver} tells no capacity; expected limits.soc.capacity, in Ah"


# ---- on this machine, now


def absent(settings: Settings) -> Iterator[str]:
    """What is not there at the moment; ports and buses may be plugged in later, so `run` only waits for them."""
    yield from _state_dir(settings.state_dir)
    for battery in settings.batteries:
        if not _is_there(battery.port, port_kind(battery.port)):
            yield f"{battery.name}: port {battery.port} is not there now{_instead(battery.port)}"
    for name, inverter in of_kind("rs485_bms", settings.outputs).items():
        if not _is_there(inverter.port, "serial"):
            yield f"outputs.{name}.port: {inverter.port} is not there now{_instead(inverter.port)}"
    for name, inverter in of_kind("can_bms", settings.outputs).items():
        if not _is_there(inverter.channel, _kind_of_channel(inverter.interface)):
            yield f"outputs.{name}.channel: {inverter.channel} is not there now{_instead(inverter.channel)}"


def _state_dir(directory: Path | None) -> Iterator[str]:
    """A directory is made when it is needed; what is no directory, or below one that is none, cannot be."""
    there = next((path for path in (directory, *directory.parents) if path.exists()), None) if directory else None
    if there is not None and not there.is_dir():
        yield f"state_dir: {there} is no directory, so nothing would survive a restart"


def _kind_of_channel(interface: str) -> str:
    return {"socketcan": "can", "slcan": "serial"}.get(interface, "")


def _is_there(name: str, kind: str) -> bool:
    """True too for what cannot be looked at from here."""
    if kind == "serial" and name.startswith("/"):
        return Path(name.partition("@")[0]).exists()
    if kind == "spi":
        return Path(f"/dev/spidev{name.removeprefix('spi:')}").exists()
    if kind == "ble":
        return any(RADIOS.glob(name.partition("@")[2] or "hci*"))
    return kind != "can" or (NETWORK / name).exists()


def _instead(name: str) -> str:
    """What there is of the same kind."""
    if name.startswith("/"):
        there = [str(path) for form in SERIAL for path in sorted(Path("/").glob(form.lstrip("/")))]
    elif port_kind(name) == "spi":
        there = [f"spi:{path.name.removeprefix('spidev')}" for path in sorted(Path("/dev").glob("spidev*"))]
    elif port_kind(name) == "ble":
        there = [f"adapter {path.name}" for path in sorted(RADIOS.glob("hci*"))] or ["no Bluetooth adapter"]
    else:
        there = [path.name for path in sorted(NETWORK.glob("*can*"))]
    return f"; there is {', '.join(there[:SHOWN_MOST])}" if there else ""
