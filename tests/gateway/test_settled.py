"""Is a new version well?  Judged by what the old one had; asked of a real gateway, and of none."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settled import faulty
from tests.e2e.house import PROGRAM, House, house

CONFIG = "batteries:\n  - {name: rack-1, driver: jbd, port: simulated}\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as built:
        yield built


def state(**changed: Any) -> dict[str, Any]:
    sound = {
        "service": {"version": "2", "process": 1}, "time": 100.0,
        "batteries": [{"name": "rack-1", "health": "online"}], "outputs": {"can_bms": {"connected": True}},
    }  # fmt: skip
    return {**sound, **changed}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (state(), []),
        (state(service={"version": "1"}), ["version 1 runs, expected 2"]),
        (state(time=90.0), ["nothing was decided for 11 s"]),
        ({"service": {"version": "2"}, "waiting": "starting"}, ["starting", "rack-1 answered", "output can_bms was"]),
        (state(batteries=[{"name": "rack-1", "health": "lost"}]), ["rack-1 answered before, and does not now"]),
        (state(outputs={}), ["output can_bms was connected before, and is not now"]),
    ],
)
def test_a_new_version_must_have_back_what_the_old_one_had(now: dict[str, Any], words: list[str]) -> None:
    found = list(faulty(now, "2", state(), 101.0))
    assert len(found) == len(words)
    assert all(one.startswith(word) for one, word in zip(found, words, strict=True))


def test_what_was_not_there_before_is_not_asked_for() -> None:
    before = state(batteries=[{"name": "rack-1", "health": "lost"}], outputs={})
    assert list(faulty(state(batteries=[], outputs={}), "2", before, 101.0)) == []


def test_the_command_waits_until_it_is_so_and_says_what_is_not(home: House) -> None:
    before = home.folder / "before.json"
    before.write_text(json.dumps(state(outputs={})))

    def settled(*words: str) -> "subprocess.CompletedProcess[str]":
        asked = [PROGRAM, "status", "--socket", str(home.folder / "control"), "--as", str(before), *words]
        return subprocess.run(asked, capture_output=True, text=True, timeout=40, check=False)

    silent = settled("--settled", "0", "--patience", "1")
    assert (silent.returncode, silent.stderr.startswith("not healthy within 1 s: ")) == (1, True)
    home.gateway(CONFIG)
    well = settled("--settled", "1", "--patience", "20")
    assert (well.returncode, well.stderr) == (0, "")
    before.write_text(json.dumps(state(batteries=[{"name": "rack-9", "health": "online"}], outputs={})))
    lost = settled("--settled", "0", "--patience", "1")
    assert (lost.returncode, lost.stderr) == (1, "not healthy within 1 s: rack-9 answered before, and does not now\n")
