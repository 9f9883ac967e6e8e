"""Revov 2nd-life packs (16 cells, 51.2 V) over RS232 or RS485: 7C 01 .. 0D.  A monitor of cells, nothing more.

Sheet: revov.md.  Big endian.  Current, SoC and temperatures were never found in the data and are not made up.
Replies are checked by the rule that the requests follow (section 3).  Nobody knows whether it holds for replies, so the
sheet would take any check byte; the only recording has 00 there.  Here 00 is taken as "none", any other must fit: a
cell with a flipped bit is worse than a pack that does not answer.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import xor
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, WrongDevice

HEAD: Final = b"\x7c\x01"
END: Final = 0x0D
OVERHEAD: Final = 6  # bytes round the data: head, command, length, check, end
MODEL, VERSION, DATA = 0x33, 0x42, 0x01  # commands
NO_CHECK: Final = 0x00
MOST_CELLS: Final = 21  # before the capacity begins
VOLTAGE_AGREES: Final = 0.05  # share of the cells' sum within which the pack voltage is believed (section 5)

BLOCK: Final = kit.Table(  # section 5
    ">",
    kit.Field("_count", 1, "u8"),
    kit.Field("capacity", 44, "u16", 0.01, "Ah"),
    kit.Field("charge_cycles", 68, "u16"),
    kit.Field("_raw_voltage", 72, "u16"),
)


def check(raw: bytes) -> int:
    """XOR of all bytes, XORed with the low byte of their sum."""
    return reduce(xor, raw, 0) ^ kit.sum8(raw)


def frame(command: int, data: bytes = b"") -> bytes:
    """A whole frame."""
    body = HEAD + bytes((command, len(data))) + data
    return body + bytes((check(body), END))


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take whole frames off the front of `buffer`; the length byte decides where one ends, 0D occurs inside."""
    while (start := buffer.find(HEAD)) >= 0:
        yield from noise(buffer, start)
        if len(buffer) < 4 or len(buffer) < (size := buffer[3] + OVERHEAD):
            return
        whole = bytes(buffer[:size])
        if whole[-1] != END or whole[-2] not in (check(whole[:-2]), NO_CHECK):
            yield kit.Dropped("checksum", whole[:1])
            del buffer[0]
            continue
        del buffer[:size]
        yield kit.Frame(kind=whole[2], payload=whole[4:-2], address=whole[1], raw=whole)
    yield from noise(buffer, len(buffer) - buffer.endswith(HEAD[:1]))


def noise(buffer: bytearray, size: int) -> Iterator[kit.Dropped]:
    """Take `size` bytes off the front."""
    if size:
        dropped = bytes(buffer[:size])
        del buffer[:size]
        yield kit.Dropped("noise", dropped)


def ask(command: int) -> kit.Ask:
    """One question.  Its own echo has no data, an answer has."""
    return kit.Ask(
        request=frame(command),
        split=split,
        answers=lambda reply: reply.kind == command and bool(reply.payload),
        timeout=0.5,
        tries=2,
    )


def data(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """The data block.  Raises BadLength, WrongDevice for cells that cannot be."""
    payload = frames[0].payload
    values = BLOCK.read(payload)
    count = values["_count"]
    if not 1 <= count <= MOST_CELLS:
        raise BadLength(f"data block with {count} cells, expected 1..{MOST_CELLS}")
    cells = tuple(raw / 10000 if raw > 9999 else raw / 1000 for raw in kit.words(payload, 2, count))
    if max(cells) < 1.0:
        raise WrongDevice("data block: every cell is 0 V, no pack is there")
    return {
        **values,
        "cell_voltages": cells,
        "cell_count": count,
        "voltage": voltage(values["_raw_voltage"], sum(cells)),
        "capacity": values["capacity"] or None,
    }


def voltage(raw: int, total: float) -> float:
    """V: as sent where that agrees with the sum of the cells, else the sum; "not correct yet", its author says."""
    sent = raw / 1000 if raw > 9999 else raw / 100 if raw > 999 else 0.0
    return sent if abs(sent - total) <= VOLTAGE_AGREES * total else round(total, 3)


def named(name: str) -> kit.Decode:
    """Decoder of a text."""

    def decode(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
        return {name: kit.text(frames[0].payload)}

    return decode


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Nothing to derive."""
    return {"manufacturer": "Revov", **values}


def proof(values: kit.Values) -> str:
    """A model in printable text, and cells that can be (section 8)."""
    cells = values.get("cell_voltages", ())
    if not values.get("model") or not cells or not all(1.0 <= volts <= 5.0 for volts in cells):
        raise WrongDevice("no Revov: no model, or cells outside 1..5 V")
    return f"Revov {values['model']} with {len(cells)} cells"


DRIVER: Final = kit.Driver(
    name="revov",
    title="Revov 2nd-life packs (cells only)",
    line=kit.SerialLine(baud=9600, quiet=0.1, turnaround=0.13),
    plan=(
        kit.Poll(
            "data", kit.simple(ask(DATA), data), essential=True,
            gives=("voltage", "cell_voltages", "cell_count", "capacity", "charge_cycles"),
        ),
        kit.Poll("model", kit.simple(ask(MODEL), named("model")), gives=("model",), every=kit.ONCE),
        kit.Poll(
            "version", kit.simple(ask(VERSION), named("firmware_version")), gives=("firmware_version",), every=kit.ONCE
        ),
    ),
    assemble=kit.alone(finish),
    detection=kit.Detection(polls=("model", "data"), proof=proof),
    standing="from documentation only: nothing of it was ever captured, and the check byte of replies is assumed",
)  # fmt: skip
