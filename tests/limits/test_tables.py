"""Tables: straight lines, and the steps whose sides differ from rule to rule.  Sheet: limits.md chapter 2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.currents import STEP_SIDE
from gateway.limits.tables import Curve, Side
from tests.limits.play import Play, cells, settings, sheet

CHARGE = Curve((3.375, 3.400, 3.425, 3.450, 3.500), (1.0, 0.25, 0.05, 0.005, 0.0))


@pytest.mark.parametrize(
    ("volts", "side", "fraction"),
    [
        (3.410, "linear", 0.17), (3.410, "left", 0.25), (3.380, "linear", 0.85), (3.380, "left", 1.0),
        (3.0, "linear", 1.0), (3.375, "linear", 1.0), (3.5, "linear", 0.0), (4.0, "linear", 0.0),
        (3.4, "left", 0.25), (3.4, "right", 0.05), (3.4, "linear", 0.25),
    ],
)  # fmt: skip
def test_chapter_2_worked_example(volts: float, side: Side, fraction: float) -> None:
    assert CHARGE(volts, side) == pytest.approx(fraction)


def test_a_descending_table_is_the_same_turned_round() -> None:
    turned = Curve(CHARGE.points[::-1], CHARGE.fractions[::-1])
    assert all(turned(3.3 + n / 1000, "linear") == CHARGE(3.3 + n / 1000, "linear") for n in range(300))


@given(st.floats(3.3, 3.6))
def test_linear_lies_between_the_two_steps(volts: float) -> None:
    low, high = sorted((CHARGE(volts, "left"), CHARGE(volts, "right")))
    assert low - 1e-12 <= CHARGE(volts, "linear") <= high + 1e-12


@pytest.mark.parametrize(
    ("inputs", "ccl", "dcl"),
    [
        ({"temperatures": (3.0,)}, 12.5, 30.0),
        ({"temperatures": (46.0,)}, 25.0, 15.0),
        ({"temperatures": (50.0,)}, 12.5, 0.0),
        ({"mosfet_temperature": 80.0}, 12.5, 15.0),
        ({"cell_voltages": cells(3.410)}, 12.5, 60.0),
        ({"cell_voltages": cells(3.0)}, 50.0, 15.0),
        ({"cell_voltages": cells(2.999)}, 50.0, 3.0),
    ],
)
def test_chapter_4_2_step_mode_sides(inputs: dict[str, object], ccl: float, dcl: float) -> None:
    found = Play(sheet(mode="step")).set(**inputs).look()
    assert (found.ccl, found.dcl) == (ccl, dcl)


def test_chapter_2_step_mode_by_soc_is_one_point_early_both_ways() -> None:
    soc = {"by_soc": {"charge": {"enabled": True}, "discharge": {"enabled": True}}}
    assert Play(settings(mode="step", **soc)).set(soc=95.0).look().ccl == 5.0, "already the 98 % value"
    assert Play(settings(mode="step", **soc)).set(soc=11.0).look().dcl == 30.0


def test_the_sides_are_those_of_the_sheet() -> None:
    assert {key for key, side in STEP_SIDE.items() if side == "right"} == {
        ("discharge", "cell_voltage"), ("discharge", "temperature"), ("charge", "soc"), ("discharge", "soc"),
    }  # fmt: skip
