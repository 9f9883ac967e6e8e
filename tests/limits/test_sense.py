"""Settings that cannot be meant are refused with their numbers; those that might be are doubted with theirs."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import event, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.cli.limits import command
from gateway.limits import LimitSettings
from gateway.limits.checks import doubts
from gateway.limits.reference_options import from_reference
from gateway.limits.scenario import load, scenario
from gateway.limits.sense import contradictions
from gateway.model import ConfigError
from tests.limits.play import WIDE, Play, cells, settings
from tests.make import reading

CASES = Path(__file__).parent / "cases"


def refused(**sections: Any) -> str:
    """What is said against these settings; "" = nothing."""
    try:
        settings(**sections)
    except ValidationError as error:
        return str(error)
    return ""


def table(points: list[float], fractions: list[float], **more: Any) -> dict[str, Any]:
    return {"points": points, "fractions": fractions, "enabled": True, **more}


LTO = {"max": 2.6, "float": 2.5, "min": 1.8}
NMC = {"max": 4.1, "float": 4.0, "min": 3.3}
CHARGE = [3.375, 3.40, 3.425, 3.45, 3.50]
DISCHARGE = [2.8, 2.9, 3.0, 3.1, 3.19]

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"absorption": {"cell_difference": 0.285}, "rebulk": {"cell_difference": 0.010}},
        "limits.rebulk.cell_difference: 10 mV between cells ends float, and absorption goes on up to 285 + 3 mV",
    ),
    ({"rebulk": {"cell_difference": 0.013}}, "expected more than 13 mV"),
    ({"rebulk": {"cell_voltage": 3.40}}, "limits.rebulk.cell_voltage: 3.4 V ends float, and float holds the cells at"),
    ({"rebulk": {"cell_voltage": 3.375}}, "expected less than 3.375 V"),
    ({"soc_reset": {"after_days": 10, "cell_voltage": 3.4}}, "3.4 V is below the usual 3.45 V (cell_voltage.max)"),
    (
        {"by_cell_voltage": {"charge": table(CHARGE, [0, 0.005, 0.05, 0.25, 1])}},
        "rises from 0.25 at 3.45 V to 1 at 3.5 V",
    ),
    (
        {"by_cell_voltage": {"charge": table(CHARGE, [1, 0.5, 0.4, 0.3, 0.2])}},
        "still allows 10 A at 3.5 V and at every voltage above",
    ),
    (
        {"by_cell_voltage": {"charge": table([2.5, 2.7, 2.8], [1, 0.5, 0])}},
        "allows no charge at the 2.9 V of limits.cell_voltage.min",
    ),
    (
        {"by_cell_voltage": {"discharge": table(DISCHARGE, [1, 0.25, 0.05, 0.005, 0])}},
        "falls from 0.005 at 3.1 V to 0 at 3.19 V",
    ),
    (
        {"by_cell_voltage": {"discharge": table(DISCHARGE, [0.1, 0.2, 0.3, 0.4, 1])}},
        "still allows 6 A at 2.8 V and at every voltage below",
    ),
    ({"cell_voltage": LTO}, "allows no discharge at the 2.5 V of limits.cell_voltage.float"),
    ({"cell_voltage": LTO}, "hardly limits at 2.85 V, above the 2.6 V of limits.cell_voltage.max"),
    ({"cell_voltage": {**NMC, "min": 3.6}}, "hardly limits at 3.35 V, below the 3.6 V of limits.cell_voltage.min"),
    (
        {"by_temperature": {"charge": table([0, 10, 40, 50], [1, 0, 0, 1])}},
        "falls and rises again from 0 at 40 °C to 1 at 50 °C",
    ),
    ({"by_temperature": {"discharge": table([32, 50, 104, 122], [0, 1, 1, 0])}}, "allows 0 A at 25 °C"),
    ({"by_mosfet_temperature": {"charge": table([70, 80, 90], [0, 0.25, 1])}}, "rises from 0.25 at 80 °C to 1 at 90"),
    ({"by_mosfet_temperature": {"charge": table([0, 10], [1, 0])}}, "allows 0 A at 25 °C"),
    ({"by_soc": {"charge": table([85, 98], [0.1, 1])}}, "rises from 0.1 at 85 % to 1 at 98 %"),
    ({"by_soc": {"discharge": table([5, 20], [1, 0.1])}}, "falls from 1 at 5 % to 0.1 at 20 %"),
    ({"by_soc": {"charge": table([0.85, 110], [1, 0.1])}}, "has points 0.85..110 %, expected 0..100 %"),
    ({"by_soc": {"discharge": table([5, 20], [0, 0])}}, "allows 0 A at 100 % and so at every SoC"),
    ({"soc": {"current_map": {"reported": [-300, 300], "measured": [300, -300]}}}, "falls from 300 A to -300 A"),
    ({"soc": {"low_warning": 5, "low_alarm": 10}}, "low_alarm 10 must not be above low_warning 5"),
    ({"force_charge": {"below": 20, "until": 15}}, "below 20 % must be less than until 15 %"),
    ({"temperature_sensors": []}, "no sensor counts"),
    ({"time_to_go": {"points": [50, 200]}}, "200 is no SoC, expected points of 0..100 %"),
]


@pytest.mark.parametrize(("sections", "words"), REFUSED)
def test_what_cannot_be_meant_is_refused_with_its_numbers(sections: dict[str, Any], words: str) -> None:
    assert words in refused(**sections)


OFF = {"enabled": False}


@pytest.mark.parametrize(
    "sections",
    [
        {"charge_voltage": {"enabled": False}, "rebulk": {"cell_difference": 0.01, "cell_voltage": 3.4}},
        {"rebulk": {"cell_difference": 0.014}},
        {"rebulk": {"cell_difference": None}, "absorption": {"cell_difference": 0.285}},
        {"soc_reset": {"cell_voltage": 3.4}},
        {"by_cell_voltage": {"charge": table(CHARGE, [0, 0.005, 0.05, 0.25, 1], enabled=False)}},
        {"by_cell_voltage": {"charge": table([2.5, 3.0, 3.4, 3.5], [0.1, 1, 1, 0])}},
        {"by_soc": {"charge": {"points": [85, 98], "fractions": [0.1, 1]}}},
        {"cell_voltage": LTO, "by_cell_voltage": {"charge": OFF, "discharge": OFF}},
        {
            "cell_voltage": LTO,
            "by_cell_voltage": {
                "charge": table([2.5, 2.6, 2.7], [1, 0.1, 0]), "discharge": table([1.7, 1.9, 2.1], [0, 0.1, 1])
            },
        },
        {"temperature_sensors": [], "by_temperature": {"charge": OFF, "discharge": OFF}},
        {"soc": {"current_map": {"reported": [-300, -0.5, 0.5, 300], "measured": [-300, 0, 0, 300]}}},
    ],
)  # fmt: skip
def test_what_can_be_meant_is_accepted(sections: dict[str, Any]) -> None:
    assert refused(**sections) == ""


DOUBTED: list[tuple[dict[str, Any], str]] = [
    ({"cell_voltage": {"min": 3.3}}, "only 75 mV below float 3.375 V"),
    ({"by_cell_voltage": {"charge": table([3.4, 3.8], [1, 0])}}, "charges up to 3.8 V, 0.35 V above the highest"),
    ({"by_cell_voltage": {"charge": table([2.5, 3.0, 3.4, 3.5], [0.1, 1, 1, 0])}}, "rises from 0.1 at 2.5 V to 1 at"),
    ({"by_cell_voltage": {"discharge": table([2.5, 2.9, 3.2], [0, 0.4, 1])}}, "discharges down to 2.5 V, 0.40 V below"),
    ({"by_cell_voltage": {"discharge": table([2.8, 3.5], [0, 1])}}, "allows only 82% at cell_voltage.float"),
    (
        {"by_cell_voltage": {"discharge": table([3.0, 3.2], [0, 1])}, "soc": {"source": "counter"}},
        "the counter's 0 %, is not reached",
    ),
    ({"cell_voltage": NMC}, "allows 0 A at cell_voltage.max 4.1 V"),
    ({"by_temperature": {"charge": table([-10, 10, 40, 50], [0.2, 1, 1, 0])}}, "at 0 °C, where charging ruins"),
    ({"by_temperature": {"discharge": table([-10, 10], [0, 1])}}, "allows 100% at 10 °C and however hot it gets"),
    ({"by_temperature": {"charge": table([0, 50, 60], [0, 0.4, 0])}}, "allows only 20% at 25 °C"),
    ({"by_soc": {"charge": table([90, 100], [1, 0])}}, "a BMS that says 100 % early never gets full"),
    ({"soc_reset": {"after_days": 0.5}, **WIDE}, "0.5 d is more than once a day"),
    ({"soc_reset": {"after_days": 9, "cell_voltage": 3.45}}, "3.45 V is cell_voltage.max itself"),
    ({"soc_reset": {"after_days": 9, "cell_voltage": 4.0}}, "550 mV above cell_voltage.max"),
    ({"soc_reset": {"after_days": 9}, "charge_voltage": {"enabled": False}}, "has no effect while"),
    ({"absorption": {"cell_difference": 0}}, "0 V is never reached"),
    ({"absorption": {"max_time": 600}}, "600 s ends absorption before absorption.time 900 s can"),
    ({"absorption": {"tail_current": 0}}, "0 A is hardly ever measured"),
    ({"absorption": {"tail_current": 60}}, "60 A is always reached, charge_current.max is 50 A"),
    ({"absorption": {"cell_difference": None}}, "80 mV ends float, and absorption ends at any difference"),
    ({"rebulk": {"soc": 100}}, "100 % ends float as soon as anything was discharged"),
    ({"rebulk": {"cell_voltage": 3.37}}, "3.37 V is only 5 mV below float 3.375 V"),
    ({"float_transition": {"rate": 5}}, "5 V/s is a jump to float"),
    ({"charge_current": {"hold": 0, "rate": 0}}, "limits.charge_current: hold 0 s and rate 0"),
    (
        {"charge_voltage": {"controller": "off"}, "by_cell_voltage": {"charge": OFF}},
        "nothing but the BMS holds back a single high cell",
    ),
    ({"voltage_drop": 2}, "2 V, at all times, is per cell 125 mV with 16 cells, 250 mV with 8 cells, 500 mV with 4"),
    (
        {"soc": {"current_map": {"reported": [-20, 20], "measured": [-22, 22]}}},
        "ends at 20 A, so more than that is not seen, and charge_current.max is 50 A",
    ),
    (
        {"soc": {"current_map": {"reported": [-300, 300], "measured": [-290, 310]}}},
        "where the BMS reports 0 A it counts 10 A",
    ),
    ({"temperature_adjust": {"sensor_2": [20, 1]}}, "limits.temperature_adjust.sensor_2: 25 °C counts as 45 °C"),
    ({"obey_check": {"enabled": True, "after": 0}}, "0 s is less than the 5 s that inverters take"),
    ({"imbalance": {"enabled": True, "after": 0}}, "lets one noisy reading raise the alarm"),
]


@pytest.mark.parametrize(("sections", "words"), DOUBTED)
def test_what_might_be_meant_is_doubted_with_its_numbers(sections: dict[str, Any], words: str) -> None:
    found = doubts(settings(**sections))
    assert any(words in doubt and doubt.startswith("limits.") for doubt in found), found


# ---- every door refuses alike


REBULK = {"SWITCH_TO_BULK_CELL_VOLTAGE_DIFF": 0.01, "SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF": 0.285}


def test_options_that_contradict_each_other_are_named_with_both_numbers() -> None:
    with pytest.raises(ConfigError) as found:
        from_reference(REBULK)
    assert str(found.value).startswith("SWITCH_TO_BULK_CELL_VOLTAGE_DIFF, SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF: 10 mV")
    assert "285 + 3 mV" in str(found.value)


def test_a_scenario_that_contradicts_itself_is_refused_with_its_file() -> None:
    file = CASES / "rebulk_below_absorption.json"
    with pytest.raises(ConfigError) as found:
        load(file)
    assert str(found.value).startswith(f"{file}: SWITCH_TO_BULK_CELL_VOLTAGE_DIFF, SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF")
    assert "10 mV" in str(found.value) and "285 + 5 mV" in str(found.value) and "\n" not in str(found.value)


def test_limits_of_a_scenario_are_refused_by_their_key() -> None:
    with pytest.raises(ConfigError, match=r"limits: rebulk\.cell_voltage: 3\.4 V ends float"):
        scenario({"limits": {"rebulk": {"cell_voltage": 3.4}}, "rows": [{"t": 0}]})


def test_the_limits_command_tells_doubts_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{"limits": {"voltage_drop": 2}, "rows": [{"t": 0, "in": {"soc": 50}, "out": {}}]}')
    done = CliRunner().invoke(command, [str(file), "--json"])
    assert done.exit_code == 0
    assert done.stderr.startswith(f"{file}: doubt: limits.voltage_drop: 2 V")
    assert done.stdout.startswith("{")


# ---- a pack that answers


@pytest.mark.parametrize(("count", "volts"), [(16, 56.0), (8, 28.0), (4, 14.0)])
def test_no_voltage_drop_lifts_a_cell_by_more_than_50_mv(count: int, volts: float) -> None:
    play = Play(settings(voltage_drop=2), {"a": reading(cell_voltages=cells(3.3, count=count))})
    assert play.run(5).cvl == pytest.approx(volts)


def test_a_voltage_drop_is_doubted_by_the_cells_it_lifts() -> None:
    four = reading(cell_voltages=cells(3.3, count=4))
    (doubt,) = doubts(settings(voltage_drop=0.3), four)
    assert doubt == "limits.voltage_drop: 0.3 V is 75 mV for each of 4 cells, at all times; 0.2 V is added"
    assert doubts(settings(voltage_drop=0.08), four) == []


# ---- laws


def thousandths(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 1000), round(high * 1000)).map(lambda n: n / 1000)


def sound(**sections: Any) -> LimitSettings | None:
    """The settings; None when they are refused."""
    try:
        return settings(**sections)
    except ValidationError:
        return None


@given(thousandths(0, 0.2), thousandths(0, 0.02), thousandths(0.001, 0.3), thousandths(0, 0.12))
@examples(max_examples=60, deadline=None)
def test_a_pack_that_stays_as_it_is_gets_full_once(least: float, more: float, again: float, apart: float) -> None:
    limits = sound(
        absorption={"time": 30, "cell_difference": least, "cell_difference_deviation": more},
        rebulk={"cell_difference": again},
        by_cell_voltage={"charge": OFF},
    )
    if limits is None:
        assert again <= least + more + 1e-9, "nothing else contradicts itself here"
        return
    play = Play(limits, {"a": reading(cell_voltages=cells(3.46, 3.46 - apart, count=8), soc=100.0)})
    play.run(150)
    assert play.memory.full_events <= 1


@given(thousandths(2.5, 3.6))
@examples(max_examples=40, deadline=None)
def test_cells_at_float_voltage_stay_in_float(low: float) -> None:
    limits = sound(rebulk={"cell_voltage": low}, absorption={"time": 30}, by_cell_voltage={"charge": OFF})
    if limits is None:
        assert low >= 3.375
        return
    play = Play(limits, {"a": reading(cell_voltages=cells(3.46), soc=100.0)})
    play.run(60)
    play.set(cell_voltages=cells(3.375)).run(60)
    assert play.decision is not None and play.decision.charge_mode.startswith("float")


def tables(*, rising: bool) -> st.SearchStrategy[tuple[list[float], list[float]]]:
    """Points and fractions, mostly in the order that makes sense."""

    def of(count: int) -> st.SearchStrategy[tuple[list[float], list[float]]]:
        points = st.lists(thousandths(1.5, 4.3), min_size=count, max_size=count, unique=True).map(sorted)
        some = st.lists(st.sampled_from([0.0, 0.0, 0.05, 0.25, 0.5, 1.0]), min_size=count, max_size=count)
        return st.tuples(points, some.map(lambda found: sorted(found, reverse=not rising)) | some)

    return st.integers(2, 5).flatmap(of)


@given(
    tables(rising=False), tables(rising=True), st.sampled_from([LTO, NMC, {"max": 3.45, "float": 3.375, "min": 2.9}])
)
@examples(max_examples=300, deadline=None)
def test_accepted_tables_let_a_healthy_pack_work_and_stop_a_sick_one(
    charge: tuple[list[float], list[float]], discharge: tuple[list[float], list[float]], cell: dict[str, float]
) -> None:
    limits = sound(cell_voltage=cell, by_cell_voltage={"charge": table(*charge), "discharge": table(*discharge)})
    event("accepted" if limits else "refused")
    if limits is None:
        return
    assert Play(limits, {"a": reading(cell_voltages=cells(cell["min"]))}).look().ccl > 0
    assert Play(limits, {"a": reading(cell_voltages=cells(cell["float"]))}).look().dcl > 0
    assert Play(limits, {"a": reading(cell_voltages=cells(cell["max"] + 0.25))}).look().ccl <= 25
    assert Play(limits, {"a": reading(cell_voltages=cells(cell["min"] - 0.25))}).look().dcl <= 30
    assert Play(limits, {"a": reading(cell_voltages=cells(4.35))}).look().ccl == 0
    assert Play(limits, {"a": reading(cell_voltages=cells(1.45))}).look().dcl == 0


def test_the_defaults_contradict_nothing() -> None:
    assert list(contradictions(LimitSettings())) == []
