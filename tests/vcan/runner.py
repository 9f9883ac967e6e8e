"""Runs a command where SocketCAN is real: under a User-Mode-Linux kernel with the interfaces vcan0 and vcan1.

The guest has the host's files (a host filesystem as root), but its own /dev, /run, /proc and /sys, no network but lo,
and its own clock.  Sockets and pipes do not work on host files, so TMPDIR is the guest's /dev/shm.  Booting takes
seconds;
let one command do all that a test module wants to see.  Debian packages: user-mode-linux iproute2 kmod can-utils.

    python -m tests.vcan.runner candump -L vcan0        the same from a shell
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

KERNEL: Final = "linux.uml"
MEMORY: Final = "512M"
MODULES: Final = (
    "net/can/can",
    "net/can/can-raw",
    "drivers/net/can/dev/can-dev",
    "drivers/net/can/vcan",
    "drivers/net/can/slcan/slcan",
)
FAILED_TO_BOOT: Final = 125

GUEST: Final = """#!/bin/bash
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
modules=/usr/lib/uml/modules/$(uname -r)/kernel
for module in {modules}; do insmod "$modules/$module.ko"; done
ip link set lo up
for bus in vcan0 vcan1; do ip link add dev $bus type vcan; ip link set $bus up; done
. {work}/environment
export TMPDIR=/dev/shm
cd {folder}
{command} </dev/null >{work}/stdout 2>{work}/stderr
echo $? >{work}/status
sync
echo o >/proc/sysrq-trigger
sleep 10
"""


def run_in_uml(
    command: Sequence[str], timeout: float, *, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `command` in this folder under a kernel with vcan0 and vcan1; `timeout` [s] includes the boot.

    The return code is the command's; 125 when the guest did not come so far, with its console in stderr.
    Raises subprocess.TimeoutExpired and FileNotFoundError (no such kernel installed).
    """
    kernel = shutil.which(KERNEL) or shutil.which(KERNEL, path="/usr/bin:/usr/local/bin")
    if kernel is None:
        raise FileNotFoundError(f"{KERNEL}: install the Debian package user-mode-linux")
    with tempfile.TemporaryDirectory(prefix="vcan-", dir="/var/tmp") as work:
        _write_guest(Path(work), command, {**os.environ, **(env or {})})
        _boot(kernel, Path(work), timeout)
        return _result(Path(work), command)


def _write_guest(work: Path, command: Sequence[str], env: Mapping[str, str]) -> None:
    exports = [f"export {key}={shlex.quote(value)}" for key, value in env.items() if key.isidentifier()]
    (work / "environment").write_text("\n".join(exports) + "\n")
    init = work / "init"
    init.write_text(
        GUEST.format(
            modules=" ".join(MODULES), work=work, folder=shlex.quote(str(Path.cwd())), command=shlex.join(command)
        )
    )
    init.chmod(0o755)


def _boot(kernel: str, work: Path, timeout: float) -> None:
    """Run the guest until it powers off; its processes are ended with it when the time is up."""
    arguments = [
        kernel, "rootfstype=hostfs", "rootflags=/", "rw", f"mem={MEMORY}", f"init={work}/init", f"uml_dir={work}/",
        "con=null", "con0=null,fd:1", "console=tty0",
    ]  # fmt: skip
    with (work / "console").open("wb") as console:
        guest = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )
        try:
            guest.wait(timeout)
        finally:
            if guest.poll() is None:
                os.killpg(guest.pid, signal.SIGKILL)
                guest.wait()


def _result(work: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    def text(name: str) -> str:
        file = work / name
        return file.read_text(errors="replace") if file.exists() else ""

    status = text("status").strip()
    if not status:
        return subprocess.CompletedProcess(command, FAILED_TO_BOOT, text("stdout"), text("stderr") + text("console"))
    return subprocess.CompletedProcess(command, int(status), text("stdout"), text("stderr"))


def main() -> int:
    """The command line: run what is given, with ten minutes at most."""
    done = run_in_uml(sys.argv[1:], 600)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
