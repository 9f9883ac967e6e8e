"""The JSON Schema for editors agrees with what `load` accepts, and the repository's own gateway.yaml runs."""

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.config.doubts import doubts
from gateway.config.editor import dump_schema
from gateway.config.load import load
from tests.config.bench import CATALOGUE, ONE, REPOSITORY, mistakes, read
from tests.config.test_load import ARCHITECTURE_EXAMPLE

TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip


def objections(schema: dict[str, Any], value: Any, whole: dict[str, Any], where: str = "") -> list[str]:
    """What a JSON Schema validator would say, for the words that our schema uses."""
    if "$ref" in schema:
        return objections(whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, whole, where)
    if "anyOf" in schema:
        tries = [objections(one, value, whole, where) for one in schema["anyOf"]]
        return [] if [] in tries else min(tries, key=len)
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{where} is not {schema['const']}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is none of {schema['enum']}")
    if "type" in schema and (
        not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean")
    ):
        return [*found, f"{where} is no {schema['type']}"]
    if value is not None and not isinstance(value, str | dict | list):
        found += [where] * (value < schema.get("minimum", value) or value > schema.get("maximum", value))
        found += [where] * (value <= schema.get("exclusiveMinimum", value - 1))
    return found + inner_objections(schema, value, whole, where)


def inner_objections(schema: dict[str, Any], value: Any, whole: dict[str, Any], where: str) -> list[str]:
    """The same for what a section or list holds."""
    found = []
    if isinstance(value, list):
        found += [where] * (len(value) < schema.get("minItems", 0))
        for index, item in enumerate(value):
            found += objections(schema.get("items", {}), item, whole, f"{where}[{index}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        found += [f"{where}.{key} missing" for key in schema.get("required", ()) if key not in value]
        for key, item in value.items():
            if key in known:
                found += objections(known[key], item, whole, f"{where}.{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{where}.{key} unknown")
    return found


def judged(text: str) -> list[str]:
    """What an editor would mark in `text`."""
    schema = dump_schema(CATALOGUE)
    return objections(schema, YAML(typ="safe", pure=True).load(text), schema)


def test_schema_is_plain_json_with_all_references_resolved() -> None:
    schema = json.loads(json.dumps(dump_schema()))
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12")
    waiting, references = [schema], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            references.add(node.get("$ref", "#/$defs/").removeprefix("#/$defs/"))
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    assert references - {""} == set(schema["$defs"]), "none dangles, none is left over"


@pytest.mark.parametrize("text", [ONE, ARCHITECTURE_EXAMPLE, ONE.replace("plain", "chain") + "    cell_count: 15\n"])
def test_schema_accepts_what_loads(text: str) -> None:
    assert mistakes(text) == [] and judged(text) == []


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("plain", "plane"),
        ONE.replace("name:", "nmae:"),
        ONE + "    poll_interval: 500\n",
        ONE + "    cell_count: 15\n",
        ONE + "bank: {join_voltage_difference: 0}\n",
        ONE + "bank: {charge_current_limit: 80A}\n",
        ONE + "outputs: {can_bsm: {}}\n",
        ONE + "limits: {cell_voltage: {max: '3.45'}}\n",
        "batteries: []\n",
    ],
)
def test_schema_marks_what_does_not_load(text: str) -> None:
    assert mistakes(text) and judged(text)


def test_schema_tells_units_where_editors_show_them() -> None:
    bank = dump_schema(CATALOGUE)["$defs"]["BankSettings"]["properties"]
    assert bank["charge_current_limit"]["description"].endswith("[A]")
    assert bank["start_timeout"]["description"].endswith("[s]")


def test_schema_knows_each_driver_and_its_own_settings() -> None:
    schema = dump_schema(CATALOGUE)
    drivers = {
        node["properties"]["driver"]["const"]: node["properties"]
        for name, node in schema["$defs"].items()
        if name.startswith("Battery_")
    }
    assert set(drivers) == {"auto", "canbms", "chain", "fast", "modbus", "plain"}
    assert "cell_count" in drivers["chain"] and "cell_count" not in drivers["plain"]


def test_the_repository_own_file_runs_without_hardware() -> None:
    found = load(REPOSITORY / "gateway.yaml")
    assert [battery.port for battery in found.batteries] == ["simulated", "simulated"]
    assert len({battery.driver for battery in found.batteries}) == 2, "two families"
    assert list(found.outputs) == ["can_bms", "venus_dbus"]
    assert found.outputs["can_bms"].interface == "virtual"  # type: ignore[attr-defined]
    assert doubts(found) == []
    schema = dump_schema()
    data = YAML(typ="safe", pure=True).load((REPOSITORY / "gateway.yaml").read_text())
    assert objections(schema, data, schema) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ONE, "outputs: none is configured"),
        (ONE + "    control: false\noutputs: {venus_dbus: {}}\n", "no limits are ever given"),
        (ONE + "    address: 3\noutputs: {venus_dbus: {}}\n", "rack-1: address 3 is not used, plain has no addresses"),
        (ONE + "bank: {charge_current_limit: 0}\noutputs: {venus_dbus: {}}\n", "forbids this direction for ever"),
        (ONE + "bank: {join_voltage_difference: 5}\n", "5 V per 16 cells lets very different batteries be connected"),
        (ONE + f"control_socket: /{'x' * 120}\n", "control_socket: 121 bytes where 107 at most are possible"),
        (ONE + "    limits: {temperature_adjust: {sensor_1: [20, 1]}}\n", "rack-1: limits.temperature_adjust.sensor_1"),
    ],
)
def test_what_is_allowed_but_perhaps_not_meant_is_a_doubt(text: str, expected: str) -> None:
    assert any(expected in doubt for doubt in doubts(read(text), CATALOGUE))


def test_a_file_without_oddities_raises_no_doubts() -> None:
    assert doubts(read(ARCHITECTURE_EXAMPLE.replace("    address: 1 ", "    #")), CATALOGUE) == []
