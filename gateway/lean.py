"""What the process that stays leaves out: libraries that others would load for it and it would never use."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from importlib.abc import Loader  # brings much of what is to be left out

OPENSSL: Final = ("ssl", "_hashlib")  # what brings it
UNUSED: Final = ("can.io", "can.thread_safe_bus")  # parts of python-can: log files; a bus for several threads
PACKAGES: Final = "importlib.metadata"  # what is installed; reads it as e-mail
PLUGIN: Final = b"[can.interface]"  # how a package says that it brings python-can another kind of bus


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
    """Have python-can imported without what nobody here uses, and without SQLite and others for it: 5 MB less.

    To be called before anybody imports it.  Whoever would use it is told why it is not there.
    """
    for name in UNUSED:
        sys.modules.setdefault(name, _LeftOut(name))
    sys.meta_path.insert(0, _LooksForNoPlugins())


def _plugins(path: Sequence[str]) -> bool:
    """Whether a package that is installed brings python-can a bus."""
    files = (file for folder in path for file in Path(folder).glob("*-info/entry_points.txt"))
    return any(PLUGIN in _bytes(file) for file in files)


def _bytes(file: Path) -> bytes:
    with suppress(OSError):  # as importlib.metadata has it
        return file.read_bytes()
    return b""


class _LooksForNoPlugins:
    """Finds python-can, once, and has it imported without what it would look for plugins with, where there are none."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As any finder's."""
        if name != "can":
            return None
        sys.meta_path.remove(self)
        spec = None if _plugins(sys.path) else find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _ByItself(spec.loader)  # type: ignore[assignment]
        return spec


class _ByItself:
    """Loads as the loader that it was given, while nothing is installed beside."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As its own."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As its own, and as if it had been alone from the start."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with _nothing_installed():
            self._loader.exec_module(module)


@contextmanager
def _nothing_installed() -> Iterator[None]:
    stand_in = _Nothing(PACKAGES)
    sys.modules.setdefault(PACKAGES, stand_in)
    try:
        yield
    finally:
        if sys.modules.get(PACKAGES) is stand_in:
            del sys.modules[PACKAGES]


class _Nothing(ModuleType):
    """Stands for importlib.metadata where nothing is installed; what else it is asked for has the real one loaded."""

    class PackageNotFoundError(ModuleNotFoundError):
        """As its own."""

    def version(self, name: str) -> str:
        """Of none."""
        raise self.PackageNotFoundError(name)

    def entry_points(self, **_: str) -> tuple[()]:
        """None."""
        return ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(PACKAGES) is self:
            del sys.modules[PACKAGES]
        return getattr(import_module(PACKAGES), name)


class _LeftOut(ModuleType):
    """Stands for a module: it has every name, and nothing behind it."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Missing


class _Missing:
    def __init__(self, *_: object, **__: object) -> None:
        raise ImportError(f"{', '.join(UNUSED)} are left out of a gateway that runs: gateway/lean.py")
