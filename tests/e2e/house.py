"""A house to test in: simulators, a gateway and a D-Bus daemon, each in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PROGRAM = str(Path(sys.executable).parent / "bms-gateway")
SERVICE = "com.victronenergy.battery.bms_gateway"
ITEM = "com.victronenergy.BusItem"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>"""


@dataclass
class House:
    """Everything that runs, in one folder."""

    folder: Path
    processes: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)  # of the environment of what is started from now on

    @property
    def environment(self) -> dict[str, str]:
        """What the processes see: their own D-Bus, state and control socket."""
        return {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folder}/bus",
            "STATE_DIRECTORY": str(self.folder / "state"),
            "BMS_GATEWAY_SOCKET": str(self.folder / "control"),
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "1",  # as the service has it
            **self.more,
        }

    def start(self, name: str, *words: str, stdin: int | IO[Any] = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        """Start a process; its output goes to `<folder>/<name>.log`."""
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                words, stdin=stdin, stdout=log, stderr=subprocess.STDOUT, env=self.environment, text=True
            )
        self.processes[name] = process
        return process

    def bus(self) -> None:
        """A private dbus-daemon."""
        config = self.folder / "bus.conf"
        config.write_text(BUS.format(path=self.folder / "bus"))
        (self.folder / "bus").unlink(missing_ok=True)
        self.start("dbus", "dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile")
        until((self.folder / "bus").exists, 10, "a D-Bus socket")

    def pack(self, name: str, driver: str, *more: str) -> Path:
        """A simulated device; returns the path it answers on."""
        link = self.folder / name
        self.start(name, PROGRAM, "simulate", driver, "--link", str(link), *more, stdin=subprocess.PIPE)
        until(link.exists, 15, f"the simulator {name}")
        return link

    def tell(self, name: str, line: str) -> None:
        """Say a line to a simulator's standard input."""
        pipe = self.processes[name].stdin
        assert pipe is not None
        pipe.write(line + "\n")
        pipe.flush()

    def gateway(self, config: str, log: str = "info") -> "subprocess.Popen[str]":
        """The gateway on a configuration given as text, once it answers or has ended."""
        file = self.folder / "gateway.yaml"
        file.write_text(config)
        process = self.start("gateway", PROGRAM, "run", "-c", str(file), "--log", log)
        until(lambda: process.poll() is not None or self.state(), 60, "the gateway", self.folder / "gateway.log")
        return process

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one process; SIGSTOP has stopped all of its threads when this returns."""
        process = self.processes[name]
        process.send_signal(number)
        if number is signal.SIGSTOP:
            until(lambda: _states(process.pid) == {"T"}, 10, f"{name} to stop")

    def log(self, name: str) -> str:
        """What a process has printed so far."""
        return (self.folder / f"{name}.log").read_text()

    # ---- asking from outside

    def state(self) -> dict[str, Any]:
        """`bms-gateway status --json`; {} while no gateway answers."""
        from gateway.control import ask
        from gateway.model import GatewayError

        try:
            return ask({"ask": "state"}, self.folder / "control")
        except GatewayError:
            return {}

    def wait(self, what: Callable[[dict[str, Any]], Any], seconds: float, wish: str) -> dict[str, Any]:
        """The first state for which `what` holds."""

        def look() -> dict[str, Any] | None:
            state = self.state()
            return state if state.get("decision") and what(state) else None

        found: dict[str, Any] = until(look, seconds, wish, self.folder / "gateway.log")
        return found

    def dbus(self, path: str) -> Any:
        """A value as dbus-send reads it: a number, text, or None for invalid; "" while there is no service."""
        done = subprocess.run(
            ["dbus-send", "--session", "--print-reply", f"--dest={SERVICE}", path, f"{ITEM}.GetValue"],
            capture_output=True, text=True, env=self.environment, timeout=20, check=False,
        )  # fmt: skip
        return dbus_value(done.stdout) if done.returncode == 0 else ""


def _states(process: int) -> set[str]:
    """What its threads do, as the kernel's one letter."""
    threads = Path(f"/proc/{process}/task").glob("*/stat")
    return {thread.read_text().rpartition(")")[2].split()[0] for thread in threads}


def dbus_value(printed: str) -> Any:
    """The variant in what dbus-send --print-reply printed."""
    if found := re.search(r"variant\s+(double|int32|int64)\s+(\S+)", printed):
        return float(found[2])
    if found := re.search(r'variant\s+string "(.*)"', printed):
        return found[1]
    return None


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """A house whose processes all end with the test."""
    (folder / "state").mkdir(exist_ok=True)
    built = House(folder)
    try:
        yield built
    finally:
        for process in reversed(list(built.processes.values())):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in built.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait(5)


def until(what: Callable[[], Any], seconds: float, wish: str, log: Path | None = None) -> Any:
    """Wait for something true; fails with `wish` and the log's end."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            tail = log.read_text()[-2000:] if log and log.exists() else ""
            raise AssertionError(f"waited {seconds:g} s for {wish}\n{tail}")
        time.sleep(0.05)
    return found


def as_json(done: "subprocess.CompletedProcess[str]") -> Any:
    """The JSON a command printed."""
    return json.loads(done.stdout)
