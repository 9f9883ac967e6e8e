"""Checks of the machine itself: versions, libraries, clock, disk, power; and of the service."""

import ctypes
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import gateway
from gateway import VERSION
from gateway.config.doubts import doubts
from gateway.config.parts import missing_parts
from gateway.config.schema import installed
from gateway.doctor.machine import Machine
from gateway.extras import LIBRARIES, install, missing
from gateway.findings import Finding, Level
from gateway.home import venus_version
from gateway.settled import faulty
from gateway.store import default_directory

OLDEST: Final = (3, 11)
FULL: Final = 5e6  # bytes left
SHORT: Final = 50e6
UNSYNCHRONISED: Final = 5  # adjtimex(2): TIME_ERROR
THROTTLED: Final = "/sys/devices/platform/soc/soc:firmware/get_throttled"
UNDER_VOLTAGE: Final = {0: "now", 16: "since the last boot"}  # bits of it; Raspberry Pi documentation, vcgencmd


def versions(machine: Machine) -> Iterator[Finding]:
    """Who we are, and on what we run."""
    venus = venus_version(machine.root)
    system = f"Venus OS {venus}" if venus else f"Linux {platform.release()}"
    told = f"bms-gateway {VERSION}, Python {platform.python_version()}, {system}, {platform.machine()}"
    if sys.version_info < OLDEST:
        yield Finding("fault", f"{told}: this Python is too old", "Python 3.11 or newer: Debian 12, Venus OS 3.60")
    else:
        yield Finding("fine", told)


def configuration(machine: Machine) -> Iterator[Finding]:
    """The file, and what is wrong or doubtful in it."""
    if machine.config is None:
        yield Finding("fault", "there is no gateway.yaml", "bms-gateway init")
        return
    for mistake in machine.mistakes:
        yield Finding("fault", mistake, f"correct it, then: bms-gateway check {machine.config}")
    if machine.settings is None:
        return
    names = ", ".join(battery.name for battery in machine.settings.batteries)
    yield Finding("fine", f"{machine.config}: {names}; outputs {', '.join(machine.settings.outputs) or 'none'}")
    if not machine.user.may(machine.config):
        why = f"{machine.config}: {machine.user.name} may not read it"
        yield Finding("fault", why, f"sudo chmod 644 {machine.config}")
    for doubt in doubts(machine.settings):
        if doubt not in missing_parts(machine.settings, installed()):
            yield Finding("doubt", doubt, f"see {machine.config}: {doubt.partition(':')[0]}")


def libraries(machine: Machine) -> Iterator[Finding]:
    """Optional libraries: those that the configuration wants must be there."""
    wanted = missing_parts(machine.settings, installed()) if machine.settings is not None else []
    for sentence in wanted:
        yield Finding("fault", sentence.partition("; ")[0], sentence.partition("install it with: ")[2])
    lacking = sorted({extra for module, (_, extra) in LIBRARIES.items() if extra and missing(extra, module)})
    if not wanted:
        there = "all optional libraries are here" if not lacking else f"not here, and not needed: {', '.join(lacking)}"
        told = f"libraries: {there}" + (f" (as {install(lacking[0])})" if lacking else "")
        yield Finding("fine", told)


def clock(machine: Machine) -> Iterator[Finding]:
    """The time of day: history and the periodic full charge count days by it."""
    written = Path(gateway.__file__).stat().st_mtime
    if time.time() < written - 86400:
        yield Finding("fault", f"the clock says {time.strftime('%Y-%m-%d %H:%M')}, before this version was installed",
                      "set it, or give the machine a network or a clock chip: timedatectl set-ntp true")  # fmt: skip
    elif _adjtimex() == UNSYNCHRONISED:
        yield Finding("doubt", "the clock is set by nobody (no NTP); history counts days by it",
                      "sudo timedatectl set-ntp true; without a network a clock chip (RTC)")  # fmt: skip
    else:
        yield Finding("fine", "the clock is synchronised")


def _adjtimex() -> int:
    """The kernel's word on its clock: 5 = not synchronised, -1 = not told.  Reads only (modes 0)."""
    room = ctypes.create_string_buffer(512)  # struct timex has 208 bytes or less
    return int(ctypes.CDLL(None).adjtimex(room))


def disk(machine: Machine) -> Iterator[Finding]:
    """Where the state is kept: there, ours, writable, with room."""
    folder = _state_folder(machine)
    if folder is None:
        yield Finding("doubt", "no place for what survives a restart", "set state_dir in gateway.yaml")
        return
    there = folder
    while not there.exists():
        there = there.parent
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    if room.f_flag & os.ST_RDONLY:
        yield Finding("fault", f"{folder}: on a file system that is read only", "see dmesg; is an SD card worn out?")
    elif free < FULL or (room.f_files and not room.f_favail):
        yield Finding("fault", f"{folder}: the disk is full", "remove something there; state is not saved meanwhile")
    elif there == folder and not machine.user.may(folder, write=True):
        why = f"{folder}: {machine.user.name} may not write there"
        yield Finding("fault", why, f"sudo chown -R {machine.user.name} {folder}")
    else:
        level: Level = "doubt" if free < SHORT else "fine"
        yield Finding(level, f"{folder}: {free / 1e6:.0f} MB left", "make room there")


def _state_folder(machine: Machine) -> Path | None:
    """As the service has it; without one, as it would be for whoever asks."""
    if machine.settings is not None and machine.settings.state_dir is not None:
        return machine.settings.state_dir
    return machine.at(machine.home.state) if machine.home is not None else default_directory(machine.environment)


def power(machine: Machine) -> Iterator[Finding]:
    """A Raspberry Pi says when its supply is too weak: USB adapters fail first."""
    told = machine.text(THROTTLED)
    if not told:
        return
    when = [words for bit, words in UNDER_VOLTAGE.items() if int(told, 16) >> bit & 1]
    if when:
        yield Finding("doubt", f"the supply is too weak ({', '.join(when)})", "a stronger supply, a short thick cable")
    else:
        yield Finding("fine", "the supply is strong enough")


def service(machine: Machine) -> Iterator[Finding]:
    """The running gateway."""
    if not machine.state:
        start = f"sudo {machine.home.start}" if machine.home is not None else "sudo ./install, or: bms-gateway run"
        yield Finding("fault" if machine.home is not None else "doubt", "no gateway runs that we may ask", start)
        return
    about = machine.state.get("service", {})
    problems = list(faulty(machine.state, VERSION, {}, time.time()))
    look = f"its log says more: {machine.home.log}" if machine.home is not None else "its log says more"
    for problem in problems:
        yield Finding("doubt", f"the running gateway: {problem}", look)
    for battery in machine.state.get("batteries", ()):
        if battery["health"] != "online":
            yield Finding("doubt", f"{battery['name']}: {battery['health']}: {battery['remark']}", "bms-gateway status")
    for name, output in machine.state.get("outputs", {}).items():
        if not output.get("connected"):
            yield Finding("doubt", f"output {name}: not connected: {output.get('problem', '')}", "bms-gateway status")
    if not problems:
        yield Finding("fine", f"bms-gateway {about.get('version')} runs (process {about.get('process')})")
