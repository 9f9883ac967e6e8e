"""`bms-gateway decode` as a user calls it: in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bms_drivers.kit import registry
from tests.vectors import Case, cases, is_write

VECTORS = Path(__file__).parent.parent / "vectors"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "bms-gateway", *words], capture_output=True, text=True, timeout=30, check=False
    )


def test_prints_one_json_object() -> None:
    done = run("decode", "--driver", "jbd", str(VECTORS / "jbd/4s-sp04s034.json"), "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["driver"], answer["errors"]) == (0, "jbd", [])
    assert answer["reading"]["voltage"] == 15.6
    assert answer["reading"]["soh"] is None


def test_for_people_it_prints_a_value_a_line() -> None:
    done = run("decode", str(VECTORS / "jbd/4s-sp04s034.json"))
    assert "voltage                      15.6" in done.stdout


WRITES = [case for name in registry.names() for case in cases(name) if is_write(case)]


def test_a_recorded_soc_write_is_recognised() -> None:
    done = run("decode", str(VECTORS / "daly/set-soc-request.json"), "--json")
    assert json.loads(done.stdout)["writes"] == {"soc 30 %": True}


@pytest.mark.parametrize("case", [c for c in WRITES if "soc_write" not in c.data["expected"]], ids=str)
def test_recorded_switch_writes_are_recognised(case: Case) -> None:
    driver = case.data["driver"]
    done = run("decode", str(VECTORS / driver / f"{case.name}.json"), "--json")
    writes = json.loads(done.stdout)["writes"]
    assert writes
    steps = [step for step in case.data["expected"].get("steps", ()) if isinstance(step, dict)]
    refused = {step["action"].replace("_", " ") for step in steps if not step["accepted"]}
    assert {name for name, accepted in writes.items() if not accepted} == refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-file.json"], "no-such-file.json: No such file or directory"),
        (["--driver", "jdb", str(VECTORS / "jbd/4s-sp04s034.json")], "did you mean jbd?"),
        (["--driver", "jbd", str(VECTORS / "README.txt")], "not a recording in the vector format"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_1(words: list[str], message: str, tmp_path: Path) -> None:
    if "README.txt" in words[-1]:
        words = [*words[:-1], str(tmp_path / "README.txt")]
        (tmp_path / "README.txt").write_text("not json")
    done = run("decode", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_setting_is_wrong_usage() -> None:
    done = run("decode", "--set", "speed=3", str(VECTORS / "jbd/4s-sp04s034.json"))
    assert done.returncode == 2
    assert "--set speed=3" in done.stderr


def test_a_setting_may_be_a_word_among_numbers() -> None:
    done = run("decode", "--set", "address=all", str(VECTORS / "pace/two_packs_p9_discharging.json"), "--json")
    assert list(json.loads(done.stdout)["packs"]) == ["1", "2"]


@pytest.mark.parametrize("value", ["every", "16"])
def test_a_setting_outside_its_choices_is_wrong_usage(value: str) -> None:
    done = run("decode", "--set", f"address={value}", str(VECTORS / "pace/two_packs_p9_discharging.json"))
    assert done.returncode == 2
    assert f"--set address={value}: address" in done.stderr


def test_hex_that_is_none_names_the_exchange(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"driver": "jbd", "exchanges": [{"tx": "", "rx": []}, {"tx": "zz", "rx": []}]}))
    done = run("decode", str(file))
    assert (done.returncode, done.stderr.count("exchange 2")) == (1, 1)
