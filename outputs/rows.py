"""Rows that are functions of named fields: worked out again only when one of those is another.  Pure.

What stands on D-Bus and what an inverter is told are tables of such rows.  A second in which nothing changed costs one
look at all the fields together; what is the same object as before is not even compared.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, repeat
from operator import attrgetter, call, ne
from typing import Any, Final, NamedTuple, TypeVar

NEVER: Final = object()  # equals no field

How = Callable[..., Any]
News = list[tuple[str, Any]]
Taken = TypeVar("Taken")


class Row(NamedTuple):
    """What `how` makes of the fields that `of` names, and of nothing else."""

    name: str
    of: str  # dotted where they lie deeper, with spaces between
    how: How
    at: int | None = None  # of the list that `of` names it is given this element alone; None where there is none


class Rows:
    """Rows, grouped by the fields that they are made of.

    What is remembered of the fields is what was taken: where a row fails, or the taking, nothing is.
    """

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._take: list[Callable[[Any], Any]] = []
        self._last: list[Any] = []

    def extend(self, rows: Iterable[Row]) -> None:
        """More rows; all are worked out once more."""
        for name, of, how, at in rows:
            if of not in self._groups:
                self._groups[of] = Group(" " in of)
                self._take.append(attrgetter(*of.split()))
            self._groups[of].add(name, how, at)
        self._last = [NEVER] * len(self._take)

    def update(self, source: Any, taken: Callable[[News], Taken]) -> Taken:
        """Hand the rows that may be another, by name, to `taken`; what that gives."""
        now = list(map(call, self._take, repeat(source)))
        others = map(ne, zip(now), zip(self._last))  # in tuples of one: what is the same object equals itself
        fields = zip(self._groups.values(), now, self._last, strict=True)
        news: News = []
        for group, found, before in compress(fields, others):
            news += group.told(found, before)
        result = taken(news)
        self._last = now
        return result


class Group:
    """Rows of the same fields."""

    def __init__(self, many: bool) -> None:
        """`many`: of several fields."""
        self._many = many
        self._whole: list[tuple[str, How]] = []
        self._elements: list[list[tuple[str, How]]] = []  # by place in the list

    def add(self, name: str, how: How, at: int | None) -> None:
        """One more row."""
        if at is None:
            self._whole.append((name, how))
            return
        while len(self._elements) <= at:
            self._elements.append([])
        self._elements[at].append((name, how))

    def told(self, fields: Any, before: Any) -> News:
        """The rows that may be another by these fields."""
        if self._many:
            return [(name, how(*fields)) for name, how in self._whole]
        news = [(name, how(fields)) for name, how in self._whole]
        if self._elements:
            others = self._others(fields, before)
            news += [(name, how(element)) for rows, element in others for name, how in rows]
        return news

    def _others(self, now: Sequence[Any], before: Any) -> Iterable[tuple[list[tuple[str, How]], Any]]:
        """Rows of those elements of a list that are another, and these; all at first."""
        elements = zip(self._elements, chain(now, repeat(None)), strict=False)
        if before is NEVER:
            return elements
        pairs = [zip(chain(some, repeat(None))) for some in (now, before)]
        return compress(elements, map(ne, *pairs))
