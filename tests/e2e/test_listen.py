"""A bus on which a master already talks: the gateway listens, says what it is not told, and never sends a byte."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import PROGRAM, House, house, until

CONFIG = """
batteries:
  - {{name: pack, driver: {driver}, port: {port}, address: {address}, poll_interval: 1, listen: true}}
outputs: {{}}
"""
STATE = {"charge_allowed", "discharge_allowed", "heating", "cell_balancing", "balancing", "alarms"}
TELEMETRY = b"~20014642E00201FD35\r".hex()
ALARMS = b"~20014644E00201FD33\r".hex()
OTHER = b"~20024642E00202FD33\r".hex()  # a slave that is not there


def master(home: House, driver: str, *questions: str, address: int = 1) -> Path:
    """A master that asks a simulated slave; returns the pty where that is heard."""
    slave = home.pack("slave", driver, "--address", str(address))
    bus = home.folder / "bus-of-master"
    words = (str(slave), str(bus), str(home.folder / "written"), "0.2", *questions)
    home.start("master", sys.executable, "-m", "tests.sims.master", *words)
    until(bus.exists, 10, "the master's bus")
    return bus


def pack(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state["batteries"][0]
    return found


def nothing_was_sent(home: House) -> None:
    assert (home.folder / "written").read_bytes() == b""


def test_a_seplos_whose_master_asks_for_measurements_alone(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        bus = master(home, "seplos", OTHER, TELEMETRY)
        home.gateway(CONFIG.format(driver="seplos", port=bus, address=1))
        state = home.wait(lambda s: pack(s)["health"] == "online", 15, "a reading")
        reading = pack(state)["reading"]
        assert len(reading["cell_voltages"]) == 16 and reading["current"] == pytest.approx(10.0, abs=0.5)
        assert reading["charge_allowed"] is None and reading["alarms"] == {}
        assert set(pack(state)["untold"]) == STATE
        assert "not told, though its BMS has it: charge_allowed" in pack(state)["remark"]
        assert pack(state)["controls"] == []
        decision = state["decision"]
        assert (decision["ccl"], decision["dcl"]) == (0.0, 0.0)
        assert any("missing data: charge switch is not known" in cap["why"] for cap in decision["ccl_caps"])
        home.signal("master", signal.SIGSTOP)
        home.wait(lambda s: pack(s)["health"] == "stale", 14, "silence like any BMS's")
        home.signal("master", signal.SIGCONT)
        home.wait(lambda s: pack(s)["health"] == "online", 8, "the master again")
        nothing_was_sent(home)


def test_a_seplos_whose_master_asks_for_the_state_too(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        bus = master(home, "seplos", OTHER, TELEMETRY, ALARMS)
        home.gateway(CONFIG.format(driver="seplos", port=bus, address=1))
        state = home.wait(lambda s: pack(s)["reading"] and s["decision"]["ccl"], 15, "limits")
        assert pack(state)["untold"] == [] and pack(state)["remark"] == ""
        assert pack(state)["reading"]["charge_allowed"] is True
        home.tell("slave", "alarm high_cell_voltage on")
        home.tell("slave", "switch charge off")
        home.wait(lambda s: s["decision"]["alarms"].get("high_cell_voltage") == 2, 8, "the slave's alarm")
        home.wait(lambda s: s["decision"]["ccl"] == 0, 8, "its open switch")
        nothing_was_sent(home)


@pytest.mark.parametrize(
    ("driver", "questions"),
    [
        ("jk_pb", ("011016200001020000D6F1", "0110161E0001020000D22F", "021016200001020000C201")),
        ("seplos_v3", ("01041000001134C6", "01041100001A74FD", "010112000090391E", "02041000001134F5")),
    ],
)  # fmt: skip
def test_others_that_a_master_polls(driver: str, questions: tuple[str, ...], tmp_path: Path) -> None:
    with house(tmp_path) as home:
        bus = master(home, driver, *questions)
        home.gateway(CONFIG.format(driver=driver, port=bus, address=1))
        state = home.wait(lambda s: pack(s)["reading"] and s["decision"]["ccl"], 20, "limits")
        assert pack(state)["untold"] == []
        assert len(pack(state)["reading"]["cell_voltages"]) == 16
        assert pack(state)["reading"]["charge_allowed"] is True
        nothing_was_sent(home)


def test_scan_finds_the_slave_by_listening_alone(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        bus = master(home, "seplos", OTHER, TELEMETRY, ALARMS)
        home.start("scan", PROGRAM, "scan", str(bus), "--driver", "seplos")
        process = home.processes["scan"]
        assert process.wait(60) == 0
        said = home.log("scan")
        assert "driver: seplos" in said and "address: 1" in said and "listen: true" in said
        nothing_was_sent(home)
