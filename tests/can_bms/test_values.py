"""What a Snapshot says to an inverter."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import ALARMS, Extreme, Health, Life, Snapshot
from outputs.inverter.keys import KINDS
from outputs.inverter.values import ALARM_FLAGS, Every, raised, safe, values_of
from tests import make

PYLONTECH = frozenset(key for key in KINDS if not key.endswith(("_alarm", "_warning")))


def test_limits_measurements_and_enable_bits() -> None:
    values = values_of(make.snapshot(), PYLONTECH)
    expected = {
        "charge_voltage_limit": 55.2, "charge_current_limit": 50.0, "discharge_current_limit": 60.0,
        "discharge_voltage_limit": 46.4, "soc": 60, "soh": 99.0, "voltage": 53.2, "current": 20.0, "temperature": 25.0,
        "charge_enable": 1, "discharge_enable": 1, "modules": 1, "installed_capacity": 280.0,
        "min_cell_voltage_mV": 3320.0, "max_voltage_cell_id": "rack-1:8",
    }  # fmt: skip
    assert {key: values[key] for key in expected} == expected


def test_the_modules_are_the_batteries_that_answer_one_at_least() -> None:
    pack = make.bank().batteries[0]
    for packs, modules in ((2, 2), (0, 1)):
        values = values_of(make.snapshot(bank=make.bank(batteries=(pack,) * packs)), PYLONTECH)
        assert values["modules"] == modules


def test_a_forbidden_direction_is_closed_in_limit_and_bit_but_the_voltage_limit_stays() -> None:
    values = values_of(make.snapshot(decision=make.decision(allow_charge=False, ccl=5.0)), PYLONTECH)
    assert (values["charge_current_limit"], values["charge_enable"]) == (0.0, 0)
    assert (values["discharge_current_limit"], values["discharge_enable"]) == (60.0, 1)
    assert values["charge_voltage_limit"] == 55.2


def test_a_charge_from_the_grid_is_asked_for_where_charging_is_allowed() -> None:
    asking = make.decision(force_charge=True)
    values = values_of(make.snapshot(decision=asking), PYLONTECH)
    assert (values["force_charge_1"], values["force_charge_2"]) == (1, 1)
    values = values_of(make.snapshot(decision=make.decision(force_charge=True, ccl=0.0)), PYLONTECH)
    assert (values["force_charge_1"], values["force_charge_2"]) == (0, 0)
    assert safe(values_of(make.snapshot(decision=asking), PYLONTECH), PYLONTECH)["force_charge_1"] == 0
    assert values_of(make.snapshot(), PYLONTECH)["force_charge_2"] == 0


def test_a_limit_of_nothing_clears_the_enable_bit() -> None:
    values = values_of(make.snapshot(decision=make.decision(dcl=0.0)), PYLONTECH)
    assert (values["discharge_enable"], values["charge_enable"]) == (0, 1)


@pytest.mark.parametrize(
    ("soc", "shown"), [(0, 0), (0.4, 0), (59.5, 60), (99.4, 99), (99.8, 99), (99.96, 100), (100, 100)]
)
def test_the_soc_is_a_whole_number_and_100_only_when_full(soc: float, shown: int) -> None:
    assert values_of(make.snapshot(decision=make.decision(soc=soc)), PYLONTECH)["soc"] == shown


def test_what_is_not_known_is_left_out() -> None:
    bank = make.bank(voltage=None, current=math.nan, soc=None, temperature=None, min_cell=None, soh=None)
    values = values_of(make.snapshot(bank=bank, decision=make.decision(soc=None, cvl=None, ccl=math.nan)), PYLONTECH)
    absent = {"voltage", "current", "soc", "temperature", "min_cell_voltage_mV", "charge_voltage_limit"}
    assert not absent & set(values)
    assert "charge_current_limit" not in values and values["charge_enable"] == 0
    assert "soh" not in values


@pytest.mark.parametrize(
    ("alarm", "level", "flags"),
    [
        ("high_cell_voltage", 2, {"p_over_voltage"}),
        ("high_cell_voltage", 1, {"a_high_voltage"}),
        ("low_cell_voltage", 2, {"p_under_voltage"}),
        ("high_internal_temperature", 1, {"a_high_temperature"}),
        ("high_charge_temperature", 2, {"p_over_temperature"}),
        ("low_charge_temperature", 1, {"a_low_temperature"}),
        ("high_discharge_current", 2, {"p_discharge_over_current"}),
        ("high_charge_current", 1, {"a_charge_high_current"}),
        ("short_circuit", 2, {"p_discharge_over_current"}),
        ("fuse_blown", 2, {"p_system_error"}),
        ("internal_failure", 1, {"a_internal_comm_fail"}),
        ("bms_cable", 2, {"p_system_error"}),
        ("bms_cable", 1, {"a_internal_comm_fail"}),
        ("cell_imbalance", 2, set()),
        ("low_soc", 2, set()),
        ("high_voltage", 0, set()),
    ],
)
def test_alarms_raise_the_flags_of_the_sheet(alarm: str, level: int, flags: set[str]) -> None:
    assert raised({alarm: level}, PYLONTECH) == dict.fromkeys(flags, 1)


def test_a_dialect_with_finer_flags_gets_them() -> None:
    assert raised({"high_charge_temperature": 2, "cell_imbalance": 1}, frozenset(KINDS)) == {
        "high_charge_temperature_alarm": 1,
        "cell_imbalance_warning": 1,
    }


def test_every_alarm_has_its_place_but_low_soc() -> None:
    assert set(ALARMS) - set(ALARM_FLAGS) == {"low_soc"}


def test_the_safe_state_closes_both_ways_and_says_why() -> None:
    values = safe(values_of(make.snapshot(), PYLONTECH), PYLONTECH)
    assert values["charge_current_limit"] == values["discharge_current_limit"] == 0.0
    assert values["charge_enable"] == values["discharge_enable"] == 0
    assert values["p_system_error"] == values["a_internal_comm_fail"] == 1
    assert values["charge_voltage_limit"] == 55.2 and values["soc"] == 60


def test_modules_are_the_batteries_that_answer() -> None:
    batteries = (make.battery("a"), make.battery("b", health=Health.LOST), make.battery("c", control=False))
    assert values_of(make.snapshot(bank=make.bank(*batteries)), PYLONTECH)["modules"] == 1


def test_a_long_battery_name_never_costs_the_cells_number() -> None:
    values = values_of(make.snapshot(bank=make.bank(max_cell=Extreme(3.4, "garage-left:12"))), PYLONTECH)
    assert values["max_voltage_cell_id"] == "garag:12"


ALL = frozenset(KINDS)


@pytest.mark.parametrize(
    ("current", "allowed", "state"),
    [(20.0, True, 2), (-20.0, True, 3), (0.05, True, 1), (None, True, 1), (20.0, False, 1)],
)
def test_what_the_battery_does(current: float | None, allowed: bool, state: int) -> None:
    decision = make.decision(allow_charge=allowed, allow_discharge=allowed)
    values = values_of(make.snapshot(bank=make.bank(current=current), decision=decision), ALL)
    assert values["operating_state"] == values["system_state"] == state


def test_the_first_faulty_pack_is_told_by_its_number_in_the_configuration() -> None:
    alarmed = make.battery("c", of=make.reading(alarms={"high_cell_voltage": 2}))
    warned = make.battery("b", of=make.reading(alarms={"high_cell_voltage": 1}))
    watched = make.battery("a", control=False, health=Health.LOST)
    assert values_of(make.snapshot(bank=make.bank(watched, warned, alarmed)), ALL)["faulty_pack_number"] == 3
    silent = make.battery("d", health=Health.LOST)
    assert values_of(make.snapshot(bank=make.bank(silent, alarmed)), ALL)["faulty_pack_number"] == 1
    assert "faulty_pack_number" not in values_of(make.snapshot(), ALL)


def test_only_a_single_battery_shows_its_cells_and_its_serial_number() -> None:
    one = values_of(make.snapshot(bank=make.bank(make.battery(of=make.reading(serial_number="0123456789")))), ALL)
    assert (one["serial_part1"], one["serial_part2"]) == ("01234567", "89")
    assert one["cell_voltage_16"] == pytest.approx(3.327) and one["cell_count"] == 16
    two = values_of(make.snapshot(bank=make.bank(make.battery("a"), make.battery("b"))), ALL)
    assert not {"serial_part1", "cell_voltage_1"} & set(two) and two["cell_count"] == 32
    gone = values_of(make.snapshot(bank=make.bank(make.battery(health=Health.LOST))), ALL)
    assert "cell_voltage_1" not in gone, "cells that nobody measures any more"


def test_protections_are_valid_while_one_is_raised() -> None:
    for level, valid in ((0, 0), (1, 0), (2, 1)):
        decision = make.decision(alarms={"high_cell_voltage": level})
        assert values_of(make.snapshot(decision=decision), ALL)["protections_valid"] == valid
    assert safe({}, ALL)["protections_valid"] == 1


places = st.none() | st.builds(Extreme, st.sampled_from([3.3, 3.4]), st.sampled_from(["a:1", "a:2", "b:", "?"]))
numbers = st.sampled_from([None, 0.0, 51.2, math.nan, math.inf])
batteries = st.builds(
    lambda name, health, cells, alarms, **more: make.battery(
        name, health=health, of=make.reading(cell_voltages=cells, alarms=alarms, **more)
    ),
    st.sampled_from("ab"), st.sampled_from(Health), alarms=st.sampled_from([{}, {"low_soc": 2}]),
    cells=st.lists(st.sampled_from([3.3, 3.31, None]), max_size=18).map(tuple),
    serial_number=st.sampled_from([None, "", "0123456789"]),
)  # fmt: skip
stories = st.lists(
    st.builds(
        lambda members, bank, decision, life: make.snapshot(
            bank=make.bank(*members, **bank), decision=make.decision(**decision), life=life
        ),
        st.lists(batteries, min_size=1, max_size=2, unique_by=lambda battery: battery.name),
        st.fixed_dictionaries({"voltage": numbers, "current": numbers, "min_cell": places, "max_temperature": places,
                               "balancing": st.sampled_from([None, True, False])}),
        st.fixed_dictionaries({"soc": numbers, "ccl": st.sampled_from([0.0, 0.05, 50.0]), "allow_charge": st.booleans(),
                               "force_charge": st.booleans(),
                               "alarms": st.dictionaries(st.sampled_from(ALARMS), st.integers(0, 2), max_size=4)}),
        st.sampled_from([None, Life(charged_energy=3.0)]),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(stories)
def test_after_any_story_is_told_what_the_last_snapshot_says(story: list[Snapshot]) -> None:
    every = Every(ALL)
    for snapshot in story:
        told = every(snapshot)
        assert told == values_of(snapshot, ALL)


def test_while_nothing_changes_the_values_are_the_same_object() -> None:
    every, snapshot = Every(PYLONTECH), make.snapshot()
    told = every(snapshot)
    older = replace(snapshot.bank, batteries=(replace(snapshot.bank.batteries[0], age=0.9),))
    assert every(replace(snapshot, bank=older, at=1.0)) is told
    assert every(replace(snapshot, bank=replace(older, voltage=53.3))) is not told
    assert told["voltage"] == 53.2, "who was told it has it as it was"
