"""A report made during a fault, played again, shows the fault; and it holds no secret."""

import json
import re
import zipfile
from pathlib import Path

from click.testing import CliRunner

from bms_drivers.links.recording import wrong
from gateway.cli.main import cli
from tests.e2e.house import House, house

CONFIG = """
# the batteries in the shed; password: hunter2
batteries:
  - {{name: pack, driver: jk, port: {port}, poll_interval: 0.3}}   # the old one
outputs: {{web: {{port: 0}}}}
"""


def command(home: House, *words: str) -> str:
    """In this process, which saves the start of another one."""
    told = () if words[0] == "replay" else ("--socket", str(home.folder / "control"))
    done = CliRunner().invoke(cli, [*words, *told], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_report_made_during_a_fault_plays_the_fault_again(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        port = home.pack("pack0", "jk", "--soc", "60", "--current", "10")
        home.gateway(CONFIG.format(port=port))
        home.wait(lambda s: s["decision"]["ccl"] > 0, 15, "limits")
        home.tell("pack0", "fault checksum 1")
        polls = home.state()["batteries"][0]["counters"]["polls"] + 3
        home.wait(lambda s: s["batteries"][0]["counters"]["polls"] >= polls, 10, "the bad frame to be over")
        home.tell("pack0", "cell 3 3.66")
        home.wait(lambda s: s["decision"]["ccl"] == 0, 10, "the high cell to stop the charge")
        command(home, "restrict", "dcl=5", "--for", "10m")
        home.wait(lambda s: s["decision"]["dcl"] == 5, 5, "the limit from outside")
        assert command(home, "report", "-o", str(tmp_path / "report.zip")).startswith(str(tmp_path))
        state = home.state()
        assert (tmp_path / "report.zip").stat().st_mode & 0o777 == 0o600

        with zipfile.ZipFile(tmp_path / "report.zip") as bag:
            files = {name: bag.read(name).decode() for name in bag.namelist()}
        assert {"readme.txt", "about.json", "gateway.yaml", "state.json", "events.json", "audit.json", "log.txt",
                "frames/pack.json"} <= files.keys()  # fmt: skip
        assert "# the batteries in the shed; password: MASKED" in files["gateway.yaml"]
        assert "# the old one" in files["gateway.yaml"]
        assert not any("hunter2" in text for text in files.values())
        recording = json.loads(files["frames/pack.json"])
        assert not wrong(recording) and len(recording["first"]) >= 2 and recording["bad"]
        curves = json.loads(files["history.json"])
        assert (curves["span"], len(curves["values"]["voltage"]["value"])) == ("1h", 360)
        assert any(curves["values"]["max_cell"]["value"])
        assert re.search(r"Z \d+\.\d{3} INFO pack: starting -> online", files["log.txt"])

        played = json.loads(command(home, "replay", str(tmp_path / "report.zip"), "--json"))
        what = [(event["about"], event["text"]) for event in played["events"]]
        assert any(about == "charge" and text.startswith("charge current 0.0 A") for about, text in what), what
        assert played["state"]["decision"]["ccl"] == 0 and played["state"]["decision"]["dcl"] == 5
        assert played["state"]["bank"]["max_cell"] == state["bank"]["max_cell"]
        reported = played["reported"]["events"]
        assert what == [(event["about"], event["text"]) for event in reported], "the same events, in the same order"
        for mine, theirs in zip(played["events"], reported, strict=True):
            assert abs(mine["wall"] - theirs["wall"]) < 1.5, mine
        assert "the end:" in command(home, "replay", str(tmp_path / "report.zip"))
