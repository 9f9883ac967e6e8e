"""From the current limits of single batteries to that of the bank.  Sheet: architecture "Several batteries, one bank".

In parallel each battery takes a share that follows its capacity.  So the bank may have no more than the batteries
together allow, and no more than what brings any of them, by its share, to its own cap.  One whose switch is open takes
no share.  A silent one contributes nothing, but what it last allowed bounds its share until it answers, since it may
still be connected; so do the caps of one that answers and is connected at another voltage.  One that was left out and
comes back contributes along its hold and ramp, without stopping the others.

Where a capacity is not known (not even from earlier), the share may be anything, and the limit must be right for all of
it: such a battery may be so large that it takes everything, so the bank gets no more than its own cap; and so small
that the others share the current as if it were not there.  No true capacity brings any of them above its cap then.
`soc.capacity` in the settings tells the gateway what a BMS does not.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

from gateway.limits.currents import Allowed, Way, down, free
from gateway.model import Cap
from gateway.model.decision import VALUE
from gateway.model.records import replace

NONE: Final = Allowed((), free(0.0))  # no caps


class Member(NamedTuple):
    """One battery's part."""

    name: str
    capacity: float | None  # Ah
    amps: float  # A, its own limit, applied
    own: Allowed = NONE  # what its rules allow
    carries: bool = True  # takes a share; False = silent, its switch is open, or its voltage is not the bank's
    held: str = ""  # why it contributes less than its rules allow
    bound: Allowed = NONE  # of its share, while it contributes nothing but may be connected
    company: frozenset[str] | None = None  # who shared with it when it went; None = whoever does now


AMPS: Final = attrgetter("amps")


@lru_cache(maxsize=8)
def bank_caps(
    way: Way, members: tuple[Member, ...], user_cap: float | None, any_blocks: bool, absent: tuple[str, ...] = ()
) -> tuple[Cap, ...]:
    """Every cap for the bank [A], those of single batteries turned into what they mean for the bank.

    `absent` are batteries that are configured but not part of the bank now; they matter where one blocks all.
    """
    carrying = [member for member in members if member.carries]
    if carrying:
        total = _known(carrying)
        caps = list(chain.from_iterable([_scaled(member, total, carrying, members) for member in members]))
        caps += _together(way, carrying, caps)
    else:
        caps = [replace(cap, battery=member.name) for member in members for cap in member.own.caps]
        caps = caps or [Cap(0.0, "no_battery", f"no battery is left that may {way}")]
    if any_blocks and (absent or len(carrying) < len(members)):
        blocking = dict.fromkeys((*absent, *(member.name for member in members if not member.carries)))
        caps.append(Cap(0.0, "any_blocks", f"{', '.join(blocking)} blocks, and one blocks all", "bank.any_blocks"))
    if user_cap is not None:
        key = f"bank.{way}_current_limit"
        caps.append(Cap(down(user_cap), "bank_limit", f"the bank's cap is {user_cap:g} A", key))
    return tuple(caps)


def _together(way: Way, carrying: Sequence[Member], caps: Sequence[Cap]) -> list[Cap]:
    """The sum of what the batteries allow, where that is what binds."""
    total = down(sum(map(AMPS, carrying)))
    if total >= min(map(VALUE, caps)):
        return []
    held = "; ".join(f"{member.name} {member.held}" for member in carrying if member.held)
    if held:
        return [Cap(total, "recovery", held, f"limits.{way}_current.hold")]
    return [Cap(total, "sum", f"the batteries together allow {total:g} A")]


def _factor(member: Member, total: float, carrying: Sequence[Member], members: Sequence[Member]) -> float:
    """How much the bank may have for each ampere of this member: 1 / its share of `total` [Ah], at worst."""
    if not member.capacity:
        return 1.0  # it may take all
    if member.carries:
        return total / member.capacity
    company = [m for m in carrying if member.company is None or m.name in member.company]
    if company:
        known = _known(company) / member.capacity
        return known if all(m.capacity for m in company) else max(1.0, known)  # whatever they are, it gets no more
    # of those who shared with it none does any more: it might be alone with the least of them
    absent = [m.capacity for m in members if m.capacity and m.name in (member.company or ())]
    return min([1.0, *(capacity / member.capacity for capacity in absent)])


def _known(members: Sequence[Member]) -> float:
    """Ah of those who tell; the others may have next to nothing."""
    return sum([member.capacity or 0.0 for member in members])


def _scaled(member: Member, total: float, carrying: Sequence[Member], members: Sequence[Member]) -> tuple[Cap, ...]:
    """The caps of one member, or its bound, as caps of the bank; all that carry have `total` [Ah]."""
    unsure = not member.capacity and len(members) > 1
    found = member.own if member.carries else member.bound
    return _of_bank(found, _factor(member, total, carrying, members), unsure, member.name)


@lru_cache(maxsize=128)
def _of_bank(found: Allowed, factor: float, unsure: bool, name: str) -> tuple[Cap, ...]:
    more = "; its capacity is not known: it may take all" if unsure else ""
    return tuple([Cap(down(cap.value * factor), cap.rule, cap.why + more, cap.setting, name) for cap in found.caps])
