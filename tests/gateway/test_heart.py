"""The watchdog is fed by decisions: a real notification socket, a real process that hangs."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.heart import Heart
from gateway.model import BankState, Decision, Snapshot
from gateway.notify import Manager
from tests.e2e.house import PROGRAM

CONFIG = "batteries:\n  - {name: rack-1, driver: jbd, port: simulated}\n"


class Listener:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0.0)
        self.said: list[str] = []

    def heard(self) -> list[str]:
        """All that was said since."""
        lines = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines

    def wait(self, wish: str, seconds: float) -> None:
        """Until a line has begun with `wish`."""
        end = time.monotonic() + seconds
        while not any(line.startswith(wish) for line in self.said):
            assert time.monotonic() < end, f"not heard: {wish}; heard {self.said}"
            self.said += self.heard()
            time.sleep(0.02)


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Listener]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@bms-gateway-test-{os.getpid()}"
    heard = Listener(address)
    yield address, heard
    heard.socket.close()


def snapshot(at: float) -> Snapshot:
    return Snapshot(
        bank=BankState(),
        decision=Decision(cvl=55.2, ccl=50.0, dcl=60.0, allow_charge=True, allow_discharge=True),
        at=at,
        wall=0.0,
        valid_until=at + 5.0,
        sequence=1,
    )


def test_it_beats_while_decisions_are_young_and_falls_silent_with_them(listener: tuple[str, Listener]) -> None:
    address, heard = listener
    newest: list[Snapshot | None] = [None]
    now = [100.0]
    manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"})
    heart = Heart(lambda: newest[0], lambda: now[0], manager)
    assert (heart.wanted, heart.pause) == (True, 1.0)
    assert not heart.beat()
    assert heard.heard() == [], "nothing was decided yet: not ready"
    newest[0] = snapshot(100.0)
    assert heart.beat()
    said = heard.heard()
    assert said[0] == "READY=1"
    assert said[-1] == "WATCHDOG=1"
    now[0] = 104.9
    assert heart.beat()
    assert heard.heard() == ["WATCHDOG=1"], "ready and an unchanged status are said once"
    now[0] = 105.1
    assert not heart.beat()
    assert heard.heard() == [], "the loop turns, but decides nothing"
    newest[0] = replace(snapshot(105.0), sequence=2)
    assert heart.beat()


def test_without_a_manager_nothing_is_wanted_and_nothing_is_said() -> None:
    manager = Manager({})
    manager.tell(READY="1")
    assert (manager.listens, manager.watchdog) == (False, None)
    assert not Heart(lambda: None, time.monotonic, manager).wanted


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "15000000"}, 15.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_may_be_meant_for_another_or_for_nobody(variables: dict[str, str], seconds: float | None) -> None:
    assert Manager({"NOTIFY_SOCKET": "/nowhere", **variables}).watchdog == seconds


def test_a_manager_that_has_gone_or_does_not_read_keeps_nobody_waiting(tmp_path: Path) -> None:
    Manager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(WATCHDOG="1")
    heard = Listener(str(tmp_path / "full"))
    manager = Manager({"NOTIFY_SOCKET": str(tmp_path / "full")})
    begun = time.monotonic()
    for _ in range(1000):
        manager.tell(STATUS="one\ntwo")
    assert time.monotonic() - begun < 2.0
    assert "STATUS=one two" in heard.heard(), "a status is one line"
    heard.socket.close()


def test_the_service_is_ready_when_it_decides_and_says_how_it_is(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    heard = Listener(str(tmp_path / "notify"))
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "BMS_GATEWAY_SOCKET": str(tmp_path / "control"),
                   "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}  # fmt: skip
    with subprocess.Popen([PROGRAM, "run", str(tmp_path / "gateway.yaml")], env=environment, stderr=-3) as process:
        try:
            heard.wait("READY=1", 15)
            heard.wait("STATUS=1 of 1 batteries answer; CVL 55.20 V, CCL", 10)
            heard.wait("WATCHDOG=1", 3)
            process.send_signal(signal.SIGTERM)
            heard.wait("STOPPING=1", 10)
            assert process.wait(10) == 0
        finally:
            process.kill()
    heard.socket.close()


HANGS = """
import pathlib, sys, time
from gateway.app import Gateway
from gateway.running import run
Gateway.decide = lambda self: time.sleep(60)
run(pathlib.Path(sys.argv[1]), watchdog=2.0)
"""


def test_a_fuse_ends_a_process_that_hangs_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "BMS_GATEWAY_SOCKET": str(tmp_path / "control")}
    done = subprocess.run([sys.executable, "-c", HANGS, str(tmp_path / "gateway.yaml")], env=environment, timeout=30,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "Timeout (0:00:02)!" in done.stderr
    assert "in _tick" in done.stderr, "the place where it hangs"


def test_a_heart_goes_on_beating() -> None:
    beats: list[float] = []

    async def work() -> None:
        def newest() -> None:
            beats.append(0.0)

        heart = Heart(newest, time.monotonic, Manager({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "40000"}))
        task = asyncio.create_task(heart.run())
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(work())
    assert len(beats) >= 4
