"""A private dbus-daemon and other people's programs to look at it with: dbus-send, dbus-monitor, busctl."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.model import Command, Outcome, Snapshot
from outputs.venus_dbus.output import VenusDbus
from outputs.venus_dbus.settings import Settings
from tests import make

BANK = "com.victronenergy.battery.bms_gateway"

CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>{own}
  </policy>
</busconfig>
"""


class Daemon:
    """A dbus-daemon on a socket of its own, which can die, come back and freeze."""

    def __init__(self, folder: Path, own: str = '<allow own="*"/>') -> None:
        self.address = f"unix:path={folder / 'bus'}"
        self._config = folder / "bus.conf"
        self._config.write_text(CONFIG.format(address=self.address, own=own))
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        Path(self.address.removeprefix("unix:path=")).unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("unix:")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def send(address: str, path: str, member: str, *arguments: str, service: str = BANK) -> str:
    """Output of dbus-send for one method of BusItem; its error text when it failed."""
    interface = "org.freedesktop.DBus.Introspectable" if member == "Introspect" else "com.victronenergy.BusItem"
    return _run(
        "dbus-send", f"--bus={address}", "--print-reply=literal", f"--dest={service}", path, f"{interface}.{member}",
        *arguments,
    )  # fmt: skip


def value(address: str, path: str, service: str = BANK) -> str:
    """A path's value as dbus-send prints it: "double 60", "array [ ]" for an invalid one."""
    return " ".join(send(address, path, "GetValue", service=service).removeprefix("   variant").split())


def names(address: str) -> list[str]:
    """Battery services on the bus."""
    text = _run(
        "dbus-send", f"--bus={address}", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
        "org.freedesktop.DBus.ListNames",
    )  # fmt: skip
    return sorted(re.findall(r"com\.victronenergy\.battery\.\w+", text))


def owner(address: str, service: str) -> str:
    """The unique name of the connection that owns a service."""
    return _run(
        "dbus-send", f"--bus={address}", "--print-reply=literal", "--dest=org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus.GetNameOwner", f"string:{service}",
    ).strip()  # fmt: skip


def items(address: str, service: str = BANK) -> str:
    """GetItems as dbus-send prints it, on one line."""
    text = _run(
        "dbus-send", f"--bus={address}", "--print-reply", f"--dest={service}", "/", "com.victronenergy.BusItem.GetItems"
    )  # fmt: skip
    return " ".join(text.split())


def tree(address: str, path: str = "/") -> set[str]:
    """Every path that a browser finds by asking each node for its children."""
    names = re.findall(r'<node name="(\w+)"/>', send(address, path, "Introspect"))
    return {path}.union(*(tree(address, f"{path.rstrip('/')}/{name}") for name in names))


def busctl(address: str, *arguments: str) -> str | None:
    """Output of systemd's busctl; None on a machine without it."""
    return _run("busctl", f"--address={address}", *arguments) if shutil.which("busctl") else None


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout if done.returncode == 0 else done.stderr


class Monitor:
    """dbus-monitor listening to ItemsChanged."""

    def __init__(self, address: str) -> None:
        rule = "type='signal',interface='com.victronenergy.BusItem'"
        self._text = tempfile.TemporaryFile("w+")  # noqa: SIM115, a pipe that nobody empties would hold it up
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", "dbus-monitor", "--address", address, rule],
            stdout=self._text, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def end(self) -> list[tuple[float, str]]:
        """Every signal so far: when, and its text."""
        self._process.terminate()
        self._process.wait()
        with self._text:
            self._text.seek(0)
            parts = re.split(r"^signal time=([0-9.]+) ", self._text.read(), flags=re.MULTILINE)[1:]
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return [(float(at), body) for at, body in pairs if "member=ItemsChanged" in body]


class Commands:
    """Stands for the gateway's end: what was asked, and what becomes of it when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self._futures: list[asyncio.Future[list[Outcome]]] = []

    def perform(self, command: Command) -> "asyncio.Future[list[Outcome]]":
        self.asked.append(command)
        self._futures.append(asyncio.get_running_loop().create_future())
        return self._futures[-1]

    def settle(self, number: int, *outcomes: Outcome) -> None:
        """The outcome of the command that was asked as the n-th, from 0."""
        self._futures[number].set_result(list(outcomes))

    def fail(self, number: int, fault: Exception) -> None:
        """A defect ended it."""
        self._futures[number].set_exception(fault)


@asynccontextmanager
async def gateway(
    address: str, identity: str = "test", clock: Callable[[], float] = time.monotonic, **settings: Any
) -> AsyncIterator[tuple[VenusDbus, list[Command]]]:  # fmt: skip
    """The output on a bus, and the commands that it asked for."""
    commands = Commands()
    output = VenusDbus(Settings(**settings), address, clock, commands.perform, identity)
    await output.start()
    try:
        yield output, commands.asked
    finally:
        await output.stop()


def now(valid_for: float = 5.0, **changes: Any) -> Snapshot:
    """A Snapshot of this moment."""
    at = time.monotonic()
    return make.snapshot(at, **{"valid_until": at + valid_for, **changes})


async def until(
    condition: Callable[[], object], within: float = 5.0, meanwhile: Callable[[], object] = lambda: None
) -> None:  # fmt: skip
    """Wait for a condition; `meanwhile` is done before each look at it."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        meanwhile()
        await asyncio.sleep(0.02)


async def off_loop(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Ask another program without holding up the loop."""
    return await asyncio.to_thread(function, *arguments, **named)


def connected(output: VenusDbus) -> Callable[[], object]:
    """Whether the bank is on the bus."""
    return lambda: output.status()["connected"]
