"""Topics, and identifiers that stay the same: pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PART: Final = re.compile(r"[^a-z0-9_-]+")


def part(name: str) -> str:
    """A battery's name as part of a topic: rack-1 for "Rack 1"."""
    return PART.sub("-", name.lower().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")).strip("-") or "battery"


def parts(names: Iterable[str]) -> dict[str, str]:
    """Each name as part of a topic, no two alike: of those that would be, the later ones bear a number."""
    found: dict[str, str] = {}
    for name in names:
        plain = wanted = part(name)
        number = 2
        while wanted in found.values():
            wanted, number = f"{plain}-{number}", number + 1
        found[name] = wanted
    return found


@dataclass(frozen=True, slots=True)
class Topics:
    """Those of one gateway."""

    first: str  # "bms-gateway"
    id: str  # 12 hex digits

    @property
    def base(self) -> str:
        """What all begin with."""
        return f"{self.first}/{self.id}"

    @property
    def availability(self) -> str:
        """online or offline, retained; the broker's will."""
        return f"{self.base}/availability"

    @property
    def bank(self) -> str:
        """The bank's values."""
        return f"{self.base}/bank"

    @property
    def explain(self) -> str:
        """Every cap of every rule."""
        return f"{self.base}/explain"

    @property
    def set_limits(self) -> str:
        """Where orders for limits come."""
        return f"{self.base}/limits/set"

    @property
    def result(self) -> str:
        """What became of the last one."""
        return f"{self.base}/limits/result"

    def command(self, action: str) -> str:
        """Where such commands come; + = all of them."""
        return f"{self.base}/command/{action}"

    @property
    def outcome(self) -> str:
        """What became of a command."""
        return f"{self.base}/outcome"

    def battery(self, name: str) -> str:
        """One battery's values; `name` as `part` makes it."""
        return f"{self.base}/battery/{name}"

    def device(self, name: str = "") -> str:
        """An identifier of the bank, or of one battery."""
        return f"bms-gateway-{self.id}" + (f"-{name}" if name else "")

    def config(self, prefix: str, name: str = "") -> str:
        """Where Home Assistant is told of a device."""
        return f"{prefix}/device/{self.device(name)}/config"
