"""Which rows a service publishes: the table, and whatever else there was ever something to say about.  Pure."""

from outputs.rows import Rows
from outputs.venus_dbus.cells import Seen, cell_entries
from outputs.venus_dbus.entry import Entry
from outputs.venus_dbus.lifetime import HISTORY, OWN, point_entries
from outputs.venus_dbus.paths import LIMITS, TABLE
from outputs.venus_dbus.tree import Item, Tree
from outputs.view import View


class Published:
    """The rows of one service."""

    def __init__(self, tree: Tree, layout: str = "voltages", *, bms: bool = True, midpoint: bool = False) -> None:
        """`layout` of the cells: voltages, cell, both or none; `bms`: it has limits."""
        self._tree, self._layout, self._midpoint = tree, layout, midpoint
        self._most = Seen()
        self._told: tuple[object, ...] = ()  # what there was something to say about, the last time
        self._quick, self._slow = Rows(), Rows()
        self._extend((*TABLE, *LIMITS) if bms else TABLE)

    def update(self, view: View, *, slow: bool) -> list[str]:
        """Put the view into the tree; the paths that changed.  The slow rows are looked at only where asked."""
        single, points = view.single, tuple(view.time_to_soc)
        seen = Seen(len(single.cell_voltages), len(single.cell_balancing), len(single.temperatures))
        told = (seen, points, view.life is None, view.bms is None)
        if told != self._told:
            self._extend(self._entries(view, seen, points))
            self._told = told
        changed = self._quick.update(view, self._tree.update)
        return changed + self._slow.update(view, self._tree.update) if slow else changed

    def _entries(self, view: View, seen: Seen, points: tuple[float, ...]) -> tuple[Entry, ...]:
        """Rows that are there from the moment on in which there is something to say."""
        self._most = Seen(*map(max, seen, self._most))
        return (
            *cell_entries(self._most, self._layout, midpoint=self._midpoint),
            *(HISTORY if view.life is not None else ()),
            *(OWN if view.bms is not None else ()),
            *point_entries(points),
        )

    def _extend(self, entries: tuple[Entry, ...]) -> None:
        new = [entry for entry in entries if entry.path not in self._tree]
        for entry in new:
            self._tree.add(entry.path, Item(entry.kind, entry.text))
        for rows, slow in ((self._quick, False), (self._slow, True)):
            rows.extend([entry.row for entry in new if entry.slow is slow])
