"""Recorded and constructed exchanges of inverters with a battery: the same answers, and the values out of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from outputs.rs485_bms import case as cases

VECTORS = Path(__file__).parents[1] / "vectors" / "rs485_inverter"
ALL = {file.stem: json.loads(file.read_text()) for file in sorted(VECTORS.glob("*.json"))}
FLAGS = ("_enable", "force_charge_1", "force_charge_2", "full_charge", "error_flag", "balancing")


def differing(case: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Values of a case that `found` does not have; a flag that is absent is 0."""
    want = case["values"]
    wrong = {key: (value, found.get(key)) for key, value in want.items() if found.get(key, 0) != value}
    raised = {key for key, value in found.items() if key.startswith(("a_", "p_")) and key != "alarm_info" and value}
    return wrong | dict.fromkeys(raised - want.keys(), (0, 1))


def test_every_recording_is_here() -> None:
    assert len(ALL) == 14
    assert {case["dialect"] for case in ALL.values()} == {"pylontech", "growatt", "voltronic"}


@pytest.mark.parametrize("name", ALL)
def test_the_recorded_answers_say_the_values(name: str) -> None:
    assert differing(ALL[name], cases.values(ALL[name])) == {}


@pytest.mark.parametrize("name", ALL)
def test_our_answers_say_the_values(name: str) -> None:
    case = ALL[name]
    made = cases.answers(case)
    exchanges = [{"tx": one["tx"], "rx": answer.hex()} for one, answer in zip(case["exchanges"], made, strict=True)]
    assert differing(case, cases.values({**case, "exchanges": exchanges})) == {}
    assert all(made)


@pytest.mark.parametrize("name", [name for name, case in ALL.items() if case.get("encode")])
def test_our_answers_are_the_recorded_bytes(name: str) -> None:
    case = ALL[name]
    assert [answer.hex() for answer in cases.answers(case)] == [one["rx"] for one in case["exchanges"]]
