"""Is somebody at a terminal?  Tells a SIGHUP that means "the terminal was closed" from one that means "read again"."""

import os


def has_terminal() -> bool:
    """Is there a controlling terminal, which nobody has hung up?  A service has none from the start."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
