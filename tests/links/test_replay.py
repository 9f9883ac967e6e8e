"""Replay: Modbus reads are served from what a recording amounts to, whatever the block sizes."""

import asyncio

import pytest

from bms_drivers.kit.declare import Registers
from bms_drivers.links import rtu
from bms_drivers.links.replay import ReplayLink
from gateway.model import LinkTimeout


def recorded(read: Registers, data: bytes) -> dict[str, object]:
    answer = rtu.sealed(bytes((read.unit, read.function, len(data))) + data)
    return {"tx": rtu.question(read).request.hex(), "rx": [answer.hex()]}


def played(link: ReplayLink, read: Registers) -> bytes:
    return asyncio.run(link.exchange(read))[0].payload  # type: ignore[arg-type,return-value]


def test_bits_are_served_one_by_one() -> None:
    link = ReplayLink({"exchanges": [recorded(Registers(1, 0x1200, 20, function=1), b"\x81\xff\x05")]})
    assert played(link, Registers(1, 0x1200, 20, function=1)) == b"\x81\xff\x05"
    assert played(link, Registers(1, 0x1207, 4, function=1)) == b"\x0f"
    assert played(link, Registers(1, 0x1210, 3, function=1)) == b"\x05"
    with pytest.raises(LinkTimeout):
        played(link, Registers(1, 0x1210, 5, function=1))


def test_registers_of_another_function_or_unit_are_others() -> None:
    link = ReplayLink({"exchanges": [recorded(Registers(1, 10, 2, function=4), b"\1\2\3\4")]})
    assert played(link, Registers(1, 11, 1, function=4)) == b"\3\4"
    for other in (Registers(1, 11, 1, function=3), Registers(2, 11, 1, function=4), Registers(1, 11, 1, function=1)):
        with pytest.raises(LinkTimeout):
            played(link, other)
