"""The pseudo-terminal and the command that offers it, from outside: timing, names, faults, reopening, orders."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.house import PROGRAM, until

BASIC = bytes.fromhex("DDA50300FFFD77")


@contextmanager
def device(*words: str, driver: str = "jbd") -> "Iterator[tuple[subprocess.Popen[str], Path]]":
    """`bms-gateway simulate`, and the path it printed."""
    process = subprocess.Popen(
        [PROGRAM, "simulate", driver, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def tell(process: "subprocess.Popen[str]", line: str) -> str:
    """Say a line; returns what the simulator says to it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def ask(path: Path, request: bytes = BASIC, wait: float = 0.5) -> tuple[bytes, float]:
    """Open the port, ask, close it: what came within `wait` s of silence, and s until the first byte."""
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        began = time.monotonic()
        os.write(port, request)
        answer, first = b"", 0.0
        while select.select([port], [], [], 0.05 if answer else wait)[0]:
            first = first or time.monotonic() - began
            answer += os.read(port, 4096)
        return answer, first
    finally:
        os.close(port)


def refused(*words: str) -> "subprocess.CompletedProcess[str]":
    """A simulator that should not start."""
    return subprocess.run(
        [PROGRAM, "simulate", "jbd", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )


def test_it_answers_with_the_timing_of_the_line_and_may_be_reopened() -> None:
    with device() as (_, path):
        for _ in range(3):
            answer, first = ask(path)
            assert answer[:3] == b"\xdd\x03\x00"
            assert answer[-1] == 0x77
            assert 0.03 + 0.03 - 0.002 <= first <= 0.1  # turnaround and the first piece: readers give up after 100 ms


def test_several_addresses_share_one_line(tmp_path: Path) -> None:
    with device("--address", "1", "--address", "2", driver="daly") as (process, path):
        assert tell(process, "@2 soc 12") == "@2 soc 12"
        for board in (1, 2):
            body = bytes((0xA5, 0x3F + board, 0x90, 8)) + bytes(8)
            answer, _ = ask(path, body + bytes((sum(body) & 0xFF,)))
            assert answer[:3] == bytes((0xA5, board, 0x90))
            assert (int.from_bytes(answer[10:12], "big") == 120) is (board == 2)


def test_faults_are_switched_while_it_runs() -> None:
    with device() as (process, path):
        assert tell(process, "fault silent on") == "fault silent on"
        assert ask(path)[0] == b""
        tell(process, "fault silent off")
        whole = ask(path)[0]
        tell(process, "fault torn 1")
        assert len(ask(path)[0]) == len(whole) // 2
        assert len(ask(path)[0]) == len(whole), "one answer was to suffer, not two"
        tell(process, "fault late 0.3")
        assert ask(path, wait=1.0)[1] >= 0.33


def test_what_was_asked_while_it_was_off_is_not_answered_when_it_is_back() -> None:
    with device() as (process, path):
        ask(path)
        process.send_signal(signal.SIGSTOP)
        for _ in range(20):
            assert ask(path, wait=0.0)[0] == b""
        process.send_signal(signal.SIGCONT)
        assert ask(path, b"", wait=0.3)[0] == b""
        assert ask(path)[0][:2] == b"\xdd\x03"


def test_a_fault_may_be_there_from_the_start() -> None:
    with device("--fault", "silent=1") as (_, path):
        assert ask(path)[0] == b""
        assert ask(path)[0] != b""


def test_orders_show_in_the_answers() -> None:
    with device("--cells", "4") as (process, path):
        for line in ("current -30", "soc 12", "alarm high_voltage on", "temperature 1 56"):
            assert tell(process, line) == line
        data = ask(path)[0][4:]
        assert int.from_bytes(data[2:4], "big", signed=True) == -3000
        assert data[19] == 12
        assert data[17] & 4
        assert int.from_bytes(data[25:27], "big") == pytest.approx(2731 + 560, abs=3)


@pytest.mark.parametrize(
    "line",
    ["current nan", "current", "soc x", "cell 0 3.3", "cell 99 3.3", "temperature 0 20", "alarm fire on",
     "alarm high_voltage maybe", "fault nonsense on", "fault late soon", "switch charge maybe", "hello"],
)  # fmt: skip
def test_an_order_that_makes_no_sense_is_said_and_changes_nothing(line: str) -> None:
    with device() as (process, path):
        assert tell(process, line).startswith(f"not understood: {line}")
        assert ask(path)[0][:3] == b"\xdd\x03\x00"


def test_the_end_of_its_input_is_not_its_end() -> None:
    with device() as (process, path):
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        time.sleep(0.2)
        assert ask(path)[0]
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_well_and_its_name_goes(number: signal.Signals, tmp_path: Path) -> None:
    link = tmp_path / "battery"
    with device("--link", str(link)) as (process, path):
        assert path == link
        assert ask(link)[0]
        process.send_signal(number)
        assert process.wait(5) == 0
        assert not link.is_symlink()


def test_the_earliest_signal_leaves_no_name_behind(tmp_path: Path) -> None:
    link = tmp_path / "battery"
    process = subprocess.Popen([PROGRAM, "simulate", "jbd", "--link", str(link)], stdin=subprocess.DEVNULL)
    try:
        until(link.is_symlink, 10, "the stable name")
        process.terminate()
        assert process.wait(5) == 0
        assert not link.is_symlink()
    finally:
        process.kill()
        process.wait(5)


def test_a_name_in_use_is_refused_and_one_left_over_is_taken(tmp_path: Path) -> None:
    link = tmp_path / "battery"
    link.symlink_to(tmp_path / "gone")
    with device("--link", str(link)) as (first, _):
        done = refused("--link", str(link))
        assert done.returncode == 1
        assert done.stderr == (
            f"{link}: another simulator (process {first.pid}) answers there; expected a name that is free\n"
        )
        assert ask(link)[0], "the first one keeps its name"
        first.kill()
        first.wait(5)
        with device("--link", str(link)):
            assert ask(link)[0], "a killed one leaves a link, but no claim to it"


@pytest.mark.parametrize("target", ["/dev/null", "file"])
def test_a_link_of_the_users_is_never_replaced(target: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    link = tmp_path / "precious"
    link.symlink_to(tmp_path / target)
    done = refused("--link", str(link))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no link of a simulator" in done.stderr
    assert link.readlink() == tmp_path / target


def test_a_file_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("kept")
    done = refused("--link", str(file))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no link of a simulator" in done.stderr
    assert file.read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--link", "/nowhere/at/all"), "/nowhere/at/all: cannot be made"),
        (("--fault", "late=soon"), "fault late=soon: expected"),
        (("--fault", "fire"), "fault 'fire': expected one of"),
        (("--capacity", "0"), "--capacity"),
    ],
)
def test_mistakes_are_told_without_a_traceback(words: tuple[str, ...], said: str) -> None:
    done = refused(*words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
