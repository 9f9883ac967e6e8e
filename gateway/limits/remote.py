"""Limits that somebody outside asks for: one more cap of the bank, never another's replacement.  Sheet: face.md 6.

A cap that ends, or rises, lets go as a battery's own limit does after a loss: by hold and ramp (limits.md 4.3).
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gateway.limits import currents
from gateway.limits.currents import Way
from gateway.limits.memory import Recovery
from gateway.limits.settings import Current
from gateway.model import Cap, RemoteLimit, tightest

CURRENT: Final = {"charge": "ccl", "discharge": "dcl"}
WINDOW: Final = {"charge": "soc_max", "discharge": "soc_min"}
QUARTER: Final = 900.0  # s; an end told more finely would be news at each renewal
LATEST: Final = 4e9  # s since the epoch; the year 2096


class Limited(NamedTuple):
    """What the bank may have in one direction."""

    amps: float  # A
    caps: tuple[Cap, ...]
    memory: Recovery  # what limits from outside leave of it, and let go of


def tightened(
    way: Way, caps: Sequence[Cap], asked: Sequence[RemoteLimit], soc: float | None, before: Recovery,
    setting: Current, now: float,
) -> Limited:  # fmt: skip
    """The bank's limit [A] by `caps` and by what is asked for, every cap of both, and how far it is let go of again.

    `soc` [%] is the one that the rules use; not known, it is outside any window that is asked for.
    """
    own, remote = tightest(caps).value, list(_caps(way, asked, soc)) if asked else []
    if not remote and before.amps is None:
        return Limited(max(0.0, own), tuple(caps), before)
    wanted = min([cap.value for cap in remote], default=own)
    after, held = currents.apply(currents.free(wanted), before, setting, now)
    amps = after.amps or 0.0
    if amps >= own and not remote:
        return Limited(max(0.0, own), tuple(caps), Recovery())
    if held:
        remote.append(Cap(amps, "recovery", f"after a limit from outside: {held}", f"limits.{way}_current.hold"))
    return Limited(max(0.0, min(own, amps)), (*caps, *remote), after)


def _caps(way: Way, asked: Sequence[RemoteLimit], soc: float | None) -> Iterator[Cap]:
    """What is asked for in this direction."""
    for limit in asked:
        ends = f"{limit.source} asks for it, not beyond {_ends(limit.until)}"
        if limit.key == CURRENT[way]:
            yield Cap(currents.down(limit.value), "remote", f"at most {limit.value:g} A: {ends}")
        elif limit.key == WINDOW[way] and _outside(way, limit.value, soc):
            side = "at or above" if way == "charge" else "at or below"
            why = "SoC not known, and none wished" if soc is None else "SoC"
            yield Cap(0.0, "remote", f"{why} {side} {limit.value:g} %: {ends}")


def _outside(way: Way, bound: float, soc: float | None) -> bool:
    if soc is None:
        return True
    published = round(soc, 3)
    return published >= bound if way == "charge" else published <= bound


def _ends(until: float) -> str:
    """The next quarter of an hour after the end [s since the epoch]."""
    sane = min(LATEST, max(0.0, until))  # a clock that is far off must not end an evaluation
    return time.strftime("%H:%M UTC", time.gmtime(math.ceil(sane / QUARTER) * QUARTER))
