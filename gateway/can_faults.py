"""What a fault of a CAN bus means, and what helps."""

import errno

import can

from gateway.supervise import words


def explained(channel: str, fault: Exception) -> str:
    """One line: the bus, what is wrong with it and, where that is known, the command that mends it."""
    code = getattr(fault, "error_code", None) or getattr(fault, "errno", None)
    if code == errno.EAFNOSUPPORT:
        return f"{channel}: this system's kernel has no SocketCAN loaded; load it with: modprobe can_raw"
    if code in (errno.ENODEV, errno.ENETDOWN, errno.ENXIO):
        advice = f"ip link set {channel} up type can bitrate 500000"
        return f"{channel}: no such CAN interface, or it is down; bring it up with: {advice}"
    return f"{channel}: {words(fault)}"


def ask_whether_up(bus: can.BusABC) -> None:
    """An interface that is down can be opened: the kernel says so to the first who reads.

    Raises what it says, and has closed the bus then.
    """
    try:
        bus.recv(0)
    except (can.CanError, OSError):
        bus.shutdown()
        raise
