"""What a Snapshot becomes on the wire: no limit beyond what was decided, nothing wraps, no 0 for "not known"."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Decision, Extreme, Snapshot
from outputs.inverter.values import ALARM_FLAGS, raised, safe
from outputs.rs485_bms.dialects import CLASSES, make
from outputs.rs485_bms.heard import Dialect, Request
from outputs.rs485_bms.values import filled, settled, spread, values_of
from outputs.rs485_bms.wire import Wire
from tests import make as made
from tests.rs485_bms.inverter import pylon, read

DIALECTS = {name: make(name, Wire()) for name in CLASSES}
QUESTIONS = {
    "pylontech": [pylon(0x63), pylon(0x92)],
    "growatt": [read(0x10, 0x1B)],
    "voltronic": [read(0x70, 8)],
}
EVERY = {
    "pylontech": [pylon(code) for code in (0x42, 0x44, 0x47, 0x61, 0x62, 0x63, 0x92)],
    "growatt": [read(1, 0x29), read(0x70, 17)],
    "voltronic": [read(0x10, 0x68)],
}
LIMITS = ("charge_voltage_limit", "charge_current_limit", "discharge_current_limit")


def said(dialect: Dialect, values: Any, question: bytes, clamped: list[str] | None = None) -> dict[str, Any]:
    """What is answered to a question."""
    image = dialect.image(values, [] if clamped is None else clamped)
    (request,) = dialect.split(bytearray(question))
    assert isinstance(request, Request)
    return dialect.read(question, dialect.reply(request, image))


def told(snapshot: Snapshot, dialect: Dialect) -> dict[str, Any]:
    """What goes into the answers."""
    return settled(filled(values_of(snapshot, dialect.keys), "bank")[0])


AMPS = st.floats(0, 10_000)
DECISIONS = st.builds(
    made.decision,
    cvl=st.floats(0, 120), ccl=AMPS, dcl=AMPS, low_voltage=st.none() | st.floats(0, 100),
    allow_charge=st.booleans(), allow_discharge=st.booleans(), force_charge=st.booleans(), full_charge=st.booleans(),
)  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("wire", [Wire(), Wire(limit_unit_63=0.01, dcl_sign_63=-1, dcl_sign_92=1)])
@settings(deadline=None)
@given(decision=DECISIONS)
def test_no_limit_says_more_than_was_decided(name: str, wire: Wire, decision: Decision) -> None:
    dialect = make(name, wire)
    values = told(made.snapshot(decision=decision), dialect)
    for question in QUESTIONS[name]:
        found = said(dialect, values, question)
        decided = (decision.cvl, decision.ccl * decision.allow_charge, decision.dcl * decision.allow_discharge)
        for key, most in zip(LIMITS, decided, strict=True):
            assert 0 <= found.get(key, 0.0) <= (most or 0.0) + 1e-6
        for way, key in (("charge", LIMITS[1]), ("discharge", LIMITS[2])):
            allowed = getattr(decision, f"allow_{way}") and getattr(decision, way[0] + "cl") >= 0.1
            assert found[f"{way}_enable"] == int(allowed)
            assert allowed or found.get(key, 0.0) == 0.0


@settings(deadline=None)
@given(decision=DECISIONS)
def test_nothing_in_47_is_looser_than_the_limits(decision: Decision) -> None:
    values = told(made.snapshot(decision=decision), DIALECTS["pylontech"])
    found = said(DIALECTS["pylontech"], values, pylon(0x47))["system_parameters"]
    assert found["charge_current"] <= decision.ccl * decision.allow_charge + 1e-6
    assert -found["discharge_current"] <= decision.dcl * decision.allow_discharge + 1e-6
    assert found["module_high"] <= (decision.cvl or 0) + 1e-6
    cells = len(values["cell_voltages"])
    assert found["cell_high"] <= (decision.cvl or 0) / cells + 1e-6
    lowest = said(DIALECTS["pylontech"], values, pylon(0x92))["discharge_voltage_limit"]
    assert found["module_low"] == found["module_under"] >= lowest - 1e-6
    assert found["cell_low"] == found["cell_under"] >= lowest / cells - 1e-6


@pytest.mark.parametrize("name", CLASSES)
def test_the_safe_state_closes_both_ways_and_says_why(name: str) -> None:
    dialect = DIALECTS[name]
    decision = made.decision(force_charge=True, full_charge=True)
    values = settled(safe(told(made.snapshot(decision=decision), dialect), dialect.keys))
    found: dict[str, Any] = {}
    for question in EVERY[name]:
        found |= said(dialect, values, question)
    assert [found.get(key, 0) for key in (*LIMITS[1:], "charge_enable", "discharge_enable")] == [0, 0, 0, 0]
    assert not any(found.get(key) for key in ("force_charge_1", "force_charge_2", "full_charge"))
    assert found["charge_voltage_limit"] == 55.2
    assert any(found.get(key) for key in ("a_internal_comm_fail", "p_system_error", "error_flag"))


@pytest.mark.parametrize("name", CLASSES)
def test_what_does_not_fit_stops_at_the_end_and_is_told(name: str) -> None:
    dialect, clamped = DIALECTS[name], list[str]()
    bank = made.bank(voltage=90.0, current=-9000.0, capacity=30_000.0, remaining_capacity=15_000.0)
    decision = made.decision(cvl=90.0, ccl=9000.0, remaining_capacity=15_000.0, soc=50.0)
    values, found = told(made.snapshot(bank=bank, decision=decision), dialect), dict[str, Any]()
    for question in EVERY[name]:
        found |= said(dialect, values, question, clamped)
    assert "current" in clamped and found["current"] < -300
    assert found["remaining_capacity"] / found["capacity"] == pytest.approx(0.5, abs=0.001)
    if name == "pylontech":
        assert found["voltage"] == found["charge_voltage_limit"] == 65.535


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_not_known_is_no_zero_and_is_said(name: str) -> None:
    dialect = DIALECTS[name]
    bare = made.battery(of=made.reading(cell_voltages=(), temperatures=(), mosfet_temperature=None))
    unknown = ("soh", "temperature", "capacity", "remaining_capacity", "min_cell", "max_cell", "min_temperature",
               "max_temperature", "mosfet_temperature", "charge_cycles")  # fmt: skip
    bank = made.bank(bare, **dict.fromkeys(unknown))
    values = values_of(made.snapshot(bank=bank), dialect.keys)
    whole, unsaid = filled(values)
    found: dict[str, Any] = {}
    for question in EVERY[name]:
        found |= said(dialect, settled(whole), question)
    assert found.get("discharge_voltage_limit", 46.4) == 46.4
    nothing = told(made.snapshot(decision=made.decision(low_voltage=None)), DIALECTS["pylontech"])
    assert said(DIALECTS["pylontech"], nothing, pylon(0x63))["discharge_voltage_limit"] == pytest.approx(0.8 * 55.2)
    for key, stand_in in (("soh", 100), ("temperature", 25), ("mosfet_temperature", 25.0), ("capacity", 100.0)):
        assert found.get(key, stand_in) == stand_in
    assert found["remaining_capacity"] == 60.0, "the reader divides it by the capacity"
    assert 3200 < found.get("max_cell_voltage_mV", 3300) < 3500
    assert any(line.startswith("soh is not known: 100 is sent") for line in unsaid)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("alarm", ALARM_FLAGS)
def test_every_alarm_is_raised_in_some_way(name: str, alarm: str) -> None:
    dialect = DIALECTS[name]
    quiet, loud = (
        {question: said(dialect, told(made.snapshot(decision=made.decision(alarms=alarms)), dialect), question)
         for question in EVERY[name]}
        for alarms in ({}, {alarm: 2})
    )  # fmt: skip
    if (name, alarm) != ("voltronic", "cell_imbalance"):  # it has no place for that
        assert quiet != loud
        assert raised({alarm: 2}, dialect.keys) or name == "growatt"


def test_several_batteries_are_one_pack_whose_extremes_were_measured() -> None:
    low = made.reading(cell_voltages=(*[3.30] * 15, 3.10), temperatures=(10.0, 12.0))
    high = made.reading(cell_voltages=(*[3.35] * 15, 3.50), temperatures=(30.0, 41.0, 33.0))
    bank = made.bank(made.battery("a", of=low), made.battery("b", of=high), min_cell=Extreme(3.10, "a:16"),
                     max_cell=Extreme(3.50, "b:16"))  # fmt: skip
    dialect = DIALECTS["pylontech"]
    values = told(made.snapshot(bank=bank), dialect)
    found = said(dialect, values, pylon(0x42))
    assert len(found["cell_voltages"]) == 16
    assert (min(found["cell_voltages"]), max(found["cell_voltages"])) == (3.10, 3.50)
    assert (min(found["temperatures"][1:]), max(found["temperatures"][1:])) == (10.0, 41.0)
    assert said(dialect, values, pylon(0x42, b"\xff"))["modules"] == 1
    assert said(dialect, values, pylon(0x61))["max_voltage_cell_id"] == "0010"


@settings(deadline=None)
@given(st.lists(st.floats(2, 4), min_size=2, max_size=60), st.integers(2, 24))
def test_a_selection_holds_the_lowest_and_the_highest(cells: list[float], count: int) -> None:
    chosen = spread(cells, count)
    assert len(chosen) == count and set(chosen) <= set(cells)
    assert (chosen[0], chosen[-1]) == (min(cells), max(cells))


@pytest.mark.parametrize("soc", [99.4, 99.7, 99.94, 99.96, 100.0])
def test_full_is_told_only_when_it_is(soc: float) -> None:
    bank = made.bank(soc=soc, remaining_capacity=2.8 * soc)
    decision = made.decision(soc=soc, remaining_capacity=2.8 * soc)
    values = told(made.snapshot(bank=bank, decision=decision), DIALECTS["pylontech"])
    found = said(DIALECTS["pylontech"], values, pylon(0x42))
    share = 100 * found["remaining_capacity"] / found["capacity"]
    assert (round(share) == 100) is (soc >= 99.95) or share < 99.51
    assert share <= soc + 0.01


def test_what_47_and_growatt_say_of_the_cells() -> None:
    apart = {"min_cell": Extreme(2.9, "rack-1:8"), "max_cell": Extreme(3.65, "rack-1:2")}
    found = values_of(made.snapshot(bank=made.bank(**apart)), DIALECTS["growatt"].keys)
    assert found["cell_spread_mV"] == pytest.approx(750)
    values = told(made.snapshot(decision=made.decision(cvl=56.0, low_voltage=44.8)), DIALECTS["pylontech"])
    found = said(DIALECTS["pylontech"], values, pylon(0x47))["system_parameters"]
    assert (found["cell_high"], found["cell_low"], found["cell_under"]) == (3.5, 2.8, 2.8)
