"""Where an installed gateway lives, on Debian and on a GX, and how its service is driven there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class Home:
    """One kind of machine on which the gateway is installed."""

    name: str
    program: Path  # there when the gateway is installed
    config: Path
    state: Path
    user: str  # who runs it
    start: str  # commands for people, and for `init`
    reload: str
    log: str


DEBIAN: Final = Home(
    "systemd", Path("/opt/bms-gateway/current"), Path("/etc/bms-gateway/gateway.yaml"),
    Path("/var/lib/bms-gateway"), "bms-gateway",
    "systemctl restart bms-gateway", "systemctl reload bms-gateway", "journalctl -u bms-gateway",
)  # fmt: skip
VENUS: Final = Home(
    "Venus OS", Path("/data/apps/bms-gateway/current"), Path("/data/apps/bms-gateway/gateway.yaml"),
    Path("/data/apps/bms-gateway/state"), "root",
    "/data/apps/bms-gateway/enable", "svc -h /service/bms-gateway", "tail /var/log/bms-gateway/current",
)  # fmt: skip
VERSION_OF_VENUS: Final = Path("/opt/victronenergy/version")


def homes(root: Path = ROOT) -> Iterator[Home]:
    """Those that are installed on the system below `root`."""
    return (home for home in (VENUS, DEBIAN) if below(root, home.program).exists())


def venus_version(root: Path = ROOT) -> str:
    """As v3.60; "" where this is no GX."""
    try:
        return below(root, VERSION_OF_VENUS).read_text().split("\n", 1)[0].strip() or "unknown"
    except OSError:
        return ""


def below(root: Path, path: Path) -> Path:
    """An absolute path as it is in the system below `root`."""
    return root / path.relative_to("/")
