"""A wire between a gateway and a device, in a process of its own, that notes when bytes came to the gateway's end.

python -m bench.wire DEVICE LINK        LINK is the pty that the gateway opens; a line a piece: time and bytes
"""

import os
import select
import sys
import time
import tty
from pathlib import Path


def main(device: str, link: str) -> None:
    """Pass everything on, both ways, until ended."""
    far = os.open(device, os.O_RDWR | os.O_NOCTTY)
    near, port = os.openpty()  # the port stays open here, so that the gateway may close and reopen it
    tty.setraw(port)
    Path(link).symlink_to(os.ttyname(port))
    while True:
        ready, _, _ = select.select([far, near], [], [])
        if near in ready:
            os.write(far, os.read(near, 4096))
        if far in ready:
            data, at = os.read(far, 4096), time.time()
            os.write(near, data)
            print(f"{at:.6f} {data.hex()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
