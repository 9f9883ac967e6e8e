"""Which of many values are known, by loops of C: every value of every battery goes through here each second."""

from collections.abc import Iterable
from itertools import repeat
from operator import is_not


def are_known(values: Iterable[object]) -> tuple[bool, ...]:
    """Which of `values` are known, as itertools.compress takes it."""
    return tuple(map(is_not, values, repeat(None)))
