"""What the kernel knows of a SocketCAN interface: state, error counters, bitrate; and the wish that it leave bus-off.

Read through `ip -json -details -statistics link show`, which needs no privileges; without it, or with one that knows no
JSON, sysfs says whether the interface is there, up, and has a carrier (an interface in bus-off has none).  Everything
here blocks: to be called in a thread.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.model import GatewayError

PATIENCE: Final = 3.0  # s for `ip`
PLACES: Final = "/usr/sbin:/sbin:/usr/bin:/bin"  # a user's PATH on Debian has no sbin
SYSFS: Final = Path("/sys/class/net")
IFF_UP: Final = 0x1
KINDS: Final = ("can", "vcan", "vxcan")
PASSIVE_FROM: Final = 128  # of an error counter; ISO 11898-1, fault confinement
WARNING_FROM: Final = 96

Run = subprocess.CompletedProcess[str]


class NetError(GatewayError):
    """The kernel did not say, or did not do, what it was asked."""


class NotPermitted(NetError):
    """It takes CAP_NET_ADMIN, which we have not."""


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface; None and "" = not known."""

    name: str
    kind: str = ""  # can, vcan, vxcan, or what else it is
    up: bool = False
    carrier: bool = False
    state: str = ""  # error-active, error-warning, error-passive, bus-off, stopped, sleeping
    rx_errors: int | None = None  # error counters of the controller, 0..255 and more
    tx_errors: int | None = None
    bitrate: int | None = None  # bit/s
    sample_point: float | None = None  # share of a bit's time
    restart_ms: int | None = None  # 0 = stays in bus-off
    driver: str = ""  # as the controller's timing is called: mcp251x, gs_usb
    queue: int | None = None  # frames that the kernel's transmit queue takes
    echo: bool = False  # frames are given back when they went out, not when they were queued
    restarts: int | None = None
    bus_offs: int | None = None
    received: int | None = None  # frames since it is there
    sent: int | None = None

    @property
    def virtual(self) -> bool:
        """No controller, hence no bitrate and no state."""
        return self.kind in ("vcan", "vxcan")

    @property
    def off(self) -> bool:
        """In bus-off."""
        return self.state == "bus-off"

    @property
    def restartable(self) -> bool:
        """A restart may be asked for; drivers with fixed bitrates know none, and old kernels crash when asked."""
        return self.kind == "can" and bool(self.driver)

    def __str__(self) -> str:
        """As in "error-passive, errors sent 128 received 0, 500 kbit/s, restart-ms 100"."""
        counters = None if self.tx_errors is None else f"errors sent {self.tx_errors} received {self.rx_errors}"
        rate = f"{self.bitrate / 1000:g} kbit/s" if self.bitrate else None
        restart = None if self.restart_ms is None else f"restart-ms {self.restart_ms}"
        up = "up" if self.up else "down"
        return ", ".join(word for word in (up, self.state, counters, rate, restart) if word)


def read(channel: str) -> Link | None:
    """The interface; None = there is none of that name.  Raises NetError when nobody says."""
    if not (SYSFS / channel).exists():
        return None
    try:
        return _asked(channel)
    except NetError:  # no `ip`, or one that cannot be asked so (busybox), or it went just now
        return from_sysfs(SYSFS / channel) if (SYSFS / channel).exists() else None


def _asked(channel: str) -> Link | None:
    done = _run([_ip(), "-json", "-details", "-statistics", "link", "show", "dev", channel])
    if done.returncode:
        raise NetError(f"ip link show {channel}: {' '.join(done.stderr.split()) or done.returncode}")
    return parse(done.stdout)


def parse(text: str) -> Link | None:
    """What `ip -json -details -statistics link show dev NAME` printed.  Raises NetError for what is no such thing."""
    try:
        found = [entry for entry in json.loads(text) if entry]
        return _link(found[0]) if found else None
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise NetError(f"ip -json: not as expected: {fault}") from None


def _link(entry: Mapping[str, Any]) -> Link:
    info = entry.get("linkinfo", {})
    data, extra = info.get("info_data", {}), info.get("info_xstats", {})
    timing, counters = data.get("bittiming", {}), data.get("berr_counter", {})
    counts, flags = entry.get("stats64", entry.get("stats", {})), entry.get("flags", ())
    point = timing.get("sample_point")
    return Link(
        name=entry["ifname"],
        kind=info.get("info_kind", entry.get("link_type", "")),
        up="UP" in flags,
        carrier="NO-CARRIER" not in flags and "UP" in flags,
        state=str(data.get("state", "")).lower(),
        rx_errors=counters.get("rx"),
        tx_errors=counters.get("tx"),
        bitrate=timing.get("bitrate") or data.get("bittiming_bitrate") or None,
        sample_point=None if point is None else float(point),
        restart_ms=data.get("restart_ms"),
        driver=data.get("bittiming_const", {}).get("name", ""),
        queue=entry.get("txqlen"),
        echo="ECHO" in flags,
        restarts=extra.get("restarts"),
        bus_offs=extra.get("bus_off"),
        received=counts.get("rx", {}).get("packets"),
        sent=counts.get("tx", {}).get("packets"),
    )


def from_sysfs(folder: Path) -> Link:
    """What is known without `ip`.  Raises NetError when the interface went meanwhile."""
    try:
        up = bool(int((folder / "flags").read_text(), 16) & IFF_UP)
        queue = int((folder / "tx_queue_len").read_text())
    except (OSError, ValueError) as fault:
        raise NetError(f"{folder}: {fault}") from None
    try:
        carrier = (folder / "carrier").read_text().strip() == "1"
    except OSError:  # the kernel refuses to say while it is down
        carrier = False
    return Link(folder.name, up=up, carrier=carrier, queue=queue)


def restart(channel: str) -> None:
    """Have an interface leave bus-off.  Raises NotPermitted, or NetError for another reason."""
    done = _run([_ip(), "link", "set", "dev", channel, "type", "can", "restart"])
    said = " ".join(done.stderr.split())
    if "not permitted" in said:
        raise NotPermitted(said)
    if done.returncode:
        raise NetError(said or f"ip ended with {done.returncode}")


def remedy(link: Link) -> str:
    """The commands that bring an interface in bus-off back, and keep it from staying there where it can."""
    keep = f"sudo ip link set {link.name} type can restart-ms 100 && " if link.restartable else ""
    return f"sudo ip link set {link.name} down && {keep}sudo ip link set {link.name} up"


def _ip() -> str:
    import shutil  # brings decompressors, for a bus that is well

    program = shutil.which("ip") or shutil.which("ip", path=PLACES)
    if program is None:
        raise NetError("ip is not installed: apt install iproute2")
    return program


def _run(command: Sequence[str]) -> Run:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NetError(f"{command[0]}: {fault}") from None
