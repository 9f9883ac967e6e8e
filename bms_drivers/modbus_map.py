"""Any BMS that speaks Modbus (RTU, or TCP), described by the user's own register map, a YAML file.

Its keys: kit/map_file.py; how values are named: kit/named.py.  Every block of registers is a step of the plan, so that
each value has the age of its own answer; the one that holds the voltage is what the rest waits for.
"""

from pathlib import Path
from typing import Final

from bms_drivers import kit
from bms_drivers.kit import map_read, named
from bms_drivers.kit.map_check import mistakes, mistakes_together
from bms_drivers.kit.map_file import Map
from gateway.config.own_file import OwnFile
from gateway.model import ConfigError

HIGHEST_UNIT: Final = 255


def loaded(file: Path) -> tuple[Map, str]:
    """The map in that file, and the file's text.  Raises ConfigError with a line for each mistake."""
    own = OwnFile(file, "keys such as values:, see docs/add-a-bms.md")
    found = own.as_a(Map)
    for path, text in mistakes(found):
        own.add(path, text)
    own.refuse()
    for path, text in mistakes_together(found, own.line):
        own.add(path, text)
    own.refuse()
    return found, own.text


def described(setup: kit.Setup) -> kit.Driver:
    """The driver for the BMS of that file.  Raises ConfigError as `loaded`."""
    if not setup["map"]:
        raise ConfigError(
            "driver modbus_map needs map: with the file that says what is in its registers, as ./my_bms.yaml"
        )
    file, text = loaded(Path(setup["map"]))
    found = map_read.told_apart(map_read.places(file))
    plan = [map_read.poll(block, file) for block in map_read.blocks(found, file.at_once, file.gap)]
    always = {name: value for name in ("manufacturer", "model") if (value := getattr(file, name))}
    names = tuple(place.name for place in found)
    secret = [range(place.first, place.first + place.count) for place in found if place.name == "serial_number"]
    return kit.Driver(
        name=DRIVER.name,
        title=DRIVER.title,
        plan=tuple(sorted(plan, key=lambda step: not step.essential)),
        assemble=kit.alone(lambda values, setup: named.gathered(values, names), **always),
        detection=DRIVER.detection,
        transports=DRIVER.transports,
        line=kit.SerialLine(baud=file.baud, parity=file.parity, quiet=file.quiet),
        options=DRIVER.options,
        daisy_chain=True,
        limits_from_bms=True,
        asked_with=kit.unit_asked,
        described=text,
        secrets=(kit.secrets.registers(*secret),),
    )


DRIVER: Final = kit.Driver(
    name="modbus_map",
    title="any BMS that speaks Modbus, by your own register map",
    transports=("modbus",),
    options=(
        kit.Option("address", 1, "unit", least=0, most=HIGHEST_UNIT),
        kit.Option("map", None, "the file that says what its registers hold, see add-a-bms.md", kind=str, file=True),
    ),
    plan=(),
    assemble=kit.alone(),
    detection=kit.UNDETECTABLE,
    standing="as good as the file",
    made_of=described,
    daisy_chain=True,
    asked_with=kit.unit_asked,
)
