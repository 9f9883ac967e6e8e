"""The process that stays, without what it would never use."""

import signal
from pathlib import Path
from typing import Final

from gateway.lean import without_openssl, without_unused_parts

LEVELS: Final = ("debug", "info", "warning", "error")
USUAL: Final = Path("gateway.yaml")
SHORTEST_WATCH, LONGEST_WATCH = 1, 600  # s


def run(config: Path, socket: Path | None = None, level: str = "info", watchdog: float | None = None) -> None:
    """Run the gateway of `config` until a signal says stop; what keeps it from beginning is said in one line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started it wants it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the service understands it: an end without a traceback
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))  # one that comes early waits for who understands it
    without_openssl()
    without_unused_parts()
    from gateway.begin import begin
    from gateway.ending import in_one_line

    with in_one_line("this command"):
        begin(config, socket, level, watchdog)
