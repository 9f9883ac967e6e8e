"""From the current limits of single batteries to that of the bank.  Sheet: architecture "Several batteries, one bank".

In parallel each battery takes a share that follows its capacity.  So the bank may have no more than what brings any
member, by its share, to its own cap.  A member whose switch is open takes no share; a lost one contributes nothing,
but what it last allowed still bounds its share, since it is still connected.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.limits.currents import Way
from gateway.model import Cap


@dataclass(frozen=True, slots=True)
class Member:
    """One battery's part."""

    name: str
    capacity: float | None  # Ah
    amps: float  # A, its own limit, applied
    caps: tuple[Cap, ...] = ()
    open_switch: bool = False  # takes no share of this direction
    lost: bool = False  # contributes nothing


def bank_caps(way: Way, members: Sequence[Member], user_cap: float | None, any_blocks: bool) -> list[Cap]:
    """Every cap for the bank [A], those of single batteries turned into what they mean for the bank."""
    carrying = [m for m in members if not m.lost and not m.open_switch]
    caps = [cap for m in members for cap in _scaled(m, _factor(m, carrying, members))]
    if not carrying:
        caps.append(Cap(0.0, "no_battery", f"no battery is left that may {way}"))
    blocking = [m.name for m in members if m.lost or m.open_switch]
    if any_blocks and blocking:
        caps.append(Cap(0.0, "any_blocks", f"{', '.join(blocking)} blocks, and one blocks all", "bank.any_blocks"))
    if user_cap is not None:
        key = f"bank.{way}_current_limit"
        caps.append(Cap(user_cap, "bank_limit", f"the bank's cap is {user_cap:g} A", key))
    return caps


def _factor(member: Member, carrying: Sequence[Member], members: Sequence[Member]) -> float:
    """How much the bank may have for each ampere of this member: 1 / its share."""
    if any(not m.capacity for m in members):
        return float(max(1, len(carrying)))  # equal shares, for want of capacities
    total = sum(m.capacity or 0.0 for m in carrying)
    return total / (member.capacity or 1.0)


def _scaled(member: Member, factor: float, digits: int = 3) -> list[Cap]:
    """The caps of one member as caps of the bank; none of one that takes no share."""
    if member.open_switch or not factor:
        return []
    return [replace(cap, value=round(cap.value * factor, digits), battery=member.name) for cap in member.caps]
