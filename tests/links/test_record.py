"""Recordings hold every byte, and play back to the same Reading."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Registers
from bms_drivers.kit.decode import decode
from bms_drivers.kit.session import Session
from bms_drivers.links import converse, rtu
from bms_drivers.links.record import RecordLink
from bms_drivers.links.replay import ReplayLink
from bms_drivers.links.serial import SerialLink
from gateway.model import DeviceRefused, LinkTimeout
from tests.links.device import BASIC, BASIC_REPLY, CELLS, CELLS_REPLY, Pieces, Respond, jbd, on_pty
from tests.vectors import cases, differences

JBD = registry.load("jbd")


async def recorded(respond: Respond) -> RecordLink:
    """A recorder that has asked a JBD everything, once."""
    async with on_pty(respond) as device:
        link = RecordLink(SerialLink(device.path, 115200, quiet=0.0), driver="jbd")
        await link.open()
        session = Session(JBD)
        for poll in session.due(0.0)[:3]:
            try:
                session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), 0.0)
            except (LinkTimeout, DeviceRefused):
                session.missed(poll, 0.0)
        await link.close()
    return link


def test_what_was_recorded_decodes_to_what_was_read(tmp_path: Path) -> None:
    link = asyncio.run(recorded(jbd))
    link.write(tmp_path / "case.json", origin="test")
    case = json.loads((tmp_path / "case.json").read_text())
    assert (case["driver"], case["kind"], case["origin"]) == ("jbd", "captured", "test")
    found = decode(JBD, case)
    expected = next(case for case in cases("jbd") if case.name == "4s-sp04s034").data["expected"]
    assert found.errors == []
    assert differences(found.readings[""], expected) == []


def test_noise_and_chopping_are_recorded_as_they_came() -> None:
    def noisy(request: bytes) -> Pieces:
        return [(0.0, b"\x00\x55"), *jbd(request)]

    async def run() -> None:
        async with on_pty(noisy) as device:
            link = RecordLink(SerialLink(device.path, 115200), driver="jbd")
            await link.open()
            await link.exchange(BASIC)
            (exchange,) = link.exchanges
            assert exchange["tx"] == BASIC.request.hex()
            assert "".join(exchange["rx"]) == "0055" + BASIC_REPLY.hex()
            replay = ReplayLink(link.case())
            assert (await replay.exchange(BASIC))[0].raw == BASIC_REPLY
            assert replay.counters["noise"] == link.counters["noise"] == 1
            await link.close()

    asyncio.run(run())


def test_a_repeated_question_replays_as_one() -> None:
    """The first try was not answered, the second was: the same question gets the same answer from the recording."""
    silence = iter([True, False])

    async def run() -> None:
        async with on_pty(lambda request: [] if next(silence) else [(0, BASIC_REPLY)]) as device:
            link = RecordLink(SerialLink(device.path, 115200), driver="jbd")
            await link.open()
            ask = replace(BASIC, tries=2, timeout=0.1)
            await link.exchange(ask)
            assert [bool(exchange["rx"]) for exchange in link.exchanges] == [False, True]
            assert (await ReplayLink(link.case()).exchange(ask))[0].raw == BASIC_REPLY
            await link.close()

    asyncio.run(run())


def test_torn_frames_replay_as_timeouts() -> None:
    async def run() -> None:
        async with on_pty(lambda request: [(0, BASIC_REPLY[:9])]) as device:
            link = RecordLink(SerialLink(device.path, 115200), driver="jbd")
            await link.open()
            ask = replace(BASIC, timeout=0.1)
            with pytest.raises(LinkTimeout):
                await link.exchange(ask)
            assert link.exchanges == [{"tx": BASIC.request.hex(), "rx": [BASIC_REPLY[:9].hex()]}]
            with pytest.raises(LinkTimeout):
                await ReplayLink(link.case()).exchange(ask)
            await link.close()

    asyncio.run(run())


def test_what_is_heard_without_asking_is_recorded_with_an_empty_request() -> None:
    async def run() -> None:
        async with on_pty(jbd) as device:
            link = RecordLink(SerialLink(device.path, 115200), driver="jbd")
            await link.open()
            device.say([(0.01, BASIC_REPLY)])
            listen = replace(BASIC, request=b"")
            await link.exchange(listen)
            assert link.exchanges[0]["tx"] == ""
            assert "".join(link.exchanges[0]["rx"]) == BASIC_REPLY.hex()
            assert (await ReplayLink(link.case()).exchange(listen))[0].raw == BASIC_REPLY
            await link.close()

    asyncio.run(run())


def test_only_the_newest_exchanges_are_kept_and_a_replay_can_be_recorded() -> None:
    async def run() -> None:
        case = next(case for case in cases("jbd") if case.name == "4s-sp04s034").data
        link = RecordLink(ReplayLink(case), driver="jbd", limit=2)
        for ask in (BASIC, BASIC, CELLS):
            await link.exchange(ask)
        assert [exchange["rx"] for exchange in link.exchanges] == [[BASIC_REPLY.hex()], [CELLS_REPLY.hex()]]

    asyncio.run(run())


@pytest.mark.parametrize("function", [3, 4])
def test_a_recorded_modbus_refusal_replays_as_one(function: int) -> None:
    read = Registers(unit=1, address=5, count=2, function=function)
    refusal = rtu.sealed(bytes((1, function | 0x80, 2)))
    case = {"exchanges": [{"tx": rtu.question(read).request.hex(), "rx": [refusal.hex()]}]}
    with pytest.raises(DeviceRefused, match="illegal data address"):
        asyncio.run(ReplayLink(case).exchange(read))


def test_the_register_image_knows_functions_apart() -> None:
    link = ReplayLink({"registers": {"1": {"10": 0x1234, "11": 0x5678}}})
    (frame,) = asyncio.run(link.exchange(Registers(unit=1, address=10, count=2)))
    assert frame.payload.hex() == "12345678"
    with pytest.raises(LinkTimeout):
        asyncio.run(link.exchange(Registers(unit=1, address=10, count=2, function=4)))
