"""Optional libraries: what to say where one is missing, and how to install it.

Ground floor, like the model.  Whatever imports an optional library does so inside `needed`; the one who can do
without it catches MissingPart, everybody else lets its sentence through to the user.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from gateway.home import DEBIAN, venus_version
from gateway.model import MissingPart

LIBRARIES: Final = {  # what is imported: (what installs it, the extra it belongs to; "" = always needed)
    "can": ("python-can", "can"),
    "cantools": ("cantools", "can"),
    "pymodbus": ("pymodbus", "modbus"),
    "aiomqtt": ("aiomqtt", "mqtt"),
    "paho": ("paho-mqtt", "mqtt"),
    "dbus": ("dbus-python", "venus"),
    "_dbus_bindings": ("dbus-python", "venus"),
    "_dbus_glib_bindings": ("dbus-python", "venus"),
    "gi": ("PyGObject", "venus"),
    "bleak": ("bleak", "ble"),
    "bleak_retry_connector": ("bleak-retry-connector", "ble"),
    "dbus_fast": ("dbus-fast", "ble"),
    "aiobmsble": ("aiobmsble", "aiobmsble"),
    "spidev": ("spidev", "spi"),
    "rich": ("rich", "demo"),
    "matplotlib": ("matplotlib", "plot"),
    "h11": ("h11", "web"),
    "serial": ("pyserial", ""),
}
USUAL: Final = "appliance"  # what ./install brings
PYTHON: Final = {"aiobmsble": (3, 12)}  # the oldest Python that such a library runs on, where ours is older
OURS: Final = ("gateway", "bms_drivers", "outputs", "dbc")


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Import inside: a library that is missing becomes MissingPart, a sentence about `what` (a port, an output)."""
    try:
        yield
    except ImportError as problem:
        library = (problem.name or "").partition(".")[0]
        if not library or library in OURS:
            raise
        raise MissingPart(_sentence(what, library, problem)) from None


def missing(what: str, *modules: str) -> str:
    """Why `what` cannot work: the sentence about the first of `modules` that cannot be imported; "" = all is there."""
    try:
        with needed(what):
            for module in modules:
                import_module(module)
    except MissingPart as problem:
        return str(problem)
    return ""


def install(extra: str) -> str:
    """The command that installs the libraries of an extra into the very environment that runs now.

    Their own names, as no index has bms-gateway; an installed one is built anew, so that the next upgrade keeps them.
    D-Bus comes from the system's packages: what pip has of it must be compiled, and against headers at that.
    """
    if venus_version():
        return "./dev bundle-venus on another machine (docs/venus.md): a GX has no pip"
    if extra != "venus":
        if Path(sys.prefix).is_relative_to(DEBIAN.program.parent):
            return f"sudo ./install --extras {USUAL},{extra} (in the folder of the release)"
        return f"{sys.executable} -m pip install {' '.join(_names(extra))}"
    packages = "sudo apt install python3-dbus python3-gi"
    if sys.prefix == sys.base_prefix:
        return packages
    # a virtual environment that is made once more in place keeps what it has, and sees the system's packages from then
    return f"{packages} && {sys.base_prefix}/bin/python3 -m venv --system-site-packages {sys.prefix}"


def _names(extra: str) -> dict[str, None]:
    """What belongs to an extra, as pip calls it."""
    return dict.fromkeys(name for name, own in LIBRARIES.values() if own == extra)


def _sentence(what: str, library: str, problem: ImportError) -> str:
    name, extra = LIBRARIES.get(library, (library, ""))
    if sys.version_info < (least := PYTHON.get(library, (0,))):
        oldest, ours = (".".join(map(str, version[:2])) for version in (least, sys.version_info))
        return f"{what} needs {name}, which needs Python {oldest} or later; this is {ours}"
    wrong = "is not installed" if isinstance(problem, ModuleNotFoundError) else f"does not work ({problem})"
    command = install(extra) if extra else f"{sys.executable} -m pip install {name}"
    return f"{what} needs {name}, which {wrong}; install it with: {command}"
