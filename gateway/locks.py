"""What two gateways must not share: the directory of the state, and the bus of an output.

Both kinds of lock belong to the process: whatever ends it, a power cut included, nothing is left behind that a later
start would stumble over, and neither needs room on a disk.
"""

import errno
import fcntl
import hashlib
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.model import GatewayError

LONGEST: Final = 90  # bytes of a socket's name; Linux takes 107
CREDENTIALS: Final = "3i"  # pid, uid, gid; unix(7), SO_PEERCRED


class Held(GatewayError):
    """Another process has the lock; `holder` is " (process 1234)", or "" where nobody can tell."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"taken by another program{holder}")
        self.holder = holder


class Locks:
    """Locks of this process, kept until `close`."""

    def __init__(self) -> None:
        self._names: dict[str, socket.socket] = {}
        self._directories: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def take_directory(self, directory: Path) -> None:
        """Lock a directory, made where it is missing.  Raises Held; one that cannot be made or opened is not locked."""
        if directory in self._directories:
            return
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return  # the store says so when it cannot write; all else runs
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            inode = os.fstat(handle).st_ino
            os.close(handle)
            raise Held(_shown(_lock_holder(inode))) from None
        except OSError:
            os.close(handle)  # a network file system without locks
            return
        self._directories[directory] = handle

    def take_name(self, name: str) -> None:
        """Lock a name, for all users of this machine (of its network namespace, as CAN buses are).  Raises Held."""
        if name in self._names:
            return
        address = _address(name)
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(address)
            holder.listen()  # so that whoever comes later may ask who we are
        except OSError as problem:
            holder.close()
            if problem.errno != errno.EADDRINUSE:
                return  # a system that allows no such sockets
            raise Held(_shown(_name_holder(address))) from None
        self._names[name] = holder

    def names(self) -> set[str]:
        """The names that are locked."""
        return set(self._names)

    def release_names(self, names: Iterable[str]) -> None:
        """Let go of some names."""
        for name in names:
            self._names.pop(name).close()

    def close(self) -> None:
        """Let go of everything."""
        self.release_names(list(self._names))
        for handle in self._directories.values():
            os.close(handle)
        self._directories.clear()


def _address(name: str) -> bytes:
    """An abstract socket's name: it lives as long as the socket, and in no directory."""
    whole = f"bms-gateway {name}".encode(errors="surrogateescape")
    if len(whole) > LONGEST:
        whole = whole[: LONGEST - 33] + b" " + hashlib.sha256(whole).hexdigest()[:32].encode()
    return b"\0" + whole


def _name_holder(address: bytes) -> int | None:
    """The process that listens under a name."""
    with socket.socket(socket.AF_UNIX) as asker, suppress(OSError):
        asker.setblocking(False)
        asker.connect(address)
        told = asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(CREDENTIALS))
        return int(struct.unpack(CREDENTIALS, told)[0])
    return None


def _lock_holder(inode: int) -> int | None:
    """The process that has locked the file with this number, from the kernel's list; None when it is not the only one.

    A line there: "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF".
    """
    with suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        found = {int(words[4]) for words in lines if words[1] == "FLOCK" and words[5].endswith(f":{inode}")}
        return found.pop() if len(found) == 1 else None
    return None


def _shown(process: int | None) -> str:
    return f" (process {process})" if process else ""
