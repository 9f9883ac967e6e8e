"""A bus that is only listened to: everybody hears, nobody sends."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers import kit
from bms_drivers.kit import registry
from bms_drivers.kit.detect import Search
from bms_drivers.kit.overhear import modbus_pairs
from bms_drivers.links import converse, rtu
from bms_drivers.links.factory import open_port
from bms_drivers.links.overhear import Overhear
from bms_drivers.links.serial import SerialLink
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import build
from gateway.model import DeviceRefused, LinkClosed, LinkTimeout
from tests.links.device import PtyDevice

LISTENERS = [name for name in registry.names() if registry.load(name).detection.overheard]


def lines(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """A frame a line; its first character is the address."""
    while (end := buffer.find(b"\n")) >= 0:
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        yield kit.Frame(0, line, address=line[0] if line else None, raw=line)


def waiting(who: bytes, timeout: float = 2.0) -> kit.Ask:
    return kit.Ask(b"", lines, answers=lambda frame: frame.address == who[0], timeout=timeout)


def heard(*pieces: tuple[float, bytes], ask: list[kit.Ask], unplug: float = 0.0) -> tuple[list[Any], list[bytes]]:
    """What listeners that wait at once get while these pieces are said, and what was sent."""

    async def run() -> tuple[list[Any], list[bytes]]:
        device = PtyDevice(lambda request: [])
        link = Overhear(SerialLink(device.path, 9600))
        await link.open()
        device.say(pieces)
        if unplug:
            asyncio.get_running_loop().call_later(unplug, device.unplug)
        found = await asyncio.gather(*(link.exchange(one) for one in ask), return_exceptions=True)
        await link.close()
        device.unplug()
        shown = [[frame.payload for frame in one] if isinstance(one, list) else one for one in found]
        return shown, [request for _, request in device.requests]

    return asyncio.run(run())


def test_all_who_wait_hear_the_same_bytes_and_nothing_is_sent() -> None:
    found, sent = heard((0.1, b"a one\nb t"), (0.1, b"wo\na three\n"), ask=[waiting(b"b"), waiting(b"a")])
    assert found == [[b"b two"], [b"a one"]]
    assert sent == []


def test_who_is_not_heard_of_times_out_alone() -> None:
    found, _ = heard((0.1, b"a one\n"), ask=[waiting(b"b", 0.4), waiting(b"a")])
    assert isinstance(found[0], LinkTimeout) and found[1] == [b"a one"]


def test_what_was_said_while_nobody_listened_is_old() -> None:
    async def run() -> None:
        device = PtyDevice(lambda request: [])
        link = Overhear(SerialLink(device.path, 9600))
        await link.open()
        device.say([(0.0, b"a old\n")])
        await asyncio.sleep(0.05)
        device.say([(0.1, b"a new\n")])
        assert [frame.payload for frame in await link.exchange(waiting(b"a"))] == [b"a new"]
        await link.close()
        device.unplug()

    asyncio.run(run())


def test_a_bus_that_is_unplugged_is_told_to_all() -> None:
    found, _ = heard(ask=[waiting(b"a"), waiting(b"b")], unplug=0.1)
    assert all(isinstance(one, LinkClosed) for one in found)


@pytest.mark.parametrize("question", [kit.Ask(b"\x01", lines), kit.Registers(1, 0, 1)])
def test_a_question_is_refused_before_a_byte_goes_out(question: kit.Question) -> None:
    found, sent = heard(ask=[question])  # type: ignore[list-item]
    assert isinstance(found[0], DeviceRefused) and "nothing may be sent" in str(found[0])
    assert sent == []


# ---- the law: a driver that listens says nothing, whatever is due or commanded


@pytest.mark.parametrize("name", LISTENERS)
def test_no_step_and_no_command_of_a_listening_driver_asks(name: str) -> None:
    driver = registry.load(name)
    for given_ in driver.detection.overheard:
        setup = driver.setup(given_)
        assert driver.listens(setup)
        talks = [poll.talk(setup, {}) for poll in driver.plan]
        talks += [control.talk(1.0, setup, {}) for control in driver.controls.values()]
        for talk in talks:
            assert set(asked(talk)) <= {b""}


def asked(talk: kit.Talk) -> list[bytes]:
    """Every request of a talk to which nobody answers."""
    requests = []
    try:
        question = next(talk)
        while True:
            requests.append(question.request if isinstance(question, kit.Ask) else b"registers")
            question = talk.throw(LinkTimeout("nobody"))
    except (StopIteration, LinkTimeout, DeviceRefused):
        return requests


@pytest.mark.parametrize("name", LISTENERS)
def test_listeners_on_one_port_do_not_wait_for_one_that_is_gone(name: str) -> None:
    """Two units are heard in one cycle of the master though a third, which has its turn first, is silent."""
    driver = registry.load(name)

    async def run() -> list[Any]:
        device = PtyDevice(lambda request: [])
        port = open_port(device.path, [driver] * 3, listening=True)

        async def listen(address: int) -> Any:
            setup = driver.setup({"address": address, "listen": True})
            async with port.turn(str(address)) as link:
                async with asyncio.timeout(4.0):
                    return await converse(link, driver.plan[0].talk(setup, {}))

        gone = asyncio.create_task(listen(9))
        two = [asyncio.create_task(listen(address)) for address in (1, 2)]
        device.say([(0.2, said) for said in cycle(name, 1) + cycle(name, 2)])
        found = await asyncio.gather(*two)
        assert not gone.done()
        gone.cancel()
        await port.close()
        assert device.requests == []
        device.unplug()
        return found

    for values in asyncio.run(run()):
        assert values["voltage"] > 40


def cycle(name: str, address: int) -> list[bytes]:
    """What a master and this unit say in one cycle."""
    driver, unit = registry.load(name), build(name, Pack.of(address), {"address": address})
    said = []
    for poll in driver.plan:
        question = next(poll.talk(driver.setup({"address": address}), {}))
        request = (question if isinstance(question, kit.Ask) else rtu.question(question)).request
        said.append(request + b"".join(unit.answer(bytearray(request))))
    return said


# ---- pairs of Modbus

REQUEST = rtu.sealed(bytes.fromhex("010410000002"))
REPLY = rtu.sealed(bytes.fromhex("01040412345678"))
OTHER = rtu.sealed(bytes.fromhex("010411000002"))


def pairs(stream: bytes, *cuts: int) -> list[tuple[int, bytes]]:
    buffer, found = bytearray(), []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        buffer += stream[start:end]
        found += [(item.kind, item.payload) for item in modbus_pairs(buffer) if isinstance(item, kit.Frame)]
    return found


PAIR = (0x1000, bytes.fromhex("12345678"))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (REQUEST + REPLY, [PAIR]),
        (REPLY + REQUEST, []),  # an answer whose question was not heard
        (REQUEST + OTHER + REPLY, [(0x1100, PAIR[1])]),  # the first was not answered
        (REQUEST + REPLY[:5] + OTHER + REPLY, [(0x1100, PAIR[1])]),  # its answer is torn
        (REQUEST + OTHER[:4] + REPLY, []),  # a torn question in between: whose answer is it?
        (REQUEST + b"\0" + REPLY, []),
        (REQUEST + REQUEST + REPLY, [PAIR]),  # an echo, or a master that repeats itself
        (REQUEST + rtu.sealed(bytes.fromhex("018402")) + REQUEST + REPLY, [(0x1000, b""), PAIR]),
        (REQUEST + rtu.sealed(bytes.fromhex("02040412345678")), []),  # another unit's answer
        (b"\xff\x01\x04" + REQUEST + REPLY, [PAIR]),
    ],
)
def test_a_reply_counts_directly_behind_its_request(stream: bytes, expected: list[tuple[int, bytes]]) -> None:
    follow = rtu.sealed(bytes.fromhex("090410000001"))  # the bus goes on
    assert pairs(stream + follow) == expected


@given(
    st.lists(st.sampled_from([REQUEST + REPLY, OTHER, b"\x01", b"\xff\xff"]), max_size=6), st.lists(st.integers(0, 99))
)
def test_any_chopping_gives_the_same_pairs(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    assert pairs(stream, *cuts) == pairs(stream)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(noise: bytes) -> None:
    buffer = bytearray(noise)
    list(modbus_pairs(buffer))
    assert len(buffer) < 8 + 5 + 256


# ---- auto


def test_auto_on_a_masters_bus_finds_all_slaves_and_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from bms_drivers.kit import talkers

    monkeypatch.setattr(talkers, "LISTEN", 0.5)
    monkeypatch.setattr(talkers, "AGAIN", 0.2)
    said = cycle("seplos", 1)[:2] + cycle("seplos", 2)[:2]

    async def run() -> None:
        device = PtyDevice(lambda request: [])
        loop, timers = asyncio.get_running_loop(), [None]

        def talk(number: int) -> None:
            device._write(said[number % len(said)])
            timers[0] = loop.call_later(0.1, talk, number + 1)  # type: ignore[call-overload]

        talk(0)
        search = Search(device.path, [])
        search_drivers(monkeypatch, "seplos")
        port = open_port(device.path, [registry.load("jk")])
        found = await asyncio.gather(*(search.find(port, name, {}) for name in ("one", "two")))
        assert [one and (one.driver.name, dict(one.setup)) for one in found] == [
            ("seplos", {"address": 1, "listen": True}), ("seplos", {"address": 2, "listen": True}),
        ]  # fmt: skip
        assert isinstance(port.link, Overhear), "from now on nothing can be sent here"
        timers[0].cancel()  # type: ignore[attr-defined]
        assert await search.find(port, "three", {}) is None, "the master is silent: still nothing is asked"
        await port.close()
        assert device.requests == []
        device.unplug()

    asyncio.run(run())


def search_drivers(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Only this driver, and with a short cycle, so that the test is quick."""
    from dataclasses import replace

    quick = replace(registry.load(name), detection=replace(registry.load(name).detection, cycle=1.0))
    monkeypatch.setattr(Search, "candidates", property(lambda self: [quick]))
