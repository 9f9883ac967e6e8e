"""What is published for a state: laws that hold for every Snapshot, and the mappings by example.  No bus."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import ALARMS, Cap, Decision, Extreme, Health, Life, Snapshot
from outputs.venus_dbus.entry import down
from outputs.venus_dbus.published import Published
from outputs.venus_dbus.tree import Tree, Value
from outputs.view import View, bank_view, battery_view, vouched
from tests import make

CVL, CCL, DCL = "/Info/MaxChargeVoltage", "/Info/MaxChargeCurrent", "/Info/MaxDischargeCurrent"


def shown(view: View) -> dict[str, Value]:
    """All published values of a view."""
    tree = Tree()
    Published(tree).update(view, slow=True)
    return {path: tree[path].value for path in tree}


def of_bank(**changes: Any) -> dict[str, Value]:
    return shown(bank_view(make.snapshot(**changes)))


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
MAYBE = st.none() | NUMBERS
LEVELS = st.dictionaries(st.sampled_from(ALARMS), st.integers(0, 2))
DECISIONS = st.builds(
    Decision, cvl=MAYBE, ccl=NUMBERS, dcl=NUMBERS, allow_charge=st.booleans(), allow_discharge=st.booleans(),
    soc=MAYBE, low_voltage=MAYBE, alarms=LEVELS, blocked_since=st.none() | st.floats(0, 100),
    charge_mode=st.sampled_from(["bulk", "float", "error", "of tomorrow"]),
)  # fmt: skip
READINGS = st.builds(
    make.reading, voltage=MAYBE, current=MAYBE, soc=MAYBE, capacity=MAYBE, remaining_capacity=MAYBE,
    cell_voltages=st.lists(MAYBE, max_size=4).map(tuple), temperatures=st.lists(MAYBE, max_size=6).map(tuple),
    charge_allowed=st.none() | st.booleans(), alarms=LEVELS, manufacturer=st.none() | st.text(max_size=5),
)  # fmt: skip
BATTERIES = st.builds(
    lambda of, health, remark: make.battery(of=of, health=health, remark=remark),
    READINGS, st.sampled_from(Health), st.text(max_size=5),
)  # fmt: skip
BANKS = st.builds(
    lambda batteries, changes: make.bank(*batteries, **changes),
    st.lists(BATTERIES, min_size=1, max_size=3),
    st.fixed_dictionaries(
        {"voltage": MAYBE, "current": MAYBE, "power": MAYBE, "soc": MAYBE, "health": st.sampled_from(Health)}
    ),
)  # fmt: skip
SNAPSHOTS = st.builds(
    lambda bank, decision, valid_until: make.snapshot(bank=bank, decision=decision, valid_until=valid_until),
    BANKS, DECISIONS, st.floats(-10, 10),
)  # fmt: skip


@given(SNAPSHOTS)
def test_a_valid_cvl_never_stands_beside_an_invalid_current_limit(snapshot: Snapshot) -> None:
    values = shown(bank_view(vouched(snapshot, 0.0)))
    for path in (CCL, DCL):
        amps = values[path]
        assert isinstance(amps, float) and math.isfinite(amps) and amps >= 0.0


@given(SNAPSHOTS)
def test_no_limit_is_looser_than_decided(snapshot: Snapshot) -> None:
    values, decision = shown(bank_view(snapshot)), snapshot.decision
    for path, decided in ((CVL, decision.cvl), (CCL, decision.ccl), (DCL, decision.dcl)):
        published = values[path]
        if published:
            assert isinstance(published, float) and decided is not None
            assert published <= decided + 1e-6 * max(1.0, decided)


@given(SNAPSHOTS)
def test_past_its_deadline_no_snapshot_allows_any_current(snapshot: Snapshot) -> None:
    values = shown(bank_view(vouched(snapshot, snapshot.valid_until + 0.001)))
    assert (values[CCL], values[DCL]) == (0.0, 0.0)
    assert (values["/Io/AllowToCharge"], values["/Io/AllowToDischarge"]) == (0, 0)
    assert values["/Alarms/BmsCable"] == 2
    assert [values[f"/Dc/0/{name}"] for name in ("Voltage", "Current", "Power")] == [None, None, None]


@given(SNAPSHOTS)
def test_every_value_keeps_its_type_and_is_finite(snapshot: Snapshot) -> None:
    types = {"d": float, "i": int, "s": str}
    for view in (bank_view(snapshot), *map(battery_view, snapshot.bank.batteries)):
        tree = Tree()
        Published(tree).update(view, slow=True)
        for path in tree:
            item = tree[path]
            assert item.value is None or type(item.value) is types[item.kind], path
            assert not isinstance(item.value, float) or math.isfinite(item.value), path
            assert isinstance(item.shown, str)


@given(SNAPSHOTS)
def test_the_same_state_again_changes_nothing(snapshot: Snapshot) -> None:
    published = Published(Tree())
    published.update(bank_view(snapshot), slow=True)
    assert published.update(bank_view(snapshot), slow=True) == []


@given(BATTERIES)
def test_a_battery_by_itself_is_never_a_bms(state: Any) -> None:
    tree = Tree()
    Published(tree, bms=False).update(battery_view(state), slow=True)
    for path in (CVL, CCL, DCL, "/Info/BatteryLowVoltage", "/Io/AllowToCharge"):
        assert path not in tree, "systemcalc takes whoever has the path for a BMS"


def test_rounding_keeps_noise_off_the_bus_and_limits_on_the_safe_side() -> None:
    values = of_bank(
        bank=make.bank(voltage=53.2049, current=20.04, power=1066.4, soc=60.04, temperature=25.04),
        decision=make.decision(cvl=55.2399, ccl=49.99, dcl=0.04, soc=None, low_voltage=46.391),
    )
    assert (values["/Dc/0/Voltage"], values["/Dc/0/Current"], values["/Dc/0/Power"]) == (53.2, 20.0, 1066.0)
    assert (values["/Soc"], values["/Dc/0/Temperature"]) == (60.0, 25.0)
    assert (values[CVL], values[CCL], values[DCL], values["/Info/BatteryLowVoltage"]) == (55.23, 49.9, 0.0, 46.4)
    assert of_bank(bank=make.bank(current=-0.123))["/Dc/0/Current"] == -0.12
    assert [down(value, 2) for value in (55.2, 0.29, 57.6, 4.35)] == [55.2, 0.29, 57.6, 4.35]


def test_soc_is_the_one_that_the_rules_used() -> None:
    assert of_bank(bank=make.bank(soc=60.0), decision=make.decision(soc=73.5))["/Soc"] == 73.5
    assert of_bank(bank=make.bank(soc=60.0), decision=make.decision(soc=None))["/Soc"] == 60.0


def test_consumed_is_what_lacks_to_full_and_negative() -> None:
    assert of_bank()["/ConsumedAmphours"] == -112.0
    derived = of_bank(bank=make.bank(remaining_capacity=None), decision=make.decision(soc=50.0))
    assert (derived["/ConsumedAmphours"], derived["/Capacity"]) == (-140.0, 140.0)
    assert of_bank(bank=make.bank(capacity=None, remaining_capacity=None))["/ConsumedAmphours"] is None


def test_an_alarm_that_the_bms_lacks_is_invalid_and_a_short_circuit_shows_where_there_is_a_path() -> None:
    values = of_bank(decision=make.decision(alarms={"low_soc": 1, "short_circuit": 2, "high_discharge_current": 1}))
    assert values["/Alarms/LowSoc"] == 1
    assert values["/Alarms/CellImbalance"] is None
    assert (values["/Alarms/HighDischargeCurrent"], values["/Alarms/InternalFailure"]) == (2, 2)
    assert "/Alarms/ShortCircuit" not in values
    assert of_bank(decision=make.decision(alarms={}))["/Alarms/InternalFailure"] is None


def test_cell_ids_are_short_for_one_battery_and_name_the_battery_in_a_bank() -> None:
    assert of_bank()["/System/MaxVoltageCellId"] == "C8"
    two = make.bank(make.battery("a"), make.battery("b"), max_cell=Extreme(3.4, "b:12"))
    values = of_bank(bank=two)
    assert values["/System/MaxVoltageCellId"] == "b:12"
    assert "/Voltages/Cell1" not in values
    assert values["/System/NrOfModulesOnline"] == 2


def test_a_figure_of_the_bms_itself_names_no_cell() -> None:
    bare = make.battery(of=make.reading(cell_voltages=(), lowest_cell_voltage=3.3, highest_cell_voltage=3.4))
    values = of_bank(bank=make.bank(bare, max_cell=Extreme(3.4, "rack-1:2")))
    assert (values["/System/MaxCellVoltage"], values["/System/MaxVoltageCellId"]) == (3.4, None)
    assert shown(battery_view(bare))["/System/MaxVoltageCellId"] is None
    assert shown(battery_view(make.battery()))["/System/MaxVoltageCellId"] == "C8"


@pytest.mark.parametrize(
    ("changes", "state", "mode", "device"),
    [
        ({}, 9, 3, 0x100),
        ({"ccl": 0.0, "allow_charge": False}, 9, 3, 0x100),
        ({"allow_charge": False, "allow_discharge": False}, 14, 0xFC, 0x104),
        ({"alarms": {"high_temperature": 1}}, 9, 3, 0x102),
        ({"alarms": {"high_charge_temperature": 2}}, 9, 3, 0x101),
        ({"alarms": {"low_voltage": 2}}, 9, 3, 0x105),
        ({"alarms": {"internal_failure": 2, "high_temperature": 2}}, 9, 3, 0x103),
    ],
)
def test_states(changes: dict[str, Any], state: int, mode: int, device: int) -> None:
    values = of_bank(decision=make.decision(**changes))
    assert (values["/State"], values["/Mode"], values["/DeviceState"]) == (state, mode, device)
    assert values["/ErrorCode"] is None


def test_the_guard_shows_as_an_error_with_its_sentence() -> None:
    values = of_bank(guard="CCL 80.0 A above the 50.0 A that its members allow")
    assert (values["/State"], values["/ErrorCode"]) == (10, 8)
    assert values["/ConnectionInformation"] == "CCL 80.0 A above the 50.0 A that its members allow"


def test_reasons_are_the_sentences_of_the_winning_rules() -> None:
    caps = (Cap(50.0, "config", "configured 50 A"), Cap(12.5, "temperature", "coldest sensor 3.1 °C allows 25 %"))
    values = of_bank(decision=make.decision(ccl=12.5, ccl_caps=caps))
    assert values["/Info/ChargeLimitation"] == "coldest sensor 3.1 °C allows 25 %"
    assert values["/Info/DischargeLimitation"] is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Bulk"),
        ({"charge_mode": "float_transition"}, "Float Transition"),
        ({"charge_mode": "absorption", "cell_ovp": "limiting"}, "Absorption (Cell OVP) limiting"),
        ({"cell_ovp": "recovering", "soc_reset": True}, "Bulk (Cell OVP*) recovering & SoC Reset"),
    ],
)
def test_charge_mode_reads_as_users_know_it(changes: dict[str, Any], text: str) -> None:
    assert of_bank(decision=make.decision(**changes))["/Info/ChargeMode"] == text


def test_who_is_silent_is_said_without_a_running_counter() -> None:
    silent = make.battery("b", health=Health.LOST, remark="no answer from /dev/ttyUSB1")
    outside = make.battery("c", joined=False, remark="kept out of the bank: 51.00 V")
    values = of_bank(bank=make.bank(make.battery("a"), silent, outside))
    expected = "b: lost (no answer from /dev/ttyUSB1); c: kept out of the bank: 51.00 V"
    assert values["/ConnectionInformation"] == expected
    assert of_bank()["/ConnectionInformation"] is None


@pytest.mark.parametrize(("maker", "published"), [("ACME", "ACME"), ("Pylontech", None), ("BYD", None), (None, None)])
def test_makers_that_victron_treats_specially_are_not_named(maker: str | None, published: str | None) -> None:
    of = make.reading(manufacturer=maker)
    assert of_bank(bank=make.bank(make.battery(of=of)))["/Manufacturer"] == published


def test_a_watched_battery_does_not_make_a_bank_of_two() -> None:
    both = make.bank(make.battery("a"), make.battery("watched", control=False, of=make.reading(soc=1.0)))
    values = of_bank(bank=both)
    assert values["/Voltages/Cell1"] == 3.32
    assert values["/Mgmt/Connection"] == "serial /dev/ttyUSB0"


def test_radio_links_are_no_voltage_reference() -> None:
    radio = make.battery(connection="BLE AA:BB:CC:DD:EE:FF")
    assert of_bank(bank=make.bank(radio))["/Mgmt/InsecureConnection"] == 1
    assert of_bank(bank=make.bank(make.battery(), radio))["/Mgmt/InsecureConnection"] == 1
    assert of_bank()["/Mgmt/InsecureConnection"] == 0


def test_slow_values_wait_for_their_turn() -> None:
    tree = Tree()
    published = Published(tree)
    published.update(bank_view(make.snapshot(time_to_go=3600)), slow=True)
    assert published.update(bank_view(make.snapshot(time_to_go=3599)), slow=False) == []
    assert published.update(bank_view(make.snapshot(time_to_go=3599)), slow=True) == ["/TimeToGo"]


def test_a_valid_snapshot_is_published_as_it_is() -> None:
    snapshot = make.snapshot(at=0.0)
    assert vouched(snapshot, 5.0) is snapshot
    blocked = replace(snapshot, decision=make.decision(blocked_since=1.0))
    assert vouched(blocked, 6.0).decision.blocked_since == 1.0
    assert vouched(snapshot, 6.0).decision.blocked_since == 5.0


def test_the_history_is_published_with_the_signs_of_victron() -> None:
    life = Life(
        deepest_discharge=200.0, last_discharge=12.34, total_ah_drawn=5000.0, full_discharges=1, automatic_syncs=3,
        last_full_charge=1_789_990_000.0, minimum_voltage=48.1, charged_energy=410.26,
    )  # fmt: skip
    values = of_bank(life=life)
    assert values["/History/DeepestDischarge"] == -200.0
    assert values["/History/LastDischarge"] == -12.3
    assert values["/History/TotalAhDrawn"] == -5000.0
    assert values["/History/AverageDischarge"] is None
    assert (values["/History/FullDischarges"], values["/History/AutomaticSyncs"]) == (1, 3)
    assert values["/History/TimeSinceLastFullCharge"] == 9960, "whole minutes: it would change every second"
    assert values["/History/MinimumVoltage"] == 48.1
    assert values["/History/ChargedEnergy"] == 410.26
    assert values["/History/ChargeCycles"] == 42, "the BMS's own count"
    assert "/History/MinimumVoltage" not in of_bank(), "no history is kept"


def test_our_own_count_of_cycles_stands_in_for_the_bms() -> None:
    bank = replace(make.bank(), charge_cycles=None)
    assert of_bank(bank=bank, life=Life(charge_cycles=17.9))["/History/ChargeCycles"] == 17


def test_configured_soc_points_have_a_path_each() -> None:
    values = of_bank(time_to_soc={12.5: None, 90.0: 3600})
    assert (values["/TimeToSoC/12_5"], values["/TimeToSoC/90"]) == (None, 3600)


def test_with_another_soc_the_bms_own_stands_beside_it() -> None:
    counted = make.decision(soc=55.0, soc_source="counter", remaining_capacity=154.0)
    values = of_bank(decision=counted)
    assert (values["/Soc"], values["/Capacity"], values["/ConsumedAmphours"]) == (55.0, 154.0, -126.0)
    assert (values["/SocBms"], values["/CapacityBms"], values["/ConsumedAmphoursBms"]) == (60.0, 168.0, -112.0)
    assert "/SocBms" not in of_bank()


@pytest.mark.parametrize(
    ("layout", "there"),
    [
        ("voltages", {"/Voltages/Cell1", "/Voltages/Sum", "/Voltages/Diff", "/Balances/Cell1"}),
        ("cell", {"/Cell/1/Volts", "/Cell/Sum", "/Cell/Diff", "/Cell/1/Balance"}),
        ("none", set()),
    ],
)
def test_cells_in_the_layout_that_is_wished(layout: str, there: set[str]) -> None:
    one = make.bank(make.battery(of=make.reading(cell_voltages=(3.3, 3.4), cell_balancing=(False, True))))
    tree = Tree()
    Published(tree, layout).update(bank_view(make.snapshot(bank=one)), slow=True)
    found = {path for path in tree if path.startswith(("/Voltages", "/Balances", "/Cell"))}
    assert found == there | {path.replace("1", "2") for path in there}
    for path, value in (("/Voltages/Cell2", 3.4), ("/Cell/2/Volts", 3.4), ("/Cell/2/Balance", 1), ("/Cell/Sum", 6.7)):
        assert path not in tree or tree[path].value == value


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ((3.3, 3.3, 3.4, 3.4), (6.6, 1.5)),
        ((3.2, 3.2, 3.4, 3.2, 3.2), (8.1, 0.0)),
        ((3.3, None, 3.4, 3.4), (None, None)),
        ((3.3, 3.3, 3.4), None),
    ],
)
def test_the_midpoint_is_what_half_of_the_cells_add_up_to(cells: Any, expected: Any) -> None:
    tree = Tree()
    bank = make.bank(make.battery(of=make.reading(cell_voltages=cells)))
    Published(tree, midpoint=True).update(bank_view(make.snapshot(bank=bank)), slow=True)
    if expected is None:
        assert "/Dc/0/MidVoltage" not in tree
    else:
        assert (tree["/Dc/0/MidVoltage"].value, tree["/Dc/0/MidVoltageDeviation"].value) == expected
    assert "/Dc/0/MidVoltage" not in of_bank(bank=bank)


@pytest.mark.parametrize(
    ("reading", "mode", "state"),
    [
        ({}, 3, 9),
        ({"charge_allowed": False}, 3, 9),
        ({"charge_allowed": False, "discharge_allowed": False}, 4, 14),
    ],
)
def test_a_battery_whose_switches_are_both_off_is_off(reading: dict[str, Any], mode: int, state: int) -> None:
    values = shown(battery_view(make.battery(of=make.reading(**reading))))
    assert (values["/Mode"], values["/State"]) == (mode, state)


@pytest.mark.parametrize(
    ("balancing", "imbalance", "status"),
    [(True, None, 2), (False, 0, 1), (False, 1, 3), (None, 1, None), (False, None, None)],
)
def test_the_balancer(balancing: bool | None, imbalance: int | None, status: int | None) -> None:
    alarms = {} if imbalance is None else {"cell_imbalance": imbalance}
    values = of_bank(bank=make.bank(balancing=balancing), decision=make.decision(alarms=alarms))
    assert values["/Balancer/Status"] == status


def test_a_bank_can_be_switched_as_a_whole_only_where_every_battery_can() -> None:
    able, unable = make.battery("a"), make.battery("b", controls=("charge",))
    assert "mode" in bank_view(make.snapshot(bank=make.bank(able, able))).controls
    assert "mode" not in bank_view(make.snapshot(bank=make.bank(able, unable))).controls
    assert bank_view(make.snapshot(bank=make.bank(able))).on == {"charge", "discharge"}
    assert bank_view(make.snapshot(bank=make.bank(unable))).on == {"charge"}, "nobody can switch the other one"
