"""Current limits: each battery's own, with hold and ramp, then the bank's.  Sheet: limits.md chapters 4, 8.2, 13."""

from collections.abc import Sequence
from typing import Any

from gateway.limits import currents
from gateway.limits.currents import Way
from gateway.limits.loss import least
from gateway.limits.memory import Recovery
from gateway.limits.pack import Pack
from gateway.limits.share import Member, bank_caps
from gateway.limits.site import Site
from gateway.model import Cap, tightest
from gateway.model.records import replace

Learnt = dict[str, Any]
"""Fields of a BatteryMemory that are to be others: limits on their way up, amperes."""


def limit(
    way: Way, packs: Sequence[Pack], absent: Sequence[str], site: Site, now: float, missing: Sequence[Member] = ()
) -> tuple[list[Learnt], tuple[Cap, ...]]:
    """All caps of one current limit of the bank [A], and what each of the packs is to remember of it.

    `missing` have not answered since the start, and bound the others.
    """
    both = [_member(way, pack, now) for pack in packs]
    user_cap = site.charge_current_limit if way == "charge" else site.discharge_current_limit
    caps = bank_caps(way, [*(member for member, _ in both), *missing], user_cap, site.any_blocks, absent)
    return [learnt for _, learnt in both], tuple(caps)


def _member(way: Way, pack: Pack, now: float) -> tuple[Member, Learnt]:
    """One battery's own limit, down at once and up by hold and ramp."""
    memory, settings, gone = pack.memory, pack.rules.settings, pack.loss.blocked
    setting = settings.charge_current if way == "charge" else settings.discharge_current
    before = memory.charge if way == "charge" else memory.discharge
    switch = pack.reading.charge_allowed if way == "charge" else pack.reading.discharge_allowed
    caps = _caps(way, pack, before, now)
    after, held = currents.apply(tightest(caps).value, before, setting, now)
    left_out = gone or switch is False
    if left_out or (before.apart and held):
        after = replace(after, apart=True)
    elif held:
        caps.append(Cap(after.amps or 0.0, "recovery", held, f"limits.{way}_current.hold"))
    learnt: Learnt = {way: after}
    allowed = memory.charge_before if way == "charge" else memory.discharge_before
    if gone and switch is not False:
        learnt[f"{way}_before"] = allowed = _wanted(way, pack, allowed, now)
    all_caps = tuple(caps)
    member = Member(
        pack.state.name, pack.capacity, after.amps or 0.0, all_caps, not left_out and pack.state.shares, held,
        () if switch is False else _bound(pack, allowed) if gone else all_caps,
        memory.company if gone else None,
    )  # fmt: skip
    return member, learnt


def _wanted(way: Way, pack: Pack, allowed: float | None, now: float) -> float | None:
    """What one that is left out was allowed [A], or the less that it wants: by a new answer, or as data grow old."""
    return least(allowed, tightest(currents.candidates(way, pack.rules, pack.inputs, pack.memory.seen, now)).value)


def _caps(way: Way, pack: Pack, before: Recovery, now: float) -> list[Cap]:
    """What each rule allows one battery."""
    if pack.loss.blocked:
        return [Cap(0.0, "silent", pack.loss.why, "limits.on_loss")]
    caps = currents.candidates(way, pack.rules, pack.inputs, pack.memory.seen, now)
    if not pack.loss.offline:
        return caps
    return [Cap(before.amps or 0.0, "silent", pack.loss.why, "limits.on_loss"), *caps]


def _bound(pack: Pack, allowed: float | None) -> tuple[Cap, ...]:
    """A blocked battery contributes nothing, but may be connected: what it was last `allowed` [A] bounds its share."""
    if allowed is None:
        return ()
    why = f"{pack.loss.why}; it last allowed {allowed:g} A for its share"
    return (Cap(allowed, "silent", why, "limits.on_loss"),)
