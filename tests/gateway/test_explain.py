"""What people are told of a limit: what binds, what would lift it, then the rest."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.explain import LIFTED, PLACES, binding, explain_lines, lifted
from gateway.limits.currents import STEP_SIDE
from gateway.model import Cap
from gateway.report import status_lines

CONFIG = Cap(50.0, "config", "configured maximum 50 A", "limits.charge_current.max", "rack-1")
CELL = Cap(
    50.0, "cell_voltage", "highest cell 3.300 V allows 100.0% of 50 A", "limits.by_cell_voltage.charge", "rack-1"
)
HOT = Cap(12.5, "temperature", "hottest sensor 52.0 °C allows 25.0% of 50 A", "limits.by_temperature.charge", "rack-1")
BANK = Cap(50.0, "bank_limit", "the bank's cap is 50 A", "bank.charge_current_limit")
SWITCH = Cap(0.0, "bms_switch", "the BMS has its charge switch off", "", "rack-1")
FULL = Cap(0.0, "cell_voltage", "highest cell 3.600 V allows 0.0% of 50 A", "limits.by_cell_voltage.charge", "rack-1")
BMS = Cap(20.0, "bms_limit", "the BMS asks for at most 20 A", "", "rack-1")


def plain(*caps: Cap) -> list[dict[str, Any]]:
    return [dataclasses.asdict(cap) for cap in caps]


def rules(*caps: Cap) -> list[str]:
    return [cap["rule"] for cap in binding(plain(*caps))]


def state(*ccl_caps: Cap) -> dict[str, Any]:
    """A state as the running gateway tells it, whose CCL has these caps."""
    least = min(cap.value for cap in ccl_caps)
    decision = {
        "charge_mode": "bulk", "cvl": 55.2, "ccl": least, "dcl": 60.0, "soc": 50.0, "alarms": {}, "waiting": [],
        "cvl_caps": plain(Cap(55.2, "config", "3.45 V x 16 cells", "limits.cell_voltage.max", "rack-1")),
        "ccl_caps": plain(*ccl_caps),
        "dcl_caps": plain(Cap(60.0, "config", "configured maximum 60 A", "limits.discharge_current.max", "rack-1")),
    }  # fmt: skip
    bank = {"health": "online", "voltage": 52.8, "current": 10.0, "soc": 50.0, "online": 1, "offline": 0}
    return {"decision": decision, "bank": bank, "batteries": [], "outputs": {}}


def about_ccl(*caps: Cap) -> list[str]:
    lines = list(explain_lines(state(*caps)))
    begin = next(number for number, line in enumerate(lines) if line.startswith("CCL"))
    return lines[begin : lines.index("", begin)]


def test_what_binds_comes_first_with_what_lifts_it_then_the_rest() -> None:
    assert about_ccl(CONFIG, CELL, HOT, BMS) == [
        "CCL 12.50 A",
        "  ->    12.50 A  temperature [rack-1]: hottest sensor 52.0 °C allows 25.0% of 50 A"
        "  (limits.by_temperature.charge)",
        "                 lifted as the battery cools; next is 20.00 A by bms_limit",
        "        20.00 A  bms_limit [rack-1]: the BMS asks for at most 20 A  (set in the BMS itself)",
        "        50.00 A  cell_voltage [rack-1]: highest cell 3.300 V allows 100.0% of 50 A"
        "  (limits.by_cell_voltage.charge)",
        "        50.00 A  config [rack-1]: configured maximum 50 A  (limits.charge_current.max)",
    ]


def test_a_table_that_allows_everything_is_no_arrow() -> None:
    assert rules(CONFIG, CELL) == ["config"]
    assert [line[:4] for line in about_ccl(CELL, CONFIG)[1:]] == ["  ->", "    ", "    "]


def test_caps_that_each_hold_by_themselves_are_all_arrows() -> None:
    assert rules(CONFIG, BANK, CELL) == ["config", "bank_limit"]
    assert rules(CONFIG, SWITCH, FULL) == ["bms_switch", "cell_voltage"]


def test_another_batterys_own_maximum_excuses_no_table() -> None:
    other = dataclasses.replace(CONFIG, battery="rack-2")
    assert rules(CELL, dataclasses.replace(CONFIG, value=80.0), other) == ["cell_voltage", "config"]


def test_batteries_of_which_the_same_is_true_share_a_line() -> None:
    second = dataclasses.replace(CONFIG, battery="rack-2")
    assert about_ccl(CONFIG, second)[1].startswith("  ->    50.00 A  config [rack-1, rack-2]: ")


def test_status_says_it_in_a_line_a_limit() -> None:
    lines = list(status_lines(state(CONFIG, HOT, BMS)))
    assert lines[1:5] == [
        "limits: CVL 55.20 V, CCL 12.5 A, DCL 60.0 A, bulk",
        "  CVL 55.20 V by config [rack-1]: 3.45 V x 16 cells; lifted by you, in limits.cell_voltage.max",
        "  CCL 12.50 A by temperature [rack-1]: hottest sensor 52.0 °C allows 25.0% of 50 A;"
        " lifted as the battery cools; next is 20.00 A by bms_limit",
        "  DCL 60.00 A by config [rack-1]: configured maximum 60 A; lifted by you, in limits.discharge_current.max",
    ]


def test_a_guard_that_steps_in_is_the_first_thing_said() -> None:
    told = {**state(CONFIG), "guard": "CCL 50 A above 20 A"}
    assert next(iter(explain_lines(told))) == "GUARD: CCL 50 A above 20 A"
    assert list(status_lines(told))[1] == "GUARD: CCL 50 A above 20 A"


def test_log_lines_that_were_lost_are_told_by_status() -> None:
    told = {**state(CONFIG), "service": {"log_lines_dropped": 7}}
    assert list(status_lines(told))[-1] == "log: 7 lines dropped, they could not be written in time"


def test_the_interface_under_a_can_bus_is_told() -> None:
    interface = {"summary": "up, error-passive, errors sent 128 received 0", "advice": "nobody acknowledges"}
    told = {"outputs": {"can_bms": {"connected": True, "bus": "socketcan can0", "interface": interface}}}
    assert list(status_lines(told))[-1] == f"  socketcan can0: {interface['summary']}, {interface['advice']}"


@pytest.mark.parametrize("way", ["charge", "discharge"])
def test_every_table_can_say_what_would_lift_it(way: str) -> None:
    name = "CCL" if way == "charge" else "DCL"
    for side, rule in STEP_SIDE:
        if side == way:
            assert lifted(name, {"rule": rule, "why": "coldest sensor 1 °C", "setting": ""})
    missing = {"rule": "cell_voltage", "why": "missing data: max_cell is not known", "setting": ""}
    assert lifted(name, missing) == "when the BMS tells it again"
    assert {"bms_limit", "bms_switch"} <= PLACES.keys() and LIFTED["bms_limit"]


CAPS = st.lists(
    st.builds(
        Cap,
        st.sampled_from([0.0, 10.0, 20.0, 50.0]),
        st.sampled_from(["config", "bms_limit", "bank_limit", "cell_voltage", "temperature", "bms_switch", "new"]),
        st.just("why"),
        st.just("key"),
        st.sampled_from(["", "a", "b"]),
    ),
    min_size=1,
)


@given(CAPS)
def test_something_binds_always_and_it_is_the_smallest(caps: list[Cap]) -> None:
    found = binding(plain(*caps))
    assert found
    assert {cap["value"] for cap in found} == {min(cap.value for cap in caps)}


@given(CAPS)
def test_every_cap_is_shown_once(caps: list[Cap]) -> None:
    shown = [line for line in about_ccl(*caps)[1:] if "why" in line]
    assert len(shown) == len({(cap.value, cap.rule, cap in binding_caps(caps)) for cap in caps})


def binding_caps(caps: list[Cap]) -> list[Cap]:
    return [Cap(**cap) for cap in binding(plain(*caps))]


def test_what_an_inverter_is_told_otherwise_is_shown_with_the_reason() -> None:
    output = {
        "connected": True, "problem": "", "towards": "deye", "inverter": "answering",
        "inverter_reports": {"inverter_current": -10.0},
        "otherwise": [
            {"key": "charge_voltage_limit", "decided": 54.0, "sent": 55.2, "why": "only step by step"},
            {"key": "p_over_voltage", "decided": None, "sent": 0, "why": "an alarm would stop the inverter"},
        ],
    }  # fmt: skip
    expected = [
        "  charge voltage limit: 55.2 is sent, decided 54; only step by step",
        "  p over voltage: 0 is sent, decided nothing; an alarm would stop the inverter",
    ]
    found = {**state(CONFIG), "outputs": {"can_bms": output}}
    assert list(explain_lines(found))[-3:] == ["output can_bms", *expected]
    assert list(status_lines(found))[-3:] == ["  inverter deye: answering; current -10", *expected]
    output |= {"towards": "", "inverter": "never heard", "inverter_reports": {}, "otherwise": []}
    assert list(status_lines(found))[-1] == "  inverter: never heard"
    assert list(explain_lines(found)) == list(explain_lines(state(CONFIG)))
