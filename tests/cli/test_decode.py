"""`bms-gateway decode` as a user calls it: in a process of its own."""

import json
from pathlib import Path

import pytest

from bms_drivers.kit import registry
from tests.cli.program import called
from tests.vectors import Case, cases, is_write

VECTORS = Path(__file__).parent.parent / "vectors"


def test_prints_one_json_object() -> None:
    done = called("decode", "--driver", "jbd", str(VECTORS / "jbd/4s-sp04s034.json"), "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["driver"], answer["errors"]) == (0, "jbd", [])
    assert answer["reading"]["voltage"] == 15.6
    assert answer["reading"]["soh"] is None


def test_for_people_it_prints_a_value_a_line() -> None:
    done = called("decode", str(VECTORS / "jbd/4s-sp04s034.json"))
    assert "voltage                      15.6" in done.stdout


WRITES = [case for name in registry.names() for case in cases(name) if is_write(case)]


def test_a_recorded_soc_write_is_recognised() -> None:
    done = called("decode", str(VECTORS / "daly/set-soc-request.json"), "--json")
    assert json.loads(done.stdout)["writes"] == {"soc 30 %": True}


@pytest.mark.parametrize("case", [c for c in WRITES if "soc_write" not in c.data["expected"]], ids=str)
def test_recorded_switch_writes_are_recognised(case: Case) -> None:
    driver = case.data["driver"]
    done = called("decode", str(VECTORS / driver / f"{case.name}.json"), "--json")
    writes = json.loads(done.stdout)["writes"]
    assert writes
    steps = [step for step in case.data["expected"].get("steps", ()) if isinstance(step, dict)]
    last = {step["action"].replace("_", " "): step["accepted"] for step in steps}  # a driver repeats what was not taken
    assert {name for name, accepted in writes.items() if not accepted} == {name for name in last if not last[name]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-file.json"], "no-such-file.json: No such file or directory"),
        (["--driver", "jdb", str(VECTORS / "jbd/4s-sp04s034.json")], "did you mean jbd?"),
        (["--driver", "jbd", str(VECTORS / "README.txt")], "not a recording in the vector format"),
        ([str(VECTORS / "limits/mosfet_step.json")], "a limits scenario, expected a recording; run it with"),
        ([str(next((VECTORS / "can_inverter").glob("*.json")))], "towards inverters; read it with: bms-gateway can"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_1(words: list[str], message: str, tmp_path: Path) -> None:
    if "README.txt" in words[-1]:
        words = [*words[:-1], str(tmp_path / "README.txt")]
        (tmp_path / "README.txt").write_text("not json")
    done = called("decode", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_setting_is_wrong_usage() -> None:
    done = called("decode", "--set", "speed=3", str(VECTORS / "jbd/4s-sp04s034.json"))
    assert done.returncode == 2
    assert "--set speed=3" in done.stderr


def test_a_setting_may_be_a_word_among_numbers() -> None:
    done = called("decode", "--set", "address=all", str(VECTORS / "pace/two_packs_p9_discharging.json"), "--json")
    assert list(json.loads(done.stdout)["packs"]) == ["1", "2"]


@pytest.mark.parametrize("value", ["every", "16"])
def test_a_setting_outside_its_choices_is_wrong_usage(value: str) -> None:
    done = called("decode", "--set", f"address={value}", str(VECTORS / "pace/two_packs_p9_discharging.json"))
    assert done.returncode == 2
    assert f"--set address={value}: address" in done.stderr


def test_hex_that_is_none_names_the_exchange(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"driver": "jbd", "exchanges": [{"tx": "", "rx": []}, {"tx": "zz", "rx": []}]}))
    done = called("decode", str(file))
    assert (done.returncode, done.stderr.count("exchange 2")) == (1, 1)


def write(tmp_path: Path, **recording: object) -> str:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(recording))
    return str(file)


SOUND = {"tx": "dda50300fffd77", "rx": []}


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        ({"driver": "jbd", "exchanges": [{"tx": "zz", "rx": []}]}, "exchange 1: 'zz' where hex belongs"),
        (
            {"driver": "jbd", "exchanges": [SOUND, {"tx": "00", "rx": "00"}]},
            'exchange 2: needs "tx" in hex and "rx" as',
        ),
        ({"driver": "jbd", "exchanges": [{"tx": 5, "rx": []}]}, "exchange 1: 5 where hex belongs"),
        ({"driver": "jbd", "exchanges": {}}, '"exchanges" is an object, expected a list'),
        ({"driver": "jbd"}, 'holds no "exchanges"'),
        ({"exchanges": [SOUND]}, "the recording names no driver; give --driver"),
        ({"driver": "jdb", "exchanges": [SOUND]}, "no driver is called 'jdb', did you mean jbd?"),
        ({"driver": "jbd", "exchanges": [SOUND], "expected": []}, '"expected" is a list, expected an object'),
        ({"driver": "jbd", "exchanges": [SOUND], "config": 5}, '"config" is 5, expected an object'),
        ({"driver": "daly", "exchanges": [SOUND], "config": {"address": "1"}}, "address: '1', expected int 1..32"),
        ({"driver": "daly", "exchanges": [SOUND], "config": {"address": 64}}, "address: 64, expected int 1..32"),
        ({"driver": "jbd", "registers": {"1": {"4096": 70000}}}, "unit 1: register '4096' is 70000, expected 0..65535"),
        ({"driver": "jbd", "registers": {"one": {}}}, "registers: 'one': expected"),
        ({"driver": "jbd", "exchanges": [SOUND]}, "no Reading: the recording has no answer to any of the requests"),
        (
            {"driver": "jbd", "exchanges": [{**SOUND, "rx": ["dd03"]}]},
            "no Reading: the recording has only torn answers",
        ),
        ({"dialect": "growatt", "exchanges": [{"tx": "00", "rx": ""}]}, "a case of an inverter's side"),
    ],
)
def test_a_recording_that_cannot_be_played_is_one_line(
    recording: dict[str, object], message: str, tmp_path: Path
) -> None:
    file = write(tmp_path, **recording)
    done = called("decode", file)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{file}: ") and message in done.stderr
    assert done.stderr.count("\n") == 1


TORN = Path(__file__).parent / "cases" / "daly_18s_torn_reply.json"


def test_a_torn_answer_is_told_apart_from_none() -> None:
    done = called("decode", str(TORN), "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert {name: answer["reading"][name] for name in ("voltage", "current", "soc")} == {
        "voltage": 54.0, "current": -29.4, "soc": 64.6,
    }  # fmt: skip
    assert answer["reading"]["cell_voltages"] == []
    cells = "a5409508000000000000000082"
    assert [torn["request"] for torn in answer["torn"]] == [cells]
    assert answer["torn"][0] == {
        "request": cells, "bytes": 87, "frames": 5, "dropped": {"checksum": 1, "noise": 1}, "foreign": 1, "begun": 0,
    }  # fmt: skip
    assert cells not in answer["unanswered"]
    assert "a5409308000000000000000080" in answer["unanswered"]


def test_for_people_a_torn_answer_has_a_line_of_its_own() -> None:
    done = called("decode", str(TORN))
    lines = [line for line in done.stdout.splitlines() if "a5409508000000000000000082" in line]
    assert lines == [
        "answered, torn               a5409508000000000000000082: 87 bytes came, 5 good frames of it, 1 checksum,"
        " 1 noise, 1 foreign"
    ]


def test_alarms_that_were_not_answered_are_not_said_to_be_none(tmp_path: Path) -> None:
    exchanges = [{"tx": "a540900800000000000000007d", "rx": ["a5019008021c000076560286b0"]}]
    done = called("decode", write(tmp_path, driver="daly", exchanges=exchanges))
    assert done.returncode == 0 and "voltage" in done.stdout
    assert "none raised" not in done.stdout


def test_an_empty_expectation_is_said(tmp_path: Path) -> None:
    recording = json.loads((VECTORS / "jbd/4s-sp04s034.json").read_text())
    done = called("decode", write(tmp_path, **{**recording, "expected": {}}))
    assert done.returncode == 0
    assert done.stderr.endswith('case.json: "expected" is empty: as a test this recording checks nothing\n')
    assert called("decode", str(VECTORS / "jbd/4s-sp04s034.json")).stderr == ""
