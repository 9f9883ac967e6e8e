"""A battery that is called otherwise now is the one that was where it is: what is remembered of it goes along.

A new name proves nothing: one that was silent under the old one may still be connected, and binds the others as before.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any


def renamed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Old name -> new one; both arguments say by name how each battery is connected."""
    left = _once({name: at for name, at in before.items() if name not in now})
    came = _once({name: at for name, at in now.items() if name not in before})
    names = {left[at]: came[at] for at in left.keys() & came.keys()}
    for at, name in came.items():
        if at not in left:
            names |= _moved_on(name, _once(before), _once(now))
    return names


def _moved_on(name: str, were: Mapping[str, str], are: Mapping[str, str]) -> dict[str, str]:
    """Who gave its place to the new `name`, who to that one, and so on: batteries that were numbered anew.

    Two that changed places are not among them: it may be their ports that were corrected.
    """
    places, names = {name: at for at, name in are.items()}, {}
    while (at := places.get(name)) is not None and at in were:
        names[were[at]] = name
        name = were[at]
    return names


def _once(connections: Mapping[str, str]) -> dict[str, str]:
    """Names by connection, of those that no other has."""
    times = Counter(connections.values())
    return {at: name for name, at in connections.items() if times[at] == 1}


def connections(stored: Any) -> dict[str, str]:
    """Those that an earlier run kept; {} for what is none."""
    kept = stored if isinstance(stored, Mapping) else {}
    return {str(name): at for name, at in kept.items() if isinstance(at, str)}
