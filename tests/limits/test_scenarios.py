"""Every recorded scenario, every asserted field, the files' own tolerances.  Sheet: limits.md chapter 17."""

from pathlib import Path

import pytest

from gateway.limits.scenario import differences, load, run

FILES = sorted((Path(__file__).parent.parent / "vectors" / "limits").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario(file: Path) -> None:
    whole = load(file)
    expected = [moment for moment in run(whole) if moment.row is not None and moment.row.out is not None]
    assert len(expected) == sum(row.out is not None for row in whole.rows)
    assert [sentence for moment in expected for sentence in differences(whole, moment)] == []


def test_all_scenarios_are_here() -> None:
    assert len(FILES) == 34
