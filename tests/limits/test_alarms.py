"""Alarms as published.  Sheet: limits.md chapter 9."""

import pytest

from gateway.limits import Memory
from tests.limits.play import WALL, Play, cells, settings
from tests.make import reading

RESET = {"soc_reset": {"after_days": 15, "cell_voltage": 3.62}}


def test_the_bms_own_alarms_are_published() -> None:
    found = Play().set(alarms={"low_voltage": 1, "high_temperature": 2, "fuse_blown": 0}).look()
    raised = {"low_voltage": 1, "high_temperature": 2, "fuse_blown": 0}
    assert found.alarms == {**raised, "bms_cable": 0, "internal_failure": 0}


@pytest.mark.parametrize(("soc", "level"), [(20.0, 0), (19.9, 1), (10.0, 1), (9.9, 2)])
def test_chapter_9_1_low_soc_is_computed_where_the_soc_is_counted(soc: float, level: int) -> None:
    play = Play(settings(soc={"source": "counter"})).set(soc=soc, alarms={"low_soc": 2})
    assert play.look().alarms["low_soc"] == level, "the BMS's own is ignored"
    assert Play().set(soc=soc, alarms={"low_soc": 2}).look().alarms["low_soc"] == 2


@pytest.mark.parametrize("name", ["high_voltage", "high_cell_voltage"])
def test_chapter_9_2_warnings_of_a_wanted_high_voltage_are_muted_q18(name: str) -> None:
    play = Play(settings(**RESET))
    assert play.set(alarms={name: 1}).look().alarms[name] == 0
    assert play.set(alarms={name: 2}).run(1).alarms[name] == 2, "an alarm is always published"
    assert play.set(alarms={"low_voltage": 1}).run(1).alarms["low_voltage"] == 1


@pytest.mark.parametrize(("minutes", "level"), [(0, 0), (29.9, 0), (30.1, 1)])
def test_chapter_9_2_and_for_half_an_hour_after(minutes: float, level: int) -> None:
    memory = Memory.restore({"soc_reset_last_reached": WALL - minutes * 60, "date": WALL}, 100.0, WALL)
    play = Play(settings(**RESET), memory=memory).set(alarms={"high_cell_voltage": 1})
    assert play.look().alarms["high_cell_voltage"] == level


def test_without_a_reset_nothing_is_muted() -> None:
    assert Play().set(alarms={"high_voltage": 1}).look().alarms["high_voltage"] == 1


def test_imbalance_is_computed_only_where_asked_for_and_when_calm() -> None:
    apart = {"cell_voltages": cells(3.30, 3.47), "current": 2.0}
    assert "cell_imbalance" not in Play().set(**apart).run(120).alarms
    play = Play(settings(imbalance={"enabled": True})).set(**apart)
    play.look()
    assert play.run(59).alarms.get("cell_imbalance", 0) == 0
    assert play.run(1).alarms["cell_imbalance"] == 1
    assert play.set(current=20.0).run(1).alarms.get("cell_imbalance", 0) == 0, "a load pulls cells apart"
    assert play.set(current=None).run(100).alarms.get("cell_imbalance", 0) == 0
    assert play.set(current=0.0, cell_voltages=cells(3.30, 3.45)).run(100).alarms.get("cell_imbalance", 0) == 0


def test_one_pack_whose_cells_are_apart_is_an_imbalance_of_the_bank() -> None:
    play = Play(settings(imbalance={"enabled": True}), {"a": reading(current=0.0), "b": reading(current=0.0)})
    play.set("b", cell_voltages=cells(3.30, 3.47)).look()
    assert play.run(60).alarms["cell_imbalance"] == 1


def test_what_is_a_small_current_is_not_known_without_the_capacity() -> None:
    for packs in ({"a": reading()}, {"a": reading(), "b": reading()}):
        play = Play(settings(imbalance={"enabled": True}), packs).set(cell_voltages=cells(3.30, 3.47), current=0.0)
        assert play.set("a", capacity=None).run(120).alarms.get("cell_imbalance", 0) == 0


@pytest.mark.parametrize(
    ("current", "high", "level"),
    [(13.9, 3.5, 1), (-13.9, 3.5, 1), (14.0, 3.5, 0), (0.0, 3.376, 1), (0.0, 3.375, 0)],
)
def test_imbalance_is_more_than_the_difference_at_less_than_a_small_current(
    current: float, high: float, level: int
) -> None:
    limits = settings(imbalance={"enabled": True, "cell_difference": 0.125, "after": 0})
    found = Play(limits).set(cell_voltages=cells(3.25, high), current=current).look()
    assert found.alarms.get("cell_imbalance", 0) == level


def test_an_unknown_lowest_cell_is_no_imbalance() -> None:
    play = Play(settings(imbalance={"enabled": True, "cell_difference": 0.001}))
    play.set(cell_voltages=(), highest_cell_voltage=3.3, current=0.0, voltage=52.0)
    assert play.run(200).alarms.get("cell_imbalance", 0) == 0


@pytest.mark.parametrize(
    ("current", "name"), [(60.0, "high_charge_current"), (-70.0, "high_discharge_current"), (54.9, ""), (-65.0, "")]
)
def test_an_inverter_that_does_not_obey_raises_an_alarm_where_asked_for(current: float, name: str) -> None:
    play = Play(settings(obey_check={"enabled": True})).set(current=current)
    play.look()
    assert not any(play.run(59).alarms.values())
    raised = {alarm for alarm, level in play.run(1).alarms.items() if level == 2}
    assert raised == ({name} if name else set())


@pytest.mark.parametrize(
    ("reported", "name"),
    [((60.0, -20.0), "high_charge_current"), ((0.0, -70.0), "high_discharge_current"), ((50.0,), "")],
)
def test_what_an_inverter_says_of_itself_is_held_against_the_limits_too(reported: tuple[float, ...], name: str) -> None:
    for measured in (5.0, None):
        play = Play(settings(obey_check={"enabled": True}), inverters=reported).set(current=measured)
        play.look()
        assert not any(play.run(59).alarms.values())
        raised = {alarm for alarm, level in play.run(1).alarms.items() if level == 2}
        assert raised == ({name} if name else set())


@pytest.mark.parametrize(("current", "level"), [(1.0, 0), (1.1, 2), (-1.0, 0), (-1.1, 2)])
def test_of_a_limit_of_0_a_1_a_is_measured_no_better(current: float, level: int) -> None:
    limits = settings(obey_check={"enabled": True, "after": 0})
    found = Play(limits).set(max_charge_current=0.0, max_discharge_current=0.0, current=current).run(2)
    name = "high_charge_current" if current > 0 else "high_discharge_current"
    assert found.alarms[name] == level


def test_a_spike_is_no_disobedience() -> None:
    play = Play(settings(obey_check={"enabled": True})).set(current=80.0)
    play.run(50)
    play.set(current=10.0).run(1)
    assert not any(play.set(current=80.0).run(50).alarms.values())
