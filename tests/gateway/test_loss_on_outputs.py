"""The plug is pulled: the table of limits.md 8.2 as CAN and D-Bus are told it, by an accelerated clock."""

from dataclasses import dataclass
from typing import Any

import pytest

from gateway.bank import aggregate
from gateway.battery import LOST_AFTER, STALE_AFTER
from gateway.limits import LimitSettings, Memory, Site, evaluate
from gateway.model import BatteryState, Health, Snapshot
from gateway.model.validation import validated
from outputs.inverter.values import safe, values_of
from outputs.view import View, bank_view
from tests.make import battery, reading

TAKEN = 1000.0  # s, the last good reading
SAFE = tuple([3.30] * 16)
NOT_SAFE = tuple([3.40] * 16)


@dataclass
class Told:
    """What both outputs say at one moment."""

    can: dict[str, Any]
    dbus: View


def health(age: float) -> Health:
    return Health.LOST if age >= LOST_AFTER else Health.STALE if age >= STALE_AFTER else Health.ONLINE


def silent(block: bool, cells: tuple[float, ...], ages: list[int]) -> dict[int, Told]:
    """The BMS is silent from TAKEN on; what is told at these ages [s], evaluated each second."""
    site = Site(limits=validated(LimitSettings, {"on_loss": {"block": block}}))
    pack = reading(cell_voltages=cells, voltage=sum(cells))
    memory, told = Memory(), {}
    for second in range(-40, max(ages) + 1):
        age = max(0.0, float(second))
        state: BatteryState = battery(of=pack, age=age, health=health(age))
        bank = aggregate([state], complete=True)
        decision, memory = evaluate(bank, site, memory, TAKEN + second, 1.79e9 + second)
        if second in ages:
            now = TAKEN + second
            snapshot = Snapshot(bank=bank, decision=decision, at=now, wall=1.79e9, valid_until=now + 5)
            can = values_of(snapshot, KEYS)
            can = safe(can, KEYS) if decision.blocked_since is not None else can
            told[second] = Told(dict(can), bank_view(snapshot))
    return told


LIMITS = ("charge_voltage_limit", "charge_current_limit", "discharge_current_limit")
ENABLES = ("charge_enable", "discharge_enable")
KEYS = frozenset({*LIMITS, *ENABLES, "soc", "p_system_error", "a_internal_comm_fail", "voltage", "current"})


def stopped(told: Told) -> bool:
    """0 A both ways and both enables cleared, on both outputs."""
    can, dbus = told.can, told.dbus.limits
    return (
        can["charge_current_limit"] == can["discharge_current_limit"] == 0
        and can["charge_enable"] == can["discharge_enable"] == 0
        and dbus.ccl == dbus.dcl == 0
        and not dbus.allow_charge
        and not dbus.allow_discharge
    )


def flowing(told: Told) -> bool:
    return bool(told.can["charge_current_limit"] > 0 and told.dbus.limits.ccl and told.dbus.limits.dcl)


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("cells", [SAFE, NOT_SAFE], ids=["safe", "not_safe"])
def test_below_10_s_the_last_values_stand(block: bool, cells: tuple[float, ...]) -> None:
    told = silent(block, cells, [0, 9])
    assert flowing(told[9])
    assert told[9].can["charge_voltage_limit"] == told[0].can["charge_voltage_limit"]
    assert told[9].dbus.alarms["bms_cable"] == 0


@pytest.mark.parametrize("cells", [SAFE, NOT_SAFE], ids=["safe", "not_safe"])
def test_block_stops_at_10_s_and_raises_the_cable_alarm_at_60_s(cells: tuple[float, ...]) -> None:
    told = silent(True, cells, [10, 59, 60, 2000])
    assert all(stopped(moment) for moment in told.values())
    assert [told[age].dbus.alarms["bms_cable"] for age in told] == [0, 0, 2, 2]
    assert told[10].can["p_system_error"] == 1


def test_safe_cells_keep_the_limits_until_the_timeout() -> None:
    told = silent(False, SAFE, [10, 59, 60, 1799, 1800])
    assert [flowing(told[age]) for age in told] == [True, True, True, True, False]
    assert [told[age].dbus.alarms["bms_cable"] for age in told] == [0, 0, 1, 1, 2]
    assert all(told[age].can["charge_voltage_limit"] == 54.0 for age in told), "no more than float"
    assert stopped(told[1800])


def test_cells_that_were_not_safe_stop_at_60_s() -> None:
    told = silent(False, NOT_SAFE, [10, 59, 60, 1800])
    assert [flowing(told[age]) for age in told] == [True, True, False, False]
    assert [told[age].dbus.alarms["bms_cable"] for age in told] == [0, 0, 2, 2]
    assert stopped(told[60])


@pytest.mark.parametrize("block", [True, False])
def test_the_charge_voltage_stays_valid_and_the_flow_becomes_unknown(block: bool) -> None:
    told = silent(block, SAFE, [10, 2000])
    for moment in told.values():
        assert moment.dbus.limits.cvl == pytest.approx(54.0)
        assert moment.can["charge_voltage_limit"] == pytest.approx(54.0)
        assert (moment.dbus.voltage, moment.dbus.current) == (None, None)
        assert moment.dbus.soc is not None


def test_a_battery_that_is_kept_out_is_an_alarm_on_every_output() -> None:
    kept_out = battery("b", joined=False, shares=False, remark="kept out of the bank: 50.00 V")
    bank = aggregate([battery("a"), kept_out], complete=True)
    decision, _ = evaluate(bank, Site(limits=LimitSettings()), Memory(), TAKEN, 1.79e9)
    snapshot = Snapshot(bank=bank, decision=decision, at=TAKEN, wall=1.79e9, valid_until=TAKEN + 5)
    assert values_of(snapshot, KEYS)["a_internal_comm_fail"] == 1
    assert bank_view(snapshot).alarms["internal_failure"] == 1
