"""Alarms as published: the BMSs' own, computed ones added, expected ones muted.  Sheet: limits.md chapter 9."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.limits.memory import Memory
from gateway.limits.pack import Pack
from gateway.limits.settings import LimitSettings, Soc
from gateway.model import BankState, BatteryState
from gateway.model.records import replace

MUTED: Final = ("high_voltage", "high_cell_voltage")
MUTED_AFTER: Final = 1800.0  # s after the higher voltage was reached


def published(
    memory: Memory,
    packs: Sequence[Pack],
    bank: BankState,
    settings: LimitSettings,
    current: float | None,
    limits: tuple[float, float],
    missing: bool,
) -> tuple[Memory, dict[str, int]]:
    """All alarms of the bank while `current` [A] flows under `limits` (CCL, DCL), and the memory of what is timed.

    `missing`: one that took part before has not answered since the start.
    """
    raised = muted(bank.alarms, memory, settings)
    outside = bank.external is not None and bank.external.soc is not None
    if (settings.soc.source != "bms" or outside) and memory.soc is not None:
        raised["low_soc"] = low_soc(memory.soc, settings.soc)
    if settings.imbalance.enabled:
        memory, level = imbalance(memory, packs, current, settings)
        if level:
            raised["cell_imbalance"] = max(level, raised.get("cell_imbalance", 0))
    if settings.obey_check.enabled:
        flowing = [*([] if current is None else [current]), *bank.inverter_currents]
        memory, disobeyed = obedience(memory, flowing, *limits, settings)
        for name, more in disobeyed.items():
            raised[name] = max(more, raised.get(name, 0))
    raised["bms_cable"] = max(cable(packs, bank, settings, missing), raised.get("bms_cable", 0))
    raised["internal_failure"] = max(int(bool(strangers(bank))), raised.get("internal_failure", 0))
    return memory, raised


def muted(alarms: Mapping[str, int], memory: Memory, settings: LimitSettings) -> dict[str, int]:
    """Without the warnings that a wanted higher voltage brings; an alarm (level 2) is never muted (Q18)."""
    lately = bool(settings.soc_reset.after_days) and 0 <= memory.date - memory.reset_reached < MUTED_AFTER
    if not (memory.reset_requested or lately):
        return dict(alarms)
    return {name: 0 if name in MUTED and level == 1 else level for name, level in alarms.items()}


def low_soc(soc: float, setting: Soc) -> int:
    """By the published SoC, where that is not the BMS's own."""
    return 2 if soc < setting.low_alarm else 1 if soc < setting.low_warning else 0


def cable(packs: Sequence[Pack], bank: BankState, settings: LimitSettings, missing: bool) -> int:
    """Of the bank: 1 while some member is lost or never answered; more only when none is left."""
    never = bank.complete and (missing or None in [state.reading for state in bank.batteries if state.control])
    highest = max([pack.loss.cable for pack in packs], default=0)
    highest = max(highest, int(never and settings.on_loss.alarm))
    return 1 if highest > 1 and any(pack.counts for pack in packs) else highest


def strangers(bank: BankState) -> list[BatteryState]:
    """Controlled batteries that are no members of the bank although they answered: their voltage is another."""
    return [state for state in bank.batteries if not (state.joined and state.shares) and state.contributes_if_joined]


def imbalance(
    memory: Memory, packs: Sequence[Pack], current: float | None, settings: LimitSettings
) -> tuple[Memory, int]:
    """A warning for cells that are far apart while little current flows."""
    setting = settings.imbalance
    pairs = [(pack.reading.max_cell, pack.reading.min_cell) for pack in packs if pack.online]
    difference = max([high - low for high, low in pairs if high is not None and low is not None], default=0.0)
    capacities = [pack.capacity or 0.0 for pack in packs if pack.online]
    calm = current is not None and all(capacities) and abs(current) < setting.below_c_rate * sum(capacities)
    apart = difference > setting.cell_difference and calm
    since = (memory.now if memory.imbalance_since is None else memory.imbalance_since) if apart else None
    raised = since is not None and memory.now - since >= setting.after
    return replace(memory, imbalance_since=since), int(raised)


def obedience(
    memory: Memory, currents: Sequence[float], ccl: float, dcl: float, settings: LimitSettings
) -> tuple[Memory, dict[str, int]]:
    """An alarm when the inverter takes or gives more than it may, for a while.

    `currents` [A, + = charging]: what the batteries measure and what an inverter reports, as far as known.
    A limit of 0 A tolerates 1 A: no inverter measures better.
    """
    setting, now = settings.obey_check, memory.now
    if not currents:
        return memory, {}
    margin = 1 + setting.margin_fraction
    too_much = max(currents) > max(ccl * margin, 1.0)
    too_little = -min(currents) > max(dcl * margin, 1.0)
    charge = (now if memory.over_charge_since is None else memory.over_charge_since) if too_much else None
    discharge = (now if memory.over_discharge_since is None else memory.over_discharge_since) if too_little else None
    raised = {
        "high_charge_current": 2 if charge is not None and now - charge >= setting.after else 0,
        "high_discharge_current": 2 if discharge is not None and now - discharge >= setting.after else 0,
    }
    return replace(memory, over_charge_since=charge, over_discharge_since=discharge), raised
