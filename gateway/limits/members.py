"""Current limits: each battery's own, with hold and ramp, then the bank's.  Sheet: limits.md chapters 4, 8.2, 13."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from gateway.limits import currents
from gateway.limits.currents import Allowed, Way, together
from gateway.limits.loss import least
from gateway.limits.memory import Recovery
from gateway.limits.pack import Pack
from gateway.limits.share import NONE, Member, bank_caps
from gateway.limits.site import Site
from gateway.model import Cap
from gateway.model.records import replace

Learnt = dict[str, Any]
"""Fields of a BatteryMemory that are to be others: limits on their way up, amperes."""


OF: Final = {  # of a pack: how its limit comes back, how far it has, and whether its switch is closed
    "charge": attrgetter("rules.settings.charge_current", "memory.charge", "reading.charge_allowed"),
    "discharge": attrgetter("rules.settings.discharge_current", "memory.discharge", "reading.discharge_allowed"),
}


def limit(
    way: Way, packs: Sequence[Pack], absent: Sequence[str], site: Site, now: float, missing: Sequence[Member] = ()
) -> tuple[Sequence[Learnt], tuple[Cap, ...]]:
    """All caps of one current limit of the bank [A], and what each of the packs is to remember of it.

    `missing` have not answered since the start, and bound the others.
    """
    members, learnt = zip(*[_member(way, pack, now) for pack in packs], strict=True) if packs else ((), ())
    user_cap = site.charge_current_limit if way == "charge" else site.discharge_current_limit
    return learnt, bank_caps(way, (*members, *missing), user_cap, site.any_blocks, tuple(absent))


def _member(way: Way, pack: Pack, now: float) -> tuple[Member, Learnt]:
    """One battery's own limit, down at once and up by hold and ramp."""
    setting, before, switch = OF[way](pack)
    own = _own(way, pack, before) if pack.loss.offline else currents.allowed(way, pack.rules, pack.inputs)
    after, held = (before, "") if before is own.free else currents.apply(own.free, before, setting, now)
    left_out = pack.loss.blocked or switch is False
    if left_out or (before.apart and held):
        after = replace(after, apart=True)
    elif held:
        own = together(*own.caps, Cap(after.amps or 0.0, "recovery", held, f"limits.{way}_current.hold"))
    learnt: Learnt = {} if after is before else {way: after}
    if not left_out:
        member = Member(pack.state.name, pack.capacity, after.amps or 0.0, own, pack.state.shares, held, own)
        return member, learnt
    bound, company = NONE, pack.memory.company if pack.loss.blocked else None
    if switch is not False:
        learnt[f"{way}_before"] = allowed = _wanted(way, pack)
        bound = _bound(pack, allowed)
    return Member(pack.state.name, pack.capacity, after.amps or 0.0, own, False, held, bound, company), learnt


def _wanted(way: Way, pack: Pack) -> float | None:
    """What one that is left out was allowed [A], or the less that it wants: by a new answer, or as data grow old."""
    allowed = pack.memory.charge_before if way == "charge" else pack.memory.discharge_before
    return least(allowed, currents.allowed(way, pack.rules, pack.inputs).free.amps)


def _own(way: Way, pack: Pack, before: Recovery) -> Allowed:
    """What each rule allows one battery that does not answer, or not yet again."""
    if pack.loss.blocked:
        return together(Cap(0.0, "silent", pack.loss.why, "limits.on_loss"))
    kept = Cap(before.amps or 0.0, "silent", pack.loss.why, "limits.on_loss")
    return together(kept, *currents.allowed(way, pack.rules, pack.inputs).caps)


def _bound(pack: Pack, allowed: float | None) -> Allowed:
    """A blocked battery contributes nothing, but may be connected: what it was last `allowed` [A] bounds its share."""
    if allowed is None:
        return NONE
    why = f"{pack.loss.why}; it last allowed {allowed:g} A for its share"
    return together(Cap(allowed, "silent", why, "limits.on_loss"))
