"""What it means when a serial port cannot be opened, for people.  Ground floor."""

import errno
import grp
import os
from pathlib import Path
from typing import Final

from gateway.model import LinkBusy, LinkClosed, LinkError

NO_DEVICE: Final = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO, errno.ENOTDIR)


def opening_failed(url: str, problem: OSError) -> LinkError:
    """What a failed opening means to the user, in one line."""
    cause = problem.__context__ if problem.errno is None and isinstance(problem.__context__, OSError) else problem
    if cause.errno in (errno.EAGAIN, errno.EBUSY):
        return LinkBusy(f"{url}: another program owns the port; stop it, or use another port")
    if cause.errno in (errno.EACCES, errno.EPERM):
        return LinkClosed(f"{url}: permission denied; {_who_may(url)}")
    if cause.errno in NO_DEVICE:
        return LinkClosed(f"{url}: no such device; is the adapter plugged in?")
    if "Inappropriate ioctl" in str(cause):
        return LinkClosed(f"{url}: not a serial port")
    return LinkClosed(f"{url}: {cause.strerror or cause}")


def _who_may(path: str) -> str:
    """Which group to join so that `path` may be opened."""
    try:
        group = grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "the user that runs the gateway must be allowed to read and write it"
    if group == "root":
        return "it belongs to root alone; a udev rule can give it to a group such as dialout"
    user = os.environ.get("USER") or str(os.getuid())
    return f"join its group: sudo usermod -aG {group} {user}, then log in again or restart the service"
