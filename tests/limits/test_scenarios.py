"""Every recorded scenario, every asserted field, the files' own tolerances.  Sheet: limits.md chapter 17."""

from pathlib import Path
from typing import Any

import pytest

from gateway.limits.scenario import differences, load, run, scenario
from gateway.model import ConfigError

FILES = sorted((Path(__file__).parent.parent / "vectors" / "limits").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario(file: Path) -> None:
    whole = load(file)
    expected = [moment for moment in run(whole) if moment.row is not None and moment.row.out is not None]
    assert len(expected) == sum(row.out is not None for row in whole.rows)
    assert [sentence for moment in expected for sentence in differences(whole, moment)] == []


def test_all_scenarios_are_here() -> None:
    assert len(FILES) == 34


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"in": {"socc": 5}}, "rows[0].in.socc: Extra inputs"),
        ({"in": {"soc": "full"}}, "rows[0].in.soc: Input should be a valid number"),
        ({"tol": {"cvl": None}}, "rows[0].tol.cvl: Input should be a valid number"),
    ],
)
def test_what_no_scenario_has_is_refused_by_its_place(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        scenario({"rows": [{"t": 0, **said}]}, "day.json")
    assert str(refused.value).startswith(f"day.json: {problem}")


def wrong(cells: Any, **out: Any) -> list[str]:
    """What of `out` a pack of these cells does not do; 55.2 V is its charge voltage, when they are known."""
    row = {"t": 0, "in": {"cell_voltages": cells, "soc": 60}, "out": out, "tol": {"cvl": 0.25}}
    whole = scenario({"rows": [row]})
    return [sentence for moment in run(whole) for sentence in differences(whole, moment)]


def test_what_is_expected_is_held_against_what_was_decided_to_the_tolerance_itself() -> None:
    cells = [3.3] * 16
    assert wrong(cells, cvl=55.45, charge_mode="bulk", allow_charge=True) == []
    assert wrong(cells, cvl=54.95) == []
    assert wrong(cells, cvl=55.46) == ["t=0 cvl: 55.2, expected 55.46"]
    assert wrong(cells, charge_mode="float") == ["t=0 charge_mode: bulk, expected float"]
    assert wrong(cells, cvl=None) == ["t=0 cvl: 55.2, expected None"]
    assert wrong(None, cvl=None) == []
    assert wrong(None, cvl=0.0) == ["t=0 cvl: None, expected 0.0"]


def test_the_pack_voltage_and_what_remains_follow_from_what_is_given() -> None:
    says = {"cell_voltages": [3.3] * 16, "soc": 60}
    moments = run(scenario({"battery": {"capacity": 280}, "rows": [
        {"t": 0, "in": says}, {"t": 1, "in": {"voltage": 52.0}}, {"t": 2, "in": {"voltage": None, "soc": None}},
        {"t": 3, "in": {"cell_voltages": [None, *[3.3] * 15]}},
    ]}))  # fmt: skip
    found = [(moment.reading.voltage, moment.reading.remaining_capacity) for moment in moments]
    assert found == [(pytest.approx(52.8), 168.0), (52.0, 168.0), (pytest.approx(52.8), None), (None, None)]
