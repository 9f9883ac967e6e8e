"""Pictures: what is drawn can be read without the numbers beside it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.text import Text

from gateway.cli import explain, limits
from gateway.demo.view import cells
from gateway.limits import LimitSettings

BATTERIES = """
batteries:
  - {name: one, driver: jbd, port: /dev/ttyUSB0}
  - {name: two, driver: jbd, port: /dev/ttyUSB1}
  - {name: small, driver: jbd, port: /dev/ttyUSB2, limits: {charge_current: {max: 20}}}
"""


def curves(folder: Path, config: str) -> str:
    """The picture of a configuration's curves."""
    file, target = folder / "house.yaml", folder / "curves.svg"
    file.write_text(config)
    done = CliRunner().invoke(explain.command, ["-c", str(file), "--plot", str(target)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return target.read_text()


def day(folder: Path, **scenario: Any) -> str:
    """The picture of a scenario."""
    file, target = folder / "day.json", folder / "day.svg"
    file.write_text(json.dumps({"battery": {"cell_count": 2, "capacity": 100}, **scenario}))
    done = CliRunner().invoke(limits.command, [str(file), "--plot", str(target)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return target.read_text()


def words(svg: str) -> list[str]:
    return re.findall(r">([^<>\n]+)</text>", svg)


def markers(svg: str) -> int:
    """Points of curves; those of the axes' ticks are black."""
    return len(re.findall(r'<use [^>]*style="fill: #(?!000000)', svg))


def test_curves_say_of_what_they_are_and_every_battery_of_its_own_has_a_panel(tmp_path: Path) -> None:
    found = words(curves(tmp_path, BATTERIES))
    assert any("Current limits by" in word and "house.yaml" in word for word in found)
    assert "bank" in found and "small" in found and "one" not in found
    assert found.count("limits.by_cell_voltage") == 2


def test_every_point_of_a_table_is_marked(tmp_path: Path) -> None:
    one = "batteries: [{name: a, driver: jbd, port: /dev/ttyUSB0}]\n"
    plain = markers(curves(tmp_path, one))
    table = "{points: [3.3, 3.35, 3.4, 3.42, 3.44, 3.46, 3.48], fractions: [1, 0.9, 0.8, 0.5, 0.3, 0.1, 0]}"
    assert markers(curves(tmp_path, f"{one}limits: {{by_cell_voltage: {{charge: {table}}}}}\n")) == (
        plain + 7 - len(LimitSettings().by_cell_voltage.charge.points)
    )


def test_the_same_curves_are_the_same_file(tmp_path: Path) -> None:
    assert curves(tmp_path, BATTERIES) == curves(tmp_path, BATTERIES)


@pytest.mark.parametrize(("seconds", "unit"), [(60, "s"), (3600, "min"), (36000, "h")])
def test_a_scenario_is_drawn_in_the_unit_of_its_length_under_its_title(tmp_path: Path, seconds: int, unit: str) -> None:
    rows = [{"t": 0, "in": {"cell_voltages": [3.3, 3.3], "soc": 50}}, {"t": seconds, "in": {"soc": 51}}]
    found = words(day(tmp_path, title="a quiet day", dt=seconds / 10, rows=rows))
    assert "a quiet day" in found
    assert unit in found
    assert "day.json" in words(day(tmp_path, rows=rows, dt=seconds / 10)), "without a title the file's name"


def test_every_row_of_a_scenario_is_marked(tmp_path: Path) -> None:
    rows = [{"t": t, "in": {"cell_voltages": [3.3, 3.3 + t / 1000], "soc": 50}} for t in range(0, 100, 10)]
    assert markers(day(tmp_path, rows=rows)) - markers(day(tmp_path, rows=rows[::3])) == 2 * 6


def bars(*volts: float | None) -> str:
    return cells(volts).plain.partition(" ")[0]


def test_the_cells_of_a_pack_are_told_apart_by_height_and_colour() -> None:
    assert bars(3.400, 3.408, 3.416) == "▁▅█"
    assert bars(3.40, 3.45, 3.60) == "▁▃█"
    assert bars(3.400, 3.401) == "▁▁", "a step of the BMS is no difference"
    assert bars(3.4, None) == "▁?"
    shown: Text = cells((3.400, 3.410, 3.416))
    assert [span.style for span in shown.spans] == ["blue", "green", "red"]
    assert shown.plain.endswith(" 3.400..3.416")
