"""Any BMS on a CAN bus that sends by itself, described by the user's own DBC file.

How signals are named: kit/can.py.  Every message is a step of the plan, so that each value has the age of its own frame
and dies with it; voltage is what the rest waits for.
"""

from pathlib import Path
from typing import Final

from bms_drivers import kit
from bms_drivers.kit import can
from bms_drivers.kit.dbc_check import mistakes
from gateway.model import ConfigError, Placed


def read(setup: kit.Setup) -> can.Dbc:
    """What stands in the file that is set.  Raises ConfigError with a line for each mistake, MissingPart."""
    if not setup["dbc"]:
        raise ConfigError("driver dbc needs dbc: with the file that says what the BMS sends, as ./my_bms.dbc")
    file = Path(setup["dbc"])
    frames = can.Dbc(file)
    if problems := mistakes(frames):
        raise ConfigError(*map(Placed, problems))
    return frames


def described(setup: kit.Setup, frames: can.Dbc) -> kit.Driver:
    """The driver for the BMS of that file."""
    told = [message for message in frames.messages.values() if message.gives]
    plan = [can.heard(frames, message.name, essential="voltage" in message.signals) for message in told]
    return kit.Driver(
        name=DRIVER.name,
        title=DRIVER.title,
        plan=tuple(sorted(plan, key=lambda step: not step.essential)),
        assemble=can.assemble(frames),
        detection=DRIVER.detection,
        transports=DRIVER.transports,
        options=DRIVER.options,
        limits_from_bms=True,
        described=frames.text,
        secrets=(kit.secrets.identifiers(*(message.kind for message in told if "serial_number" in message.signals)),),
    )


DRIVER: Final = kit.Driver(
    name="dbc",
    title="any BMS on a CAN bus, by your own DBC file",
    transports=("can",),
    options=(
        kit.Option("dbc", None, "the DBC file that says what the BMS sends, see add-a-bms.md", kind=str, file=True),
    ),
    plan=(),
    assemble=kit.alone(),
    detection=kit.UNDETECTABLE,
    standing="as good as the file",
    reads=read,
    made_of=described,
)
