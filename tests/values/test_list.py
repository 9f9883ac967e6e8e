"""The list of published values: it is sound in itself, and every interface publishes what it lists, as it lists it."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import ALARMS, Cap, Decision, External, Health, Life, Snapshot
from gateway.report import snapshot_json
from outputs.values import BANK, BATTERY, BY_NAME, VALUES, of_all, told
from outputs.values.value import DIES, Value, down, up
from outputs.venus_dbus.guide import numbered
from outputs.venus_dbus.lifetime import HISTORY, OWN
from outputs.venus_dbus.paths import LIMITS, TABLE
from outputs.venus_dbus.published import Published
from outputs.venus_dbus.tree import Tree
from outputs.view import bank_view
from tests import make

CAP = Cap(50.0, "config", "yours", "limits.charge_current.max", "rack-1")


def rich() -> Snapshot:
    """A Snapshot in which everything is known."""
    reading = make.reading(
        cell_balancing=(False,) * 16, ambient_temperature=20.0, heating=False, balance_allowed=True,
        max_charge_current=100.0, max_discharge_current=100.0, max_battery_voltage=56.0, min_battery_voltage=44.0,
        cell_count=16, hardware_version="2", alarms=dict.fromkeys(ALARMS, 0), rejected={"soc": "250 %"},
    )  # fmt: skip
    battery = make.battery(of=reading, counters={"polls": 3, "good": 3}, signal=-60)
    bank = make.bank(
        battery, external=External(current=1.0, soc=50.0), alarms=dict.fromkeys(ALARMS, 0), heating=False,
        discharge_floor=10.0, inverter_currents=(1.0,),
    )  # fmt: skip
    decision = make.decision(cvl_caps=(CAP,), ccl_caps=(CAP,), dcl_caps=(CAP,), soc_source="counter",
                             alarms=dict.fromkeys(ALARMS, 0), remaining_capacity=168.0)  # fmt: skip
    return make.snapshot(
        bank=bank, decision=decision, life=Life(charge_cycles=3.5, last_full_charge=1_790_000_000.0),
        time_to_go=3600, time_to_soc={10.0: 60, 12.5: None}, current_average=1.5, sequence=7,
    )  # fmt: skip


# ---- in itself


def test_no_two_values_share_a_name_a_metric_or_a_register() -> None:
    series = [(row.prometheus.name, row.prometheus.one_of) for row in VALUES if row.prometheus]
    registers = [
        row.modbus.address + n for row in VALUES if row.modbus for n in range(_width(row)) if row.modbus.kind != "text"
    ]
    for names in ([row.name for row in VALUES], series, registers):
        assert [name for name, times in Counter(names).items() if times > 1] == []


def _width(row: Value) -> int:
    assert row.modbus is not None
    each = 2 if row.modbus.kind in ("u32", "i32") else 1
    return row.modbus.count // 16 if row.modbus.kind == "bits" else each * row.modbus.count


def test_names_of_metrics_are_what_promtool_accepts() -> None:
    for row in VALUES:
        if row.prometheus is None:
            continue
        words = row.prometheus.name.split("_")
        assert row.prometheus.counter == (words[-1] == "total"), row.name
        assert not {"count", "sum", "bucket", "hours", "gauge", "counter", "percent"} & set(words), row.name


def test_what_home_assistant_would_refuse_is_not_asked_for() -> None:
    units = {"voltage": "V", "current": "A", "power": "W", "energy": "kWh", "temperature": "°C", "duration": "s",
             "battery": "%", "signal_strength": "dBm"}  # fmt: skip
    for row in VALUES:
        if row.ha is None:
            continue
        if row.ha.device_class in units:
            assert row.unit == units[row.ha.device_class], row.name
        if row.ha.device_class == "enum":
            assert row.options and not row.unit and not row.ha.state_class, row.name
        if row.kind in ("text", "enum", "flag", "moment", "level"):
            assert not row.ha.state_class, row.name
    assert [row.name for row in VALUES if row.ha and row.ha.device_class == "battery"] == ["soc"]


def test_a_factor_of_modbus_keeps_the_digits_of_the_value() -> None:
    for row in VALUES:
        if row.modbus and row.modbus.kind in ("u16", "i16", "u32", "i32") and row.kind == "float":
            assert row.modbus.factor >= 10**row.digits or row.name.endswith("energy"), row.name


# ---- how long a value lives


@given(st.sampled_from(Health), st.sampled_from(VALUES))
def test_a_value_is_not_known_once_its_bms_is_silent_for_longer_than_it_lives(health: Health, row: Value) -> None:
    snapshot = rich()
    battery = replace(snapshot.bank.batteries[0], health=health)
    bank, (one,) = of_all(replace(snapshot, bank=replace(snapshot.bank, health=health, batteries=(battery,))), 0.0)
    known = [row.of(subject) is not None for subject, letter in ((bank, "K"), (one, "B")) if letter in row.where]
    if health in DIES[row.lives]:
        assert not any(known)
    elif row.name not in ("external_fault", "blocked", "custom_name", "production_date", "full_discharges"):
        assert known == [True] * len(known) or row.name in MAY_LACK, row.name


MAY_LACK = {
    "remote_left", "remote_until",
    "cell_overvoltage_protection", "cell_undervoltage_protection", "deepest_discharge", "last_discharge",
    "average_discharge", "total_ah_drawn", "minimum_voltage", "maximum_voltage", "minimum_cell_voltage",
    "maximum_cell_voltage", "minimum_temperature", "maximum_temperature",
}  # fmt: skip


def test_a_gateway_that_hangs_is_told_of_with_limits_of_0_and_nothing_measured() -> None:
    bank, (battery,) = of_all(rich(), now=100.0)
    values = told(bank, BANK)
    assert (values["ccl"], values["dcl"], values["allow_charge"], values["guard_active"]) == (0.0, 0.0, False, True)
    assert values["voltage"] is None and values["min_cell"] is None and values["health"] == "lost"
    assert told(battery, BATTERY)["cell_voltages"] is None


# ---- rounding


@given(st.floats(0, 1000), st.integers(0, 3))
def test_a_limit_never_grows_by_rounding_and_loses_no_more_than_a_digit(value: float, digits: int) -> None:
    assert value - 10.0**-digits - 1e-6 <= down(value, digits) <= value + 1e-6
    assert value - 1e-6 <= up(value, digits) <= value + 10.0**-digits + 1e-6


@given(st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=8))
def test_what_is_no_number_is_not_known_and_a_text_can_be_printed(value: float, text: str) -> None:
    bank = make.bank(voltage=value, soc=None)
    subject, (battery,) = of_all(make.snapshot(bank=bank, decision=make.decision(charge_mode=text, soc=None)), 0.0)
    voltage = BY_NAME["voltage"].of(subject)
    assert (voltage is None) == (not math.isfinite(value))
    assert BY_NAME["charge_mode"].of(subject) in (None, *BY_NAME["charge_mode"].options)
    remark = BY_NAME["remark"].of(replace(battery, state=replace(battery.state, remark=text)))
    assert isinstance(remark, str) and remark.isprintable()


# ---- D-Bus


def on_dbus(snapshot: Snapshot) -> dict[str, Any]:
    tree = Tree()
    Published(tree, "both", midpoint=True).update(bank_view(snapshot), slow=True)
    return {path: tree[path].value for path in tree}


def test_every_path_on_dbus_is_in_the_list_and_the_reverse() -> None:
    listed = {path for row in VALUES for path in row.dbus}
    assert {numbered(path) for path in on_dbus(rich())} == listed


VICTRONS = {  # in Victron's manner: words and codes of its own, or made of several values
    "/Mgmt/Connection", "/Mgmt/InsecureConnection", "/Manufacturer", "/Family", "/FirmwareVersion", "/Dc/0/Current",
    "/Dc/0/MidVoltage", "/Dc/0/MidVoltageDeviation", "/Capacity", "/ConsumedAmphours", "/TimeToGo", "/State", "/Mode",
    "/ErrorCode", "/DeviceState", "/ConnectionInformation", "/Balancer/Status", "/Io/AllowToBalance",
    "/System/MinVoltageCellId", "/System/MaxVoltageCellId", "/System/MinTemperatureCellId",
    "/System/MaxTemperatureCellId", "/Alarms/HighDischargeCurrent", "/Alarms/InternalFailure",
    "/History/ChargeCycles", "/Info/MaxChargeCellVoltage", "/Info/ChargeRequest", "/Info/ChargeMode",
    "/Info/ChargeLimitation", "/Info/DischargeLimitation", "/History/DeepestDischarge", "/History/LastDischarge",
    "/History/AverageDischarge", "/History/TotalAhDrawn", "/History/TimeSinceLastFullCharge", "/ConsumedAmphoursBms",
}  # fmt: skip
SINGLE = re.compile("/Voltages/|/Balances/|/Cell/|/System/Temperature|/TimeToSoC/")  # of a list: cells.py, lifetime.py
LISTED = {row.dbus[0]: row for row in VALUES if row.dbus and row.dbus[0] not in VICTRONS}


def test_what_is_on_dbus_is_made_of_the_list_but_for_what_is_in_victrons_manner() -> None:
    made = [*TABLE, *LIMITS, *HISTORY, *OWN]
    assert {entry.path for entry in made} == {path for path in (*LISTED, *VICTRONS) if not SINGLE.match(path)} - {
        "/Dc/0/MidVoltage", "/Dc/0/MidVoltageDeviation",
    }  # fmt: skip
    by_path = {path: row for row in VALUES for path in row.dbus}
    for entry in made:
        row = by_path[entry.path]
        assert entry.slow == row.slow or entry.path == "/ConnectionInformation", entry.path
        if entry.kind != "d":
            continue
        number, unit = re.fullmatch(r"([\d.]+)(.*)", entry.text(1.0)).groups()  # type: ignore[union-attr]
        assert unit == row.unit.replace("°", ""), entry.path
        assert len(number.partition(".")[2]) >= row.digits, "a text hides nothing of the value"


MAYBE = st.none() | st.floats(-100, 1000)
MEASURED = ("voltage", "power", "soc", "capacity", "temperature", "mosfet_temperature")
LIVED = ("minimum_voltage", "maximum_cell_voltage", "minimum_temperature", "charged_energy", "discharged_energy")


@given(
    st.sampled_from(Health),
    st.builds(Decision, cvl=MAYBE, ccl=st.floats(-10, 1000), dcl=st.floats(-10, 1000), allow_charge=st.booleans(),
              allow_discharge=st.booleans(), soc=MAYBE, low_voltage=MAYBE,
              alarms=st.dictionaries(st.sampled_from(ALARMS), st.integers(0, 2))),
    st.fixed_dictionaries(dict.fromkeys(MEASURED, MAYBE)),
    st.builds(Life, **dict.fromkeys(LIVED, st.none() | st.floats(0, 1000)), full_discharges=st.integers(0, 9)),
)  # fmt: skip
def test_dbus_and_the_list_say_the_same_to_the_last_digit(
    health: Health, decision: Decision, known: dict[str, Any], life: Life
) -> None:
    snapshot = make.snapshot(bank=make.bank(health=health, **known), decision=decision, life=life)
    paths, bank = on_dbus(snapshot), of_all(snapshot, 0.0)[0]
    for path, row in LISTED.items():
        if path in paths and not SINGLE.match(path):
            assert row.of(bank) == paths[path], path


# ---- status --json


def leaves(of: Any, name: str = "") -> Iterator[str]:
    """Dotted names of everything in plain data; a list has the name of what it is in."""
    if isinstance(of, list) and of and isinstance(of[0], dict):
        of = of[0]
    if name.endswith("_caps") or not isinstance(of, dict):
        yield name
        return
    for key, inner in of.items():
        yield from leaves(inner, f"{name}.{key}" if name else key)


def test_every_key_of_the_status_is_in_the_list_and_the_reverse() -> None:
    listed = {name for row in VALUES for name in row.status}
    said = {
        re.sub(r"^(time_to_soc|batteries\.counters|batteries\.rejected)\..*", r"\1.<n>", name)
        for name in leaves(snapshot_json(rich()))
    }
    assert said - listed == set()
    assert listed - said == set()


OTHERWISE = {  # told otherwise there: as the model has it, not as it is for people
    "decision.blocked_since": "a moment of the monotonic clock",
    "decision.ccl_reason": "a list", "decision.dcl_reason": "a list", "decision.waiting": "a list",
    "decision.notes": "a list", "decision.cvl_caps": "", "decision.ccl_caps": "", "decision.dcl_caps": "",
    "bank.min_cell.where": "the bank's own form", "bank.max_cell.where": "the same", "time": "to the millisecond",
    "bank.min_temperature.where": "the same", "bank.max_temperature.where": "the same", "guard": "a sentence",
    "batteries.controls": "", "batteries.rejected.<n>": "", "batteries.untold": "", "remote": "",
    "batteries.reading.lowest_cell_voltage": "the BMS's own figure", "batteries.reading.alarms.bms_cable": "ours",
    "batteries.reading.highest_cell_voltage": "the same", "batteries.reading.charge_allowed": "one of several",
    "batteries.reading.discharge_allowed": "the same", "batteries.reading.balance_allowed": "the same",
    "batteries.counters.<n>": "", "time_to_soc.<n>": "", "history.charge_cycles": "our count, where a BMS has none",
}  # fmt: skip
NUMBERS = st.floats(0.1, 90)


def at(state: Any, name: str) -> Any:
    """What stands under a dotted name; of a list in its first element."""
    for key in name.split("."):
        state = state[0] if isinstance(state, list) else state
        state = None if state is None else state.get(key)
    return state


@given(NUMBERS, NUMBERS, st.lists(st.none() | NUMBERS, min_size=1, max_size=3).map(tuple), st.booleans())
def test_the_status_says_what_the_list_says_but_for_its_digits(
    one: float, other: float, many: tuple[float | None, ...], flag: bool
) -> None:
    reading = make.reading(
        voltage=one, current=-other, soc=one, capacity=other, cell_voltages=many, temperatures=many, heating=flag,
        max_charge_current=one, min_battery_voltage=other, cell_count=len(many),
    )  # fmt: skip
    rack = make.battery(of=reading)
    bank = make.bank(rack, voltage=one, current=-other, soc=other, temperature=one, heating=flag, capacity=one)
    decision = make.decision(soc=other, cvl=one, ccl=other, dcl=one, low_voltage=one, allow_charge=flag)
    snapshot = make.snapshot(bank=bank, decision=decision, life=Life(minimum_voltage=one, charged_energy=other))
    status, (whole, (battery,)) = snapshot_json(snapshot), of_all(snapshot, 0.0)
    for row in VALUES:
        for name in set(row.status) - OTHERWISE.keys():
            told_, said = row.of(battery if name.startswith("batteries") else whole), at(status, name)
            if said is None and name.startswith("decision."):
                continue  # the bank's counts
            assert same(said, told_, row), name


def same(said: Any, told_: Any, row: Value) -> bool:
    """Is it the same but for the digits?  The status has four; a limit must not grow by having fewer."""
    if isinstance(said, list):
        return len(said) == len(told_) and all(map(same, said, told_, [row] * len(said)))
    if not isinstance(said, float):
        return bool(said == told_)
    off = told_ - said
    near = (0.5 if row.rounding == "nearest" else 1.0) * 10.0**-row.digits + 1e-4
    return abs(off) <= near and bool({"down": off <= 1e-4, "up": off >= -1e-4}.get(row.rounding, True))
