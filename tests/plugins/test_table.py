"""Samples of the library become Readings: a table on plain data, so no library is needed.

Names, units and signs: aiobmsble/__init__.py (BMSSample, TempSensor).
"""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.aiobmsble import DRIVER, OF_PACKS, TEXTS, VALUES, proof, values_of
from bms_drivers.kit import plugins, registry
from bms_drivers.kit.decode import decode
from gateway.config.doubts import doubts
from gateway.config.load import parse
from gateway.model import ConfigError, Reading, WrongDevice
from gateway.plausible import plausible

WHOLE = {
    "voltage": 52.9, "current": -12.5, "battery_level": 81, "battery_health": 99, "design_capacity": 280,
    "cycle_charge": 226.8, "cycles": 12, "cell_count": 4, "chrg_mosfet": True, "dischrg_mosfet": False,
    "balancer": 5, "heater": False, "cell_voltages": [3.3, 3.31, 3.32, 3.33],
    "temp_values": [[21.5, "CELL"], [-3.0, "GENERIC"], [40.0, "MOSFET"], [41.0, "MOSFET"], [18.0, "AMBIENT"]],
}  # fmt: skip


def reading(sample: dict[str, Any]) -> Reading:
    return readings(sample)[""]


def readings(sample: dict[str, Any], **about: str) -> dict[str, Reading]:
    """Through the driver, as they come over its link."""
    exchanges = [
        {"tx": f"{word}\n".encode().hex(), "rx": [f"{word} {json.dumps(told)}\n".encode().hex()]}
        for word, told in (("sample", sample), ("about", about))
    ]
    found = decode(DRIVER, {"exchanges": exchanges})
    assert not found.errors, found.errors
    return dict(found.readings)


def test_each_value_has_its_place_and_its_unit() -> None:
    got = reading(WHOLE)
    assert (got.voltage, got.current, got.soc, got.soh) == (52.9, -12.5, 81, 99)
    assert (got.capacity, got.remaining_capacity, got.charge_cycles, got.cell_count) == (280, 226.8, 12, 4)
    assert got.cell_voltages == (3.3, 3.31, 3.32, 3.33)
    assert (got.temperatures, got.mosfet_temperature, got.ambient_temperature) == ((21.5, -3.0), 41.0, 18.0)
    assert (got.charge_allowed, got.discharge_allowed, got.balancing, got.heating) == (True, False, True, False)


def test_what_is_missing_is_not_known_and_never_0() -> None:
    got = reading({"voltage": 52.9})
    assert got == Reading(voltage=52.9)
    assert got.alarms == {}


@pytest.mark.parametrize("name", [*VALUES, "cell_voltages", "temp_values"])
def test_each_alone_may_be_missing(name: str) -> None:
    whole, less = reading(WHOLE), reading({key: value for key, value in WHOLE.items() if key != name})
    changed = {field for field in Reading.__dataclass_fields__ if getattr(whole, field) != getattr(less, field)}
    own = {VALUES[name][0]} if name in VALUES else {name}
    assert changed == ({"temperatures", "mosfet_temperature", "ambient_temperature"} if name == "temp_values" else own)
    assert all(getattr(less, field) in (None, ()) for field in changed)


@pytest.mark.parametrize("junk", ["52.9", None, [1], {}, float("nan"), float("inf")])
def test_what_is_no_number_is_not_known(junk: object) -> None:
    got = reading({**WHOLE, "voltage": junk, "cell_voltages": [3.3, junk, 3.32, 3.33], "temp_values": [[junk, "CELL"]]})
    assert (got.voltage, got.cell_voltages, got.temperatures) == (None, (3.3, None, 3.32, 3.33), (None,))


def test_true_is_no_number() -> None:
    assert reading({**WHOLE, "current": True}).current is None


def test_a_cell_that_was_left_out_is_one_that_nobody_knows() -> None:
    got = reading({**WHOLE, "cell_voltages": [3.3, 3.31, 3.33]})
    assert got.cell_voltages == (3.3, 3.31, 3.33, None)
    assert reading({"voltage": 13.2, "cell_count": 4}).cell_voltages == (), "no cell is told at all"


def test_cells_of_several_strings_are_no_surplus() -> None:
    got = reading({**WHOLE, "cell_voltages": [3.3] * 8})
    assert (got.cells, got.strings) == (4, 2)


def test_a_lone_temperature_is_that_of_the_cells() -> None:
    assert reading({"voltage": 13.2, "temperature": 19.0}).temperatures == (19.0,)
    assert reading({**WHOLE, "temperature": 99.0}).temperatures == (21.5, -3.0), "a mean of those that are told"


@pytest.mark.parametrize(
    ("told", "alarms"),
    [
        ({}, {}),
        ({"problem_code": 0}, {"internal_failure": 0}),
        ({"problem_code": 0x2000}, {"internal_failure": 1}),
        ({"problem": True}, {"internal_failure": 1}),
        ({"problem": False, "problem_code": 4}, {"internal_failure": 1}),
    ],
)
def test_a_problem_is_a_warning_as_nobody_knows_which(told: dict[str, Any], alarms: dict[str, int]) -> None:
    assert reading({**WHOLE, **told}).alarms == alarms


PACKS = {
    "voltage": 52.9, "current": 20.0, "pack_count": 2, "problem_code": 3, "chrg_mosfet": True,
    "packs": [{"voltage": 52.8, "current": 8.0, "battery_level": 40}, {"voltage": 52.9, "current": 12.0}],
}  # fmt: skip


def test_each_pack_is_a_battery_and_has_what_is_said_of_all() -> None:
    got = readings(PACKS)
    assert [(key, pack.voltage, pack.current, pack.soc) for key, pack in got.items()] == [
        ("1", 52.8, 8.0, 40), ("2", 52.9, 12.0, None),
    ]  # fmt: skip
    assert all(pack.charge_allowed and pack.alarms == {"internal_failure": 1} for pack in got.values())


def test_a_set_of_which_packs_are_not_told_is_no_reading() -> None:
    line = f"sample {json.dumps({**PACKS, 'pack_count': 3})}\n".encode().hex()
    found = decode(DRIVER, {"exchanges": [{"tx": b"sample\n".hex(), "rx": [line]}]})
    assert not found.readings
    assert found.errors == ["sample: packs 2 outside 3, as many as there are behind this one; read each by itself"]


def test_what_it_says_of_itself() -> None:
    about = {"manufacturer": "Vatrer", "model": "smart BMS", "fw_version": "2", "sw_version": "8.0", "name": "shed"}
    got = readings(WHOLE, **about)[""]
    assert (got.manufacturer, got.model, got.firmware_version, got.custom_name) == (
        "Vatrer",
        "smart BMS",
        "8.0",
        "shed",
    )
    assert got.serial_number is None


def test_a_reading_in_which_nothing_fits_is_refused_as_of_any_driver() -> None:
    with pytest.raises(Exception, match=r"cell_voltages\[1\] 33.6 outside"):
        plausible(reading({**WHOLE, "cell_voltages": [33.6, 3.3, 3.3, 3.3]}))


SCALARS = [None, True, 0, -1, 2**70, 3.3, math.nan, -math.inf, "", "x"]
JUNK = st.sampled_from([
    *SCALARS, [], SCALARS, [SCALARS], [[3.3, "CELL"], [None, 1], [], ["x", "MOSFET"], [True, "MOSFET"]], {}, {"x": 1},
])  # fmt: skip
KEYS = (*VALUES, *OF_PACKS, "problem", "problem_code", "pack_count", "packs")


@settings(max_examples=50, deadline=None)
@given(sample=st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=8))
def test_no_sample_makes_a_value_of_the_wrong_kind(sample: dict[str, Any]) -> None:
    got = values_of(sample)
    assert all(isinstance(got[name], int | float | None) for name, _ in VALUES.values())
    assert all(volts is None or isinstance(volts, int | float) for volts in got["cell_voltages"])
    assert all(isinstance(level, int) for level in got["alarms"].values())


def test_only_a_voltage_that_its_cells_make_proves_a_battery() -> None:
    good = {
        "voltage": 13.26,
        "cell_voltages": (3.3, 3.31, 3.32, 3.33),
        "manufacturer": "Vatrer",
        "_plugin": "vatrer_bms",
    }
    assert proof(good) == "Vatrer, read by the library aiobmsble (vatrer_bms)"
    for bad in ({}, {"voltage": 0}, {**good, "voltage": 26.5}):
        with pytest.raises(WrongDevice, match="no battery"):
            proof(bad)


# ---- which plug-in


def test_the_plug_in_that_is_named_speaks() -> None:
    ble = DRIVER.made_for({"model": None, "password": "123456"}).ble
    assert ble is not None and ble.plugin is not None
    assert (ble.plugin.name, ble.plugin.password) == ("", "123456")


def test_a_plug_in_that_there_is_not_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda: ["jbd_bms", "vatrer_bms"])
    assert DRIVER.made_for({"model": "vatrer_bms"}).ble is not None
    with pytest.raises(ConfigError, match=r"model: aiobmsble has no plug-in 'vatrer', did you mean vatrer_bms\?"):
        DRIVER.made_for({"model": "vatrer"})


def test_check_names_our_own_driver_where_there_is_one() -> None:
    def said(model: str) -> list[str]:
        text = f'batteries: [{{name: a, driver: aiobmsble, port: "ble:C8:47:8C:00:00:01", model: {model}}}]\n'
        return [doubt for doubt in doubts(parse(text, "x.yaml")) if "expected driver" in doubt]

    assert said("jbd_bms") == [
        "a: driver jbd_ble reads the same BMS and knows its alarms and switches; expected driver: jbd_ble"
    ]
    assert said("vatrer_bms") == []


def test_check_warns_where_one_adapter_may_have_two_names() -> None:
    def said(*ports: str) -> int:
        each = [
            f'{{name: {name}, driver: jbd_ble, port: "ble:{port}"}}' for name, port in zip("ab", ports, strict=True)
        ]
        return sum(
            "name their adapter" in doubt for doubt in doubts(parse(f"batteries: [{', '.join(each)}]", "x.yaml"))
        )

    one, two = "C8:47:8C:00:00:01", "C8:47:8C:00:00:02"
    assert (said(one, f"{two}@hci0"), said(one, two), said(f"{one}@hci1", f"{two}@hci0")) == (1, 0, 0)


def test_ours_are_drivers_of_ours() -> None:
    for name in plugins.OURS.values():
        assert "ble" in registry.load(name).transports


def test_every_text_is_a_name_of_a_reading() -> None:
    assert set(TEXTS) <= set(Reading.__dataclass_fields__)
