"""The JSON Schema of gateway.yaml, so that editors complete keys and mark mistakes while somebody types."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from gateway.config.schema import AUTO, Catalogue, Settings, battery_class, installed
from gateway.model.validation import model_of
from outputs.registry import PACKAGES, SEVERAL, settings_class

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def dump_schema(catalogue: Catalogue | None = None) -> dict[str, Any]:
    """The schema of the whole file, with every driver's and every output's own settings, and units in the texts."""
    drivers = catalogue or installed()
    names = sorted({*drivers.names(), AUTO})
    batteries = {name: model_of(battery_class(name, drivers.options(name))) for name in names}
    outputs = {name: model_of(settings_class(name)) for name in PACKAGES}
    models = [model_of(Settings), *batteries.values(), *outputs.values()]
    references, together = models_json_schema([(model, "validation") for model in models])
    definitions = together["$defs"]

    def of(model: Any) -> dict[str, Any]:
        found: dict[str, Any] = definitions[references[model, "validation"]["$ref"].rpartition("/")[2]]
        return found

    for name, model in batteries.items():
        of(model)["properties"]["driver"] = {"const": name, "description": "the BMS family"}
    whole = of(model_of(Settings))
    whole["properties"]["batteries"]["items"] = {"anyOf": [references[m, "validation"] for m in batteries.values()]}
    whole["properties"]["outputs"] = {
        "type": "object",
        "properties": {name: {"anyOf": _forms(name, references[m, "validation"])} for name, m in outputs.items()},
        "additionalProperties": False,
        "description": "whom the gateway tells: each output by its name",
    }
    schema = {"$schema": DIALECT, **whole, "title": "gateway.yaml of bms-gateway"}
    schema["$defs"] = {name: definitions[name] for name in sorted(_used(schema, definitions))}
    _tidy(schema, top=True)
    return schema


def _forms(output: str, reference: Any) -> list[Any]:
    """How one kind of output may stand in the file: a section, nothing, or a list of sections."""
    several = [{"type": "array", "items": reference, "minItems": 1}] if output in SEVERAL else []
    return [reference, {"type": "null"}, *several]


def _used(node: Any, definitions: Mapping[str, Any]) -> set[str]:
    """Names of the definitions that `node` leads to."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            name = str(here.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(definitions[name])
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here
    return found


def _tidy(node: Any, *, top: bool = False) -> None:
    """Units into the descriptions, where editors show them; generated titles out."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    if not isinstance(node, dict):
        return
    if not top and isinstance(node.get("title"), str):
        del node["title"]
    if isinstance(unit := node.get("unit"), str):
        node["description"] = f"{node.get('description', '')} [{unit}]".strip()
        del node["unit"]
    for value in node.values():
        _tidy(value)
