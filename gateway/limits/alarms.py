"""Alarms as published: the BMSs' own, computed ones added, expected ones muted.  Sheet: limits.md chapter 9."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.limits.memory import Memory
from gateway.limits.settings import LimitSettings, Soc

MUTED: Final = ("high_voltage", "high_cell_voltage")
MUTED_AFTER: Final = 1800.0  # s after the higher voltage was reached


def muted(alarms: Mapping[str, int], memory: Memory, settings: LimitSettings, wall: float) -> dict[str, int]:
    """Without the warnings that a wanted higher voltage brings; an alarm (level 2) is never muted (Q18)."""
    lately = bool(settings.soc_reset.after_days) and 0 <= wall - memory.reset_reached < MUTED_AFTER
    if not (memory.reset_requested or lately):
        return dict(alarms)
    return {name: 0 if name in MUTED and level == 1 else level for name, level in alarms.items()}


def low_soc(soc: float, setting: Soc) -> int:
    """By the published SoC, where that is not the BMS's own."""
    return 2 if soc < setting.low_alarm else 1 if soc < setting.low_warning else 0


def cable(levels: Mapping[str, int], online: bool) -> int:
    """Of the bank: 1 while some member is lost; more only when none is left."""
    highest = max(levels.values(), default=0)
    return min(1, highest) if online else highest


def imbalance(
    memory: Memory,
    difference: float,
    current: float | None,
    capacity: float | None,
    settings: LimitSettings,
    now: float,
) -> tuple[Memory, int]:
    """A warning for cells that are far apart while little current flows (off by default)."""
    setting = settings.imbalance
    calm = current is not None and bool(capacity) and abs(current) < setting.below_c_rate * (capacity or 0.0)
    apart = setting.enabled and difference > setting.cell_difference and calm
    since = (now if memory.imbalance_since is None else memory.imbalance_since) if apart else None
    raised = since is not None and now - since >= setting.after
    return (memory if since == memory.imbalance_since else replace(memory, imbalance_since=since)), int(raised)


def disobeyed(
    memory: Memory, current: float | None, ccl: float, dcl: float, settings: LimitSettings, now: float
) -> tuple[Memory, dict[str, int]]:
    """An alarm when the inverter takes or gives more than it may, for a while (off by default).

    A limit of 0 A tolerates 1 A: no inverter measures better.
    """
    setting = settings.obey_check
    if not setting.enabled or current is None:
        return memory, {}
    margin = 1 + setting.margin_fraction
    too_much = current > max(ccl * margin, 1.0)
    too_little = -current > max(dcl * margin, 1.0)
    charge = (now if memory.over_charge_since is None else memory.over_charge_since) if too_much else None
    discharge = (now if memory.over_discharge_since is None else memory.over_discharge_since) if too_little else None
    raised = {
        "high_charge_current": 2 if charge is not None and now - charge >= setting.after else 0,
        "high_discharge_current": 2 if discharge is not None and now - discharge >= setting.after else 0,
    }
    return replace(memory, over_charge_since=charge, over_discharge_since=discharge), raised
