"""The doctor on machines that are laid out in a folder: real files, links, sockets and mode bits."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.claimed import rules, terminals
from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.doctor import ports, system
from gateway.doctor.machine import Machine, User
from gateway.doctor.table import CHECKS, Check, examine
from gateway.findings import Finding, sound
from gateway.home import DEBIAN, VENUS, homes, venus_version
from tests.e2e.house import PROGRAM

STRANGER = User("bms-gateway", 4711, frozenset({4711}))
ID = "usb-FTDI_FT232R_A50285BI-if00-port0"


def settings(port: str = "/dev/ttyUSB0", outputs: str = "{}", driver: str = "jbd") -> Settings:
    return parse(f"batteries:\n  - {{name: rack-1, driver: {driver}, port: '{port}'}}\noutputs: {outputs}\n")


def laid(root: Path, files: Mapping[str, str]) -> Path:
    """A system below `root`; a value that begins with -> is a link."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)
    return root


def told(check: Check, machine: Machine) -> dict[str, str]:
    """What is found: sentence -> level."""
    return {finding.what: finding.level for finding in check(machine)}


def one(check: Check, machine: Machine, word: str) -> Finding:
    """The finding with that word in it."""
    found = [finding for finding in check(machine) if word in finding.what]
    assert len(found) == 1, [finding.what for finding in check(machine)]
    return found[0]


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    """A machine with one adapter that everybody may open."""
    laid(tmp_path, {"dev/ttyUSB0": "", f"dev/serial/by-id/{ID}": "->../../ttyUSB0", "proc/cmdline": "quiet"})
    (tmp_path / "dev/ttyUSB0").chmod(0o666)
    return tmp_path


def test_a_port_that_changes_its_number_is_doubted_with_the_name_that_stays(usb: Path) -> None:
    machine = Machine(usb, settings=settings(), user=STRANGER)
    assert one(ports.ports, machine, "may open it").level == "fine"
    assert one(ports.ports, machine, "change places").do == f"write /dev/serial/by-id/{ID} in place of /dev/ttyUSB0"


def test_a_port_that_the_service_may_not_open_names_the_group(usb: Path) -> None:
    (usb / "dev/ttyUSB0").chmod(0o660)
    found = one(ports.ports, Machine(usb, settings=settings(), user=STRANGER), "may not open")
    assert (found.level, found.do.split(",")[0]) == ("fault", "sudo usermod -aG root bms-gateway")
    member = User("bms-gateway", 4711, frozenset({os.getgid()}))
    assert one(ports.ports, Machine(usb, settings=settings(), user=member), "may open it").level == "fine"


def test_a_port_that_another_program_has_open_names_it(usb: Path) -> None:
    laid(usb, {"proc/77/comm": "minicom\n", "proc/77/fd/3": f"->{usb}/dev/ttyUSB0"})
    found = one(ports.ports, Machine(usb, settings=settings(), user=STRANGER), "minicom (process 77) has it open")
    assert found.level == "fault"
    ours = Machine(usb, settings=settings(), user=STRANGER, state={"service": {"process": 77}})
    assert one(ports.ports, ours, "may open it").level == "fine", "the running gateway itself"


def test_a_port_with_the_kernels_console_is_a_fault(usb: Path) -> None:
    laid(usb, {"dev/serial0": "->ttyUSB0"})
    (usb / "proc/cmdline").write_text("console=serial0,115200 console=tty1 root=PARTUUID=1")
    found = one(ports.ports, Machine(usb, settings=settings(), user=STRANGER), "console is on it")
    assert "raspi-config" in found.do


def test_modem_manager_is_doubted_until_our_rules_keep_it_away(usb: Path) -> None:
    laid(usb, {"proc/9/comm": "ModemManager\n"})
    machine = Machine(usb, settings=settings(), user=STRANGER)
    assert one(ports.ports, machine, "ModemManager runs").level == "doubt"
    laid(usb, {"etc/udev/rules.d/70-bms-gateway.rules": rules(settings())})
    assert not [what for what in told(ports.ports, machine) if "ModemManager" in what]


def test_a_port_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    machine = Machine(tmp_path, settings=settings("/dev/ttyUSB99"), user=STRANGER)
    assert one(ports.ports, machine, "/dev/ttyUSB99 is not there now").level == "fault"


def test_rules_name_the_adapter_or_the_number() -> None:
    assert 'KERNEL=="ttyUSB0", ENV{VE_SERVICE}="ignore"' in rules(settings())
    assert f'SYMLINK=="serial/by-id/{ID}", ENV' in rules(settings(f"/dev/serial/by-id/{ID}"))
    assert 'SYMLINK=="serial/by-id/odd?name"' in rules(settings("/dev/serial/by-id/odd\\name"))
    assert "ttyACM0" in rules(settings(outputs="{can_bms: {interface: slcan, channel: /dev/ttyACM0@115200}}"))
    assert rules(settings("socket://host:1")).count("\n") == 1, "nothing but the head"


def test_ports_that_are_there_are_called_as_the_kernel_calls_them(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("batteries:\n  - {name: a, driver: jbd, port: /dev/stdin}\n")
    assert list(terminals(settings("/dev/ttyUSB99"))) == []
    done = subprocess.run([PROGRAM, "ports", str(tmp_path / "gateway.yaml")], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=True)  # fmt: skip
    assert done.stdout == "null\n"


def test_can_interfaces_are_those_of_the_configuration(tmp_path: Path) -> None:
    both = settings("can98", "{can_bms: {interface: socketcan, channel: can99}}", "jk_can")
    found = told(ports.can, Machine(tmp_path, settings=both))
    assert found == {"there is no interface can98": "fault", "there is no interface can99": "fault"}
    assert told(ports.can, Machine(tmp_path, settings=settings())) == {}


def test_bluetooth_wants_its_daemon(tmp_path: Path) -> None:
    air = parse("batteries:\n  - {name: a, driver: jbd_ble, port: 'ble:AA:BB:CC:DD:EE:FF'}\n")
    laid(tmp_path, {"sys/class/bluetooth/hci0/x": "", "proc/5/comm": "cron\n"})
    assert one(ports.bluetooth, Machine(tmp_path, settings=air), "bluetoothd").level == "fault"
    (tmp_path / "proc/5/comm").write_text("bluetoothd\n")
    assert one(ports.bluetooth, Machine(tmp_path, settings=air), "bluetoothd").level == "fine"


@pytest.mark.parametrize(
    ("venus", "listening", "level"),
    [(True, True, "fine"), (True, False, "fault"), (False, True, "doubt"), (False, False, "doubt")],
)
def test_dbus_is_a_must_on_a_gx_and_a_doubt_elsewhere(tmp_path: Path, venus: bool, listening: bool, level: str) -> None:
    laid(tmp_path, {"run/x": "", **({"opt/victronenergy/version": "v3.60\n"} if venus else {})})
    with socket.socket(socket.AF_UNIX) as daemon:
        if listening:
            daemon.bind(str(tmp_path / "run/bus"))
            daemon.listen()
        machine = Machine(tmp_path, settings=settings(outputs="{venus_dbus: {}}"),
                          environment={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/bus"})  # fmt: skip
        assert list(told(ports.dbus, machine).values()) == [level]


def test_disk_and_rights_of_the_state_directory(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    own = settings().changed(state_dir=folder)
    machine = Machine(tmp_path, settings=own, user=STRANGER)
    assert one(system.disk, machine, "MB left").level in ("fine", "doubt"), "it will be made"
    folder.mkdir()
    assert one(system.disk, machine, "may not write there").do == f"sudo chown -R bms-gateway {folder}"


def test_a_weak_supply_is_told_as_the_firmware_tells_it(tmp_path: Path) -> None:
    assert told(system.power, Machine(tmp_path)) == {}
    place = laid(tmp_path, {system.THROTTLED[1:]: "50000\n"}) / system.THROTTLED[1:]
    assert one(system.power, Machine(tmp_path), "too weak (since the last boot)").level == "doubt"
    place.write_text("0\n")
    assert one(system.power, Machine(tmp_path), "strong enough").level == "fine"


def test_the_configuration_is_a_must_and_each_mistake_is_told(tmp_path: Path) -> None:
    assert one(system.configuration, Machine(tmp_path), "no gateway.yaml").do == "bms-gateway init"
    machine = Machine(tmp_path, config=tmp_path / "g.yaml", mistakes=("g.yaml:3: port: wrong",))
    assert told(system.configuration, machine) == {"g.yaml:3: port: wrong": "fault"}


def test_the_clock_and_the_versions_are_told_on_any_machine(tmp_path: Path) -> None:
    assert len(told(system.clock, Machine(tmp_path))) == 1
    assert "Venus OS v3.70" in next(
        iter(told(system.versions, Machine(laid(tmp_path, {"opt/victronenergy/version": "v3.70\n1"}))))
    )


def test_an_installed_gateway_must_run(tmp_path: Path) -> None:
    assert list(told(system.service, Machine(tmp_path)).values()) == ["doubt"]
    found = one(system.service, Machine(tmp_path, home=DEBIAN), "no gateway runs")
    assert (found.level, found.do) == ("fault", "sudo systemctl restart bms-gateway")


def test_homes_are_found_by_what_is_installed(tmp_path: Path) -> None:
    assert (list(homes(tmp_path)), venus_version(tmp_path)) == ([], "")
    laid(tmp_path, {"data/apps/bms-gateway/current/x": "", "opt/bms-gateway/current/x": ""})
    assert list(homes(tmp_path)) == [VENUS, DEBIAN]


def test_a_check_that_cannot_look_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def blind(machine: Machine) -> Any:
        raise PermissionError(13, "Permission denied")
        yield

    monkeypatch.setitem(CHECKS, "ports", blind)
    found = list(examine(Machine(tmp_path)))
    assert [finding.level for name, finding in found if name == "ports"] == ["doubt"]
    assert {"versions", "service"} <= {name for name, _ in found}


@pytest.mark.parametrize(
    ("yaml", "code"), [("batteries:\n  - {name: a, driver: jbd, port: simulated}\n", 0), ("x: 1", 1)]
)
def test_the_command_ends_with_1_when_something_must_be_done(tmp_path: Path, yaml: str, code: int) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml)
    environment = {**os.environ, "BMS_GATEWAY_SOCKET": str(tmp_path / "none"), "STATE_DIRECTORY": str(tmp_path)}
    done = subprocess.run([PROGRAM, "doctor", str(file), "--json", "--socket", str(tmp_path / "none")],
                          capture_output=True, text=True, timeout=30, check=False, env=environment)  # fmt: skip
    told = json.loads(done.stdout)
    assert (done.returncode, told["sound"], done.stderr) == (code, code == 0, "")
    assert all(finding["do"] for finding in told["findings"] if finding["level"] != "fine")


def test_every_fault_and_doubt_says_what_to_do(usb: Path) -> None:
    found = [finding for _, finding in examine(Machine(usb, settings=settings(), user=STRANGER, home=DEBIAN))]
    assert not sound(found)
    assert all(finding.do for finding in found if finding.level != "fine")
