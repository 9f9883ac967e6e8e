"""The whole gateway on real SocketCAN: a simulated BMS on a pty, `bms-gateway run` on vcan0, watched by can-utils."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vcan.runner import run_in_uml

PROGRAM = Path(sys.executable).parent / "bms-gateway"
SCRIPT = """
export BMS_GATEWAY_SOCKET=/dev/shm/control
{program} simulate jbd --link /dev/shm/pack0 --soc 60 --current 5 >/dev/shm/simulator.log 2>&1 &
simulator=$!
for i in $(seq 100); do [ -e /dev/shm/pack0 ] && break; sleep 0.2; done
timeout 60 candump -L vcan0 >>/dev/shm/can.log &
{program} run -c {config} >/dev/shm/gateway.log 2>&1 &
gateway=$!
for i in $(seq 100); do grep -q 351# /dev/shm/can.log && break; sleep 0.2; done
sleep 6
echo "MARK stop" >>/dev/shm/can.log
kill -STOP $simulator
sleep 14
echo "MARK lost" >>/dev/shm/can.log
sleep 3
kill -CONT $simulator
kill $gateway; wait $gateway; echo "gateway ended with $?"
cat /dev/shm/can.log
echo "--- gateway"; cat /dev/shm/gateway.log
"""
CONFIG = """
batteries: [{name: pack, driver: jbd, port: /dev/shm/pack0}]
limits: {on_loss: {block: true}}
outputs: {can_bms: {interface: socketcan, channel: vcan0}}
state_dir: /dev/shm/state
"""
FRAME = re.compile(r"\((\d+\.\d+)\) vcan0 ([0-9A-F]{3})#([0-9A-F]*)")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    config = tmp_path_factory.mktemp("vcan") / "gateway.yaml"
    config.write_text(CONFIG)
    yield run_in_uml(["bash", "-c", SCRIPT.format(program=PROGRAM, config=config)], 180)


def frames(text: str) -> list[tuple[float, str, str]]:
    return [(float(at), identifier, data) for at, identifier, data in FRAME.findall(text)]


def test_a_bms_on_a_pty_becomes_six_frames_a_second(run: subprocess.CompletedProcess[str]) -> None:
    assert "gateway ended with 0" in run.stdout, run.stdout + run.stderr
    before = frames(run.stdout.partition("MARK stop")[0])
    assert [identifier for _, identifier, _ in before[:6]] == ["351", "355", "356", "359", "35C", "35E"]
    starts = [at for at, identifier, _ in before if identifier == "351"]
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert len(gaps) >= 4
    assert max(gaps) < 1.1, gaps
    last = {identifier: data for _, identifier, data in before}
    assert last["351"].startswith("2802F4015802"), "55.2 V, 50 A, 60 A"
    assert last["355"].startswith("3C00"), "60 %"
    assert last["35C"].startswith("C0")
    assert last["35E"] == "50594C4F4E202020"


def test_a_stopped_bms_ends_in_zero_limits(run: subprocess.CompletedProcess[str]) -> None:
    after = frames(run.stdout.partition("MARK lost")[2])
    last = {identifier: data for _, identifier, data in after}
    assert last["351"][4:12] == "00000000"
    assert last["351"][:4] != "0000", "the charge voltage is never 0"
    assert last["35C"].startswith("00")
    assert int(last["359"][2:4], 16) & 0x08, "system error"


def test_nothing_is_logged_that_nobody_expects(run: subprocess.CompletedProcess[str]) -> None:
    log = run.stdout.partition("--- gateway")[2]
    assert "Traceback" not in log
    assert "online -> stale" in log
