"""What Home Assistant is told, held against its rules as the sheet has them (face.md chapter 1)."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from gateway.model import ALARMS, Health, Snapshot
from outputs.mqtt.messages import Message, Messages
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import Topics, part, parts
from tests import make
from tests.values.test_list import rich

ID = "0123456789ab"
TOPICS = Topics("bms-gateway", ID)
UNITS = {
    "voltage": {"V", "mV"}, "current": {"A", "mA"}, "power": {"W", "kW"}, "battery": {"%"}, "energy": {"Wh", "kWh"},
    "temperature": {"°C"}, "duration": {"s", "min", "h"}, "signal_strength": {"dBm"}, "timestamp": {None},
    "enum": {None},
}  # fmt: skip
STATE_CLASSES = {
    "voltage": {"measurement"}, "current": {"measurement"}, "power": {"measurement"}, "battery": {"measurement"},
    "temperature": {"measurement"}, "duration": {"measurement", "total_increasing"}, "energy": {"total_increasing"},
    "signal_strength": {"measurement"}, "timestamp": {None}, "enum": {None},
}  # fmt: skip
ALLOWED = {
    "sensor": {"platform", "unique_id", "name", "value_template", "device_class", "state_class", "unit_of_measurement",
               "suggested_display_precision", "entity_category", "enabled_by_default", "options", "expire_after",
               "json_attributes_topic", "json_attributes_template"},
    "binary_sensor": {"platform", "unique_id", "name", "value_template", "device_class", "entity_category",
                      "enabled_by_default", "expire_after"},
    "number": {"platform", "unique_id", "name", "min", "max", "step", "mode", "unit_of_measurement", "command_topic",
               "command_template", "retain", "value_template"},
    "button": {"platform", "unique_id", "name", "command_topic", "payload_press", "retain"},
    "switch": {"platform", "unique_id", "name", "command_topic", "payload_on", "payload_off", "state_on", "state_off",
               "optimistic", "retain", "value_template"},
}  # fmt: skip
TOP = {"device", "origin", "availability", "availability_mode", "state_topic", "qos", "components"}
DEVICE = {"identifiers", "name", "manufacturer", "model", "serial_number", "sw_version", "hw_version", "via_device"}


class Told:
    """What would be on the broker."""

    def __init__(self, **more: Any) -> None:
        self.now = 0.0
        self.settings = Settings(host="broker", id=ID, **more)
        self.messages = Messages(self.settings, TOPICS, lambda: self.now)

    def look(self, snapshot: Snapshot) -> list[Message]:
        found = []
        for message, what in self.messages.due(snapshot):
            self.messages.sent(message, what)
            found.append(message)
        return found

    def of(self, snapshot: Snapshot, end: str) -> list[dict[str, Any]]:
        return [json.loads(m.payload) for m in self.look(snapshot) if m.topic.endswith(end)]


def both(**more: Any) -> list[dict[str, Any]]:
    return Told(**more).of(rich(), "/config")


def broken(message: dict[str, Any]) -> list[str]:
    """The rules that a discovery message breaks."""
    wrong = [f"top: {key}" for key in message.keys() - TOP]
    wrong += [f"device: {key}" for key in message["device"].keys() - DEVICE]
    wrong += [] if message["device"].get("identifiers") and message["origin"].get("name") else ["no device or origin"]
    seen: set[str] = set()
    for key, one in message["components"].items():
        if one.keys() == {"platform"}:
            continue  # takes it away
        wrong += [f"{key}: not [a-zA-Z0-9_-]"] if not re.fullmatch(r"[a-zA-Z0-9_-]+", key) else []
        wrong += [f"{key}: {name} unknown to {one['platform']}" for name in one.keys() - ALLOWED[one["platform"]]]
        wrong += [f"{key}: unique_id"] if one.get("unique_id") in seen or not one.get("unique_id") else []
        seen.add(one.get("unique_id", ""))
        wrong += [f"{key}: category"] if one.get("entity_category") not in (None, "diagnostic") else []
        wrong += [f"{key}: name repeats the device's"] if one["name"].startswith(message["device"]["name"]) else []
        if one["platform"] == "sensor":
            wrong += _broken_sensor(key, one)
    return wrong


def _broken_sensor(key: str, one: dict[str, Any]) -> list[str]:
    shape, unit, state_class = one.get("device_class"), one.get("unit_of_measurement"), one.get("state_class")
    wrong = []
    if shape in UNITS and unit not in UNITS[shape]:
        wrong.append(f"{key}: unit {unit} of {shape}")
    if shape in STATE_CLASSES and state_class not in STATE_CLASSES[shape]:
        wrong.append(f"{key}: state class {state_class} of {shape}")
    if "options" in one and (shape != "enum" or unit or state_class):
        wrong.append(f"{key}: options")
    if (state_class or unit or "suggested_display_precision" in one) and shape in ("enum", "timestamp"):
        wrong.append(f"{key}: {shape} is no number")
    return wrong


@pytest.mark.parametrize("more", [{}, {"remote_limits": True, "commands": True}])
def test_every_message_keeps_the_rules(more: dict[str, Any]) -> None:
    bank, rack = both(**more)
    assert broken(bank) == [] and broken(rack) == []
    assert bank["device"]["identifiers"] == [f"bms-gateway-{ID}"]
    assert rack["device"] == {
        "identifiers": [f"bms-gateway-{ID}-rack-1"], "name": "rack-1", "via_device": f"bms-gateway-{ID}",
        "manufacturer": "ACME", "model": "P16", "serial_number": "S-0001", "sw_version": "1.2", "hw_version": "2",
    }  # fmt: skip
    for name, message in (("ask_ccl", bank), ("ask_nothing", bank), ("switch_charge", rack)):
        assert (message["components"][name].keys() > {"platform"}) is bool(more), "or it takes an earlier one away"
    assert len(json.dumps(bank)) < 40_000 and len(json.dumps(rack)) < 40_000
    ids = [one["unique_id"] for message in (bank, rack) for one in message["components"].values() if len(one) > 1]
    assert len(ids) == len(set(ids)) and all(ID in one for one in ids)


def test_the_rules_find_what_breaks_them() -> None:
    """A judge that never objects would be none."""
    bank, _ = both()
    for change in (
        {"expire_after": 3}, {"device": {**bank["device"], "colour": "red"}}, {"origin": {}},
        {"components": {"ä": bank["components"]["voltage"]}},
        {"components": {"v": {**bank["components"]["voltage"], "unit_of_measurement": "A"}}},
        {"components": {"v": {**bank["components"]["voltage"], "entity_category": "config"}}},
        {"components": {"v": {**bank["components"]["voltage"], "unique_id": ""}}},
        {"components": {"m": {**bank["components"]["charge_mode"], "state_class": "measurement"}}},
    ):  # fmt: skip
        assert broken({**bank, **change})


def test_about_as_many_entities_are_on_by_default_as_people_want() -> None:
    bank, rack = ({k: v for k, v in one["components"].items() if v.get("enabled_by_default", True)} for one in both())
    plain = [{k for k, v in one.items() if "entity_category" not in v} for one in (bank, rack)]
    assert 12 <= len(plain[0]) <= 30 and 7 <= len(plain[1]) <= 14
    assert not any(name.startswith("cell_voltages") for name in rack)


def test_every_sensor_expires_and_every_template_gets_a_key_that_is_always_sent() -> None:
    told = Told()
    messages = {m.topic: json.loads(m.payload) for m in told.look(rich())}
    for end, state in (("-rack-1/config", "/battery/rack-1"), (f"-{ID}/config", "/bank")):
        config = next(value for topic, value in messages.items() if topic.endswith(end))
        values = next(value for topic, value in messages.items() if topic.endswith(state))
        assert config["state_topic"].endswith(state)
        for key, one in config["components"].items():
            if one.keys() == {"platform"}:
                continue
            assert one["expire_after"] == 90
            (name,) = set(re.findall(r"value_json\.(\w+)", one["value_template"]))
            assert name in values, key


def test_a_component_stays_once_its_value_was_known_and_comes_when_it_first_is() -> None:
    told = Told()
    assert "time_to_go" not in told.of(make.snapshot(), f"-{ID}/config")[0]["components"]
    told.now = 20.0
    (bank,) = told.of(replace(make.snapshot(20.0), time_to_go=3600), f"-{ID}/config")
    assert "time_to_go" in bank["components"]
    told.now = 40.0
    assert told.of(make.snapshot(40.0), "/config") == [], "nothing new to tell"
    told.messages.anew()
    assert "time_to_go" in told.of(make.snapshot(40.0), f"-{ID}/config")[0]["components"]


def test_what_is_learnt_of_a_device_later_is_told_anew() -> None:
    told = Told()
    nameless = make.bank(make.battery(of=make.reading(serial_number=None)))
    assert "serial_number" not in told.of(make.snapshot(bank=nameless), "rack-1/config")[0]["device"]
    assert told.of(make.snapshot(20.0, bank=nameless), "/config") == []
    told.now = 20.0
    (rack,) = told.of(make.snapshot(20.0), "/config")
    assert rack["device"]["serial_number"] == "S-0001"
    told.now = 40.0
    assert told.of(make.snapshot(40.0), "/config") == []


def test_what_is_unknown_is_null_and_never_left_out_or_0() -> None:
    told = Told()
    lost = make.battery(health=Health.LOST)
    state = make.snapshot(bank=make.unknown(make.bank(lost, health=Health.LOST)))
    bank, rack = told.of(state, "/bank")[0], Told().of(state, "/battery/rack-1")[0]
    for name in ("voltage", "current", "power"):
        assert bank[name] is None and rack[name] is None
    assert bank["ccl"] == 50.0 and rack["health"] == "lost"
    assert rack.keys() == Told().of(rich(), "/battery/rack-1")[0].keys()
    assert bank["charged_energy"] is None, "a counter that begins at 0 anew would be counted twice"
    assert {f"alarm_{name}" for name in ALARMS} <= bank.keys()


def test_texts_are_short_enough_and_moments_have_a_zone() -> None:
    state = make.snapshot(decision=make.decision(waiting=("long " * 100,)))
    bank = Told().of(state, "/bank")[0]
    assert len(bank["waiting"]) == 250
    assert Told().of(rich(), "/bank")[0]["last_full_charge"] == "2026-09-21T14:13:20+00:00"


def test_the_same_again_is_not_sent_before_the_heartbeat_and_only_the_newest_is_ever_due() -> None:
    told = Told()
    told.look(make.snapshot())
    for told.now in (5.0, 10.0, 29.0):
        assert told.look(make.snapshot(told.now, sequence=int(told.now))) == [], "its age is no news"
    told.now = 30.0
    assert sorted(m.topic[-7:] for m in told.look(make.snapshot(30.0))) == ["/rack-1", "ab/bank"]
    assert not any(m.retain for m in told.look(make.snapshot(60.0)))


def test_names_as_parts_of_topics() -> None:
    assert part("Räck 1 (Süd)") == "raeck-1-sued"
    assert part("***") == "battery"
    assert parts(["rack 1", "rack-1", "Rack.1"]) == {"rack 1": "rack-1", "rack-1": "rack-1-2", "Rack.1": "rack-1-3"}
