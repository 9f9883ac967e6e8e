"""How a machine comes to have a CAN interface at every boot: the files to write, each line with its reason.

Three places: what makes the interface (a Raspberry Pi's config.txt for a HAT on SPI; USB adapters need nothing), what
gives it its bitrate and brings it up (systemd-networkd, or ifupdown), and how many frames the kernel queues.
Sources: systemd.network(5), systemd.link(5), interfaces(5), the README of the Raspberry Pi's overlays.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gateway.model import GatewayError

How = Literal["networkd", "ifupdown"]
Hat = Literal["mcp2515", "mcp251xfd"]

MARK: Final = "# Written by `bms-gateway can setup`"
RESTART_MS: Final = 100
QUEUE: Final = 64  # frames
OSCILLATORS: Final = {"mcp2515": 16.0, "mcp251xfd": 40.0}  # MHz; the overlays' own defaults
INTERRUPT: Final = 25  # GPIO; the overlays' own default
CHANNEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
BOOT: Final = ("boot/firmware/config.txt", "boot/config.txt")  # Raspberry Pi OS 12 and newer; older

WHY: Final = (
    "bitrate: every node on the bus needs the same; inverters for 48 V batteries talk 500 kbit/s, few 250",
    f"restart: after bus-off (a short circuit, a wrong bitrate) the kernel tries again after {RESTART_MS} ms; without "
    "it the interface stays silent until somebody restarts it",
    f"queue: {QUEUE} frames hold one beat of the longest dialect; the kernel's own 10 do not. More would not help: the "
    "gateway queues nothing behind a beat that waits",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be set up."""

    channel: str
    bitrate: int = 500_000  # bit/s
    hat: Hat | None = None
    oscillator: float | None = None  # MHz
    interrupt: int = INTERRUPT  # GPIO
    restart: bool = True  # the driver can restart

    def __post_init__(self) -> None:
        """Raises GatewayError for what cannot be."""
        if not CHANNEL.fullmatch(self.channel):
            raise GatewayError(f"{self.channel!r} is no network interface, expected a name as can0")
        if self.hat is not None and not re.fullmatch(r"can[01]", self.channel):
            raise GatewayError(f"{self.channel}: a HAT makes can0 (SPI 0.0) or can1 (SPI 0.1)")


@dataclass(frozen=True, slots=True)
class File:
    """One file, or one block in a file that is not ours."""

    path: Path
    text: str
    block: bool = False

    def __str__(self) -> str:
        return str(self.path)


def files(wish: Wish, how: How, root: Path) -> Iterator[File]:
    """What to write under `root`."""
    if wish.hat is not None:
        yield File(boot_file(root), _overlay(wish), block=True)
    if how == "networkd":
        folder = root / "etc/systemd/network"
        yield File(folder / f"80-bms-gateway-{wish.channel}.network", _network(wish))
        yield File(folder / f"80-bms-gateway-{wish.channel}.link", _link(wish))
    else:
        yield File(root / f"etc/network/interfaces.d/bms-gateway-{wish.channel}", _interfaces(wish))


def afterwards(wish: Wish, how: How) -> list[str]:
    """What to do once the files are written."""
    if wish.hat is not None:
        return ["sudo systemctl enable systemd-networkd"] * (how == "networkd") + ["sudo reboot"]
    if how == "networkd":
        return ["sudo systemctl enable --now systemd-networkd", "sudo udevadm trigger --action=add "
                f"/sys/class/net/{wish.channel}", "sudo networkctl reload"]  # fmt: skip
    return [f"sudo ifdown {wish.channel}", f"sudo ifup {wish.channel}"]


def guess(root: Path) -> tuple[How, str]:
    """Which of the two the machine uses, and by what that is seen."""
    if root == Path("/") and Path("/run/systemd/netif/links").is_dir():
        return "networkd", "systemd-networkd runs here"
    if (root / "etc/network/interfaces").is_file() and _has(root, "sbin/ifup"):
        return "ifupdown", "ifup and /etc/network/interfaces are here"
    return "networkd", "no ifupdown here; systemd-networkd touches only the interfaces that its files name"


def boot_file(root: Path) -> Path:
    """The Raspberry Pi's config.txt."""
    return next((root / place for place in BOOT if (root / place).is_file()), root / BOOT[0])


def conflicts(wish: Wish, root: Path) -> list[str]:
    """Files of others that configure the same interface already."""
    name = re.escape(wish.channel)
    places = {
        "etc/systemd/network/*.network": rf"(?m)^\s*Name\s*=.*\b{name}\b",
        "etc/network/interfaces": rf"(?m)^\s*iface\s+{name}\s",
        "etc/network/interfaces.d/*": rf"(?m)^\s*iface\s+{name}\s",
    }
    return [
        f"{file} configures {wish.channel} already"
        for place, pattern in places.items()
        for file in sorted(root.glob(place))
        if file.is_file() and re.search(pattern, text := _read(file)) and not text.startswith(MARK)
    ]


def wanted(file: File) -> tuple[str, str]:
    """What the file holds, and what it is to hold.  Raises GatewayError when it is not ours to write."""
    before = _read(file.path) if file.path.exists() else ""
    if before and not file.block and not before.startswith(MARK):
        raise GatewayError(f"{file}: is there and was not written by bms-gateway; move it away, or edit it by hand")
    return before, _with_block(file, before) if file.block else file.text


def write(file: File) -> str:
    """Write it, whole or not at all; what was done, for people.  Raises GatewayError when that is not possible."""
    before, after = wanted(file)
    if after == before:
        return "was so already"
    try:
        _replace(file.path, after)
    except OSError as problem:
        raise GatewayError(
            f"{file}: cannot write: {problem.strerror}; as root: sudo bms-gateway can setup ..."
        ) from None
    return "written"


# ---- texts


def _network(wish: Wish) -> str:
    restart = f"RestartSec={RESTART_MS}ms\n" if wish.restart else ""
    return (
        f"{MARK}; see systemd.network(5)\n[Match]\nName={wish.channel}\n\n"
        "# A boot does not wait for an inverter.\n[Link]\nRequiredForOnline=no\n\n"
        f"[CAN]\nBitRate={wish.bitrate}\n{restart}"
    )


def _link(wish: Wish) -> str:
    return (
        f"{MARK}; see systemd.link(5)\n[Match]\nOriginalName={wish.channel}\n\n"
        f"# Frames that the kernel queues.\n[Link]\nTransmitQueueLength={QUEUE}\n"
    )


def _interfaces(wish: Wish) -> str:
    restart = f" restart-ms {RESTART_MS}" if wish.restart else ""
    return (
        f"{MARK}; see interfaces(5)\nauto {wish.channel}\nallow-hotplug {wish.channel}\n"
        f"iface {wish.channel} inet manual\n"
        f"    pre-up ip link set $IFACE type can bitrate {wish.bitrate}{restart}\n"
        f"    up ip link set $IFACE txqueuelen {QUEUE} up\n"
        "    down ip link set $IFACE down\n"
    )


def _overlay(wish: Wish) -> str:
    """Lines for config.txt; `[all]` ends a section for other models that may stand above."""
    assert wish.hat is not None
    hertz = round(1e6 * (wish.oscillator or OSCILLATORS[wish.hat]))
    select = wish.channel[-1]
    line = (
        f"dtoverlay=mcp2515-can{select},oscillator={hertz},interrupt={wish.interrupt}"
        if wish.hat == "mcp2515"
        else f"dtoverlay=mcp251xfd,spi0-{select},oscillator={hertz},interrupt={wish.interrupt}"
    )
    return f"[all]\ndtparam=spi=on\n{line}\n"


# ---- files


def _with_block(file: File, before: str) -> str:
    """The file with our block in it, in place of the one that was there."""
    overlay = file.text.splitlines()[-1]
    begin, end = f"{MARK}: {_device(overlay)}\n", f"# end of {_device(overlay)}\n"
    outside = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", "", before, flags=re.DOTALL)
    others = [
        line for line in outside.splitlines() if line.startswith("dtoverlay=") and _device(line) == _device(overlay)
    ]
    if others:
        raise GatewayError(f"{file}: has {others[0]!r} already; change that line by hand to {overlay!r}")
    gap = "" if not outside or outside.endswith("\n") else "\n"
    return f"{outside}{gap}{begin}{file.text}{end}"


def _device(overlay: str) -> str:
    """The place on the SPI bus that an overlay takes: mcp2515-can0 and mcp251xfd,spi0-0 are the same."""
    found = re.match(r"dtoverlay=(?:mcp2515-can(\d)|mcp251xfd,spi0-(\d))", overlay)
    return f"CAN on SPI 0.{found[1] or found[2]}" if found else ""


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="surrogateescape")
    except OSError as problem:
        raise GatewayError(f"{file}: {problem.strerror}") from None


def _has(root: Path, program: str) -> bool:
    return (root / program).exists() or (root / "usr" / program).exists()
