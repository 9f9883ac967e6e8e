"""Every recorded scenario, every asserted field, the files' own tolerances."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.limits.scenario import out, run

FILES = sorted((Path(__file__).parent.parent / "vectors" / "limits").glob("*.json"))
EXACT = ("charge_mode", "soc_reset", "soc_resets_sent", "allow_charge", "allow_discharge")
NEAR = ("cvl", "ccl", "dcl", "soc")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario(file: Path) -> None:
    scenario: dict[str, Any] = json.loads(file.read_text())
    wrong = []
    for moment in run(scenario):
        want = (moment.row or {}).get("out")
        if want is None:
            continue
        have, tolerance = out(moment), {**scenario["tolerance"], **(moment.row or {}).get("tol", {})}
        wrong += [
            f"t={moment.t:g} {k}: {have[k]}, expected {want[k]}" for k in EXACT if k in want and have[k] != want[k]
        ]
        wrong += [
            f"t={moment.t:g} {k}: {have[k]}, expected {want[k]}"
            for k in NEAR
            if want.get(k) is not None and (have[k] is None or abs(have[k] - want[k]) > tolerance[k] + 1e-9)
        ]
    assert wrong == []


def test_all_scenarios_are_here() -> None:
    assert len(FILES) == 34
