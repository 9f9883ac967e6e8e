"""Foreign frames on a CAN bus, as many as load 60 % of 500 kbit/s: 23 of 130 bits each 10 ms.

python -m tests.vcan.flood CHANNEL SECONDS
"""

import socket
import struct
import sys
import time

FRAMES, PAUSE = 23, 0.01  # a burst, and s from one to the next


def main() -> None:
    bus = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    bus.bind((sys.argv[1],))
    began, due, sent = time.monotonic(), time.monotonic(), 0
    while due < began + float(sys.argv[2]):
        for number in range(FRAMES):
            bus.send(struct.pack("=IB3x8s", 0x98FF0000 + number, 8, b"\x55" * 8))
        sent += FRAMES
        due += PAUSE
        time.sleep(max(0.0, due - time.monotonic()))
    print(f"FLOOD {sent / (time.monotonic() - began):.0f} frames/s")


if __name__ == "__main__":
    main()
