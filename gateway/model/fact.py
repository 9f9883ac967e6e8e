"""What follows from a frozen record: worked out when it is first asked for, once, and kept beside its fields."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class fact(Generic[T]):  # noqa: N801  # it reads like `property`
    """A property that is worked out once.  Python finds what is kept by itself, so from then on it costs nothing.

    As functools.cached_property, but without what that needs for records that change or have a __slots__, and for
    threads: two that ask at the same time would both work it out, and find the same.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work, self._name, self.__doc__ = work, work.__name__, work.__doc__

    @overload
    def __get__(self, record: None, kind: type) -> Self: ...
    @overload
    def __get__(self, record: object, kind: type) -> T: ...
    def __get__(self, record: object | None, kind: type) -> Self | T:
        """What is worked out of `record`; of its class, this property itself."""
        if record is None:
            return self
        found = record.__dict__[self._name] = self._work(record)
        return found
