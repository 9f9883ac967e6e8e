"""Checks of what batteries and inverters are connected to: serial ports, CAN, Bluetooth, D-Bus."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.claimed import devices
from gateway.config.doubts import absent
from gateway.config.schema import port_kind
from gateway.doctor.machine import Machine
from gateway.extras import missing
from gateway.findings import Finding, Level
from gateway.home import venus_version
from outputs.registry import of_kind

RULES: Final = ("/etc/udev/rules.d/70-bms-gateway.rules", "/run/udev/rules.d/zz-bms-gateway.rules")
NOT_THERE: Final = "plug it in, or correct the name in gateway.yaml"


def ports(machine: Machine) -> Iterator[Finding]:
    """Serial ports: there, ours to open, and nobody else's."""
    if machine.settings is None:
        return
    for sentence in absent(machine.settings):
        yield Finding("fault", sentence, f"{NOT_THERE}: {sentence.partition(':')[0]}")
    for name in devices(machine.settings):
        path = machine.at(name)
        if path.exists():
            yield from _one(machine, name, path)
    if devices(machine.settings) and _runs(machine, "ModemManager") and not _kept_away(machine):
        yield Finding("doubt", "ModemManager runs: it sends modem commands into serial ports that are plugged in",
                      "bms-gateway ports --udev FILE | sudo tee /etc/udev/rules.d/70-bms-gateway.rules; sudo udevadm "
                      "control --reload; plug the adapter in again (or: sudo apt purge modemmanager)")  # fmt: skip


def _one(machine: Machine, name: str, path: Path) -> Iterator[Finding]:
    user, terminal = machine.user, path.resolve()
    if not user.may(terminal, write=True):
        group = terminal.group() if terminal.stat().st_gid else "root"
        yield Finding(
            "fault",
            f"{name}: {user.name} may not open it (it is for the group {group})",
            f"sudo usermod -aG {group} {user.name}, then log in again; for the service: sudo ./install again",
        )
    elif holder := _holder(machine, terminal):
        yield Finding("fault", f"{name}: {holder} has it open", f"stop {holder}, or take another port")
    elif terminal.name in _consoles(machine):
        yield Finding(
            "fault",
            f"{name}: the kernel's console is on it, so boot messages go to the BMS",
            "sudo raspi-config, Interface Options, Serial Port: no login shell, hardware enabled; reboot",
        )
    else:
        yield Finding("fine", f"{name}: there, and {user.name} may open it")
    stable = _stable(machine, terminal)
    if re.fullmatch(r"/dev/tty(USB|ACM)\d+", name) and stable:
        yield Finding(
            "doubt", f"{name}: such numbers change places after a reboot", f"write {stable} in place of {name}"
        )


def _stable(machine: Machine, terminal: Path) -> str:
    """The name of an adapter that stays its own."""
    for folder in ("/dev/serial/by-id", "/dev/serial/by-path"):
        links = sorted(machine.at(folder).glob("*")) if machine.at(folder).is_dir() else []
        for link in links:
            if link.resolve() == terminal:
                return f"{folder}/{link.name}"
    return ""


def _consoles(machine: Machine) -> set[str]:
    """Terminals that the kernel writes to: console=serial0,115200."""
    names = re.findall(r"console=([A-Za-z]+\d+)", machine.text("/proc/cmdline"))
    return {machine.at(f"/dev/{name}").resolve().name for name in names}


def _holder(machine: Machine, terminal: Path) -> str:
    """Another program that has the terminal open, as far as we may look; "" = none."""
    ours = {os.getpid(), machine.state.get("service", {}).get("process")}
    for process in machine.at("/proc").glob("[0-9]*"):
        if int(process.name) not in ours and _has_open(process, terminal):
            return f"{_comm(process)} (process {process.name})"
    return ""


def _has_open(process: Path, terminal: Path) -> bool:
    try:
        return any(handle.readlink() == terminal for handle in (process / "fd").iterdir())
    except OSError:
        return False


def _runs(machine: Machine, name: str) -> bool:
    return any(_comm(process) == name for process in machine.at("/proc").glob("[0-9]*"))


def _comm(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def _kept_away(machine: Machine) -> bool:
    return any(machine.at(rules).exists() for rules in RULES)


def can(machine: Machine) -> Iterator[Finding]:
    """CAN interfaces, as `can doctor` looks at them before it listens."""
    if machine.settings is None:
        return
    wanted = {battery.port: None for battery in machine.settings.batteries if port_kind(battery.port) == "can"}
    outputs = of_kind("can_bms", machine.settings.outputs).values()
    wanted |= {output.channel: output.bitrate for output in outputs if output.interface == "socketcan"}
    if not wanted or missing("can", "can", "cantools"):
        return
    from outputs.can_bms import doctor

    for channel, bitrate in wanted.items():
        link = doctor.read(channel)
        yield from doctor.examine(channel, link, bitrate or (link.bitrate if link and link.bitrate else 500_000))


def bluetooth(machine: Machine) -> Iterator[Finding]:
    """The adapter and the daemon, where a battery is in the air."""
    if machine.settings is None or not any(port_kind(battery.port) == "ble" for battery in machine.settings.batteries):
        return
    if not any(machine.at("/sys/class/bluetooth").glob("hci*")):
        return  # said as a port that is not there
    if _runs(machine, "bluetoothd"):
        yield Finding("fine", "Bluetooth: an adapter and bluetoothd")
    else:
        yield Finding(
            "fault", "Bluetooth: bluetoothd does not run", "sudo apt install bluez; sudo systemctl start bluetooth"
        )


def dbus(machine: Machine) -> Iterator[Finding]:
    """The bus, where it is configured."""
    output = machine.settings.outputs.get("venus_dbus") if machine.settings is not None else None
    if output is None or missing("outputs.venus_dbus", "dbus", "gi"):
        return
    from outputs.venus_dbus.bus import bus_address

    address = bus_address(getattr(output, "bus", "auto"), machine.environment)
    fault = _unreachable(machine, address)
    if fault:
        level: Level = "fault" if venus_version(machine.root) else "doubt"  # elsewhere the output only waits for it
        yield Finding(level, f"D-Bus: {address}: {fault}", "sudo apt install dbus; sudo systemctl start dbus; or, "
                      "where this is no GX, remove venus_dbus from outputs")  # fmt: skip
    elif venus_version(machine.root) or "DBUS_SESSION_BUS_ADDRESS" in machine.environment:
        yield Finding("fine", f"D-Bus: {address} listens")
    else:
        yield Finding("doubt", "D-Bus: this is no GX, and a Debian's system bus lets nobody be a battery of Venus OS",
                      "remove venus_dbus from outputs, unless you have given the bus a policy for it")  # fmt: skip


def _unreachable(machine: Machine, address: str) -> str:
    """Why nobody can connect; "" = one can, or it is an address that cannot be tried so."""
    found = re.match(r"unix:(path|abstract)=([^,;]+)", address)
    if not found:
        return ""
    name = str(machine.at(found[2])) if found[1] == "path" else f"\0{found[2]}"
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2.0)
            probe.connect(name)
    except OSError as problem:
        return problem.strerror or str(problem)
    return ""
