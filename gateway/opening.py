"""What it means when a serial port or a CAN bus cannot be opened, for people.  Ground floor."""

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


def bus_failed(channel: str, problem: Exception) -> str:
    """What a CAN bus that cannot be used means to the user, in one line."""
    code = getattr(problem, "error_code", None) or getattr(problem, "errno", None)
    if code == errno.EAFNOSUPPORT:
        return f"{channel}: this system's kernel has no SocketCAN loaded; load it with: modprobe can_raw"
    if code in (errno.ENODEV, errno.ENETDOWN, errno.ENXIO):
        advice = f"ip link set {channel} up type can bitrate 500000"
        return f"{channel}: no such CAN interface, or it is down; bring it up with: {advice}"
    return f"{channel}: {' '.join(str(problem).split()) or type(problem).__name__}"


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
