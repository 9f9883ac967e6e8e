"""The first configuration: by options, by questions at a real terminal, and over a real serial line."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.config.first import GX, NONE, Answers, first_yaml
from gateway.config.load import parse
from outputs.can_bms import brand
from tests.cli.program import called
from tests.e2e.house import PROGRAM, House, house

Quiet = Callable[..., tuple[int, str, str]]
JBD = {"name": "rack-1", "driver": "jbd", "port": "/dev/ttyUSB0"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as built:
        yield built


def init(folder: Path, *words: str, said: str | None = None) -> "subprocess.CompletedProcess[str]":
    """The command as a program, whose questions nobody or `said` answers."""
    return called("init", "-o", folder / "gateway.yaml", *words, given=said or "", folder=folder)


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Quiet:
    """The command in this process, for what needs no terminal: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bms-gateway", "init", "-o", str(tmp_path / "gateway.yaml"), "--yes", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.parametrize("inverter", [GX, NONE, *brand.names()])
def test_what_is_written_is_accepted_and_says_what_was_answered(inverter: str) -> None:
    text = first_yaml(Answers([JBD], inverter, channel="can1", charge_current=33.0, cell_voltage=3.3))
    settings = parse(text)
    assert settings.limits.charge_current.max == 33.0
    assert (settings.limits.cell_voltage.max, settings.limits.cell_voltage.float_) == (3.3, 3.3)
    assert list(settings.outputs) == ([] if inverter == NONE else ["venus_dbus"] if inverter == GX else ["can_bms"])
    assert settings.bank.charge_current_limit is None
    assert "# A, of" not in text
    assert "  # V, charged up to here" in text


def test_safe_answers_are_the_defaults() -> None:
    written, usual = parse(first_yaml(Answers([JBD]))), parse("batteries: [{name: a, driver: jbd, port: /dev/ttyUSB0}]")
    assert written.limits == usual.limits


def test_everything_can_be_said_by_options(tmp_path: Path, quiet: Quiet) -> None:
    code, out, err = quiet(
        "--battery", "driver=jk_pb,port=/dev/ttyUSB0,address=1,name=left",
        "--battery", "driver=jk_pb,port=/dev/ttyUSB0,address=2", "--inverter", "deye", "--channel", "can7",
        "--charge-current", "40", "--discharge-current", "55", "--cell-voltage", "3.42",
        "--bank-charge-current", "70", "--bank-discharge-current", "90", "--no-start",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "on the inverter: lithium mode 00" in out
    settings = parse((tmp_path / "gateway.yaml").read_text())
    assert [(b.name, b.address) for b in settings.batteries] == [("left", 1), ("battery-2", 2)]
    assert (settings.bank.charge_current_limit, settings.bank.discharge_current_limit) == (70.0, 90.0)
    limits = settings.limits
    assert (limits.charge_current.max, limits.discharge_current.max, limits.cell_voltage.max) == (40.0, 55.0, 3.42)
    assert settings.outputs["can_bms"].plain()["channel"] == "can7"


def test_a_file_that_is_there_is_not_overwritten_without_being_told(tmp_path: Path, quiet: Quiet) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("mine")
    code, _, err = quiet("--battery", "driver=jbd,port=simulated")
    assert (code, file.read_text()) == (1, "mine")
    assert "--force replaces it" in err
    assert quiet("--force", "--battery", "driver=jbd,port=simulated")[0] == 0
    assert (tmp_path / "gateway.yaml.before").read_text() == "mine"
    assert parse(file.read_text()).batteries[0].port == "simulated"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--battery", "driver=jbd"), "expected driver=NAME,port=PORT"),
        (("--battery", "driver=jbdd,port=simulated"), "did you mean jbd"),
        (("--battery", "driver=jbd,port=simulated", "--inverter", "deyee"), "did you mean deye?"),
        (("--battery", "driver=jbd,port=simulated", "--charge-current", "-3"), "charge_current.max"),
    ],
)
def test_wrong_answers_write_nothing(tmp_path: Path, quiet: Quiet, words: tuple[str, ...], sentence: str) -> None:
    code, _, err = quiet(*words)
    assert code == 1
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


def test_who_hangs_up_is_told_the_option_and_nothing_is_written(tmp_path: Path) -> None:
    done = init(tmp_path, "--battery", "driver=jbd,port=simulated", said="deye\n")
    assert done.returncode == 1
    assert "not answered" in done.stderr
    assert "--channel says it" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_questions_at_a_terminal_are_asked_again_until_they_are_understood(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    answers = "socket\ndeyee\ndeye\ncan3\n5,5\n45\n\n\n"
    with subprocess.Popen([PROGRAM, "init", "-o", str(tmp_path / "g.yaml"), "--battery", "driver=jbd,port=simulated"],
                          stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:  # fmt: skip
        os.write(ours, answers.encode())
        assert process.wait(30) == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "did you mean deye?" in shown
    assert "expected a number in A, with a decimal point" in shown
    settings = parse((tmp_path / "g.yaml").read_text())
    assert settings.limits.charge_current.max == 45.0
    assert settings.limits.discharge_current.max == 60.0, "Enter took the safe answer"


def test_a_battery_is_found_on_the_port_that_is_offered(home: House) -> None:
    port = home.pack("pack", "jbd")
    done = init(home.folder, "--yes", "--port", str(port))
    assert done.returncode == 0, done.stderr
    battery = parse((home.folder / "gateway.yaml").read_text()).batteries[0]
    assert (battery.driver, battery.port) == ("jbd", str(port))
