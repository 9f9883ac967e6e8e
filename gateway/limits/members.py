"""Current limits: each battery's own, with hold and ramp, then the bank's.  Sheet: limits.md chapters 4, 8.2, 13."""

from collections.abc import Sequence

from gateway.limits import currents
from gateway.limits.currents import Way
from gateway.limits.loss import least
from gateway.limits.memory import Recovery
from gateway.limits.pack import Pack
from gateway.limits.share import Member, bank_caps
from gateway.limits.site import Site
from gateway.model import Cap, tightest
from gateway.model.records import replace


def limit(
    way: Way, packs: Sequence[Pack], absent: Sequence[str], site: Site, now: float, missing: Sequence[Member] = ()
) -> tuple[list[Pack], float, tuple[Cap, ...]]:
    """One current limit of the bank [A] with all its caps, and the packs with what they remember of it.

    `missing` have not answered since the start, and bound the others.
    """
    both = [_member(way, pack, now) for pack in packs]
    user_cap = site.charge_current_limit if way == "charge" else site.discharge_current_limit
    caps = bank_caps(way, [*(member for member, _ in both), *missing], user_cap, site.any_blocks, absent)
    return [pack for _, pack in both], max(0.0, tightest(caps).value), tuple(caps)


def _member(way: Way, pack: Pack, now: float) -> tuple[Member, Pack]:
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
    pack = _remembering(way, pack, after, now, still=switch is not False)
    member = Member(
        pack.state.name, pack.capacity, after.amps or 0.0, tuple(caps), not left_out and pack.state.shares, held,
        () if switch is False else _bound(way, pack) if gone else tuple(caps),
        memory.company if gone else None,
    )  # fmt: skip
    return member, pack


def _remembering(way: Way, pack: Pack, after: Recovery, now: float, still: bool) -> Pack:
    """`pack` with its limit; one that is left out may want less than it had: by a new answer, or as data grow old.

    `still`: its switch conducts as far as is known; an open one says nothing of its share.
    """
    memory = pack.memory
    memory = replace(memory, charge=after) if way == "charge" else replace(memory, discharge=after)
    if pack.loss.blocked and still:
        wanted = tightest(currents.candidates(way, pack.rules, pack.inputs, memory.seen, now)).value
        if way == "charge":
            memory = replace(memory, charge_before=least(memory.charge_before, wanted))
        else:
            memory = replace(memory, discharge_before=least(memory.discharge_before, wanted))
    return replace(pack, memory=memory)


def _caps(way: Way, pack: Pack, before: Recovery, now: float) -> list[Cap]:
    """What each rule allows one battery."""
    if pack.loss.blocked:
        return [Cap(0.0, "silent", pack.loss.why, "limits.on_loss")]
    caps = currents.candidates(way, pack.rules, pack.inputs, pack.memory.seen, now)
    if not pack.loss.offline:
        return caps
    return [Cap(before.amps or 0.0, "silent", pack.loss.why, "limits.on_loss"), *caps]


def _bound(way: Way, pack: Pack) -> tuple[Cap, ...]:
    """A blocked battery contributes nothing, but may be connected: what it last allowed bounds its share."""
    before = pack.memory.charge_before if way == "charge" else pack.memory.discharge_before
    if before is None:
        return ()
    why = f"{pack.loss.why}; it last allowed {before:g} A for its share"
    return (Cap(before, "silent", why, "limits.on_loss"),)
