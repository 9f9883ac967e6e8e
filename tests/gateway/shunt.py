"""A battery monitor on a D-Bus of its own, in a process of its own: it can be told, stopped, and taken away."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>"""


@contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """A private dbus-daemon; gives its address."""
    config, path = folder / "bus.conf", folder / "bus"
    config.write_text(CONFIG.format(path=path))
    process = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"])
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end, "no D-Bus daemon"
        time.sleep(0.01)
    try:
        yield f"unix:path={path}"
    finally:
        process.terminate()
        process.wait(5)


class Shunt:
    """The monitor's process; values are told on its standard input, one JSON pair a line."""

    def __init__(self, address: str, service: str, values: dict[str, float]) -> None:
        words = [sys.executable, __file__, address, service, json.dumps(values)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Shunt":
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "there\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._process.terminate()
        self._process.wait(5)

    def say(self, path: str, value: float | None) -> None:
        """Change a value; None = not known."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([path, value]) + "\n")
        self._process.stdin.flush()

    def hang(self) -> None:
        """Stop answering, but stay on the bus."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again."""
        os.kill(self._process.pid, signal.SIGCONT)


def main(address: str, service: str, values: dict[str, Any]) -> None:
    """The monitor itself."""
    import dbus
    import dbus.service
    from dbus.mainloop.glib import DBusGMainLoop
    from gi.repository import GLib

    bus = dbus.bus.BusConnection(address, mainloop=DBusGMainLoop())

    class Item(dbus.service.Object):
        def __init__(self, path: str) -> None:
            super().__init__(bus, path)
            self.path = path

        @dbus.service.method("com.victronenergy.BusItem", out_signature="v")
        def GetValue(self) -> Any:  # noqa: N802 - the name of the method on the bus
            return wrapped(values[self.path])

    def wrapped(value: float | None) -> Any:
        return dbus.Array([], signature="i") if value is None else dbus.Double(value)

    items = [Item(path) for path in values]
    name = dbus.service.BusName(service, bus)

    def heard(*_: object) -> bool:
        values.update(json.loads(line) for line in os.read(sys.stdin.fileno(), 65536).splitlines())
        return True

    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, heard)
    print("there", flush=True)
    assert items
    assert name
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
