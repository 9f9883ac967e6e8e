"""Log lines never keep the gateway waiting: they go through a bounded queue to a thread that writes them.

Whoever reads our stderr may stop to read (a log service on a full disk, a pager).  Then the queue fills, further lines
are dropped and counted, and how many they were is said where they are missing, once somebody reads again.
"""

import logging
import os
import queue
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from typing import Any, Final

KEPT: Final = 2000  # lines that wait for a reader, and those that are remembered
LONGEST: Final = 500  # characters of a line that is remembered
LINGER: Final = 1.0  # s that an end waits for the lines that are left
NAME: Final = "bms_gateway"
TALKATIVE: Final = ("aiobmsble",)  # libraries that repeat at each try what a battery's own line says once


class LogQueue(QueueHandler):
    """Takes lines from any thread and never waits."""

    def __init__(self, kept: int = KEPT) -> None:
        self.lines: queue.Queue[logging.LogRecord | None] = queue.Queue(kept)
        super().__init__(self.lines)
        self.setFormatter(logging.Formatter("%(message)s"))  # the rest of the line is the writer's
        self.recent: deque[tuple[float, float, str, str]] = deque(maxlen=kept)  # dates [s], level, text: for reports
        self.dropped = 0  # lines, since the start
        self._untold = 0  # of them, those that no line told of

    def enqueue(self, record: logging.LogRecord) -> None:
        """Keep the line, after a word about those that are missing before it; drop it where there is no room."""
        self.recent.append((record.created, time.monotonic(), record.levelname, str(record.msg)[:LONGEST]))
        try:
            if self._untold:
                self.lines.put_nowait(_Gap(self._untold))
                self._untold = 0
            self.lines.put_nowait(record)
        except queue.Full:
            self.lost(1)

    def lost(self, count: int) -> None:
        """So many lines were not kept, or not written; both counts at once, whichever thread says it."""
        self.acquire()
        self.dropped += count
        self._untold += count
        self.release()

    def gap(self) -> "_Gap | None":
        """The line about those that no line told of; None = there are none."""
        self.acquire()
        untold, self._untold = self._untold, 0
        self.release()
        return _Gap(untold) if untold else None


class Writer:
    """The thread that writes what is in the queue to a file descriptor, at the reader's pace."""

    def __init__(self, lines: LogQueue, formatter: logging.Formatter, descriptor: int) -> None:
        self._lines, self._formatter, self._descriptor = lines, formatter, descriptor
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, linger: float = LINGER) -> None:
        """Write what is left; a reader that takes nothing is given up after `linger` [s]."""
        try:
            self._lines.lines.put(None, timeout=linger)
        except queue.Full:
            return
        self._thread.join(linger)

    def _run(self) -> None:
        while (record := self._lines.lines.get()) is not None:
            self._write(record)
            if self._lines.lines.empty():
                self._tell_what_is_missing()
        self._tell_what_is_missing()

    def _tell_what_is_missing(self) -> None:
        if (gap := self._lines.gap()) is not None:
            self._write(gap)

    def _write(self, record: logging.LogRecord) -> None:
        """Straight to the descriptor: a stream's lock, held while nobody reads, would hang the end of the program."""
        left = (self._formatter.format(record) + "\n").encode(errors="backslashreplace")
        try:
            while left:
                left = left[self._some(left) :]
        except OSError:  # a full disk, a reader that has gone
            self._lines.lost(record.lines if isinstance(record, _Gap) else 1)

    def _some(self, data: bytes) -> int:
        """How many bytes were taken; waits here where the descriptor itself does not.  Raises OSError."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            select.select((), (self._descriptor,), ())
            return 0


class _Gap(logging.LogRecord):
    """The line that stands where `lines` lines are missing."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        text = f"{lines} log {'line is' if lines == 1 else 'lines are'} missing here: they could not be written in time"
        super().__init__(NAME, logging.WARNING, __file__, 0, text, None, None)


@contextmanager
def hushed(level: int) -> Iterator[None]:
    """What is logged below `level` is not meanwhile: somebody looks at a picture of the same."""
    logger = logging.getLogger(NAME)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def to_stderr(level: str) -> Iterator[LogQueue]:
    """Everything that is logged goes to stderr from here on, one line an event; ours from `level` on.

    Under systemd without the time, which the journal adds itself.
    """
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    lines = LogQueue()
    writer = Writer(lines, logging.Formatter(f"{stamp}%(levelname)s %(message)s"), _descriptor())
    logging.basicConfig(handlers=[lines], level=logging.WARNING, force=True)
    logging.getLogger(NAME).setLevel(level.upper())
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _divert_what_python_prints()
    writer.start()
    try:
        yield lines
    finally:
        writer.stop()


def _descriptor() -> int:
    """stderr's; where the program was started without one, its number may belong to anything."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()


def _divert_what_python_prints() -> None:
    """Warnings and the last words of threads would go to stderr at once, and wait there."""
    log = logging.getLogger(NAME)

    def thread_ended(args: Any) -> None:
        name = args.thread.name if args.thread else "a thread"
        log.critical("%s: its thread failed", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    def unraisable(args: Any) -> None:
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        log.error("%s: %r", args.err_msg or "ignored", args.object, exc_info=exc_info)

    logging.captureWarnings(True)
    threading.excepthook = thread_ended
    sys.unraisablehook = unraisable
