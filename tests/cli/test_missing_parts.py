"""An installation without optional libraries: a sentence with the command that installs them, never a traceback."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.cli.main import COMMANDS
from gateway.extras import LIBRARIES
from tests.cli.program import called, environment
from tests.e2e.house import PROGRAM, until

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / "tests" / "vectors"
OPTIONAL = tuple(name for name, (_, extra) in LIBRARIES.items() if extra)
CONFIG = """
batteries:
  - {name: here, driver: jbd, port: simulated}
  - {name: there, driver: jbd, port: simulated}
bank: {external_sensor: {service: com.victronenergy.battery.shunt, current: /Dc/0/Current}}
outputs:
  can_bms: {interface: virtual, channel: parts}
  venus_dbus: {}
"""
WORDS: Mapping[str, list[str]] = {
    "init": ["--yes", "--battery", "driver=jbd,port=simulated", "-o", "/proc/none/gateway.yaml"],
    "doctor": ["gateway.yaml", "--socket", "/nowhere/at/all"],
    "ports": ["gateway.yaml"],
    "check": ["gateway.yaml"],
    "status": ["--socket", "/nowhere/at/all"],
    "explain": ["--curves", "-c", "gateway.yaml", "--plot", "/dev/null"],
    "command": ["charge", "on", "--socket", "/nowhere/at/all"],
    "drivers": [],
    "inverters": [],
    "venus": [],
    "decode": [str(VECTORS / "jbd/4s-sp04s034.json")],
    "scan": ["/nowhere"],
    "record": ["--driver", "jbd", "--port", "/nowhere", "--out", "/dev/null"],
    "simulate": ["jbd", "--link", "/nowhere/at/all"],
    "can": ["decode", str(VECTORS / "can_inverter/constructed_victron_35a_flags.json")],
    "rs485": ["decode", str(VECTORS / "rs485_inverter/voltronic_jk_cell_count.json")],
    "values": [],
    "restrict": ["--socket", "/nowhere/at/all"],
    "mqtt": ["forget", "-c", "/nowhere.yaml"],
    "modbus": [],
    "report": ["--socket", "/nowhere/at/all"],
    "replay": ["/nowhere.zip"],
    "limits": [str(VECTORS / "limits/mosfet_step.json"), "--plot", "x.png"],
    "import-config": ["/nowhere.ini"],
    "demo": ["--for", "1s"],
    "run": ["-c", "/nowhere.yaml"],
}


def run(words: list[str], *hidden: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment(*hidden)
    )


def bare(*words: object) -> "subprocess.CompletedProcess[str]":
    """Where none of the optional libraries is installed."""
    return called(*words, folder=ROOT, hidden=OPTIONAL)


def test_every_command_is_tried() -> None:
    assert WORDS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", list(COMMANDS))
def test_no_command_ends_in_a_traceback(name: str) -> None:
    done = bare(name, *WORDS[name])
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)
    assert len(done.stderr.splitlines()) <= 4


@pytest.mark.parametrize("hidden", ["dbus", "gi", "can", "cantools", "rich", "h11"])
def test_the_demo_does_without_any_single_one_or_says_so(hidden: str) -> None:
    done = run(["demo", "--for", "1s"], hidden)
    assert "Traceback" not in done.stderr
    assert "which is not installed; install it with:" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "hidden", "beginning", "end"),
    [
        (["demo"], "rich", "this command needs rich", "rich"),
        (["demo"], "can", "this command needs python-can", "python-can cantools"),
        (["can", *WORDS["can"]], "cantools", "this command needs cantools", "python-can cantools"),
        (["limits", *WORDS["limits"]], "matplotlib", "--plot needs matplotlib", "matplotlib"),
        (["explain", *WORDS["explain"]], "matplotlib", "--plot needs matplotlib", "matplotlib"),
        (["record", *WORDS["record"]], "serial", "/nowhere needs pyserial", "pyserial"),
    ],
)
def test_the_sentence_names_what_is_missing_and_the_command(
    words: list[str], hidden: str, beginning: str, end: str
) -> None:
    done = run(words, hidden)
    said = [line for line in done.stderr.splitlines() if line.startswith(beginning)]
    assert len(said) == 1, done.stderr
    assert "which is not installed; install it with: /" in said[0]
    assert said[0].endswith(f"python -m pip install {end}")
    assert done.returncode == 1


TURN = """
import asyncio, sys
from dataclasses import replace
from bms_drivers.kit import registry
from bms_drivers.links.factory import missing_library, open_port
from gateway.model import LinkClosed

async def turn(where, transport):
    port = open_port(where, [replace(registry.load("jbd"), transports=(transport,), line=None)])
    try:
        async with port.turn("rack-1"):
            print("a link")
    except LinkClosed as problem:
        assert str(problem) == missing_library(where)
        print(problem)

asyncio.run(turn(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("where", "transport", "library", "names"),
    [
        ("tcp:192.0.2.1", "modbus", "pymodbus", "pymodbus"),
        ("can7", "can", "can", "python-can cantools"),
        ("spi:0.7", "spi", "spidev", "spidev"),
        ("ble:C8:47:8C:00:00:01", "ble", "bleak", "bleak bleak-retry-connector dbus-fast"),
        ("ble:C8:47:8C:00:00:01", "ble", "bleak_retry_connector", "bleak bleak-retry-connector dbus-fast"),
    ],
)
def test_a_port_whose_library_is_missing_is_away_and_says_why(
    where: str, transport: str, library: str, names: str
) -> None:
    words = [sys.executable, "-c", TURN, where, transport]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=environment(library))
    assert done.stdout.startswith(f"{where} needs ")
    assert done.stdout.endswith(f" -m pip install {names}\n")


def test_check_says_which_parts_are_missing(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    done = bare("check", "--json", file)
    found = [doubt.split()[0] for doubt in json.loads(done.stdout)["doubts"] if "not installed" in doubt]
    assert found == ["outputs.can_bms", "outputs.venus_dbus", "bank.external_sensor"]
    assert done.returncode == 0, "the batteries are read all the same"
    assert json.loads(run(["check", "--json", str(file)]).stdout)["doubts"] == []


def test_a_gateway_without_any_of_them_runs_and_says_so_in_its_status(tmp_path: Path) -> None:
    file, socket = tmp_path / "gateway.yaml", tmp_path / "socket"
    file.write_text(CONFIG + f"state_dir: {tmp_path}\ncontrol_socket: {socket}\n")
    with (tmp_path / "log").open("w") as log:
        service = subprocess.Popen([PROGRAM, "run", "-c", str(file)], stderr=log, env=environment(*OPTIONAL))
    try:
        until(socket.exists, 20, "the gateway's socket", tmp_path / "log")

        def complete() -> str:
            shown = bare("status", "--socket", socket).stdout
            return shown if "2 online" in shown else ""

        shown = until(complete, 20, "both batteries", tmp_path / "log")
        assert "output can_bms: not connected, outputs.can_bms needs python-can, which is not installed" in shown
        assert "output venus_dbus: not connected, outputs.venus_dbus needs dbus-python" in shown
        assert "external sensor: bank.external_sensor needs dbus-python" in shown
        assert "sudo apt install python3-dbus python3-gi" in shown
        service.send_signal(signal.SIGTERM)
        assert service.wait(10) == 0
    finally:
        service.kill()
        service.wait(5)
    said = (tmp_path / "log").read_text()
    assert said.count("outputs.can_bms needs python-can") == 1
    assert "Traceback" not in said
