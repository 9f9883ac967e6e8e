"""How a program of ours ends when it cannot go on: one line on stderr, exit 1, never a traceback."""

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.extras import needed
from gateway.model import GatewayError

FULL: Final = (errno.ENOSPC, errno.EDQUOT)  # a file that what is printed goes to


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """`what` is done inside (for the sentence about a library that it lacks)."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        with needed(what):
            yield
    except GatewayError as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as problem:
        if problem.errno not in FULL:
            raise
        print(f"the output cannot be written: {problem.strerror}", file=sys.stderr)
        sys.exit(1)
