"""A configuration read by another process: the same settings and the same sentences, and what goes wrong in between."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.config.doubts import doubts
from gateway.config.handed import PATIENCE, handed
from gateway.config.load import load
from gateway.config.prepared import Prepared
from gateway.model import ConfigError, GatewayError

ROOT = Path(__file__).parents[2]
GOOD = """
batteries:
  - {name: a, driver: jbd, port: /dev/ttyOfNobody, limits: {charge_current: {max: 20}}}
  - {name: b, driver: daly_can, port: can0, address: 2}
limits: {soc: {low_alarm: 5}}
outputs:
  can_bms: {interface: virtual, channel: bench, inverter: deye, silence_after: null}
  venus_dbus: {}
"""


def read(folder: Path, text: str, patience: float = 60.0) -> Prepared:
    """What the other process makes of it."""
    file = folder / "gateway.yaml"
    file.write_text(text)
    return asyncio.run(handed(file, patience))


def test_what_is_handed_over_is_what_the_file_says(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    here = load(tmp_path / "gateway.yaml")
    assert found.settings == here
    assert list(found.doubts) == doubts(here)
    assert found.outputs["can_bms"].dialect.ids and found.outputs["can_bms"].towards.title
    assert "Daly_SOC" in found.read["b"]
    assert found.settings.outputs["can_bms"].given == {"interface", "channel", "inverter", "silence_after"}
    assert [found.driver(battery).name for battery in found.settings.batteries] == ["jbd", "daly_can"]  # type: ignore[union-attr]


def test_mistakes_are_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        read(tmp_path, GOOD.replace("driver: jbd", "driver: jbt").replace("low_alarm: 5", "low_alarm: 50"))
    with pytest.raises(ConfigError) as here:
        load(tmp_path / "gateway.yaml")
    assert told.value.problems == here.value.problems and len(told.value.problems) == 2
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        asyncio.run(handed(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("import os; os._exit(7)", "handed over nothing (exit code 7)"),
        ("raise RuntimeError('half installed')", "handed over nothing (exit code 1: RuntimeError: half installed)"),
        ("import os; os.write(1, bytes(range(256))); os._exit(0)", "handed over nothing (exit code 0)"),
        ("import os; os.write(1, b'bms-gateway 99.0 0\\n'); os._exit(0)", "read by another version than the one that"),
        ("import time; time.sleep(600)", "not read within 2 s"),
        ("import os, time; os.fork(); time.sleep(6)", "not read within 2 s"),
    ],
)
def test_a_process_that_hands_over_nothing_is_one_line(
    library: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pydantic").mkdir()
    (tmp_path / "pydantic" / "__init__.py").write_text(f"{library}\n")  # the process finds this one
    monkeypatch.syspath_prepend(tmp_path)
    began = time.monotonic()
    with pytest.raises(GatewayError) as problem:
        read(tmp_path, GOOD, 2.0 if "sleep" in library else 60.0)
    assert time.monotonic() - began < (4.0 if "sleep" in library else 60.0), "nobody waits for what does not end"
    assert said in str(problem.value) and str(tmp_path / "gateway.yaml") in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_python_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(GatewayError, match=r"gateway\.yaml: not read, .*/python cannot be started \(No such file.*$"):
        read(tmp_path, GOOD)


def test_that_nothing_came_is_said_before_systemd_loses_its_patience() -> None:
    unit = (ROOT / "packaging" / "bms-gateway.service").read_text()
    assert int(unit.split("TimeoutStartSec=")[1].split()[0]) >= PATIENCE + 20, "and importing takes its time, too"


def test_what_a_library_prints_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "textparser.py").write_text("print('a greeting')\nraise ImportError('none', name='textparser')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = read(tmp_path, GOOD)
    assert "textparser" in found.outputs["can_bms"].problem  # which cantools needs
