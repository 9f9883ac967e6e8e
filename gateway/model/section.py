"""Settings as plain frozen data: how a section of a file is declared, and how its marks are read later.

Who reads a file validates it by these declarations (validation.py, which needs pydantic); who runs by what was read
needs this file alone, and nothing is imported here that a running gateway would have to keep.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, Self, dataclass_transform

FOLDER = "folder"  # of the file that is validated, in the validation's context
HERE = Path()


def declared(
    default: Any = MISSING, *, default_factory: Any = MISSING, description: str = "", unit: str = "", key: str = "",
    **bounds: Any,
) -> Any:  # fmt: skip
    """A field of a Section: what it means, its unit and its `bounds` (ge, gt, le, lt, min_length, max_length, pattern).

    `key` is what the file calls it where that is no name in Python.
    """
    about = {"description": description, "unit": unit, "key": key, "bounds": bounds}
    return field(default=default, default_factory=default_factory, metadata=about)


def worked_out(default_factory: Callable[[], Any]) -> Any:
    """A field that stands in no file: who reads the file fills it in."""
    return field(default_factory=default_factory, metadata={"file": False})


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Section:
    """A section of a file: a subclass is a frozen dataclass, made by keywords.

    `__post_init__` may raise ValueError for values that do not go together; bounds, types and unknown keys are judged
    only where a file is validated.
    """

    given: frozenset[str] = frozenset()
    """Names of the fields that were said, and not left at their defaults."""

    def __init_subclass__(cls) -> None:
        about = cls.__doc__
        dataclass(frozen=True, kw_only=True)(cls)
        cls.__doc__ = about  # a signature is no description

    def __new__(cls, **values: Any) -> Self:
        made = super().__new__(cls)
        vars(made)["given"] = frozenset(values)
        return made

    def said(self) -> dict[str, Any]:
        """The fields that were said, with their values."""
        return {name: getattr(self, name) for name in self.given}

    def changed(self, **values: Any) -> Self:
        """The same with other values, which count as said.  Raises ValueError where they do not go together."""
        made: Self = dataclasses.replace(self, **values)  # type: ignore[type-var]
        vars(made)["given"] = self.given | values.keys()
        return made

    def plain(self, *, said: bool = False) -> dict[str, Any]:
        """As a file has it, by its keys: sections, lists, texts, numbers; with `said`, only what was said."""
        told = [one for one in of_the_file(type(self)) if not said or one.name in self.given]
        return {key_of(one): _plain(getattr(self, one.name), said) for one in told}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Asked by pydantic, which is imported by then."""
        from gateway.model.validation import schema_of

        return schema_of(cls, handler)


def of_the_file(kind: type[Section]) -> Iterator["dataclasses.Field[Any]"]:
    """The fields of a section that may stand in a file."""
    return (one for one in dataclasses.fields(kind) if one.metadata.get("file", True))  # type: ignore[arg-type]


def key_of(one: "dataclasses.Field[Any]") -> str:
    """What a field is called in the file."""
    return one.metadata.get("key") or one.name


def _plain(value: Any, said: bool) -> Any:
    if isinstance(value, Section):
        return value.plain(said=said)
    if isinstance(value, tuple | list):
        return [_plain(item, said) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, said) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


# ---- marks of a type, as in Annotated[str, Checked(plain_name)]


@dataclass(frozen=True, slots=True)
class Checked:
    """A value is what `check` makes of it; `check` raises ValueError for one that cannot be."""

    check: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))


@dataclass(frozen=True, slots=True)
class Beside:
    """A value is what `place` makes of it and of the folder of the file that it stands in."""

    place: Callable[[Any, Path], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def placed(value: Any, info: Any) -> Any:
            return self.place(value, (info.context or {}).get(FOLDER, HERE))

        return core_schema.with_info_after_validator_function(placed, handler(source))


class Within:
    """A value has these bounds, and this unit; as of `declared`, for a type that several fields have."""

    def __init__(self, *, unit: str = "", **bounds: Any) -> None:
        self.about = {"unit": unit, "bounds": bounds}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from gateway.model.validation import marked

        return handler.generate_schema(marked(source, self.about))
