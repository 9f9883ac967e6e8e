"""On what this gateway runs."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from gateway import VERSION
from gateway.extras import LIBRARIES

ALWAYS: Final = ("click", "pydantic", "ruamel.yaml")
BOARD, VENUS = Path("/proc/device-tree/model"), Path("/opt/victronenergy/version")


def versions() -> dict[str, str]:
    """Names and versions; what is not there is left out."""
    found = {"bms-gateway": VERSION, "python": sys.version.split()[0], "kernel": platform.release(),
             "machine": platform.machine(), "system": _system()}  # fmt: skip
    for name, file in (("board", BOARD), ("venus", VENUS)):
        if text := _first_line(file):
            found[name] = text
    for package in dict.fromkeys((*ALWAYS, *(name for name, _ in LIBRARIES.values()))):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.system()


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").split("\n")[0].strip("\0 ")
    except OSError:
        return ""
