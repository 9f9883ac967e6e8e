"""What may be configured, and which bus that means."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from gateway.model.validation import validated
from outputs import registry
from outputs.venus_dbus.bus import bus_address
from outputs.venus_dbus.members import legal, unique
from outputs.venus_dbus.settings import QUIRKS, Settings
from outputs.venus_dbus.tree import Tree


def test_nothing_needs_to_be_said() -> None:
    settings = Settings()
    assert (settings.device_instance, settings.product_id, settings.leave_after) == (1, 0xBAFE, None)
    assert settings.product_id not in QUIRKS
    assert registry.settings_class("venus_dbus") is Settings


@pytest.mark.parametrize("product", sorted(QUIRKS))
def test_ids_that_change_the_limits_are_refused_with_the_reason(product: int) -> None:
    with pytest.raises(ValidationError, match=r"systemcalc .* expected an id without effects"):
        validated(Settings, {"product_id": product})


def test_the_id_of_dbus_serialbattery_may_be_chosen() -> None:
    assert validated(Settings, {"product_id": 0xBA77}).product_id == 0xBA77


@pytest.mark.parametrize(
    "wrong", [{"service": "1x"}, {"service": "a-b"}, {"leave_after": 0}, {"unknown": 1}, {"bus": "starter"}]
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        validated(Settings, wrong)


def test_the_bus_follows_the_environment() -> None:
    session, system = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/s"}, {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/y"}
    assert bus_address("auto", {**session, **system}) == "unix:path=/s"
    assert bus_address("auto", system) == "unix:path=/y"
    assert bus_address("auto", {}) == "unix:path=/var/run/dbus/system_bus_socket"
    assert bus_address("system", session) == "unix:path=/var/run/dbus/system_bus_socket"
    assert bus_address("session", {"XDG_RUNTIME_DIR": "/run/user/7"}) == "unix:path=/run/user/7/bus"
    assert bus_address("session", {}) == f"unix:path=/run/user/{os.getuid()}/bus"


def test_settings_load_no_d_bus() -> None:
    script = "import sys, outputs.venus_dbus.settings; sys.exit('dbus' in sys.modules or 'gi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_names_of_batteries_become_names_of_services() -> None:
    assert legal("rack 1/ü") == "rack_1__"
    assert unique("x_rack", {"com.victronenergy.battery.x_rack"}) == "x_rack_2"
    assert unique("x_rack", set()) == "x_rack"


def test_an_empty_tree_has_no_nodes_but_its_own() -> None:
    assert Tree().children("/") == []
