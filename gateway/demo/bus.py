"""A D-Bus daemon of the demo's own, where one is installed, and a look at it with somebody else's tool."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from outputs.registry import missing_library

CONFIG: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon in a folder; `problem` says why there is none."""

    def __init__(self, folder: Path) -> None:
        self.problem = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._address = f"unix:path={folder}/bus"
        daemon = shutil.which("dbus-daemon")
        if daemon is None or shutil.which("dbus-send") is None:
            self.problem = "no dbus-daemon is installed (Debian package dbus)"
            return
        if problem := missing_library("venus_dbus"):
            self.problem = problem
            return
        config = folder / "bus.conf"
        config.write_text(CONFIG.format(path=folder / "bus"))
        self._process = subprocess.Popen(
            [daemon, f"--config-file={config}", "--nofork", "--nopidfile"], stderr=subprocess.DEVNULL
        )
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = self._address

    def read(self, service: str, path: str) -> float | None:
        """A number as dbus-send reads it; None where it is not there."""
        if self._process is None:
            return None
        words = ["dbus-send", f"--bus={self._address}", "--print-reply", "--reply-timeout=2000", f"--dest={service}"]
        done = subprocess.run(
            [*words, path, "com.victronenergy.BusItem.GetValue"], capture_output=True, text=True, check=False, timeout=5
        )
        found = re.search(r"variant\s+(?:double|int32)\s+(\S+)", done.stdout)
        return float(found[1]) if found else None

    def stop(self) -> None:
        """End the daemon."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
