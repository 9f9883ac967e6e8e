"""What holds for every dialect; a new DBC file in dbc/ is included by being there."""

import math
import re
from itertools import pairwise
from typing import Any

import cantools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dbc
from gateway.model import Extreme, GatewayError
from outputs.can_bms.dbc_file import load, names
from outputs.can_bms.dialect import Dialect, Frame
from outputs.inverter.keys import BOUNDS, KINDS, Value
from outputs.inverter.values import ALARM_FLAGS, raised, safe, values_of
from tests import make

DIALECTS = {name: load(name) for name in names()}
FILES: dict[str, Any] = {name: cantools.database.load_file(dbc.path(name)) for name in names()}
SIGNALS = {
    name: {s.name: s for m in file.messages if "Inverter" not in m.senders for s in m.signals}
    for name, file in FILES.items()
}
CLOSER = {  # values that must not be exceeded, and the one that must not be undercut
    "charge_voltage_limit": -1, "charge_current_limit": -1, "discharge_current_limit": -1, "discharge_voltage_limit": 1,
}  # fmt: skip


def of_kind(name: str, kind: str) -> list[str]:
    return sorted(key for key in DIALECTS[name].keys if KINDS[key] == kind)


def both_ways(dialect: Dialect, values: dict[str, Value]) -> dict[str, Value]:
    """Encoded, and read back."""
    return dialect.decode(dialect.encode(values))


def test_there_is_a_dialect_for_each_kind_of_frames_that_inverters_read() -> None:
    there = {"pylontech", "pylontech_v13", "pylontech_v2", "victron", "sma", "goodwe", "solark", "solark_decivolt"}
    assert there | {"luxpower", "growatt_lv", "sofar", "sofar_amass", "li_residential"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_ids_are_standard_ones_and_each_is_there_once(name: str) -> None:
    ids = [(message.frame_id, message.is_extended_frame) for message in FILES[name].messages]
    assert len(ids) == len(set(ids))
    assert not any(extended for _, extended in ids)


@pytest.mark.parametrize("name", names())
def test_no_two_signals_share_a_bit(name: str) -> None:
    cantools.database.load_file(dbc.path(name), strict=True)
    for layout in DIALECTS[name].layouts:
        seen = 0
        for signal in layout.message.signals:
            ones = (1 << signal.length) - 1 if not signal.signed else -1
            empty = {other.name: 0 for other in layout.message.signals}
            bits = int.from_bytes(layout.message.encode({**empty, signal.name: ones}))
            assert bits.bit_count() == signal.length and not bits & seen, signal.name
            seen |= bits


@pytest.mark.parametrize("name", names())
def test_the_file_says_of_each_message_when_it_is_sent(name: str) -> None:
    text = dbc.path(name).read_text()
    orders = []
    for message in FILES[name].messages:
        assert f'BA_ "GenMsgCycleTime" BO_ {message.frame_id} ' in text
        if "Inverter" not in message.senders:
            orders += re.findall(rf'BA_ "SendOrder" BO_ {message.frame_id} (\d+);', text)
    assert sorted(map(int, orders)) == list(range(1, len(orders) + 1))
    assert [layout.order for layout in DIALECTS[name].layouts] == sorted(map(int, orders))
    assert all(a.order < b.order for a, b in pairwise(DIALECTS[name].layouts))


@pytest.mark.parametrize("name", names())
def test_limits_go_out_every_second_at_least(name: str) -> None:
    for layout in DIALECTS[name].layouts:
        assert layout.cycle <= 1000 or not {"charge_current_limit", "soc", "voltage"} & {c.key for c in layout.coders}


@pytest.mark.parametrize("name", names())
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_limit_goes_out_higher_than_it_was_decided(name: str, data: st.DataObject) -> None:
    """Below what the dialect can say it is refused: a 24 V battery never charges a 48 V inverter's least voltage."""
    values = {key: data.draw(st.floats(0, 100)) for key in BOUNDS if key in SIGNALS[name]}
    try:
        back = DIALECTS[name].decode(DIALECTS[name].encode(dict(values)))
    except GatewayError as refusal:
        assert "at least" in str(refusal)
        assert any(values[key] < SIGNALS[name][key].minimum for key in values)
    else:
        for key in set(back) & set(values):
            assert float(back[key]) <= values[key] + 1e-6  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_numbers_come_back_within_a_step_and_stop_at_the_ends(name: str, data: st.DataObject) -> None:
    keys = of_kind(name, "number")
    values = {key: data.draw(st.floats(-1e5, 1e5) | st.floats(-100, 100) | st.integers(-10, 4000)) for key in keys}
    values |= {key: SIGNALS[name][key].minimum for key in BOUNDS if values.get(key, 0) < SIGNALS[name][key].minimum}
    clamped: list[str] = []
    back = DIALECTS[name].decode(DIALECTS[name].encode(dict(values), clamped=clamped))
    for key, value in values.items():
        signal = SIGNALS[name][key]
        wanted = min(max(value, signal.minimum), signal.maximum)
        if key not in back:
            assert wanted < signal.scale, "0 is the mark for not known, of what is never 0 when it is known"
            continue
        got = float(back[key])  # type: ignore[arg-type]
        step = signal.scale if key in CLOSER else signal.scale / 2
        assert abs(got - wanted) <= step * (1 + 1e-6) + 1e-9, key
        if key in CLOSER and signal.minimum <= value <= signal.maximum:
            assert (got - value) * CLOSER[key] >= -1e-6 * signal.scale, key
        if value < signal.minimum - signal.scale or value > signal.maximum + signal.scale:
            assert key in clamped


@pytest.mark.parametrize("name", names())
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_flags_come_back_as_they_were(name: str, data: st.DataObject) -> None:
    values: dict[str, Value] = {key: data.draw(st.integers(0, 1)) for key in of_kind(name, "flag")}
    back = both_ways(DIALECTS[name], dict(values))
    assert {key: back[key] for key in values} == values


@pytest.mark.parametrize("name", names())
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_texts_come_back_cleaned_and_cut(name: str, data: st.DataObject) -> None:
    texts = {key: data.draw(st.text(min_size=1, max_size=20)) for key in of_kind(name, "text")}
    numbers = dict.fromkeys(of_kind(name, "number"), 7) | {"charge_voltage_limit": 55}
    back = both_ways(DIALECTS[name], {**numbers, **texts})
    for key, text in texts.items():
        room = sum(s.length // 8 for m in FILES[name].messages for s in m.signals if s.name == key)
        shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:room].rstrip()
        assert str(back.get(key, "")).strip() == shown.strip()


@pytest.mark.parametrize("name", names())
@given(payload=st.binary(max_size=8))
def test_any_bytes_can_be_read(name: str, payload: bytes) -> None:
    DIALECTS[name].decode([Frame(layout.message.id, payload) for layout in DIALECTS[name].layouts])


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400], ids=["nan", "inf", "-inf", "huge"])
def test_what_is_no_number_never_reaches_a_frame(name: str, value: float) -> None:
    known: dict[str, Value] = dict.fromkeys(of_kind(name, "number"), 7) | {"charge_voltage_limit": 55}
    for key in known:
        with pytest.raises(GatewayError, match=f"{key}: .* not a finite number"):
            DIALECTS[name].encode({**known, key: value})


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_a_bank_of_which_nothing_is_known_is_told_as_that(name: str, nothing: float | None) -> None:
    nowhere = None if nothing is None else Extreme(nothing, "rack-1:1")
    bank = make.bank(
        voltage=nothing, current=nothing, soc=nothing, soh=nothing, temperature=nothing, capacity=nothing,
        remaining_capacity=nothing, charge_cycles=nothing, min_cell=nowhere, max_cell=nowhere, min_temperature=nowhere,
        max_temperature=nowhere,
    )  # fmt: skip
    decision = make.decision(soc=nothing, low_voltage=nothing, remaining_capacity=nothing)
    values = values_of(make.snapshot(bank=bank, decision=decision), DIALECTS[name].keys)
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
    back = both_ways(DIALECTS[name], values)
    for key in ("soh", "temperature", "min_cell_voltage_mV", "max_cell_temperature", "available_capacity"):
        assert back.get(key) != 0


# ---- what an inverter must see when something is wrong


def is_alarm(flag: str) -> bool:
    return flag.startswith("p_") or flag.endswith("_alarm")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("alarm", ALARM_FLAGS)
def test_warnings_and_alarms_are_apart(name: str, alarm: str) -> None:
    dialect = DIALECTS[name]
    for level in (1, 2):
        flags = raised({alarm: level}, dialect.keys)
        back = both_ways(dialect, dict(flags))
        shown = {key for key in of_kind(name, "flag") if back[key]}
        assert shown == set(flags)
        assert all(is_alarm(flag) is (level == 2) for flag in flags)


@pytest.mark.parametrize("amps", [0.0, 0.04, 0.0999, 0.1, 0.15])
@pytest.mark.parametrize("name", names())
def test_no_direction_is_enabled_whose_limit_reads_0(name: str, amps: float) -> None:
    dialect = load(name)
    snapshot = make.snapshot(decision=make.decision(ccl=amps, dcl=amps, force_charge=True, full_charge=True))
    told = dialect.decode(dialect.encode(values_of(snapshot, dialect.keys)))
    requests = ("charge_enable", "force_charge_1", "force_charge_2", "full_charge")
    for limit, flags in (("charge_current_limit", requests), ("discharge_current_limit", ("discharge_enable",))):
        assert told[limit] == (amps // 0.1 / 10 if amps >= 0.1 else 0.0)
        assert {told[flag] for flag in flags if flag in told} <= {int(bool(told[limit]))}


@pytest.mark.parametrize("name", names())
def test_an_alarm_of_level_2_is_shown_in_every_dialect_that_has_alarms(name: str) -> None:
    if any(is_alarm(key) for key in DIALECTS[name].keys):
        silent = {alarm for alarm in ALARM_FLAGS if not raised({alarm: 2}, DIALECTS[name].keys)}
        assert silent <= {"cell_imbalance"}, "the Pylontech frames have no bit for unlike cells"


@pytest.mark.parametrize("name", names())
def test_the_safe_state_closes_all_that_the_dialect_has(name: str) -> None:
    dialect = DIALECTS[name]
    asking = make.snapshot(decision=make.decision(force_charge=True))
    back = both_ways(dialect, safe(values_of(asking, dialect.keys), dialect.keys))
    assert back["charge_current_limit"] == back["discharge_current_limit"] == 0
    closed = {"charge_enable", "discharge_enable", "force_charge_1", "force_charge_2", "full_charge"}
    said = {"p_system_error", "a_internal_comm_fail", "protections_valid"}
    for key in dialect.keys:
        assert key not in closed or back[key] == 0, key
        assert key not in said or back[key] == 1, key
    assert back.get("operating_state", 1) == back.get("system_state", 1) == 1
    assert back["charge_voltage_limit"] == 55.2, "a charge voltage of 0 is over-voltage to some"
    assert "p_system_error" in dialect.keys


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("way", ["charge", "discharge"])
def test_a_direction_that_is_forbidden_is_closed_in_all_frames(name: str, way: str) -> None:
    decision = make.decision(**{f"allow_{way}": False})
    values = values_of(make.snapshot(decision=decision), DIALECTS[name].keys)
    frames = DIALECTS[name].encode(values)
    for frame in frames:
        back = DIALECTS[name].decode([frame])
        assert back.get(f"{way}_current_limit", 0) == 0
        assert back.get(f"{way}_enable", 0) == 0
    other = "discharge" if way == "charge" else "charge"
    whole = DIALECTS[name].decode(frames)
    assert whole[f"{other}_current_limit"] and whole.get(f"{other}_enable", 1) == 1
