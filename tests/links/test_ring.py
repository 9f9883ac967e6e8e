"""The ring keeps the newest bytes of a link and the very first, within bounds, and tells them in the vector format."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bms_drivers.kit import registry
from bms_drivers.kit.decode import decode
from bms_drivers.links import converse
from bms_drivers.links.can import CanFrame
from bms_drivers.links.port import Port
from bms_drivers.links.recording import wrong
from bms_drivers.links.ring import CHUNK, FIRST, Ring, exchanges, frames, joined, records
from bms_drivers.links.serial import SerialLink
from tests.links.device import jbd, on_pty

JBD = registry.load("jbd")
PIECES = st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.binary(min_size=1, max_size=3000)), max_size=60)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(PIECES, st.integers(0, 60_000), st.sampled_from([5.0, 60.0, 3600.0]))
@examples(max_examples=60, deadline=None)
def test_nothing_is_changed_and_no_bound_is_passed(
    pieces: list[tuple[float, bool, bytes]], most: int, oldest: float
) -> None:
    clock = Clock()
    ring, said = Ring(most, oldest, clock), []
    for seconds, sent, data in pieces:
        clock.now += seconds
        ring.add("tx" if sent else "rx", data)
        said.append((clock.now, int(sent), data))
        assert ring.size <= FIRST + most + 2 * CHUNK + 2 * 3100
    first, newest = list(records(ring.first())), list(records(joined(ring.newest(1e9, 1 << 30))))
    assert first == said[: len(first)], "the first ones stay"
    assert newest == said[len(said) - len(newest) :], "and the newest"
    assert len(first) == len(said) or sum(len(data) for _, _, data in first) > CHUNK - 3100 * 14
    if most == 60_000 and oldest == 3600.0 and sum(len(data) for _, _, data in said) < most:
        assert len(first) + len(newest) == len(said)


def test_what_is_old_goes_and_seconds_choose() -> None:
    clock = Clock()
    ring = Ring(clock=clock, oldest=100.0)
    for n in range(400):
        clock.now = float(n)
        ring.add("rx", bytes(1000))
    ages = [399 - record.at for record in records(joined(ring.newest()))]
    assert 95 < max(ages) < 140 and min(ages) == 0
    assert 19 <= len(list(records(joined(ring.newest(20.0))))) < 40
    assert len(joined(ring.newest(1e9, 20_000))) < 20_000 + CHUNK


def test_a_port_keeps_what_its_link_says_and_it_decodes() -> None:
    async def run() -> Port:
        async with on_pty(jbd) as device:
            port = Port(device.path, SerialLink(device.path, 115200, quiet=0.0))
            async with port.turn("pack") as link:
                for poll in JBD.plan[:2]:
                    await converse(link, poll.talk(JBD.setup(), {}))
            await port.close()
        return port

    port = asyncio.run(run())
    said = list(exchanges(records(port.ring.first())))
    case = {"driver": "jbd", "exchanges": said}
    assert not wrong(case)
    assert len(said) == 2 and all(one["at"] <= one["until"] for one in said)
    assert decode(JBD, case).readings[""].voltage is not None


def test_what_is_heard_without_a_question_is_told_with_its_time() -> None:
    clock = Clock()
    ring = Ring(clock=clock)
    for clock.now, way, data in ((1.0, "rx", b"a"), (2.0, "rx", b"b"), (3.0, "tx", b"?"), (3.1, "rx", b"!"),
                                 (3.2, "rx", b"!"), (4.0, "tx", b"?")):  # fmt: skip
        ring.add(way, data)  # type: ignore[arg-type]
    said = list(exchanges(records(ring.first())))
    assert [(one["at"], one["until"], one["tx"], one["rx"]) for one in said] == [
        (1.0, 1.0, "", ["61"]), (2.0, 2.0, "", ["62"]), (3.0, 3.2, "3f", ["2121"]), (4.0, 4.0, "3f", []),
    ]  # fmt: skip
    assert all(before["at"] <= after["at"] for before, after in pairwise(said))  # type: ignore[operator]


def test_frames_of_a_can_bus() -> None:
    ring = Ring(clock=Clock())
    ring.add_frame("rx", CanFrame(0x2F4, b"\x01\x02"))
    ring.add_frame("tx", CanFrame(0x18FF0001, b"", extended=True))
    told = list(frames(records(ring.first())))
    assert told == [
        {"at": 0.0, "id": "0x2F4", "ext": False, "data": "0102"},
        {"at": 0.0, "id": "0x18FF0001", "ext": True, "data": "", "sent": True},
    ]
    assert not wrong({"frames": told})
