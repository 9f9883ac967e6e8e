"""Sections against what stands in a file: types, bounds, unknown keys, by pydantic; made from their declarations.

Only who reads files imports this.  A Section's model is made once; what was valid becomes the Section itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field
from functools import cache, partial
from typing import Annotated, Any, TypeVar, cast

import pydantic
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from pydantic_core import core_schema

from gateway.model.section import Section, key_of, of_the_file

Some = TypeVar("Some", bound=Section)


class _Model(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


def validated(kind: type[Some], data: Any) -> Some:
    """`data` as such a Section.  Raises pydantic's ValidationError."""
    found: Some = _adapter(cast(Any, kind)).validate_python(data)
    return found


def validated_json(kind: type[Some], text: str, context: Mapping[str, Any] | None = None) -> Some:
    """As `validated`, of JSON, and no value of another type is taken.  `context`: the folder of the file."""
    found: Some = _adapter(cast(Any, kind)).validate_json(text, strict=True, context=context)
    return found


def model_of(kind: type[Section]) -> type[BaseModel]:
    """The pydantic model of a Section, with its names and words; JSON Schemas are made of it."""
    return _model_of(cast(Any, kind))  # a class can be hashed, whatever mypy makes of dataclass_transform


@cache
def _model_of(kind: type[Section]) -> type[BaseModel]:
    fields: dict[str, Any] = {one.name: (one.type, _field(one)) for one in of_the_file(kind)}
    made: type[BaseModel] = create_model(
        kind.__name__, __base__=_Model, __module__=kind.__module__, __doc__=kind.__doc__, **fields
    )
    return made


def schema_of(kind: type[Section], handler: Callable[[Any], Any]) -> Any:
    """For pydantic: a Section is made from its model."""
    return core_schema.no_info_after_validator_function(partial(_made, kind), handler(model_of(kind)))


def marked(source: Any, about: Mapping[str, Any]) -> Any:
    """A type with bounds and unit."""
    return Annotated[source, pydantic.Field(**_words(about))]


@cache
def _adapter(kind: type[Section]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _made(kind: type[Some], valid: BaseModel) -> Some:
    """The Section of what was said.  Raises ValueError where that does not go together."""
    return kind(**{name: getattr(valid, name) for name in valid.model_fields_set})


def _field(one: Field[Any]) -> Any:
    """A field as pydantic declares it."""
    words = _words(one.metadata)
    if one.default is not MISSING:
        words["default"] = _shown(one.default)
    elif one.default_factory is not MISSING:
        words["default_factory"] = one.default_factory
    if (key := key_of(one)) != one.name:
        words["alias"] = key
    return pydantic.Field(**words)


def _words(about: Mapping[str, Any]) -> dict[str, Any]:
    text = {"description": about["description"]} if about.get("description") else {}
    unit = {"json_schema_extra": {"unit": about["unit"]}} if about.get("unit") else {}
    return {**about.get("bounds", {}), **text, **unit}


def _shown(default: Any) -> Any:
    """A default as a JSON Schema shows it: a section by its keys."""
    if not isinstance(default, Section):
        return default
    values = {one.name: _shown(getattr(default, one.name)) for one in of_the_file(type(default))}
    return model_of(type(default)).model_construct(**values)
