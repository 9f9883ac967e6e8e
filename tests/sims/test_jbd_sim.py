"""The simulated JBD: byte for byte where the sheet gives bytes, and through a real serial link."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.kit import registry
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.serial import SerialLink
from bms_drivers.sims.host import simulated
from bms_drivers.sims.jbd import Jbd, build
from bms_drivers.sims.pack import Pack
from gateway.model import LinkTimeout

ENTER, LEAVE = "DD5A00025678FF3077", "DD5A01020000FFFD77"


def jbd(**pack: Any) -> Jbd:
    return build(Pack.of(4, **pack), {})


def answer(device: Jbd, request: str) -> str:
    """The one reply to a request, both in hex."""
    received = bytearray.fromhex(request)
    (reply,) = device.answer(received)
    assert not received
    return reply.hex().upper()


def test_the_sheets_writes_are_acknowledged_as_the_sheet_says() -> None:
    device = jbd()
    assert answer(device, ENTER) == "DD000000000077"
    assert answer(device, LEAVE) == "DD010000000077"
    assert answer(device, "DD5AE1020001FF1C77") == "DDE10000000077"
    assert (device.pack.charge_switch, device.pack.discharge_switch) == (False, True)
    answer(device, "DD5AE1020003FF1A77")
    assert (device.pack.charge_switch, device.pack.discharge_switch) == (False, False)
    answer(device, "DD5AE1020000FF1D77")
    assert (device.pack.charge_switch, device.pack.discharge_switch) == (True, True)


def test_balancing_and_capacity_are_written_inside_factory_mode_only() -> None:
    device = jbd(soc=50.0)
    assert answer(device, "DD5A2D020002FFCF77")[4:6] == "81"
    assert answer(device, "DD5AE0022710FEE777")[4:6] == "81"
    assert device.pack.balance_switch
    answer(device, ENTER)
    answer(device, "DD5A2D020002FFCF77")
    answer(device, "DD5AE0022710FEE777")
    assert not device.pack.balance_switch
    assert device.pack.soc == pytest.approx(100.0, abs=0.2)


def test_an_unknown_register_has_status_80() -> None:
    assert answer(jbd(), "DDA5AB00FF5577")[:8] == "DDAB8000"


def test_a_write_without_data_is_refused() -> None:
    assert answer(jbd(), "DD5AE100FF1F77")[4:6] == "80"


def test_the_lock_bit_is_set_while_a_switch_is_off() -> None:
    device = jbd()
    device.pack.discharge_switch = False
    data = bytes.fromhex(answer(device, "DDA50300FFFD77"))[4:]
    assert int.from_bytes(data[16:18], "big") == 1 << 12
    assert data[20] == 1


@pytest.mark.parametrize("current", [400.0, -400.0])
def test_a_current_beyond_the_field_keeps_its_sign(current: float) -> None:
    data = bytes.fromhex(answer(jbd(current=current), "DDA50300FFFD77"))[4:]
    assert int.from_bytes(data[2:4], "big", signed=True) / 100 == pytest.approx(current / 400 * 327.67, abs=0.02)


def test_noise_before_a_request_does_not_swallow_it() -> None:
    assert len(jbd().answer(bytearray.fromhex("00DD03DD" + "DDA50300FFFD77"))) == 1


def test_a_wrong_checksum_has_no_answer() -> None:
    assert jbd().answer(bytearray.fromhex("DDA50300FFFC77")) == []


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=80))
def test_no_bytes_break_it(noise: bytes) -> None:
    device = jbd()
    device.answer(bytearray(noise))
    device.answer(bytearray(b"\xdd\x5a" + noise))


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(1, 13), max_size=4))
def test_requests_may_come_in_pieces(cuts: list[int]) -> None:
    stream, device, received, replies = bytes.fromhex("DDA50300FFFD77DDA50400FFFC77"), jbd(), bytearray(), []
    edges = sorted({0, len(stream), *cuts})
    for start, end in pairwise(edges):
        received += stream[start:end]
        replies += device.answer(received)
    assert [reply[1] for reply in replies] == [3, 4]


async def polled(session: Session, link: SerialLink, now: float) -> None:
    for step in session.due(now):
        session.learnt(step, await converse(link, step.talk(session.setup, session.known)), now)


def test_the_driver_reads_it_through_a_real_serial_link() -> None:
    async def run() -> None:
        device = await simulated("jbd", {}, seed=3, soc=80.0, current=-20.0, capacity=200.0)
        link, session, pack = SerialLink(str(device.path), 9600), Session(registry.load("jbd")), device.simulator.pack
        try:
            await link.open()
            await polled(session, link, 0.0)
            got = session.readings()[""]
            assert got.cell_voltages == pytest.approx(pack.cells, abs=0.003)
            assert got.current == -20.0
            assert got.soc == 80
            assert got.remaining_capacity == pytest.approx(160.0, abs=0.5)
            assert got.temperatures == pytest.approx(pack.temperatures, abs=0.1)
            assert got.mosfet_temperature == pytest.approx(pack.mosfet_temperature, abs=0.1)
            assert got.cell_overvoltage_protection == 3.65
            assert got.cell_undervoltage_protection == 2.5
            assert got.balance_allowed is True
            device.faults.set("silent")
            with pytest.raises(LinkTimeout):
                await polled(session, link, 1.0)
            device.faults.clear("silent")
            device.faults.set("address", 1)  # a sound answer to another question: asked again
            pack.current = 33.0
            await link.close()
            await link.open()
            await polled(session, link, 2.0)
            assert session.readings()[""].current == 33.0
            assert link.counters["foreign"] == 1
        finally:
            await link.close()
            await device.close()

    asyncio.run(run())
