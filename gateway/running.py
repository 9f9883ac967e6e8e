"""The process that stays: `bms-gateway run` begins as it (gateway/cli/entry.py), or becomes it after some more words.

    python -P -m gateway.running FILE LEVEL [SOCKET|-] [SECONDS|-]

It has the number, the environment and the open files of the one that was started, and nothing of its command line:
click and all that it brings would stay in memory for good.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

from gateway.lean import without_openssl, without_unused_parts
from gateway.model import GatewayError

NONE: Final = "-"
LEVELS: Final = ("debug", "info", "warning", "error")
USUAL: Final = Path("gateway.yaml")
SHORTEST_WATCH, LONGEST_WATCH = 1, 600  # s


def become(config: Path, socket: Path | None, level: str, watchdog: float | None) -> NoReturn:
    """Go on as this program.  Raises GatewayError where Python cannot be started anew."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT))  # early ones wait for who understands them
    words = [str(config), level, *(NONE if word is None else str(word) for word in (socket, watchdog))]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}  # it finds what this one finds
    try:
        os.execve(sys.executable, [sys.executable, "-P", "-m", __name__, *words], {**os.environ, **paths})
    except OSError as problem:
        raise GatewayError(f"{sys.executable or 'Python'} cannot be started anew: {problem.strerror}") from None


def main(config: str, level: str, socket: str, watchdog: str) -> None:
    """Run the gateway of `config` until a signal says stop."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))  # one that comes early waits for who understands it
    _ended_by_ctrl_c()
    without_openssl()
    without_unused_parts()
    from gateway.begin import begin
    from gateway.ending import in_one_line

    with in_one_line("this command"):
        begin(
            Path(config),
            None if socket == NONE else Path(socket),
            level,
            None if watchdog == NONE else float(watchdog),
        )


def _ended_by_ctrl_c() -> None:
    """Until the service understands it, SIGINT is as SIGTERM: an end at once, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started it wants it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


if __name__ == "__main__":
    main(*sys.argv[1:])
