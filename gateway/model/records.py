"""Frozen records made, and made anew with some fields changed, quickly: an evaluation does that twenty times."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import replace
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

    def made(kind: Callable[P, T], /, *args: P.args, **values: P.kwargs) -> T:
        """As below."""

else:
    import dataclasses

    def replace(record, /, **changes):
        """As dataclasses.replace, without a call for every field; what a record has worked out is not taken along.

        Raises TypeError for a field that it has not.  Not for records with __post_init__ or fields without init.
        """
        try:
            whole = {**vars(record), **changes}
        except TypeError:  # it has slots
            return dataclasses.replace(record, **changes)
        kind = type(record)
        fields = kind.__dataclass_fields__
        if len(whole) != len(fields):  # it has worked something out, or is to get what is no field of it
            if unknown := sorted(changes.keys() - fields.keys()):
                raise TypeError(f"{kind.__name__} has no {', '.join(unknown)}")
            whole = {name: whole[name] for name in fields}
        new = object.__new__(kind)
        object.__setattr__(new, "__dict__", whole)
        return new

    def made(kind, /, **values):
        """As `kind(**values)`, without a call for every field, where every field is given.

        Raises TypeError as that does.  Not for records with slots, __post_init__ or fields without init.
        """
        if values.keys() != kind.__dataclass_fields__.keys():
            return kind(**values)
        new = object.__new__(kind)
        object.__setattr__(new, "__dict__", values)
        return new


__all__ = ["made", "replace"]
