"""A CAN adapter of the slcan kind on a pty, in a process of its own, that notes when each frame came.

python -m bench.adapter LINK        LINK is the port that the gateway opens; a line a frame: time, id
"""

import os
import sys
import time
import tty
from pathlib import Path


def main(link: str) -> None:
    """Take frames until ended."""
    near, port = os.openpty()  # the port stays open here, so that the gateway may close and reopen it
    tty.setraw(port)
    Path(link).symlink_to(os.ttyname(port))
    rest = b""
    while True:
        data, at = os.read(near, 4096), time.monotonic()
        *lines, rest = (rest + data).split(b"\r")
        frames = [line for line in lines if line[:1] in (b"t", b"T")]
        print("".join(f"{at:.6f} {line[1 : 4 if line[:1] == b't' else 9].decode()}\n" for line in frames),
              end="", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
