"""What a configuration amounts to before anything is opened: who reads which battery, and who shares which port.

`load` asks for it, so `check` and `run` refuse what cannot be built, with its line; the wiring builds from it, so the
two cannot disagree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bms_drivers.kit.can import identifiers
from bms_drivers.kit.declare import EXTENDED, Driver
from bms_drivers.links.factory import place, unusable
from gateway.config.explain import hint
from gateway.config.rounds import impossible
from gateway.config.schema import AUTO, SIMULATED, BatterySettings, Catalogue, Settings, installed, port_kind
from gateway.config.tree import Path, dotted
from gateway.model import ConfigError, MissingPart, Placed
from outputs import registry

EVERYWHERE: Final = {"0.0.0.0", "::"}  # addresses that are every address of the machine


@dataclass(frozen=True, slots=True)
class Mistake:
    """What cannot be built: the key it lies at, and a sentence."""

    path: Path
    text: str

    def __str__(self) -> str:
        """For people who know which file it is."""
        return self.text if isinstance(self.text, Placed) else f"{dotted(self.path)}: {self.text}"


@dataclass(frozen=True, slots=True)
class Berth:
    """One port and the batteries on it, by their numbers in the file."""

    where: str  # as the first of them calls it; simulated for a battery that is played
    batteries: Mapping[int, BatterySettings]


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to build."""

    drivers: Mapping[str, Driver]  # by battery; without those whose driver is to be found out
    berths: tuple[Berth, ...]
    mistakes: tuple[Mistake, ...]


def survey(settings: Settings, catalogue: Catalogue | None = None) -> Survey:
    """Of whole settings; see `look`."""
    return look(dict(enumerate(settings.batteries)), settings.outputs, catalogue)


def look(
    batteries: Mapping[int, BatterySettings], outputs: Mapping[str, Any], catalogue: Catalogue | None = None
) -> Survey:
    """What `batteries` (by their numbers in the file) and `outputs` amount to.  Opens nothing."""
    catalogue = catalogue or installed()
    mistakes = list(_unknown(batteries, catalogue))
    known = {number: battery for number, battery in batteries.items() if _is_known(battery, catalogue)}
    drivers = {}
    for number, battery in known.items():
        if battery.driver != AUTO:
            driver = drivers[battery.name] = catalogue.load(battery.driver)
            try:
                drivers[battery.name] = driver.made_for(battery.setup)
            except MissingPart:
                continue  # that is a doubt, and said as one
            except ConfigError as problem:
                mistakes += [Mistake(_about(number, battery, driver), text) for text in problem.problems]
    berths = tuple(_berths(known))
    for berth in berths:
        mistakes += _wrong_port(berth, drivers, catalogue) or [
            *_wrong_company(berth, catalogue),
            *_two_masters(berth, drivers),
        ]
    if not mistakes:
        mistakes += _overfull(known)
    mistakes += _same_frames(known, drivers, outputs)
    mistakes += _same_ports(known, outputs)
    mistakes += _same_doors(outputs)
    numbers = {battery.name: number for number, battery in batteries.items()}
    for clash, text in registry.name_clashes(outputs, list(numbers)):
        mistakes.append(Mistake(("batteries", numbers[clash], "name"), text))
    for name, output in outputs.items():
        if not registry.missing_library(name):  # else nobody can tell, and the output says what is missing
            mistakes += [Mistake(("outputs", name, *key), text) for key, text in registry.problems(name, output)]
    return Survey(drivers, berths, tuple(mistakes))


def _about(number: int, battery: BatterySettings, driver: Driver) -> Path:
    """The key that decides what the driver is: the file it is described by."""
    files = [option.name for option in driver.options if option.file and option.name in battery.setup]
    return ("batteries", number, files[0] if files else "driver")


def _same_frames(
    batteries: Mapping[int, BatterySettings], drivers: Mapping[str, Driver], outputs: Mapping[str, Any]
) -> Iterator[Mistake]:
    """An output on a BMS's own bus that would send what the BMS sends: the one would be read as the other."""
    read = [battery for battery in batteries.values() if port_kind(battery.port) == "can" and battery.name in drivers]
    for name, output in outputs.items() if read else ():
        channel, frames = registry.can_frames(name, output)
        for battery in read:
            driver = drivers[battery.name]
            wanted = identifiers(driver, driver.setup(battery.setup)) if battery.port == channel else []
            both = sorted(id_ for id_, extended in frames for own in wanted if own.fits(id_ | EXTENDED * extended))
            if both:
                shown = " ".join(f"{id_:X}" for id_ in dict.fromkeys(both))
                text = f"{channel} is where {battery.name} is read, and both use the identifiers {shown}"
                yield Mistake(("outputs", name, "channel"), f"{text}; expected two buses")


def _same_ports(batteries: Mapping[int, BatterySettings], outputs: Mapping[str, Any]) -> Iterator[Mistake]:
    """An output's serial port that is somebody else's, too, by whatever name."""
    taken = {place(battery.port): battery.name for battery in batteries.values() if battery.port != SIMULATED}
    for name, output in outputs.items():
        if port := registry.serial_port(output):
            first = taken.setdefault(place(port), f"outputs.{name}")
            if first != f"outputs.{name}":
                text = f"{port} is the port of {first}, too; expected a port of its own"
                yield Mistake(("outputs", name, registry.SEVERAL[registry.kind(name)]), text)


def _same_doors(outputs: Mapping[str, Any]) -> Iterator[Mistake]:
    """Two outputs that would listen at the same address and port: the later one would not be reached."""
    taken: list[tuple[str, str, int]] = []
    for name, output in outputs.items():
        address, port = registry.door(output)
        for other, another, its_port in taken if port else ():
            if port == its_port and (address == another or {address, another} & EVERYWHERE):
                text = f"{port} is the TCP port of outputs.{other}, too; expected a port of its own"
                yield Mistake(("outputs", name, "port"), text)
        taken.append((name, address, port))


def _overfull(batteries: Mapping[int, BatterySettings]) -> Iterator[Mistake]:
    """Ports with more batteries than can be read before each is lost."""
    numbers = {battery.name: number for number, battery in batteries.items()}
    for name, text in impossible(list(batteries.values())):
        yield Mistake(("batteries", numbers[name], "port"), text)


def _is_known(battery: BatterySettings, catalogue: Catalogue) -> bool:
    return battery.driver == AUTO or battery.driver in catalogue.names()


def _unknown(batteries: Mapping[int, BatterySettings], catalogue: Catalogue) -> Iterator[Mistake]:
    names = sorted({*catalogue.names(), AUTO})
    for number, battery in batteries.items():
        if not _is_known(battery, catalogue):
            text = f"no driver is called {battery.driver!r}, {hint(battery.driver, names)}"
            yield Mistake(("batteries", number, "driver"), text)


def _berths(batteries: Mapping[int, BatterySettings]) -> Iterator[Berth]:
    """Ports in the order of the file; one device under two names is one port, a simulated battery has its own."""
    sharing: dict[str, dict[int, BatterySettings]] = {}
    for number, battery in batteries.items():
        own = f"{SIMULATED} {number}" if battery.port == SIMULATED else place(battery.port)
        sharing.setdefault(own, {})[number] = battery
    for group in sharing.values():
        yield Berth(next(iter(group.values())).port, group)


# ---- one port


def _wrong_port(berth: Berth, drivers: Mapping[str, Driver], catalogue: Catalogue) -> list[Mistake]:
    """Why batteries cannot be read over this port: each for itself, and by their baud rates together."""
    found = [
        Mistake(("batteries", number, "port"), text)
        for number, battery in berth.batteries.items()
        if (text := _unreadable(battery, drivers.get(battery.name), catalogue))
    ]
    named = [drivers[battery.name] for battery in berth.batteries.values() if battery.name in drivers]
    if not found and berth.where != SIMULATED and named and (text := unusable(berth.where, named)):
        found.append(Mistake(("batteries", _odd(berth, drivers), "port"), text))
    return found


def _unreadable(battery: BatterySettings, driver: Driver | None, catalogue: Catalogue) -> str:
    """Why this battery alone cannot be read over its port; "" = it can."""
    kind = port_kind(battery.port)
    if driver is None:
        return _undetectable(battery.port, kind, catalogue)
    if kind == SIMULATED:
        known = catalogue.simulated()
        return "" if driver.name in known else f"{driver.name} has no simulator, there is one of {', '.join(known)}"
    if kind == "tcp" and driver.listens(driver.setup(battery.setup)):
        return f"{battery.port}: nobody can be overheard over Modbus TCP, expected a serial port"
    return unusable(battery.port, [driver])


def _undetectable(port: str, kind: str, catalogue: Catalogue) -> str:
    """Why `driver: auto` finds nothing on such a port; "" = it may."""
    if kind == SIMULATED:
        return "a simulated battery needs a driver, expected its name in place of auto"
    if not (reach := catalogue.reach(kind)):
        return f"{port}: no driver of this version reads such a port, so auto cannot find one there"
    if not any(catalogue.load(name).detection.polls for name in reach):
        return f"{port}: nothing there can be found out by asking, expected one of {', '.join(reach)} in place of auto"
    return unusable(port, [])


def _odd(berth: Berth, drivers: Mapping[str, Driver]) -> int:
    """The first battery whose driver differs from the first one's."""
    named = [(number, battery.driver) for number, battery in berth.batteries.items() if battery.name in drivers]
    return next((number for number, driver in named if driver != named[0][1]), named[0][0])


def _wrong_company(berth: Berth, catalogue: Catalogue) -> list[Mistake]:
    """Batteries on one port that cannot be told apart."""
    if len(berth.batteries) < 2:
        return []
    taken: dict[object, BatterySettings] = {}
    found = []
    for number, battery in berth.batteries.items():
        if battery.driver == AUTO:
            continue  # it finds one that is nobody else's
        address = battery.address if catalogue.has_addresses(battery.driver) else None
        others = (battery.driver, battery.setup.get("dbc")) if port_kind(berth.where) == "can" else ()  # identifiers
        if (first := taken.setdefault((address, *others), battery)) is not battery:
            found.append(Mistake(("batteries", number, "port"), _shared(first, battery, address)))
    return found


def _two_masters(berth: Berth, drivers: Mapping[str, Driver]) -> list[Mistake]:
    """Batteries that would be asked where another is only listened to because a master talks there."""
    listens = {
        number: battery.name in drivers and drivers[battery.name].listens(drivers[battery.name].setup(battery.setup))
        for number, battery in berth.batteries.items()
    }
    listener = next((berth.batteries[number].name for number in listens if listens[number]), "")
    return [
        Mistake(
            ("batteries", number, "driver"),
            f"{battery.name} would be asked on {berth.where}, where {listener} is only listened to because a master"
            " talks there; expected one that listens, too, or another port",
        )
        for number, battery in berth.batteries.items()
        if listener and not listens[number]
    ]


def _shared(first: BatterySettings, second: BatterySettings, address: object) -> str:
    one_name = first.port == second.port
    where = first.port if one_name else f"{second.port}, which is the same device as {first.port}"
    both = f"{first.name} and {second.name} are both on {where}"
    if address is None:
        return f"{both}; expected two addresses or, where a BMS has none, two ports"
    return f"{both}, with address {address}; expected two addresses"
