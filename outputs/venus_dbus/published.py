"""Which rows a service publishes: the table, and whatever else there was ever something to say about.  Pure."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from outputs.venus_dbus.cells import Seen, cell_entries
from outputs.venus_dbus.entry import Entry
from outputs.venus_dbus.lifetime import HISTORY, OWN, point_entries
from outputs.venus_dbus.paths import LIMITS, TABLE
from outputs.venus_dbus.tree import Item, Tree, Value
from outputs.view import View

NEVER: Final = object()  # equals no field of a view


class Rows:
    """Rows, grouped by the fields that they are made of: worked out again only when one of those is another.

    What is remembered of the fields is what is in the tree: a row that fails leaves both as they were.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._groups: dict[str, list[Entry]] = {}
        self._take: list[Callable[[View], Any]] = []
        self._last: list[Any] = []

    def add(self, entry: Entry) -> None:
        """One more row."""
        self._groups.setdefault(entry.of, []).append(entry)
        self._take = [attrgetter(*of.split()) for of in self._groups]
        self._last = [NEVER] * len(self._take)

    def update(self, view: View) -> list[str]:
        """Put the view into the tree; the paths that changed."""
        now = [take(view) for take in self._take]
        news: list[tuple[str, Value]] = []
        for rows, fields, before in zip(self._groups.values(), now, self._last, strict=True):
            if fields != before:
                same = _same(fields, before) if rows[0].at is not None else ()
                news += [(entry.path, entry.value(fields)) for entry in rows if entry.at not in same]
        changed = self._tree.update(news)
        self._last = now
        return changed


def _same(now: Sequence[Any], before: Any) -> set[int]:
    """Indices of the elements that two lists have in common."""
    if before is NEVER:
        return set()
    return {at for at, (new, old) in enumerate(zip(now, before, strict=False)) if new == old}


class Published:
    """The rows of one service."""

    def __init__(self, tree: Tree, layout: str = "voltages", *, bms: bool = True, midpoint: bool = False) -> None:
        """`layout` of the cells: voltages, cell, both or none; `bms`: it has limits."""
        self._tree, self._layout, self._midpoint = tree, layout, midpoint
        self._most = Seen()
        self._quick, self._slow = Rows(tree), Rows(tree)
        self._extend((*TABLE, *LIMITS) if bms else TABLE)

    def update(self, view: View, *, slow: bool) -> list[str]:
        """Put the view into the tree; the paths that changed.  The slow rows are looked at only where asked."""
        single, most = view.single, self._most
        seen = (len(single.cell_voltages), len(single.cell_balancing), len(single.temperatures))
        self._most = Seen(*map(max, seen, most))
        if self._most != most:
            self._extend(cell_entries(self._most, self._layout, midpoint=self._midpoint))
        self._extend_once(HISTORY, view.life is not None)
        self._extend_once(OWN, view.bms is not None)
        self._extend_once(point_entries(tuple(view.time_to_soc)), bool(view.time_to_soc))
        changed = self._quick.update(view)
        return changed + self._slow.update(view) if slow else changed

    def _extend_once(self, entries: tuple[Entry, ...], wanted: bool) -> None:
        """Rows that are there from the moment on in which there is something to say."""
        if wanted and not all(entry.path in self._tree for entry in entries):
            self._extend(entries)

    def _extend(self, entries: tuple[Entry, ...]) -> None:
        new = tuple([entry for entry in entries if entry.path not in self._tree])
        for entry in new:
            self._tree.add(entry.path, Item(entry.kind, entry.text))
            (self._slow if entry.slow else self._quick).add(entry)
