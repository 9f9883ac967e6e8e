"""docs/add-a-bms.md may be followed literally: its commands, its skeleton and its worked example."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import bms_drivers
from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver, Registers
from bms_drivers.kit.decode import decode
from bms_drivers.kit.map_file import Bits, Map, Value
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.factory import open_link
from bms_drivers.links.recording import load
from gateway.cli.skeleton import skeleton
from gateway.model import ConfigError, DeviceRefused
from gateway.model.section import key_of, of_the_file
from tests.cli.program import called
from tests.vectors import differences

ROOT = Path(__file__).parent.parent.parent
TOOLS = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "add-a-bms.md").read_text()
((EXAMPLE,), (RECORDING,)) = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S) for kind in ("python", "json"))
QUESTIONS = {bytes.fromhex(e["tx"]): bytes.fromhex(e["rx"][0]) for e in json.loads(RECORDING)["exchanges"]}


def loaded(file: Path) -> Driver:
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    driver: Driver = module.DRIVER
    return driver


@contextmanager
def device(answers: dict[bytes, bytes], unasked: bytes = b"") -> Iterator[str]:
    """A device on a pty that knows these questions, or says something again and again; yields its path."""
    master, slave = os.openpty()
    ended = threading.Event()

    def answer() -> None:
        while not ended.wait(0.02 if unasked else 0):
            if unasked:
                os.write(master, unasked)
            elif (asked := os.read(master, 100)) in answers:
                os.write(master, answers[asked])

    os.set_blocking(master, True)
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        ended.set()
        os.write(slave, b"end")
        thread.join()
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("text", [skeleton("new_bms"), EXAMPLE], ids=["skeleton", "example"])
def test_it_is_clean_and_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "begun.py"
    file.write_text(text)
    settings = str(ROOT / "pyproject.toml")
    for words in (
        ["ruff", "check", "--no-cache", "--config", settings],
        ["ruff", "format", "--no-cache", "--check", "--config", settings],
        ["mypy", "--strict", "--follow-imports=silent", "--config-file", os.devnull],
    ):
        done = subprocess.run(
            [TOOLS / words[0], *words[1:], file], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert loaded(file).plan


def test_example_decodes_its_recording_to_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text(EXAMPLE)
    found = decode(loaded(tmp_path / "acme.py"), json.loads(RECORDING))
    assert (found.errors, found.unanswered) == ([], [])
    assert differences(found.readings[""], json.loads(RECORDING)["expected"]) == []


def test_skeleton_reads_the_examples_first_answer(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text(called("drivers", "--skeleton", "new_bms").stdout)
    found = decode(loaded(tmp_path / "acme.py"), json.loads(RECORDING))
    assert (found.readings[""].voltage, found.readings[""].soc) == (13.28, 78)


def test_skeleton_may_be_printed_into_its_own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "new_bms.py").touch()  # as the shell does before the command runs
    monkeypatch.setattr(bms_drivers, "__path__", [str(tmp_path)])
    assert 'name="new_bms"' in skeleton("new_bms")


@pytest.mark.parametrize("text", ["", "from bms_drivers.jbd import DRIVER\n"])
def test_file_without_its_driver_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "begun.py").write_text(text)
    monkeypatch.setattr(bms_drivers, "__path__", [str(tmp_path)])
    monkeypatch.setattr(registry, "names", lambda: ["begun"])
    with pytest.raises(ConfigError, match=r"bms_drivers/begun.py declares no DRIVER called 'begun'"):
        registry.load("begun")
    sys.modules.pop("bms_drivers.begun")


@pytest.mark.parametrize("name", ["jbd", "My-BMS", "9volt", ""])
def test_skeleton_wants_a_name_that_is_free(name: str) -> None:
    done = called("drivers", "--skeleton", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_raw_recording_holds_what_the_page_shows(tmp_path: Path) -> None:
    file = tmp_path / "first.json"
    with device(QUESTIONS) as port:
        words = [word for question in QUESTIONS for word in ("--raw", question.hex())]
        done = called("record", "--driver", "acme", "--port", port, *words, "--wait", "0.3", "--out", str(file))
    assert done.returncode == 0, done.stderr
    recording: dict[str, Any] = load(file)
    assert recording["exchanges"] == json.loads(RECORDING)["exchanges"]
    assert (recording["driver"], recording["kind"], recording["expected"]) == ("acme", "captured", {})


def test_listening_asks_nothing_and_records_what_is_said(tmp_path: Path) -> None:
    file, said = tmp_path / "heard.json", next(iter(QUESTIONS.values()))
    with device({}, unasked=said) as port:
        done = called("record", "--port", port, "--listen", "0.5", "--baud", "19200", "--out", str(file))
    assert done.returncode == 0, done.stderr
    ((exchange),) = load(file)["exchanges"]
    assert exchange["tx"] == ""
    (heard,) = exchange["rx"]
    assert said.hex() in heard


def test_silence_is_recorded_and_said(tmp_path: Path) -> None:
    file = tmp_path / "nothing.json"
    with device({}) as port:
        done = called("record", "--port", port, "--raw", "5b01005c", "--wait", "0.1", "--out", str(file))
    assert done.returncode == 1
    assert "nothing answered" in done.stderr
    assert load(file)["exchanges"] == [{"tx": "5b01005c", "rx": []}]


@pytest.mark.parametrize(
    "words", [[], ["--raw", "5b0"], ["--driver", "jbd", "--baud", "9600"], ["--raw", "5b", "--set", "a=1"]]
)
def test_recording_needs_to_know_what_to_ask(words: list[str], tmp_path: Path) -> None:
    done = called("record", "--port", "/dev/null", "--out", str(tmp_path / "x.json"), *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_page_shows_commands_that_there_are() -> None:
    for words in re.findall(r"bms-gateway ([a-z]+)[^\n]*? (--[a-z]+)", PAGE):
        assert words[1] in called(words[0], "--help").stdout, words


def test_the_dbc_of_the_page_gives_its_reading_from_a_log(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```dbc\n(.*?)```", PAGE, re.S)
    assert shown == (ROOT / "tests/vectors/dbc/acme.dbc").read_text(), "the recording of tests/vectors/dbc is its test"
    file, log = tmp_path / "acme.dbc", tmp_path / "first.log"
    file.write_text(shown)
    log.write_text("(1700000000.1) can0 300#30057B004E034007\n(1700000000.2) can0 301#00F90CF70C000000\n")
    done = called("decode", "--driver", "dbc", "--set", f"dbc={file}", "--json", str(log))
    reading = json.loads(done.stdout)["reading"]
    assert (reading["voltage"], reading["current"], reading["soc"]) == (13.28, -12.3, 78)
    assert reading["cell_voltages"] == [3.321, 3.319, None, None], "a part that did not come is not known"


def test_the_register_map_of_the_page_gives_its_reading(tmp_path: Path) -> None:
    """From an empty file to a Reading, as the page says: `check` accepts both files, `decode` reads the recording."""
    shown, house = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[1:3]
    vectors = ROOT / "tests/vectors/modbus_map"
    assert shown == (vectors / "acme.yaml").read_text(), "the recording of tests/vectors/modbus_map is its test"
    (tmp_path / "acme.yaml").write_text(shown)
    (tmp_path / "gateway.yaml").write_text(house)
    done = called("check", str(tmp_path / "gateway.yaml"))
    assert (done.returncode, done.stderr) == (0, ""), "a relative path is beside gateway.yaml, wherever one is"
    words = ("--driver", "modbus_map", "--set", f"map={tmp_path}/acme.yaml", "--json")
    done = called("decode", *words, str(vectors / "acme.json"))
    answer, expected = json.loads(done.stdout), json.loads((vectors / "acme.json").read_text())["expected"]
    assert (answer["unanswered"], answer["errors"]) == ([], [])
    assert {name: value for name, value in answer["reading"].items() if name in expected and name != "alarms"} == {
        name: value for name, value in expected.items() if name != "alarms"
    }
    assert answer["reading"]["alarms"]["high_temperature"] == 1


def test_the_page_explains_every_key_of_a_register_map() -> None:
    part = PAGE[PAGE.index("## From an empty register map") : PAGE.index("## From an empty DBC")]
    table = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", part, re.M))))
    entry = {key_of(field) for kind in (Value, Bits) for field in of_the_file(kind)}
    assert table | {"bits"} == entry
    assert [name for field in of_the_file(Map) if f"`{(name := field.name)}" not in part] == []


def test_a_register_maps_own_questions_are_recorded(tmp_path: Path) -> None:
    vectors, file = ROOT / "tests/vectors/modbus_map", tmp_path / "first.json"
    exchanges = json.loads((vectors / "acme.json").read_text())["exchanges"]
    with device({bytes.fromhex(e["tx"]): bytes.fromhex(e["rx"][0]) for e in exchanges}) as port:
        words = ("--driver", "modbus_map", "--set", f"map={vectors}/acme.yaml", "--port", port)
        done = called("record", *words, "--out", str(file))
    assert done.returncode == 0, done.stderr
    found = decode(registry.load("modbus_map"), load(file))
    assert (found.unanswered, found.readings[""].voltage, found.readings[""].model) == ([], 13.28, "A4S-100")


def test_a_recording_may_stand_in_for_the_bms_of_a_register_map() -> None:
    """`simulate modbus_map --image` is a device that holds what the recording held, and refuses all else."""
    vectors = ROOT / "tests/vectors/modbus_map"
    words = ("simulate", "modbus_map", "--image", str(vectors / "acme.json"))
    with subprocess.Popen([TOOLS / "bms-gateway", *words], stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        session = Session(registry.load("modbus_map"), {"map": str(vectors / "acme.yaml")})
        port = simulator.stdout.readline().strip()

        async def read() -> Any:
            link = open_link(port, session.driver)
            await link.open()
            for poll in session.due(0.0):
                session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), 0.0)
            with pytest.raises(DeviceRefused, match="illegal data address"):
                await link.exchange(Registers(1, 5, 1))
            await link.close()
            return session.readings()[""]

        try:
            reading = asyncio.run(read())
        finally:
            simulator.terminate()
    assert differences(reading, json.loads((vectors / "acme.json").read_text())["expected"]) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("modbus_map",), "modbus_map: what its registers hold is not known; expected --image with a recording"),
        (("jbd", "--image", "x.json"), "--image: a jbd has a simulator of its own"),
        (("modbus_map", "--image", "tests/vectors/jbd_can"), "tests/vectors/jbd_can: Is a directory"),
    ],
)
def test_an_image_that_cannot_be_held_is_one_line(words: tuple[str, ...], said: str) -> None:
    done = called("simulate", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and done.stderr.count("\n") == 1
