"""What the process that stays leaves out: libraries that others would load for it and it would never use."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any, Final

OPENSSL: Final = ("ssl", "_hashlib")  # what brings it
UNUSED: Final = ("can.io", "can.thread_safe_bus")  # parts of python-can: log files; a bus for several threads


def without_openssl() -> None:
    """Import asyncio, hashlib and hmac without OpenSSL: 5 MB less.  To be called before anybody imports them.

    asyncio loads it for TLS of its own, which nobody here asks it for (that of MQTT is paho's); the other two for
    quicker versions of what Python has itself.  All three expect that it may be missing.  Afterwards it can be
    imported as ever by those who need it, as paho and pymodbus.
    """
    modules: dict[str, Any] = sys.modules
    absent = [name for name in OPENSSL if name not in modules]
    modules.update(dict.fromkeys(absent))  # None: an import of it raises ImportError
    try:
        for name in ("asyncio", "hashlib", "hmac"):
            import_module(name)
    finally:
        for name in absent:
            del modules[name]


def without_unused_parts() -> None:
    """Have python-can imported without what nobody here uses, and without SQLite and others for it: 3 MB less.

    To be called before anybody imports it.  Whoever would use it is told why it is not there.
    """
    for name in UNUSED:
        sys.modules.setdefault(name, _LeftOut(name))


class _LeftOut(ModuleType):
    """Stands for a module: it has every name, and nothing behind it."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Missing


class _Missing:
    def __init__(self, *_: object, **__: object) -> None:
        raise ImportError(f"{', '.join(UNUSED)} are left out of a gateway that runs: gateway/lean.py")
