"""The file that a new driver begins with: one question, one table, a splitter for the commonest kind of frame."""

import re
from pathlib import Path
from typing import Final

import bms_drivers
from gateway.model import GatewayError

TEMPLATE: Final = '''"""NAME: which models, which link.

Sheet: where the protocol is written down.  Big endian.  Current: + = charging.  One BMS a port.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import WrongDevice

START: Final = 0x5B  # first byte of a frame; then command, number of data bytes, data, sum of all before

STATUS: Final = kit.Table(  # reply 0x01, offsets in its data
    ">",
    kit.Field("voltage", 0, "u16", 0.01, "V"),
    kit.Field("current", 2, "i16", 0.1, "A"),
    kit.Field("soc", 4, "u8", 1, "%"),
)


def frame(command: int) -> bytes:
    """A request."""
    body = bytes((START, command, 0))
    return body + bytes((kit.sum8(body),))


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take whole replies off the front of `buffer`; the length byte decides where one ends."""
    while (start := buffer.find(START)) >= 0:
        if start:
            yield kit.Dropped("noise", bytes(buffer[:start]))
            del buffer[:start]
        if len(buffer) < 3 or len(buffer) < (size := buffer[2] + 4):
            return
        whole = bytes(buffer[:size])
        if whole[-1] != kit.sum8(whole[:-1]):
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]  # a start byte inside noise begins no frame
            continue
        del buffer[:size]
        yield kit.Frame(kind=whole[1], payload=whole[3:-1], raw=whole)
    if buffer:
        yield kit.Dropped("noise", bytes(buffer))
        buffer.clear()


def ask(command: int) -> kit.Ask:
    """One question and what answers it."""
    return kit.Ask(frame(command), split, answers=lambda reply: reply.kind == command, timeout=0.5, tries=2)


def status(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Reply 0x01.  What a table cannot say is added to its values here."""
    return STATUS.read(frames[0].payload)


def proof(values: kit.Values) -> str:
    """What no other BMS would answer; say what was found.  Raises WrongDevice."""
    volts = values.get("voltage", 0.0)
    if not 8.0 <= volts <= 120.0 or values.get("soc", 101) > 100:
        raise WrongDevice(f"no NAME: {volts} V, SoC {values.get('soc')}")
    return f"NAME at {volts} V"


DRIVER: Final = kit.Driver(
    name="NAME",
    title="NAME",
    line=kit.SerialLine(baud=9600),
    plan=(kit.Poll("status", kit.simple(ask(0x01), status), gives=STATUS.names, essential=True),),
    assemble=kit.alone(),
    detection=kit.Detection(polls=("status",), proof=proof),
    standing="from documentation only",
)
'''


def skeleton(name: str) -> str:
    """A driver file called `name` to start from.  Raises GatewayError for a name that cannot be, or is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise GatewayError(f"--skeleton {name}: expected a name like my_bms: small letters, digits and _")
    file = Path(bms_drivers.__path__[0]) / f"{name}.py"
    if file.exists() and file.stat().st_size:  # empty: the shell has just made it for what is printed here
        raise GatewayError(f"--skeleton {name}: there is a driver of that name, bms_drivers/{name}.py")
    return TEMPLATE.replace("NAME", name)
