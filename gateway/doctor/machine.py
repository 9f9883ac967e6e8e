"""The patient: a machine, the configuration that is to run on it, and the user who will run it."""

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.schema import Settings
from gateway.home import ROOT, Home, below


@dataclass(frozen=True, slots=True)
class User:
    """Who runs the gateway, and what for ids it has."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, path: Path, *, write: bool = False) -> bool:
        """Do the mode bits of an existing path let this user read (and write) it?  Raises OSError."""
        if self.uid == 0:
            return True
        info = path.stat()
        wanted = (stat.S_IROTH | stat.S_IWOTH) if write else stat.S_IROTH
        shift = 6 if info.st_uid == self.uid else 3 if info.st_gid in self.groups else 0
        return (info.st_mode >> shift) & wanted == wanted


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks look at."""

    root: Path = ROOT
    home: Home | None = None  # where the gateway is installed; None = it is not
    config: Path | None = None
    settings: Settings | None = None  # None = there are none that could run
    mistakes: tuple[str, ...] = ()
    user: User = field(default_factory=lambda: me())
    state: Mapping[str, Any] = field(default_factory=dict)  # of the running gateway; {} = none answers
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def at(self, path: str | Path) -> Path:
        """An absolute path, on this machine."""
        return below(self.root, Path(path))

    def text(self, path: str) -> str:
        """A file's words; "" where it cannot be read."""
        try:
            return self.at(path).read_text(errors="replace").strip()
        except OSError:
            return ""


def me() -> User:
    """The user who asks."""
    uid = os.getuid()
    return User(_name(uid), uid, frozenset((os.getgid(), *os.getgroups())))


def user_of(home: Home | None) -> User:
    """Who runs the gateway that is installed there; without one, the user who asks."""
    try:
        entry = pwd.getpwnam(home.user if home is not None else "")
    except KeyError:
        return me()
    named = {group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem or group.gr_name in _by_unit()}
    return User(entry.pw_name, entry.pw_uid, frozenset((entry.pw_gid, *named)))


def _by_unit() -> frozenset[str]:
    """Groups that the unit adds, as the installer wrote them."""
    try:
        lines = Path("/etc/systemd/system/bms-gateway.service.d/groups.conf").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("SupplementaryGroups=") for word in line[20:].split())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
