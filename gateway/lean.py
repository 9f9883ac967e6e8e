"""What the process that stays leaves out: libraries that others would load for it and it would never use."""

import sys
from importlib import import_module
from typing import Any, Final

OPENSSL: Final = ("ssl", "_hashlib")  # what brings it


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
