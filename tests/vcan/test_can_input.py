"""BMSs read on real SocketCAN: two JKs on vcan0, frames to an inverter on vcan1, a flood and a loss."""

import json
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
{program} simulate jk_can --channel vcan0 --address 0 --address 2 --soc 60 --current 5 >/dev/shm/simulator.log 2>&1 &
timeout 100 candump -L vcan1 >>/dev/shm/can.log &
{program} run -c {config} >/dev/shm/gateway.log 2>&1 &
gateway=$!
ticks() {{ awk '{{print $14 + $15}}' /proc/$gateway/stat; }}
for i in $(seq 100); do grep -q 351# /dev/shm/can.log && break; sleep 0.2; done
sleep 5
before=$(ticks); sleep 5; quiet=$(ticks)
{python} -m tests.vcan.flood vcan0 5; flooded=$(ticks)
echo "TICKS $((quiet - before)) $((flooded - quiet))"
{program} status --json >/dev/shm/status.json
echo "MARK down" >>/dev/shm/can.log
ip link set vcan0 down
sleep 14
echo "MARK lost" >>/dev/shm/can.log
sleep 3
ip link del vcan0; sleep 1; ip link add dev vcan0 type vcan; ip link set vcan0 up
sleep 14
echo "MARK back" >>/dev/shm/can.log
sleep 4
kill $gateway; wait $gateway; ended=$?
kill %1
{program} simulate daly_can --channel vcan1 >/dev/null 2>&1 &
{python} -m tests.vcan.flood vcan0 20 >/dev/null &
timeout 20 candump -L vcan0,18940000:1FFF0000 >/dev/shm/asked.log &
sleep 1
{program} scan vcan0 >/dev/shm/rvc.log 2>&1 &
scan=$!
{program} scan vcan1 --json >/dev/shm/daly.log 2>/dev/null; wait $scan
echo "ASKED $(grep -c . /dev/shm/asked.log)"
echo "--- rvc"; cat /dev/shm/rvc.log; echo "--- daly"; cat /dev/shm/daly.log
cat /dev/shm/can.log; echo "gateway ended with $ended"
echo "--- status"; cat /dev/shm/status.json
echo "--- gateway"; cat /dev/shm/gateway.log
"""
CONFIG = """
batteries:
  - {name: one, driver: jk_can, port: vcan0}
  - {name: two, driver: jk_can, port: vcan0, address: 2}
limits: {on_loss: {block: true}, charge_current: {hold: 2}, discharge_current: {hold: 2}}
outputs: {can_bms: {interface: socketcan, channel: vcan1}}
state_dir: /dev/shm/state
"""
FRAME = re.compile(r"\(\d+\.\d+\) vcan1 ([0-9A-F]{3})#([0-9A-F]*)")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    config = tmp_path_factory.mktemp("vcan") / "gateway.yaml"
    config.write_text(CONFIG)
    script = SCRIPT.format(program=PROGRAM, python=sys.executable, config=config)
    yield run_in_uml(["bash", "-c", script], 240)


def said(run: subprocess.CompletedProcess[str], after: str, before: str) -> dict[str, str]:
    """The last frame of each identifier towards the inverter, between two marks."""
    return dict(FRAME.findall(run.stdout[run.stdout.index(after) :].partition(before)[0]))


def test_two_jks_on_one_bus_are_one_battery_on_the_other(run: subprocess.CompletedProcess[str]) -> None:
    assert "gateway ended with 0" in run.stdout, run.stdout + run.stderr
    last = said(run, "TICKS", "MARK down")
    assert last["355"].startswith("3C00"), "60 %"
    assert 5200 <= int.from_bytes(bytes.fromhex(last["356"])[:2], "little") <= 5400, "16 cells"
    assert int.from_bytes(bytes.fromhex(last["356"])[2:4], "little") == 100, "twice 5 A"
    assert last["35C"].startswith("C0")


def test_frames_of_others_cost_nothing(run: subprocess.CompletedProcess[str]) -> None:
    (rate,) = re.findall(r"FLOOD (\d+) frames/s", run.stdout)
    ((quiet, flooded),) = re.findall(r"TICKS (\d+) (\d+)", run.stdout)
    print(f"{rate} foreign frames a second: {quiet} hundredths of a second of CPU in 5 s without them, {flooded} with")
    assert int(rate) > 1500
    assert int(flooded) - int(quiet) < 0.10 * 500


def test_an_interface_that_goes_down_ends_in_zero_limits(run: subprocess.CompletedProcess[str]) -> None:
    last = said(run, "MARK down", "MARK lost")
    assert last["351"][4:12] == "00000000"
    assert last["35C"].startswith("00")


def test_an_interface_that_is_made_anew_is_read_again(run: subprocess.CompletedProcess[str]) -> None:
    last = said(run, "MARK back", "--- status")
    log = run.stdout.partition("--- gateway")[2]
    assert last["351"][4:12] != "00000000"
    assert log.count("tried again until it is back") == 1, "said once, not at each try"
    assert len(re.findall(r"vcan0: back after \d+\.\d s", log)) == 1
    assert "Traceback" not in log
    assert "defect" not in log


def test_a_daly_is_found_by_asking_where_nobody_can_be_disturbed(run: subprocess.CompletedProcess[str]) -> None:
    said = run.stdout.partition("--- daly\n")[2]
    found = json.JSONDecoder().raw_decode(said)[0]["ports"][0]["found"]
    assert [device["driver"] for device in found] == ["daly_can"]


def test_no_daly_is_asked_for_among_frames_of_29_bits(run: subprocess.CompletedProcess[str]) -> None:
    said = run.stdout.partition("--- rvc\n")[2].partition("--- daly")[0]
    assert "vcan0: 23 identifiers are heard (18FF0000 18FF0001" in said
    assert "daly_can" not in said and "ASKED 0\n" in run.stdout
