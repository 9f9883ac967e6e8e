"""Batteries that took part in an earlier run and have not answered since the start.  Sheet: limits.md 8.2, chapter 12.

They may still be connected: a restart in the middle of an outage must not loosen what the outage had tightened.  So
CVL is at most float, as for any that is silent, and what one that was silent already had last allowed bounds its share.
"""

from collections.abc import Mapping
from typing import Final

from gateway.limits.currents import Way, together
from gateway.limits.memory import BatteryMemory, Memory
from gateway.limits.share import NONE, Member
from gateway.model import BankState, Cap

WHY: Final = "not heard since the start"

Unheard = Mapping[str, BatteryMemory]


def unheard(bank: BankState, memory: Memory) -> Unheard:
    """What is remembered of them, by name.

    Of packs behind one device each, as long as the device is silent; of those that were silent already, also while it
    answers for others only.
    """
    heard = {state.name for state in bank.batteries if state.control and state.reading is not None}
    if memory.batteries.keys() <= heard:
        return {}  # as it mostly is
    silent = {state.name for state in bank.batteries if state.control and state.reading is None}
    leading = {_device(name) for name in heard if name != _device(name)}
    return {
        name: kept for name, kept in memory.batteries.items()
        if name not in heard and ((device := _device(name)) in silent or (kept.lost and device in leading))
    }  # fmt: skip


def _device(name: str) -> str:
    """The battery as configured that speaks for the pack called `name`."""
    return name.partition("/")[0]


def as_members(way: Way, missing: Unheard) -> list[Member]:
    """Their part of the bank: nothing but a bound, where one is known."""
    return [_member(way, name, kept) for name, kept in missing.items() if kept.lost] if missing else []


def _member(way: Way, name: str, kept: BatteryMemory) -> Member:
    before = kept.charge_before if way == "charge" else kept.discharge_before
    bound = NONE
    if before is not None:
        why = f"{WHY}; it last allowed {before:g} A for its share"
        bound = together(Cap(before, "silent", why, "limits.on_loss"))
    return Member(name, kept.capacity, 0.0, carries=False, bound=bound, company=kept.company)
