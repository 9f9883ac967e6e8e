"""What the user may say about the page."""

from ipaddress import ip_address
from typing import Annotated

from gateway.model.section import Checked, Section, declared


def an_address(listen: str) -> str:
    """As it is written usually.  Raises ValueError for what is none."""
    try:
        return str(ip_address(listen))
    except ValueError:
        raise ValueError(f"{listen!r} is no address, expected one as 127.0.0.1, 0.0.0.0 or ::1") from None


def plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """In small letters.  Raises ValueError for what is no name of a host."""
    for name in names:
        if not name or set(name) & set("/:@ *"):
            raise ValueError(f"{name!r} is no name of a host, expected one as battery.example.org")
    return tuple(name.lower() for name in names)


class Settings(Section):
    """`outputs: web:` in gateway.yaml.  `web: {}` is a page for this machine alone, at http://127.0.0.1:8765/."""

    listen: Annotated[str, Checked(an_address)] = declared(
        "127.0.0.1",
        description="address to listen on; 0.0.0.0 = everybody in the network may look (nobody may change anything)",
    )
    port: int = declared(8765, ge=0, le=65535, description="TCP port; 0 = any free one, `status` says which")
    names: Annotated[tuple[str, ...], Checked(plain_names)] = declared(
        (),
        description="names by which browsers may ask for it, beside addresses, localhost, this machine's own name and"
        " *.local: a foreign page cannot pass for this one",
    )
    history_on_disk: bool = declared(
        False,
        description="keep what the plots show over a restart: 16 kB an hour for one battery, kept for 30 days",
    )

    remote_limits: bool = declared(
        False,
        description="true = whoever has the token in state_dir/web-token may tighten CCL, DCL and the SoC window for a"
        " while, by POST to /api/limits",
    )

    @property
    def door(self) -> tuple[str, int]:
        """Where it listens."""
        return self.listen, self.port
