"""Starts bms-gateway with the libraries beside this file: pure ones in lib, compiled ones in lib-MACHINE.

They come first on the path, so what the image has of older releases is not touched and not used.
"""

import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MACHINE = "armv7l" if sys.maxsize < 2**32 else platform.machine()  # a 64 bit kernel may run 32 bit programs
sys.path[:1] = [str(HERE / "lib"), str(HERE / f"lib-{MACHINE}")]

from gateway.cli.entry import main  # noqa: E402

main()
