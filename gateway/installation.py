"""Which gateway this is: an id made once and kept in state_dir, so that two sites never look like one.

Names cannot tell: two houses have a `rack-1` each.  Ports change.  A copied SD card copies the id, too; an output that
shows it lets the user set another.
"""

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Final

from gateway.store import read_file

log = logging.getLogger("bms_gateway")

NAME: Final = "installation"  # the file
FORM: Final = re.compile(r"[0-9a-f]{12}")
MACHINE: Final = Path("/etc/machine-id")


def installation(directory: Path | None) -> str:
    """12 hex digits, the same at every start: those kept in `directory`, made now where there are none yet.

    Where nothing can be kept they follow from the machine's own id; the log says so.  Never raises.
    """
    if directory is not None:
        try:
            return _kept(directory / NAME) or _made(directory / NAME)
        except OSError as problem:
            log.warning("%s: the id of this gateway cannot be kept (%s)", directory / NAME, problem.strerror or problem)
    return _of_machine()


def _kept(path: Path) -> str:
    """What an earlier start made; "" = none, or a file that holds none."""
    try:
        text = read_file(path).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""
    return text if FORM.fullmatch(text) else ""


def _made(path: Path) -> str:
    """A new one; of two processes that make one at the same time, both have the same.  Raises OSError."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    made = os.urandom(6).hex()
    temporary = path.with_name(f".{NAME}.{made}")
    try:
        with temporary.open("w", encoding="ascii") as file:
            file.write(f"{made}\n")
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and not _kept(path):
            path.unlink()  # torn or damaged: it names nobody
        try:
            os.link(temporary, path)
        except FileExistsError:
            log.debug("%s: another process was quicker", path)
    finally:
        temporary.unlink(missing_ok=True)
    return _kept(path) or _of_machine()


def _of_machine() -> str:
    """From the id that the system made when it was installed, hashed because it is nobody's business."""
    try:
        machine = MACHINE.read_text(encoding="ascii", errors="replace")
    except OSError:
        machine = ""
    return hashlib.sha256(f"bms-gateway {machine.strip()}".encode()).hexdigest()[:12]
