"""The service as the system sees it: signals, terminals, a second one beside it, a configuration that changes."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import VERSION
from tests.e2e.house import PROGRAM, House, house, until

BATTERY = "  - {{name: {name}, driver: jbd, port: simulated}}\n"
OUTPUTS = "outputs:\n  can_bms: {interface: virtual, channel: service}\n"


def config(*names: str, highest: float = 3.45, outputs: str = OUTPUTS) -> str:
    batteries = "".join(BATTERY.format(name=name) for name in names)
    return f"batteries:\n{batteries}limits:\n  cell_voltage: {{max: {highest}}}\n{outputs}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as built:
        yield built


def is_complete(state: dict[str, Any]) -> bool:
    return bool(state["bank"]["complete"]) and bool(state["outputs"]["can_bms"]["frames_sent"])


def start(home: House, text: str, log: str = "info") -> "subprocess.Popen[str]":
    process = home.gateway(text, log)
    home.wait(is_complete, 20, "frames on CAN")
    return process


def again(home: House, text: str, wish: str) -> str:
    """Change the configuration, have it read again, and wait for `wish` in the log; returns what was logged since."""
    seen = len(home.log("gateway"))
    (home.folder / "gateway.yaml").write_text(text)
    home.signal("gateway", signal.SIGHUP)
    until(lambda: wish in home.log("gateway")[seen:], 10, wish, home.folder / "gateway.log")
    return home.log("gateway")[seen:]


def second(home: House, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Another `run` with the same file."""
    return subprocess.run(
        [PROGRAM, "run", str(home.folder / "gateway.yaml")], capture_output=True, text=True, timeout=20, check=False,
        env={**home.environment, **environment},
    )  # fmt: skip


def test_the_log_tells_of_start_bus_and_end(home: House) -> None:
    process = start(home, config("rack-1"))
    home.signal("gateway", signal.SIGTERM)
    assert process.wait(10) == 0
    lines = [re.sub(r"^\S+ \S+ ", "", line) for line in home.log("gateway").splitlines()]
    assert lines[0].startswith(f"INFO bms-gateway {VERSION} (Python 3.")
    assert f"{home.folder}/gateway.yaml; batteries rack-1 (jbd on simulated)" in lines[0]
    assert "outputs can_bms (interface virtual, channel service)" in lines[0]
    assert f"state in {home.folder}/state; control socket {home.folder}/control" in lines[0]
    assert lines[1:] == [
        "INFO virtual service: open",
        "INFO rack-1: starting -> online",
        "INFO virtual service: soh is not known: 100 is sent",
        "INFO SIGTERM: stopping",
        "INFO stopped; state is saved",
    ]


def test_debug_shows_the_frames_of_both_sides_in_hex(home: House) -> None:
    start(home, config("rack-1"), log="debug")
    said = until(lambda: (log := home.log("gateway")).count("tx 351#") > 1 and log, 10, "two beats")
    assert re.search(r"DEBUG /dev/pts/\d+: tx dd a5 03 00 ff fd 77$", said, re.M)
    assert re.search(r"DEBUG /dev/pts/\d+: rx dd 03 00 ", said)
    assert re.search(r"DEBUG virtual service: tx 351#\w{16} 355#", said)


def test_a_second_gateway_is_refused_and_the_first_is_not_disturbed(home: House) -> None:
    process = start(home, config("rack-1"))
    done = second(home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"{home.folder}/state: another bms-gateway (process {process.pid}) keeps its state there;"
        " stop it first, or give this one a state_dir (and outputs) of its own\n"
    )
    assert home.state()["outputs"]["can_bms"]["connected"]
    process.kill()
    process.wait()
    start(home, config("rack-1"))


def test_a_second_gateway_on_the_same_bus_is_refused_whatever_else_it_uses(home: House) -> None:
    outputs = "outputs:\n  can_bms: {interface: socketcan, channel: canOfNobody}\n"
    process = home.gateway(config("rack-1", outputs=outputs))
    until(lambda: home.state().get("bank"), 20, "a state", home.folder / "gateway.log")
    done = second(home, STATE_DIRECTORY=str(home.folder / "other"), BMS_GATEWAY_SOCKET=str(home.folder / "else"))
    assert done.returncode == 1
    assert done.stderr == (
        f"outputs.can_bms: socketcan canOfNobody: another bms-gateway (process {process.pid}) sends there;"
        " stop it first, or give this one another bus\n"
    )


def test_a_configuration_read_again_is_applied_without_a_gap(home: House) -> None:
    start(home, config("rack-1"))
    home.wait(lambda state: state["batteries"][0]["counters"]["good"] > 1, 5, "a second reading")
    said = again(home, config("rack-1", highest=3.4), "read again")
    assert "gateway.yaml: read again: limits.cell_voltage.max 3.45 -> 3.4\n" in said
    state = home.wait(lambda state: state["decision"]["cvl"] == 54.4, 5, "the new charge voltage")
    assert state["batteries"][0]["counters"]["good"] > 1, "the battery was not begun anew"
    said = again(home, config("rack-1", "rack-2", highest=3.4), "rack-2: starting -> online")
    assert "gateway.yaml: read again: batteries.rack-2 added\n" in said
    assert "rack-1" not in said.replace("batteries.rack-2", "")
    home.wait(lambda state: state["bank"]["capacity"] == 200.0, 5, "both in the bank")
    again(home, config("rack-2", highest=3.4), "batteries.rack-1 removed")
    state = home.wait(lambda state: state["bank"]["capacity"] == 100.0, 5, "the other alone")
    assert [battery["name"] for battery in state["batteries"]] == ["rack-2"]
    output = state["outputs"]["can_bms"]
    assert output["longest_gap"] < 1.1
    assert output["opened"] == 1, "the bus was never let go"


def test_what_is_wrong_or_needs_a_restart_is_said(home: House) -> None:
    start(home, config("rack-1"))
    said = again(home, config("rack-1").replace("3.45", "3,45"), "not taken over")
    assert re.search(r"ERROR .*gateway.yaml:4: limits\.cell_voltage\.max: ", said)
    said = again(home, config("rack-1") + "state_dir: /elsewhere\n", "restart")
    assert "read again: nothing has changed\n" in said
    assert "takes effect after a restart: state_dir none -> /elsewhere\n" in said
    nonsense = OUTPUTS.replace("service}", "service, dialect: nonsense}")
    assert "nonsense" in again(home, config("rack-1", outputs=nonsense), "not taken over")
    said = again(home, config("rack-1", outputs=OUTPUTS.replace("service}", "other}")), "read again")
    assert "read again: outputs.can_bms.channel service -> other\n" in said
    until(lambda: "virtual other: open" in home.log("gateway"), 5, "the other bus")
    home.wait(is_complete, 5, "frames on the other bus")


def on_a_terminal(home: House, *words: str) -> tuple[int, int]:
    """Run a command on a terminal of its own; returns its process and our end of the terminal."""
    process, end = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests themselves were started by
        os.chdir(home.folder)  # nohup writes there
        os.execvpe(words[0], words, home.environment)
    return process, end


def gateway_on_a_terminal(home: House, *before: str) -> tuple[int, int]:
    """The gateway, once it sends."""
    (home.folder / "gateway.yaml").write_text(config("rack-1"))
    process, end = on_a_terminal(home, *before, PROGRAM, "run", str(home.folder / "gateway.yaml"))
    home.wait(is_complete, 20, "frames on CAN")
    return process, end


def ended(process: int, seconds: float) -> int | None:
    """The exit code of a child, None while it runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def test_closing_the_terminal_is_a_clean_stop(home: House) -> None:
    process, end = gateway_on_a_terminal(home)
    os.kill(process, signal.SIGHUP)  # the terminal is still there: read again
    seen = os.read(end, 65536)
    while b"nothing has changed" not in seen:
        seen += os.read(end, 65536)
    os.close(end)
    assert ended(process, 10) == 0
    assert (home.folder / "state" / "state.json").exists()
    assert not (home.folder / "control").exists()


def test_a_sighup_in_the_first_moments_waits_until_it_is_understood(home: House) -> None:
    (home.folder / "gateway.yaml").write_text(config("rack-1"))
    process = home.start("gateway", PROGRAM, "run", str(home.folder / "gateway.yaml"))
    status = Path(f"/proc/{process.pid}/status")
    until(lambda: blocks_sighup(status.read_text()), 10, "the first moments")
    process.send_signal(signal.SIGHUP)
    home.wait(is_complete, 20, "frames on CAN")
    until(lambda: "nothing has changed" in home.log("gateway"), 10, "the configuration, again")
    assert not blocks_sighup(status.read_text())


AT_A_KEYBOARD = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def test_a_ctrl_c_in_the_first_moments_ends_it_without_a_traceback(home: House) -> None:
    (home.folder / "gateway.yaml").write_text(config("rack-1"))
    at_a_keyboard = [sys.executable, "-c", AT_A_KEYBOARD]  # who runs these tests in the background has it ignored
    process = home.start("gateway", *at_a_keyboard, PROGRAM, "run", str(home.folder / "gateway.yaml"))
    status = Path(f"/proc/{process.pid}/status")
    until(lambda: blocks_sighup(status.read_text()), 10, "the first moments")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    assert home.log("gateway") == ""


def blocks_sighup(status: str) -> bool:
    """As /proc/PID/status says."""
    (mask,) = re.findall(r"^SigBlk:\s*([0-9a-f]+)$", status, re.M)
    return bool(int(mask, 16) >> signal.SIGHUP - 1 & 1)


def test_a_demo_whose_terminal_is_closed_leaves_nothing_behind(home: House) -> None:
    process, end = on_a_terminal(home, PROGRAM, "demo")
    seen = b""
    while b"online" not in seen:
        seen += os.read(end, 65536)
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    os.close(end)
    assert ended(process, 10) is not None
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 5, "the end of the private D-Bus")


def test_under_nohup_it_outlives_the_terminal(home: House) -> None:
    process, end = gateway_on_a_terminal(home, "nohup")
    os.close(end)
    try:
        assert ended(process, 1.0) is None
        (home.folder / "gateway.yaml").write_text(config("rack-1", highest=3.4))
        os.kill(process, signal.SIGHUP)
        home.wait(lambda state: state["decision"]["cvl"] == 54.4, 20, "the new charge voltage")
    finally:
        os.kill(process, signal.SIGTERM)
        assert ended(process, 10) == 0


def fill(pipe: int) -> None:
    """Write to a pipe until it takes nothing more."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while os.write(pipe, b"x" * 1024):
            pass
    os.set_blocking(pipe, True)


def test_a_log_that_nobody_reads_stops_nothing(home: House) -> None:
    (home.folder / "gateway.yaml").write_text(config("rack-1"))
    reading, writing = os.pipe()
    fill(writing)
    words = [PROGRAM, "run", str(home.folder / "gateway.yaml"), "--log", "debug"]
    process = subprocess.Popen(words, stderr=writing, env=home.environment, text=True)
    home.processes["gateway"] = process
    os.close(writing)
    home.wait(is_complete, 20, "frames on CAN")
    state = home.wait(lambda state: state["outputs"]["can_bms"]["frames_sent"] > 24, 10, "some beats")
    assert state["outputs"]["can_bms"]["longest_gap"] < 1.1
    home.signal("gateway", signal.SIGTERM)
    assert process.wait(10) == 0
    os.close(reading)
