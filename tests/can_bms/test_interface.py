"""The interface under a bus: what `ip` says of it, error frames, and the way out of bus-off.

The outputs of `ip -json -details -statistics link show` in tests/can_bms/links/ are constructed: their form is that of
iproute2 6.1, their numbers are made up as drivers of these kinds would report them.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import can
import pytest

from outputs.can_bms import net
from outputs.can_bms.bus import Bus
from outputs.can_bms.dbc_file import load
from outputs.can_bms.errors import Tally, advice
from outputs.can_bms.interface import Interface
from outputs.can_bms.net import Link, NetError, NotPermitted
from tests.can_bms.inverter import until

LINKS = Path(__file__).parent / "links"
FINE = Link("can0", kind="can", up=True, carrier=True, state="error-active", restart_ms=0, driver="mcp251x")
OFF = Link("can0", kind="can", up=True, state="bus-off", restart_ms=0, driver="mcp251x")


def recorded(name: str) -> Link:
    link = net.parse((LINKS / f"{name}.json").read_text())
    assert link is not None
    return link


def error(can_id: int, data: str = "0000000000000000") -> can.Message:
    return can.Message(arbitration_id=can_id, data=bytes.fromhex(data), is_error_frame=True, is_extended_id=False)


ACK = error(0x0A8, "0000001900000000")
STUFF = error(0x088, "0000040000000000")
BUS_OFF = error(0x040)
RESTARTED = error(0x100)


# ---- what the kernel says


def test_a_controller_in_bus_off() -> None:
    link = recorded("mcp251x_bus_off")
    assert (link.off, link.up, link.carrier) == (True, True, False)
    assert (link.tx_errors, link.rx_errors) == (248, 0)
    assert (link.bitrate, link.sample_point, link.restart_ms, link.queue) == (500_000, 0.875, 0, 10)
    assert (link.driver, link.restartable, link.echo, link.bus_offs) == ("mcp251x", True, True, 1)
    assert str(link) == "up, bus-off, errors sent 248 received 0, 500 kbit/s, restart-ms 0"


def test_an_adapter_that_restarts_by_itself() -> None:
    link = recorded("gs_usb_bus_off")
    assert (link.off, link.restart_ms, link.driver, link.restarts) == (True, 100, "gs_usb", 37)


def test_one_alone_on_its_bus_is_passive() -> None:
    link = recorded("mcp251xfd_passive")
    assert (link.state, link.tx_errors, link.off) == ("error-passive", 128, False)


def test_an_interface_without_a_controller() -> None:
    link = recorded("vcan")
    assert (link.virtual, link.state, link.bitrate, link.restartable) == (True, "", None, False)


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"a": 1}', '[{"ifname": "can0", "linkinfo": 3}]', "[{}, 5]"])
def test_what_is_no_output_of_ip_is_refused(text: str) -> None:
    with pytest.raises(NetError):
        net.parse(text)


def test_an_interface_that_is_not_there_is_none() -> None:
    assert net.read("none0") is None
    assert net.parse("[{}]") is None


def test_without_ip_sysfs_says_what_it_knows(tmp_path: Path) -> None:
    folder = tmp_path / "can0"
    folder.mkdir()
    for file, text in {"flags": "0x40081", "tx_queue_len": "10", "carrier": "0"}.items():
        (folder / file).write_text(f"{text}\n")
    assert net.from_sysfs(folder) == Link("can0", up=True, carrier=False, queue=10)
    (folder / "flags").unlink()
    with pytest.raises(NetError):
        net.from_sysfs(folder)


@pytest.mark.parametrize(
    "prints", ["", "echo 'ip: unrecognized option json' >&2; exit 1", "echo '2: lo'", "kill -9 $$"]
)
def test_an_ip_that_cannot_be_asked_is_done_without(
    prints: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ip").write_text(f"#!/bin/sh\n{prints}\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    link = net.read("lo")
    assert link is not None and (link.name, link.state) == ("lo", "")
    if prints.endswith("exit 1"):
        with pytest.raises(NetError, match="unrecognized option"):
            net.restart("lo")


def test_without_state_the_carrier_says_that_it_is_back() -> None:
    kernel = Kernel(Link("can0", up=True, carrier=True))

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        kernel.link = Link("can0", up=True)
        other.send(BUS_OFF)
        bus.beat(FRAMES)
        await asyncio.sleep(1.5)
        assert interface.off
        kernel.link = Link("can0", up=True, carrier=True)
        await until(lambda: not interface.off)

    live(kernel, scenario)


def test_the_remedy_sets_a_restart_only_where_there_is_one() -> None:
    assert "restart-ms 100" in net.remedy(OFF)
    assert "restart-ms" not in net.remedy(Link("slcan0", kind="can"))


# ---- error frames and what they mean together


def test_error_frames_are_told_apart() -> None:
    tally = Tally()
    assert tally.look([ACK], 0.0) == ["ack"]
    assert tally.look([STUFF, error(0x088, "0000020000000000"), error(0x088, "0000000800000000")], 5.0) == [
        "stuff", "form", "crc",
    ]  # fmt: skip
    assert tally.look([error(0x004, "0020000000000000"), BUS_OFF, RESTARTED], 5.0) == [
        "passive", "bus-off", "restarted",
    ]  # fmt: skip
    assert tally.recent(11.0)["ack"] == 0 and tally.all["ack"] == 1
    assert tally.recent(11.0)["stuff"] == 1


@pytest.mark.parametrize(
    ("link", "recent", "heard", "stuck", "words"),
    [
        (FINE, {}, True, False, ""),
        (FINE, {}, False, False, ""),
        (FINE, {"ack": 3}, False, False, "nobody acknowledges"),
        (FINE, {}, False, True, "nobody acknowledges"),
        ("mcp251xfd_passive", {}, False, False, "nobody acknowledges"),
        (FINE, {"stuff": 4, "form": 2}, False, False, "another bitrate"),
        ("gs_usb_receives_ill", {}, False, False, "another bitrate than 250 kbit/s"),
        (FINE, {"stuff": 4}, True, False, "frames are damaged"),
        (FINE, {"bit": 4}, False, False, "what we send is not what the bus shows"),
        (None, {}, False, False, ""),
    ],
)
def test_symptoms_become_words(
    link: Link | str | None, recent: dict[str, int], heard: bool, stuck: bool, words: str
) -> None:
    found = advice(recorded(link) if isinstance(link, str) else link, recent, heard=heard, stuck=stuck)
    assert found.startswith(words) or words in found
    assert bool(found) is bool(words)


# ---- bus-off


class Kernel:
    """Says what the test has it say, and restarts or not."""

    def __init__(self, link: Link | None) -> None:
        self.link, self.restarts = link, 0
        self.refuses: NetError | None = None
        self.works = True

    def read(self, channel: str) -> Link | None:
        return self.link

    def restart(self, channel: str) -> None:
        self.restarts += 1
        if self.refuses:
            raise self.refuses
        if self.works:
            self.link = FINE


def live(kernel: Kernel, scenario: Callable[[Interface, Bus, can.BusABC], object]) -> None:
    """A bus on a virtual channel with this kernel's interface, and somebody else there."""

    async def run() -> None:
        interface = Interface("can0", kernel.read, kernel.restart)
        bus = Bus("socketcan can0", lambda: can.Bus(interface="virtual", channel="off"), interface=interface)
        other = can.Bus(interface="virtual", channel="off")
        bus.start()
        await until(lambda: bus.open and interface.link)
        try:
            await scenario(interface, bus, other)  # type: ignore[misc]
        finally:
            await bus.stop()
            other.shutdown()

    asyncio.run(run())


FRAMES = load("pylontech").encode({})


def test_bus_off_silences_at_once_and_a_restart_that_is_permitted_is_asked_for() -> None:
    kernel = Kernel(FINE)

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        freed: list[bool] = []
        bus.freed = lambda: freed.append(True)
        assert bus.beat(FRAMES) and other.recv(0)
        kernel.link = OFF
        while other.recv(0):
            pass
        other.send(BUS_OFF)
        assert bus.beat(FRAMES) is False
        assert other.recv(0) is None, "nothing goes to a controller that is off"
        assert (bus.connected, bus.counters.bus_off) == (False, 1)
        await until(lambda: "the gateway restarts it" in interface.problem)
        assert bus.beat(FRAMES) is False and other.recv(0) is None
        await until(lambda: freed, 4)
        assert kernel.restarts == interface.restarts == 1
        assert bus.beat(FRAMES) and other.recv(0) and bus.connected

    live(kernel, scenario)


def test_a_restart_that_does_not_help_is_asked_for_ever_more_seldom() -> None:
    kernel = Kernel(OFF)
    kernel.works = False

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        await asyncio.sleep(4.5)
        assert kernel.restarts == 2, "after 1 s and 2 s more; the next after 4 s"
        assert interface.off

    live(kernel, scenario)


def test_what_we_may_not_do_is_said_once_with_the_commands(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(OFF)
    kernel.refuses = NotPermitted("RTNETLINK answers: Operation not permitted")

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        await until(lambda: kernel.restarts == 1)
        await asyncio.sleep(2.5)
        assert kernel.restarts == 1
        assert "sudo ip link set can0 type can restart-ms 100" in interface.problem
        kernel.link = FINE
        await until(lambda: not interface.off)

    with caplog.at_level(logging.WARNING):
        live(kernel, scenario)
    assert len([line for line in caplog.messages if "may not restart" in line]) == 1


def test_one_that_restarts_by_itself_is_waited_for() -> None:
    kernel = Kernel(recorded("gs_usb_bus_off"))

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        await until(lambda: "restarts by itself after 100 ms" in bus.problem)
        assert bus.beat(FRAMES) is False
        kernel.link = FINE
        other.send(RESTARTED)
        bus.beat(FRAMES)
        await until(lambda: not interface.off, 0.8)
        assert kernel.restarts == 0

    live(kernel, scenario)


def test_an_interface_that_goes_in_bus_off_is_not_off_any_more() -> None:
    kernel = Kernel(OFF)

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        kernel.link, kernel.works = None, False
        await until(lambda: not interface.off)
        assert interface.status()["summary"] == "no such interface"

    live(kernel, scenario)


def test_a_kernel_that_does_not_say_is_no_fault_of_the_bus() -> None:
    def silent(channel: str) -> Link | None:
        raise NetError("ip: timed out")

    async def scenario() -> None:
        interface = Interface("can0", silent)
        interface.start()
        await until(lambda: interface.status()["summary"] == "ip: timed out")
        assert interface.problem == ""
        interface.stop()

    asyncio.run(scenario())


def test_symptoms_are_logged_once_and_cleared_when_they_are_over(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(FINE)

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        for _ in range(3):
            kernel.link = replace(FINE, state="error-passive", tx_errors=128)
            interface.look()
            await until(lambda: "nobody acknowledges" in str(interface.status()["advice"]))
            kernel.link = FINE
            interface.look()
            await until(lambda: interface.status()["advice"] == "")

    with caplog.at_level(logging.WARNING):
        live(kernel, scenario)
    assert len([line for line in caplog.messages if "nobody acknowledges" in line]) == 1


def test_frames_that_the_socket_does_not_want_count_as_heard() -> None:
    kernel = Kernel(replace(FINE, received=5))

    async def scenario(interface: Interface, bus: Bus, other: can.BusABC) -> None:
        other.send(STUFF)
        bus.beat(FRAMES)
        assert "nothing can be read" in str(interface.status()["advice"])
        kernel.link = replace(FINE, received=90)
        interface.look()
        await until(lambda: "damaged on their way" in str(interface.status()["advice"]))

    live(kernel, scenario)
