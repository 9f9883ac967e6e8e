"""From the current limits of single batteries to that of the bank.  Sheet: architecture "Several batteries, one bank".

In parallel each battery takes a share that follows its capacity.  So the bank may have no more than the batteries
together allow, and no more than what brings any of them, by its share, to its own cap.  One whose switch is open takes
no share.  A lost one contributes nothing, but what it last allowed still bounds its share for a while, since it is
still connected.  One that was left out and comes back contributes along its hold and ramp, without stopping the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.limits.currents import Way, down
from gateway.model import Cap


@dataclass(frozen=True, slots=True)
class Member:
    """One battery's part."""

    name: str
    capacity: float | None  # Ah
    amps: float  # A, its own limit, applied
    caps: tuple[Cap, ...] = ()
    carries: bool = True  # takes a share; False = lost, or its switch is open
    held: str = ""  # why it contributes less than its rules allow
    bound: Cap | None = None  # of its share, while it contributes nothing but may still be connected


def bank_caps(
    way: Way, members: Sequence[Member], user_cap: float | None, any_blocks: bool, absent: Sequence[str] = ()
) -> list[Cap]:
    """Every cap for the bank [A], those of single batteries turned into what they mean for the bank.

    `absent` are batteries that are configured but not part of the bank now; they matter where one blocks all.
    """
    carrying = [member for member in members if member.carries]
    if carrying:
        caps = [cap for member in members for cap in _scaled(member, _factor(member, carrying, members))]
        caps += _together(way, carrying, caps)
    else:
        caps = [replace(cap, battery=member.name) for member in members for cap in member.caps]
        caps = caps or [Cap(0.0, "no_battery", f"no battery is left that may {way}")]
    blocking = [*absent, *(member.name for member in members if not member.carries)]
    if any_blocks and blocking:
        caps.append(Cap(0.0, "any_blocks", f"{', '.join(blocking)} blocks, and one blocks all", "bank.any_blocks"))
    if user_cap is not None:
        key = f"bank.{way}_current_limit"
        caps.append(Cap(down(user_cap), "bank_limit", f"the bank's cap is {user_cap:g} A", key))
    return caps


def _together(way: Way, carrying: Sequence[Member], caps: Sequence[Cap]) -> list[Cap]:
    """The sum of what the batteries allow, where that is what binds."""
    total = down(sum(member.amps for member in carrying))
    if total >= min(cap.value for cap in caps):
        return []
    held = "; ".join(f"{member.name} {member.held}" for member in carrying if member.held)
    if held:
        return [Cap(total, "recovery", held, f"limits.{way}_current.hold")]
    return [Cap(total, "sum", f"the batteries together allow {total:g} A")]


def _factor(member: Member, carrying: Sequence[Member], members: Sequence[Member]) -> float:
    """How much the bank may have for each ampere of this member: 1 / its share."""
    if any(not m.capacity for m in members):
        return float(len(carrying))  # equal shares, for want of capacities
    total = sum(m.capacity or 0.0 for m in carrying)
    return total / (member.capacity or 1.0)


def _scaled(member: Member, factor: float) -> list[Cap]:
    """The caps of one member, or its bound, as caps of the bank."""
    found = member.caps if member.carries else (member.bound,) if member.bound is not None else ()
    return [Cap(down(cap.value * factor), cap.rule, cap.why, cap.setting, member.name) for cap in found]
