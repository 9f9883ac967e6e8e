"""What is told: metrics as Prometheus reads them, state as plain data, texts in every language."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.model import ALARMS, Cap, Health, Snapshot
from outputs.values import BY_NAME, OF_GATEWAY, VALUES
from outputs.values.limits import CELL_OVP, MODES, SOC_SOURCES
from outputs.web.files import PAGES, file
from outputs.web.message import compact
from outputs.web.metrics import exposition
from outputs.web.state import state
from tests import make
from tests.values.test_list import rich
from tests.web.site import House

HOUSE = House().state()


def metrics(snapshot: Snapshot | None, now: float = 0.0) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels, as Prometheus's own parser reads them."""
    text = exposition(snapshot, now, HOUSE).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# ---- metrics


def test_metrics_of_bank_and_battery_in_base_units() -> None:
    found = metrics(rich())
    rack = ("battery", "rack-1")
    assert found["bms_bank_soc_ratio", ()] == 0.6
    assert found["bms_battery_cell_voltage_volts", (rack, ("cell", "1"))] == 3.32
    assert found["bms_bank_charge_mode", (("mode", "bulk"),)] == 1
    assert found["bms_bank_charge_mode", (("mode", "float"),)] == 0
    assert found["bms_bank_charged_joules_total", ()] == 0
    assert found["bms_link_events_total", (rack, ("event", "polls"))] == 3
    assert found["bms_bank_charge_current_cap_amperes", (("about", "rack-1"), ("rule", "config"))] == 50
    assert found["bms_bank_time_to_soc_seconds", (("soc", "10.0"),)] == 60
    assert found["bms_output_connected", (("output", "can_bms"),)] == 1
    labels = dict(next(labels for name, labels in found if name == "bms_battery_info"))
    assert labels == {
        "battery": "rack-1",
        "driver": "jbd",
        "manufacturer": "ACME",
        "model": "P16",
        "firmware_version": "1.2",
    }
    assert "S-0001" not in exposition(rich(), 0.0, HOUSE).decode()


def test_every_metric_is_in_the_list() -> None:
    listed = set(OF_GATEWAY)
    for row in VALUES:
        if row.prometheus is not None:
            name = row.prometheus.name
            prefixes = [f"bms_{of}_" for of, letter in (("bank", "K"), ("battery", "B")) if letter in row.where]
            listed |= {name} if name.startswith("bms_") else {prefix + name for prefix in prefixes}
    told = {name for name, _ in metrics(rich())}
    assert told - listed == set()
    assert listed - told <= {
        "bms_bank_blocked_seconds", "bms_bank_remote_limit_remaining_seconds", "bms_bank_deepest_discharge_amperehours",
        "bms_bank_last_discharge_amperehours", "bms_bank_average_discharge_amperehours",
        "bms_bank_discharged_amperehours_total", "bms_bank_bms_remaining_amperehours",
        *(name for name in listed if "_history_" in name),
    }  # fmt: skip


@pytest.mark.parametrize("packs", [1, 16])
def test_no_sample_is_told_twice_and_each_metric_has_help_and_type_before_it(packs: int) -> None:
    bank = make.bank(*(make.battery(f"rack-{n}") for n in range(packs)))
    text = exposition(make.snapshot(bank=bank), 0.0, HOUSE).decode()
    names = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(names) == len(set(names)) > 60
    said: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            metric = line.split()[2]
            assert metric not in said, "all samples of a metric are together"
            said.add(metric)
        elif not line.startswith("#"):
            assert re.split(r"[{ ]", line)[0] == metric


def test_what_is_not_known_has_no_sample() -> None:
    lost = make.battery(health=Health.LOST)
    found = {name for name, _ in metrics(make.snapshot(bank=make.bank(lost, health=Health.LOST)))}
    assert not {"bms_bank_voltage_volts", "bms_battery_cell_voltage_volts", "bms_bank_cell_max_volts"} & found
    assert {"bms_bank_charge_current_limit_amperes", "bms_battery_up"} <= found


def test_a_gateway_that_hangs_tells_limits_of_0() -> None:
    found = metrics(make.snapshot(), now=100.0)
    assert found["bms_bank_charge_current_limit_amperes", ()] == found["bms_bank_up", ()] == 0
    assert found["bms_bank_guard_active", ()] == 1


def test_before_every_battery_has_answered_no_limit_is_told() -> None:
    early = {name for name, _ in metrics(make.snapshot(bank=make.bank(complete=False)))}
    assert "bms_battery_voltage_volts" in early and "bms_bank_charge_current_limit_amperes" not in early
    assert {name for name, _ in metrics(None)} == {"bms_gateway_build_info", "bms_output_connected"}


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=12), st.floats(allow_nan=True, allow_infinity=True))
def test_any_text_of_a_bms_and_any_number_can_be_told(text: str, number: float) -> None:
    battery = make.battery(of=make.reading(model=text, voltage=number, temperatures=(number, None)))
    caps = (Cap(number, "soc", text, battery="rack-1"), Cap(1.0, "soc", text, battery="rack-1"))
    snapshot = make.snapshot(bank=make.bank(battery, voltage=number), decision=make.decision(ccl_caps=caps))
    found = metrics(snapshot)
    assert all(not math.isnan(value) for value in found.values())
    assert json.loads(compact(state(snapshot, 0.0, HOUSE, "id", 0)))["batteries"][0]["name"] == "rack-1"


# ---- state


def test_the_state_tells_what_binds_and_what_would_lift_it() -> None:
    caps = (Cap(20.0, "cell_voltage", "highest cell 3.44 V", "limits.by_cell_voltage.charge", "rack-1"),
            Cap(50.0, "config", "configured maximum 50 A", "limits.charge_current.max", "rack-1"))  # fmt: skip
    told = state(make.snapshot(decision=make.decision(ccl=20.0, ccl_caps=caps)), 0.0, HOUSE, "id", 0)
    ccl = next(limit for limit in told["limits"] if limit["key"] == "ccl")
    assert [cap["why"] for cap in ccl["binding"]] == ["highest cell 3.44 V"]
    assert ccl["binding"][0]["lifting"] == "lifted as the highest cell falls; next is 50.00 A by config"
    assert [cap["value"] for cap in told["bank"]["ccl_caps"]] == [20.0, 50.0]


def test_a_bank_that_is_not_complete_has_no_limits() -> None:
    told = state(make.snapshot(bank=make.bank(complete=False)), 0.0, {"waiting": "for rack-2"}, "id", 0)
    assert told["limits"] == [] and "ccl" not in told["bank"] and told["waiting"] == "for rack-2"
    assert state(None, 0.0, HOUSE, "id", 0)["bank"] is None


def test_a_number_that_is_none_is_null_and_not_the_end_of_the_page() -> None:
    assert compact({"a": [math.nan, 1.5], "b": math.inf}) == b'{"a":[null,1.5],"b":null}'


# ---- texts


def texts(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(file(f"texts/{language}.json").body)
    return found


def keys() -> Iterator[str]:
    """Every text that the page asks for by name."""
    for name in PAGES.values():
        if name.endswith(".js"):
            yield from re.findall(r"""\bt\(\s*"([\w.]+)\"""", file(name).body.decode())


def test_every_text_is_there_in_every_language_with_the_same_places() -> None:
    english, german = texts("en"), texts("de")
    assert set(keys()) - english.keys() == set()
    assert english.keys() - german.keys() == set()
    for key, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", german[key])), key


def test_words_of_every_closed_set_are_translated() -> None:
    german = texts("de")
    for group, names in (("mode", MODES), ("alarm", ALARMS), ("health", [health.value for health in Health]),
                         ("kind", ("battery", "alarm", "mode", "limits", "guard", "note", "command"))):  # fmt: skip
        assert {f"{group}.{name}" for name in names} <= german.keys()
    assert CELL_OVP and SOC_SOURCES
    assert {key.partition(".")[2] for key in german if key.startswith("value.")} <= BY_NAME.keys()


def test_values_that_the_page_shows_by_name_are_in_the_list() -> None:
    for name in PAGES.values():
        if name.endswith(".js"):
            found: list[Any] = re.findall(r"""\b(?:show|signed|title)\(\s*"(\w+)\"""", file(name).body.decode())
            assert set(found) <= BY_NAME.keys(), name
