"""What Home Assistant is told so that bank and batteries appear there: one message a device.  Pure.

A component, once it was in a message, must stay in it: left out, it freezes and becomes a ghost.  So whoever sends
these messages remembers which values were ever known; what the settings no longer allow is told with its platform
alone, which takes it away.  Sheet: face.md chapter 1.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway import VERSION
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import Topics
from outputs.values import BANK, BATTERY
from outputs.values.value import Value

Component = dict[str, Any]

FLAGS: Final = ("flag", "level")
NUMBERS: Final = ("float", "int")
SWITCHES: Final = ("charge", "discharge", "balance")
DEVICE: Final = {"manufacturer": "manufacturer", "model": "model", "serial_number": "serial_number",
                 "sw_version": "firmware_version", "hw_version": "hardware_version"}  # fmt: skip
"""What of a battery's state is told of its device."""
REASONS: Final = {"cvl_sentence": "cvl", "ccl_sentence": "ccl", "dcl_sentence": "dcl"}  # whose caps are attributes


class Known:
    """Which values were ever known: their names, each with the key of a list or map, "" = it is none."""

    def __init__(self, rows: Iterable[Value]) -> None:
        self.keys: set[tuple[str, str]] = set()
        self._open = [row.name for row in rows if row.ha is not None]  # what there may be news of

    def look(self, state: Mapping[str, Any]) -> None:
        """Take in what is known now; a plain value that was known once is not looked at again."""
        before = len(self.keys)
        self.keys.update((name, key) for name in self._open for key in _keys(state[name]))
        if len(self.keys) != before:
            self._open = [name for name in self._open if (name, "") not in self.keys]


def _keys(value: Any) -> Iterable[str]:
    if value is None:
        return ()
    if isinstance(value, list):
        return [str(n) for n, one in enumerate(value, 1) if one is not None]
    return [key for key, one in value.items() if one is not None] if isinstance(value, dict) else ("",)


def bank_message(settings: Settings, topics: Topics, known: Known) -> dict[str, Any]:
    """The device that stands for all batteries, with the limits."""
    device = {"identifiers": [topics.device()], "name": settings.home_assistant.name, "manufacturer": "bms-gateway",
              "model": "Battery bank", "sw_version": VERSION}  # fmt: skip
    components = dict(_components(topics, "", topics.bank, BANK, known, settings))
    for name, limit in REASONS.items():
        if name in components:
            components[name] |= {
                "json_attributes_topic": topics.explain,
                "json_attributes_template": f"{{{{ {{'caps': value_json.{limit}}} | tojson }}}}",
            }
    components |= _allowed(settings.remote_limits, _numbers(topics, settings))
    return _message(topics, topics.bank, device, components, availability=[])


def battery_message(
    settings: Settings, topics: Topics, name: str, part: str, about: Mapping[str, Any], known: Known
) -> dict[str, Any]:
    """One battery behind the bank; `about` is its state, of which the device block is made."""
    device: dict[str, Any] = {"identifiers": [topics.device(part)], "name": name, "via_device": topics.device()}
    device |= {key: str(about[field]) for key, field in DEVICE.items() if about.get(field)}
    topic = topics.battery(part)
    health = "{{ 'offline' if value_json.health == 'lost' else 'online' }}"
    components = dict(_components(topics, part, topic, BATTERY, known, settings))
    components |= _allowed(settings.commands, _switches(topics, part, name, about.get("controls") or ()))
    return _message(topics, topic, device, components, [{"topic": topic, "value_template": health}])


def _allowed(allowed: bool, components: Iterable[tuple[str, Component]]) -> dict[str, Component]:
    """These components, or where they are not allowed what takes those of an earlier configuration away."""
    return {name: one if allowed else {"platform": one["platform"]} for name, one in components}


def about_device(battery: Mapping[str, Any]) -> list[Any]:
    """What of a battery's state its message is made of, beside the names of its values."""
    return [battery.get(field) for field in ("controls", *DEVICE.values())]


def _message(
    topics: Topics, state: str, device: Mapping[str, Any], components: Mapping[str, Component],
    availability: list[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    return {
        "device": device,
        "origin": {"name": "bms-gateway", "sw_version": VERSION},
        "availability": [{"topic": topics.availability}, *availability],
        "availability_mode": "all",
        "state_topic": state,
        "qos": 0,
        "components": components,
    }


def _components(
    topics: Topics, part: str, topic: str, rows: Iterable[Value], known: Known, settings: Settings
) -> Iterator[tuple[str, Component]]:
    """Those of the values that were ever known, in the order of the list."""
    for row in rows:
        for key in sorted((key for name, key in known.keys if name == row.name), key=_order):
            name = f"{row.name}_{_plain(key)}" if key else row.name
            identity = {"unique_id": f"{topics.device(part)}-{name}", "expire_after": settings.expires}
            yield name, {**_component(row, key), **identity}


def _order(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() else (0, key)


def _plain(key: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in key)


def _component(row: Value, key: str) -> Component:
    """A sensor, or a binary sensor for what is true or false or an alarm."""
    shape, two = row.ha, row.kind in FLAGS or row.name == "switches"
    assert shape is not None  # nobody asks for others
    found: Component = {
        "platform": "binary_sensor" if two else "sensor",
        "name": f"{row.words} {key}" if key else row.words,
        "value_template": _template(row, key, two),
    }
    if shape.device_class:
        found["device_class"] = shape.device_class
    if shape.diagnostic:
        found["entity_category"] = "diagnostic"
    if not shape.enabled:
        found["enabled_by_default"] = False
    if row.kind == "enum":
        found["options"] = list(row.options)
    if not two and (row.kind in NUMBERS or row.kind in ("list", "map")):
        found |= _number(row, shape.state_class)
    return found


def _number(row: Value, state_class: str) -> Component:
    found: Component = {"state_class": state_class} if state_class else {}
    if row.unit:
        found["unit_of_measurement"] = row.unit
    if row.kind != "int" and (row.unit or row.digits):
        found["suggested_display_precision"] = row.digits
    return found


def _template(row: Value, key: str, two: bool) -> str:
    """Takes the value out of the state; null becomes None, which Home Assistant shows as unknown."""
    path = f"value_json.{row.name}"
    if key:
        path += f"[{int(key) - 1}]" if row.kind == "list" else f"['{key}']"
        path = f"({path} | default(none))"
    if two:
        return f"{{{{ 'None' if {path} is none else ('ON' if {path} else 'OFF') }}}}"
    return f"{{{{ {path} }}}}"


ASKED: Final = (
    ("ccl", "Charge current at most, for a while", "A", 1000),
    ("dcl", "Discharge current at most, for a while", "A", 1000),
    ("soc_max", "No charge above, for a while", "%", 100),
    ("soc_min", "No discharge below, for a while", "%", 100),
)


def _numbers(topics: Topics, settings: Settings) -> Iterator[tuple[str, Component]]:
    """Limits that may be asked for: what is in force is shown, and it ends by itself."""
    for key, words, unit, most in ASKED:
        template = f'{{"{key}": {{{{ value }}}}, "ttl_seconds": {settings.remote_limits_last:g}}}'
        yield f"ask_{key}", {
            "platform": "number", "name": words, "unique_id": f"{topics.device()}-ask_{key}", "min": 0, "max": most,
            "step": 0.1 if unit == "A" else 1, "mode": "box", "unit_of_measurement": unit,
            "command_topic": topics.set_limits, "command_template": template, "retain": False,
            "value_template": f"{{{{ value_json.remote_{key} }}}}",
        }  # fmt: skip
    yield "ask_nothing", {
        "platform": "button", "name": "End the limits asked for", "unique_id": f"{topics.device()}-ask_nothing",
        "command_topic": topics.set_limits, "payload_press": '{"ttl_seconds": 0}', "retain": False,
    }  # fmt: skip


def _switches(topics: Topics, part: str, battery: str, controls: Iterable[str]) -> Iterator[tuple[str, Component]]:
    """Switches of a BMS that can be commanded; what it says itself is shown, not what was wished."""
    for action in SWITCHES:
        if action in controls:
            state = f"(value_json.switches['{action}'] | default(none))"
            yield f"switch_{action}", {
                "platform": "switch", "name": f"{action.capitalize()} switch of the BMS",
                "unique_id": f"{topics.device(part)}-switch_{action}", "command_topic": topics.command(action),
                **{f"payload_{word}": json.dumps({"value": value, "battery": battery})
                   for word, value in (("on", 1), ("off", 0))},
                "state_on": "ON", "state_off": "OFF", "optimistic": False, "retain": False,
                "value_template": f"{{{{ 'None' if {state} is none else ('ON' if {state} else 'OFF') }}}}",
            }  # fmt: skip
