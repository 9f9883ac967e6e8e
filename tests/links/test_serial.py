"""Serial links on real ptys and sockets: right answers in few wake-ups, and honest errors."""

import asyncio
import errno
import grp
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import serial
from serial import rfc2217

from bms_drivers.kit.declare import Ask
from bms_drivers.links.serial import PATIENCE, SerialLink, opening_failed
from gateway.model import LinkBusy, LinkClosed, LinkTimeout
from tests.links.device import (
    BASIC,
    BASIC_REPLY,
    CELLS,
    CELLS_REPLY,
    REPLIES,
    Pieces,
    PtyDevice,
    Respond,
    jbd,
    on_pty,
    on_tcp,
    trickle,
)

Test = Callable[[SerialLink, PtyDevice], Awaitable[None]]


def link_to(url: str, **changes: float) -> SerialLink:
    return SerialLink(url, 115200, **{"quiet": 0.0, **changes})


def with_device(respond: Respond, test: Test, **changes: float) -> SerialLink:
    """Run `test` with an open link to a device on a pty."""

    async def run() -> SerialLink:
        async with on_pty(respond) as device:
            link = link_to(device.path, **changes)
            await link.open()
            try:
                await test(link, device)
            finally:
                await link.close()
        return link

    return asyncio.run(run())


def quickly(ask: Ask, timeout: float = 0.1) -> Ask:
    return replace(ask, timeout=timeout)


# ---- answers


def test_the_answer_is_the_device_s_frame() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        frames = await link.exchange(BASIC)
        assert [frame.raw for frame in frames] == [BASIC_REPLY]
        assert [data for _, data in device.requests] == [BASIC.request]
        assert (link.counters["requests"], link.counters["replies"], link.counters["noise"]) == (1, 1, 0)

    with_device(jbd, test)


@pytest.mark.parametrize("seed", range(5))
def test_any_chopping_and_leading_noise_give_the_same_answer(seed: int) -> None:
    dice = random.Random(seed)
    stream = bytes(dice.randrange(256) for _ in range(dice.randrange(6))) + BASIC_REPLY
    cuts = sorted({0, *(dice.randrange(len(stream)) for _ in range(6)), len(stream)})
    pieces = [(0.003, stream[a:b]) for a, b in pairwise(cuts)]

    async def test(link: SerialLink, device: PtyDevice) -> None:
        for _ in range(3):
            assert [frame.raw for frame in await link.exchange(BASIC)] == [BASIC_REPLY]

    with_device(lambda request: pieces, test)


def test_an_adapter_that_echoes_does_not_confuse() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        for _ in range(3):
            assert (await link.exchange(BASIC))[0].raw == BASIC_REPLY
            assert (await link.exchange(CELLS))[0].raw == CELLS_REPLY

    link = with_device(lambda request: [(0, request), *jbd(request)], test)
    assert link.counters["foreign"] == 6
    assert link.counters["timeout"] == 0


def test_a_frame_about_something_else_is_counted_and_waited_past() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        assert (await link.exchange(BASIC))[0].raw == BASIC_REPLY

    link = with_device(lambda request: [(0, CELLS_REPLY), (0.01, BASIC_REPLY)], test)
    assert link.counters["foreign"] == 1


def test_a_frame_with_a_wrong_checksum_is_asked_for_again() -> None:
    spoilt = bytearray(BASIC_REPLY)
    spoilt[6] ^= 1
    answers = iter([bytes(spoilt), BASIC_REPLY])

    async def test(link: SerialLink, device: PtyDevice) -> None:
        frames = await link.exchange(replace(BASIC, tries=2, timeout=0.1))
        assert frames[0].raw == BASIC_REPLY

    link = with_device(lambda request: trickle(next(answers)), test)
    assert link.counters["checksum"] >= 1
    assert link.counters["timeout"] == 1
    assert link.counters["requests"] == 2


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    def late_at_first(request: bytes) -> Pieces:
        return [(0.15 if request == BASIC.request else 0.0, REPLIES[request])]

    async def test(link: SerialLink, device: PtyDevice) -> None:
        with pytest.raises(LinkTimeout):
            await link.exchange(quickly(BASIC))
        await asyncio.sleep(0.1)
        assert (await link.exchange(CELLS))[0].raw == CELLS_REPLY

    link = with_device(late_at_first, test)
    assert link.counters["late"] == 1
    assert link.counters["noise"] == 0


def test_chatter_between_questions_is_noise() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        await link.exchange(BASIC)
        device.say([(0, b"\x00\xff" * 40)])
        await asyncio.sleep(0.01)
        assert (await link.exchange(BASIC))[0].raw == BASIC_REPLY

    assert with_device(jbd, test).counters["noise"] == 1


def test_a_torn_frame_is_a_timeout_that_says_so() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        with pytest.raises(LinkTimeout, match=r"no whole answer to dda50300fffd77 within 0\.1 s"):
            await link.exchange(quickly(BASIC))

    link = with_device(lambda request: trickle(BASIC_REPLY[:20]), test)
    assert (link.counters["torn"], link.counters["timeout"], link.counters["replies"]) == (1, 1, 0)


def test_silence_costs_the_timeout_and_every_try_of_it() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        began = time.monotonic()
        with pytest.raises(LinkTimeout, match="asked 2 times"):
            await link.exchange(replace(BASIC, tries=2, timeout=0.1))
        assert 0.2 <= time.monotonic() - began < 0.4
        assert len(device.requests) == 2

    with_device(lambda request: [], test)


def test_partial_answers_are_accepted_where_the_question_says_so() -> None:
    both = replace(BASIC, answers=lambda frame: True, complete=lambda frames: len(frames) == 2, timeout=0.1)

    async def test(link: SerialLink, device: PtyDevice) -> None:
        assert len(await link.exchange(replace(both, partial=True))) == 1
        with pytest.raises(LinkTimeout):
            await link.exchange(both)

    with_device(jbd, test)


@pytest.mark.parametrize("size", [0, len(BASIC_REPLY)])
def test_who_has_not_begun_to_answer_is_given_up_who_has_gets_all_his_time(size: int) -> None:
    pieces = iter([[(0.05, BASIC_REPLY[:4]), (0.4, BASIC_REPLY[4:])], [(0.4, BASIC_REPLY)]])
    hasty = replace(BASIC, timeout=1.0, silent=0.2, size=size, tries=1)

    async def test(link: SerialLink, device: PtyDevice) -> None:
        assert (await link.exchange(hasty))[0].raw == BASIC_REPLY
        begun = asyncio.get_running_loop().time()
        with pytest.raises(LinkTimeout):
            await link.exchange(hasty)
        assert asyncio.get_running_loop().time() - begun < 0.39

    with_device(lambda request: next(pieces), test)


def test_listening_sends_nothing() -> None:
    listen = replace(BASIC, request=b"", timeout=0.3)

    async def test(link: SerialLink, device: PtyDevice) -> None:
        device.say([(0.02, BASIC_REPLY[5:]), (0.02, BASIC_REPLY)])
        assert (await link.exchange(listen))[0].raw == BASIC_REPLY
        assert device.requests == []
        with pytest.raises(LinkTimeout, match="nothing whole was heard"):
            await link.exchange(quickly(listen))

    assert with_device(jbd, test).counters["requests"] == 0


def test_the_bus_is_left_quiet_before_each_request() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        for ask in (BASIC, replace(CELLS, quiet=0.15)):
            await link.exchange(ask)
            await link.exchange(ask)
        gaps = [min(at - end for end, _ in device.sent if end < at) for at, _ in device.requests[1:]]
        assert gaps[0] >= 0.05
        assert gaps[2] >= 0.15

    with_device(jbd, test, quiet=0.05)


# ---- wake-ups


def test_an_answer_of_known_size_wakes_the_program_once() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        for ask, reply in ((BASIC, BASIC_REPLY), (CELLS, CELLS_REPLY)) * 3:
            before = link.wakes
            assert (await link.exchange(replace(ask, size=len(reply))))[0].raw == reply
            assert link.wakes - before == 1

    with_device(jbd, test)


def test_the_size_of_an_answer_is_learnt_from_the_last_one() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        await link.exchange(BASIC)
        learning = link.wakes
        await link.exchange(BASIC)
        assert link.wakes - learning == 1

    with_device(jbd, test)


def test_an_answer_longer_than_a_tty_can_wait_for_takes_two_wakes_at_most() -> None:
    from bms_drivers.jbd import checksum

    body = bytes((0x03, 0x00, 255)) + bytes(255)
    long = b"\xdd" + body + checksum(body[1:]) + b"\x77"
    assert len(long) > 255

    async def test(link: SerialLink, device: PtyDevice) -> None:
        before = link.wakes
        assert (await link.exchange(replace(BASIC, size=len(long))))[0].raw == long
        assert link.wakes - before <= 2

    with_device(lambda request: trickle(long, size=20), test)


def test_a_shorter_answer_than_last_time_costs_patience_but_no_timeout() -> None:
    from bms_drivers.jbd import checksum

    refused = b"\xdd\x03\x80\x00" + checksum(b"\x80\x00") + b"\x77"
    answers = iter([BASIC_REPLY, refused, refused])

    async def test(link: SerialLink, device: PtyDevice) -> None:
        ask = quickly(BASIC, 2.0)
        await link.exchange(ask)
        began = time.monotonic()
        assert (await link.exchange(ask))[0].status == 0x80
        assert time.monotonic() - began < PATIENCE + 0.15
        began = time.monotonic()
        await link.exchange(ask)
        assert time.monotonic() - began < PATIENCE

    with_device(lambda request: [(0.005, next(answers))], test)


# ---- what was said while nobody asked


def of(kind: int, size: int) -> bytes:
    """A JBD's answer to 03 whose payload is `size` bytes, all of that kind."""
    from bms_drivers.jbd import checksum

    body = bytes((0x03, 0x00, size)) + bytes([kind]) * size
    return b"\xdd" + body + checksum(body[1:]) + b"\x77"


@pytest.mark.parametrize("size", [40, 100])
@pytest.mark.parametrize("answers", [8, 30, 130])
def test_answers_that_another_master_had_while_nobody_listened_are_not_taken_for_the_new_one(
    answers: int, size: int
) -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        for _ in range(3):
            await link.exchange(BASIC)
        for _ in range(3):
            for _ in range(answers):
                device.say([(0.0, of(2, size))])
                await asyncio.sleep(0.0005)
            await asyncio.sleep(0.02)
            assert [frame.raw for frame in await link.exchange(BASIC)] == [of(1, size)]

    with_device(lambda request: [(0.03, of(1, size))], test)


@pytest.mark.parametrize("size", [20, 500, 3000])
def test_what_is_forgotten_is_not_heard(size: int) -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        for _ in range(3):
            await link.exchange(BASIC)
        device.say([(0.0, bytes(size))])
        await asyncio.sleep(0.05)
        await link.forget()
        assert await link.hear(0.05) == b""

    with_device(jbd, test)


# ---- the device goes, comes, or was never there


def test_unplugged_while_waiting_is_known_at_once() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        asyncio.get_running_loop().call_later(0.05, device.unplug)
        began = time.monotonic()
        with pytest.raises(LinkClosed, match=r"/dev/pts/\d+: gone .*unplugged\?"):
            await link.exchange(quickly(BASIC, 5.0))
        assert time.monotonic() - began < 1.0
        with pytest.raises(LinkClosed, match="not open"):
            await link.exchange(BASIC)

    with_device(lambda request: [], test)


def test_unplugged_between_questions_is_told_by_the_next_one() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        await link.exchange(BASIC)
        device.unplug()
        await asyncio.sleep(0.01)
        with pytest.raises(LinkClosed, match="unplugged"):
            await link.exchange(BASIC)

    with_device(jbd, test)


def test_a_replugged_adapter_is_found_under_its_lasting_name(tmp_path: Path) -> None:
    name = tmp_path / "usb-FTDI_FT232R-if00-port0"

    async def run() -> None:
        first, second = PtyDevice(jbd), PtyDevice(jbd)
        name.symlink_to(first.path)
        link = link_to(str(name))
        await link.open()
        await link.exchange(BASIC)
        first.unplug()
        name.unlink()
        with pytest.raises(LinkClosed):
            await link.exchange(BASIC)
        with pytest.raises(LinkClosed, match="no such device; is the adapter plugged in"):
            await link.open()
        name.symlink_to(second.path)
        await link.open()
        assert (await link.exchange(BASIC))[0].raw == BASIC_REPLY
        assert link.counters["reopened"] == 1
        await link.close()
        second.unplug()

    asyncio.run(run())


def test_a_port_in_use_is_busy_and_free_after_closing() -> None:
    async def test(link: SerialLink, device: PtyDevice) -> None:
        other = link_to(device.path)
        with pytest.raises(LinkBusy, match=rf"{device.path}: another program owns the port"):
            await other.open()
        await link.close()
        await other.open()
        await other.close()

    with_device(jbd, test)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/dev/ttyUSB99", "no such device"),
        ("/dev/null", "not a serial port"),
        ("socket://127.0.0.1:1", "Connection refused"),
        ("socket://a..b:1", "label empty"),
        ("serial2tcp://a:1", "invalid URL"),
    ],
)
def test_a_port_that_cannot_be_opened_says_why_in_one_line(url: str, message: str) -> None:
    with pytest.raises(LinkClosed, match=message) as caught:
        asyncio.run(link_to(url).open())
    assert str(caught.value).startswith(f"{url}: ")
    assert "\n" not in str(caught.value)


def test_a_forbidden_port_names_the_group_to_join(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    if os.getuid() == 0:
        os.chown(port, -1, grp.getgrnam("dialout").gr_gid)
    group = grp.getgrgid(port.stat().st_gid).gr_name
    problem = opening_failed(str(port), PermissionError(errno.EACCES, "Permission denied"))
    assert isinstance(problem, LinkClosed)
    assert f"{port}: permission denied; join its group: sudo usermod -aG {group} " in str(problem)


def test_opening_that_is_given_up_leaves_the_port_free() -> None:
    async def run() -> None:
        async with on_pty(jbd) as device:
            link = link_to(device.path)
            opening = asyncio.create_task(link.open())
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await asyncio.sleep(0.05)
            await link.open()
            assert (await link.exchange(BASIC))[0].raw == BASIC_REPLY
            await link.close()

    asyncio.run(run())


# ---- the same over the network


def test_a_transparent_serial_server_wakes_once_an_answer_too() -> None:
    async def run() -> None:
        async with on_tcp(jbd) as url:
            link = link_to(url)
            await link.open()
            for ask, reply in ((BASIC, BASIC_REPLY), (CELLS, CELLS_REPLY)) * 2:
                before = link.wakes
                assert (await link.exchange(replace(ask, size=len(reply))))[0].raw == reply
                assert link.wakes - before == 1
            await link.close()

    asyncio.run(run())


def test_answers_that_a_network_held_back_are_not_taken_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge without Wi-Fi keeps what the BMS said, and delivers it when somebody asks minutes later."""
    monkeypatch.setattr("bms_drivers.links.serial.HELD_BACK", 0.3)
    old = BASIC_REPLY
    new = bytearray(old)
    new[4:6], new[-3:-1] = (
        (0x14, 0x00),
        ((int.from_bytes(old[-3:-1], "big") + old[4] + old[5] - 0x14) & 0xFFFF).to_bytes(2, "big"),
    )
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while await reader.read(100):
            if len(connections) > 1:
                writer.write(new)

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        link = link_to(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await link.open()
        for _ in range(4):
            await link.open()
            with suppress(LinkTimeout):
                await link.exchange(quickly(BASIC))
        connections[0].write(old * 3)
        await link.open()
        assert (await link.exchange(BASIC))[0].raw == new
        assert link.counters["reopened"] == 1
        await link.close()
        server.close()

    asyncio.run(run())


def test_a_serial_server_that_hangs_up_closes_the_link() -> None:
    async def run() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        link = link_to(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await link.open()
        with pytest.raises(LinkClosed, match="the other end has gone"):
            await link.exchange(quickly(BASIC, 3.0))
        server.close()

    asyncio.run(run())


def test_rfc2217_reaches_the_device_behind_the_network() -> None:
    async def run() -> None:
        async with on_pty(jbd) as device, serial_server(device.path) as url:
            link = link_to(url)
            await link.open()
            for _ in range(2):
                assert (await link.exchange(BASIC))[0].raw == BASIC_REPLY
            await link.close()

    asyncio.run(run())


class serial_server:  # noqa: N801 - used like a function
    """An RFC 2217 server in front of a serial port, by pyserial."""

    def __init__(self, path: str) -> None:
        import socket

        self._listener = socket.create_server(("127.0.0.1", 0))
        self._path = path

    async def __aenter__(self) -> str:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"

    async def __aexit__(self, *problem: object) -> None:
        await asyncio.to_thread(self._thread.join, 2.0)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, closing(_Lines(self._path, baudrate=115200, timeout=0.01)) as port:
            connection.settimeout(0.01)
            manager = rfc2217.PortManager(port, _Locked(connection))
            while True:
                if data := port.read(256):
                    connection.sendall(b"".join(manager.escape(data)))
                try:
                    received = connection.recv(256)
                except TimeoutError:
                    continue
                if not received:
                    return
                port.write(b"".join(manager.filter(received)))


class _Lines(serial.Serial):  # type: ignore[misc]
    """A pty has no modem lines; the server reports some all the same."""

    cts = dsr = ri = cd = True

    def _update_rts_state(self) -> None: ...

    def _update_dtr_state(self) -> None: ...

    def _update_break_state(self) -> None: ...


class _Locked:
    """What pyserial's PortManager writes its own replies to."""

    def __init__(self, connection: object) -> None:
        self.write = connection.sendall  # type: ignore[attr-defined]


def test_the_parity_of_a_line_is_set_where_there_is_a_line() -> None:
    async def parity_of(url: str) -> str:
        link = SerialLink(url, 19200, parity="E")
        await link.open()
        try:
            return str(link._pipe._port.parity)  # type: ignore[union-attr]
        finally:
            await link.close()

    assert asyncio.run(parity_of("loop://")) == "E"
    master, slave = os.openpty()
    try:
        assert asyncio.run(parity_of(os.ttyname(slave))) == "N", "a pseudo-terminal refuses any"
    finally:
        os.close(master)
        os.close(slave)
