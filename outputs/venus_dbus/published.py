"""Which rows a service publishes: the table, and whatever else there was ever something to say about.  Pure."""

from collections.abc import Iterator

from outputs.venus_dbus.cells import Seen, cell_entries
from outputs.venus_dbus.paths import HISTORY, LIMITS, OWN, TABLE, Entry, point_entries
from outputs.venus_dbus.tree import Item, Tree, Value
from outputs.view import View


class Published:
    """The rows of one service."""

    def __init__(self, tree: Tree, layout: str = "voltages", *, bms: bool = True, midpoint: bool = False) -> None:
        """`layout` of the cells: voltages, cell, both or none; `bms`: it has limits."""
        self._tree, self._layout, self._midpoint = tree, layout, midpoint
        self._most = Seen()
        self._quick: tuple[Entry, ...] = ()
        self._slow: tuple[Entry, ...] = ()
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
        changed = self._tree.update(_values(self._quick, view))
        return changed + self._tree.update(_values(self._slow, view)) if slow else changed

    def _extend_once(self, entries: tuple[Entry, ...], wanted: bool) -> None:
        """Rows that are there from the moment on in which there is something to say."""
        if wanted and entries[0].path not in self._tree:
            self._extend(entries)

    def _extend(self, entries: tuple[Entry, ...]) -> None:
        new = tuple(entry for entry in entries if entry.path not in self._tree)
        for entry in new:
            self._tree.add(entry.path, Item(entry.kind, entry.text))
        self._quick += tuple(entry for entry in new if not entry.slow)
        self._slow += tuple(entry for entry in new if entry.slow)


def _values(entries: tuple[Entry, ...], view: View) -> Iterator[tuple[str, Value]]:
    return ((entry.path, entry.source(view)) for entry in entries)
