"""What survives a restart: one small JSON file, replaced as a whole, that a torn write cannot damage.

A save writes a temporary file beside the old one, flushes it to the disk and renames it over the old one, so at
every moment the file is one of the states that were saved.  A checksum and a version tell a file that something
else damaged.  Such a file, and one that cannot be read, is set aside for a look, and the gateway starts without memory;
where it cannot even be set aside nothing is saved until it can, so that what it holds is never overwritten.

A full, read-only or missing disk degrades this alone: a line in the log, `save` says False, all else goes on.
Sheet: limits.md section 12 (what is stored, and how often flash may be written).
"""

import errno
import hashlib
import json
import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from itertools import compress
from operator import ne
from pathlib import Path
from typing import Any, Final, Protocol

log = logging.getLogger("bms_gateway.store")

VERSION: Final = 1
NAME: Final = "state.json"
LARGEST: Final = 4 * 1024 * 1024  # bytes; ours have a few kB, so anything above is not ours
BAD, UNREAD = "bad", "unread"  # set aside: damaged, and what could not be read but may be whole
BAD_FILES_KEPT: Final = 5  # damaged files must not fill a small disk either
QUICK: Final = 15.0  # s between writes when something changed
SLOW: Final = 300.0  # s between writes when only what drifts all the time changed
LOOK: Final = 3.0  # s between comparisons with what was saved

DRIFTING: Final[Mapping[str, float]] = {
    "soc_calc": 0.5,  # %
    "soc": 0.5,  # %
    "date": math.inf,
    "max_voltage_start_time": 2.0,  # s
    "max_voltage_first_time": 2.0,  # s
    "high_soc_at": 3600.0,  # s, of days; it moves on all the time that the battery is full
    "charge": math.inf,  # limits, of which a restart only wants to know where hold and ramp begin
    "discharge": math.inf,
    "limited_voltage": math.inf,
    "history": math.inf,
}
"""Keys, at any depth, whose change alone is worth a write only by this much, or after SLOW seconds."""


def default_directory(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where state belongs: $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/bms-gateway, else below the home.

    None when there is no such place (a service without a home).
    """
    if given := environment.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(given)
    if (home := environment.get("XDG_STATE_HOME", "")) and Path(home).is_absolute():
        return Path(home) / "bms-gateway"
    if home := environment.get("HOME", ""):
        return Path(home) / ".local" / "state" / "bms-gateway"
    return None


def read_file(path: Path) -> bytes:
    """The bytes of a regular file, as many as a state file may have and one more.  Never waits.  Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would block for ever
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        with open(handle, "rb", closefd=False) as file:
            return file.read(LARGEST + 1)
    finally:
        os.close(handle)


class Copy(Protocol):
    """Another place for the state; no method raises or waits for long."""

    def load(self) -> bytes:
        """The bytes that were kept last; b"" = none."""

    def save(self, raw: bytes, *, last: bool) -> None:
        """Keep them, or leave it at what was kept lately; `last`: nothing comes after it."""


class Store:
    """One state file in one directory.  No method raises; `problem` says why the disk does not work, "" = it does."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        drifting: Mapping[str, float] = DRIFTING,
        read: Callable[[Path], bytes] = read_file,
        copy: Copy | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`directory` None = the usual place; it is made when something is saved.  `clock` and `wall` in seconds.

        copy  where the state is kept, too, and read from where there is no file
        """
        self.directory = directory or default_directory()
        self.problem = ""
        self.forgotten = False  # there was a state, but it could not be read
        self._in_the_way = ""  # why that file can be neither read nor set aside
        self._drifting, self._read, self._copy = drifting, read, copy
        self._clock, self._wall = clock, wall
        self._tried_at = self._looked_at = -math.inf
        self._saved: Mapping[str, Any] | None = None
        self._saved_at = -math.inf
        self._writing = threading.Lock()

    @property
    def path(self) -> Path | None:
        """The state file."""
        return self.directory / NAME if self.directory else None

    def load(self) -> dict[str, Any]:
        """The state as last saved; {} when there is none or none that can be trusted, which is then set aside."""
        return self._load() or self._copied()

    def _copied(self) -> dict[str, Any]:
        """The state as the copy has it; {} where there is none."""
        raw = self._copy.load() if self._copy is not None else b""
        try:
            data = unpack(raw) if raw else {}
        except ValueError as error:
            log.warning("the copy of the state is no good (%s)", error)
            return {}
        if data:
            log.info("%s: the state is taken from its copy", self.path)
            self.forgotten = False
        return data

    def _load(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            data = unpack(self._read(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            self._without_memory(f"cannot be read ({error.strerror or error})", UNREAD)
            return {}
        except ValueError as error:
            self._without_memory(str(error), BAD)
            return {}
        self._saved, self._saved_at = data, self._clock()
        return data

    def looks(self, now: float) -> bool:
        """Is it time to ask whether something is `due`?  The comparison itself costs more than most seconds' work."""
        return now - self._tried_at >= QUICK and now - self._looked_at >= LOOK

    def due(self, data: Mapping[str, Any], now: float) -> bool:
        """Is `data` worth a write at `now` [s, the clock's]?  Spares flash; at shutdown just save."""
        self._looked_at = now
        if now - self._tried_at < QUICK:
            return False
        if self._saved is None:
            return True
        changed = changes(self._saved, data, self._drifting)
        return changed == "much" or (changed == "little" and now - self._saved_at >= SLOW)

    def save(self, data: Mapping[str, Any], *, last: bool = False) -> bool:
        """Put `data` (what JSON can hold) in place of the old state; says whether it is safe.  `last`: at the end.

        Takes as long as the disk does: call it in a thread, except at the end.
        """
        with self._writing:
            self._tried_at = self._clock()
            try:
                raw = pack(data)
                self._put(raw, last=last)
            except OSError as error:
                self._failed(error.strerror or str(error))
                return False
            except (TypeError, ValueError, RecursionError) as error:
                self._failed(f"state that JSON cannot hold: {error}")
                return False
            self._saved, self._saved_at = unpack(raw), self._tried_at
            if self.problem:
                log.info("%s: can be written again", self.path)
                self.problem = ""
            return True

    def _put(self, raw: bytes, *, last: bool) -> None:
        """Into the file, and into the copy, above all where the disk is broken.  Raises OSError."""
        try:
            self._clear_the_way()
            self._replace(raw)
        finally:
            if self._copy is not None:
                self._copy.save(raw, last=last)

    def _failed(self, why: str) -> None:
        """Say so once, not at every try."""
        if why != self.problem:
            log.warning("%s: state is not saved (%s); all else goes on", self.path or "state_dir", why)
            self.problem = why

    def _replace(self, raw: bytes) -> None:
        """Write, flush, rename, flush the directory: the order that survives a power cut.  Raises OSError."""
        if self.directory is None:
            raise FileNotFoundError(2, "no state_dir configured and no home directory")
        self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        temporary = self.directory / f".{NAME}.new"
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.directory / NAME)
        except OSError:
            _remove(temporary)  # half a file would keep a full disk full
            raise
        _sync_directory(self.directory)

    def _without_memory(self, why: str, kind: str) -> None:
        """Start without what the file holds, but keep it."""
        self.forgotten = True
        try:
            aside = self._set_aside(kind)
        except OSError as error:
            self._in_the_way = f"{why}, nor set aside ({error.strerror}); nothing is saved over it"
            self.problem = self._in_the_way
            log.warning("%s: %s; starting without memory", self.path, self._in_the_way)
        else:
            log.warning("%s: %s; set aside as %s, starting without memory", self.path, why, aside)

    def _clear_the_way(self) -> None:
        """A file that could be neither read nor set aside at the start is never overwritten.  Raises OSError."""
        if not self._in_the_way:
            return
        try:
            log.info("%s: set aside as %s", self.path, self._set_aside(UNREAD))
        except FileNotFoundError:
            log.info("%s: is gone", self.path)
        except OSError:
            raise OSError(errno.EBUSY, self._in_the_way) from None
        self._in_the_way = ""

    def _set_aside(self, kind: str) -> str:
        """Give the file a name under which it is not loaded again.  Raises OSError."""
        path = self.path or Path(NAME)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall()))
        aside = path.with_name(f"{path.name}.{kind}-{stamp}")
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = path.with_name(f"{path.name}.{kind}-{stamp}-{number}")
        path.rename(aside)
        for old in sorted(path.parent.glob(f"{path.name}.{BAD}-*"), key=_age)[:-BAD_FILES_KEPT]:
            _remove(old)
        return aside.name


def pack(data: Mapping[str, Any]) -> bytes:
    """The file's bytes.  Raises TypeError or ValueError for what JSON cannot hold (NaN included)."""
    body = json.dumps(data, allow_nan=False, sort_keys=True)
    return f'{{"version": {VERSION}, "sha256": "{_checksum(body)}",\n"data": {body}}}\n'.encode()


def unpack(raw: bytes) -> dict[str, Any]:
    """The state in a file's bytes.  Raises ValueError that says what is wrong with them."""
    if len(raw) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")
    try:
        document = json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise ValueError("torn or not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise ValueError("not a state file")
    if document.get("version") != VERSION:
        raise ValueError(f"version {document.get('version')}, expected {VERSION}")
    data: dict[str, Any] = document["data"]
    if document.get("sha256") != _checksum(json.dumps(data, sort_keys=True)):
        raise ValueError("wrong checksum")
    return data


def changes(old: object, new: object, drifting: Mapping[str, float], step: float = 0.0) -> str:
    """How `new` differs from `old`: "much", "little" (only drifting values, by less than their step) or "" (equal)."""
    if old == new:
        return ""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(old.keys() | new.keys())
        others = compress(keys, map(ne, map(old.get, keys), map(new.get, keys)))
        found = {changes(old.get(key), new.get(key), drifting, max(step, drifting.get(key, 0.0))) for key in others}
        return "much" if "much" in found else "little" if "little" in found else ""
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        if list(old) == list(new):  # of tuples JSON makes lists
            return ""
        return changes(dict(enumerate(old)), dict(enumerate(new)), drifting, step)
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    if step == math.inf or (numbers and abs(new - old) < step):  # type: ignore[operator]
        return "little"
    return "much"


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _private(path: str, flags: int) -> int:
    """Opens for our eyes only, and never through a link that somebody put there."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)


def _sync_directory(directory: Path) -> None:
    """Make a rename survive a power cut.  Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Delete if possible; a leftover does no harm."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.debug("%s: cannot be removed (%s)", path, error.strerror)


def _age(path: Path) -> tuple[float, str]:
    """Sorts files by when they were written; one that is gone sorts first."""
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name
