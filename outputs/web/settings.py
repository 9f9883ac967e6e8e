"""What the user may say about the page."""

from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Settings(BaseModel):
    """`outputs: web:` in gateway.yaml.  `web: {}` is a page for this machine alone, at http://127.0.0.1:8765/."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field(
        default="127.0.0.1",
        description="address to listen on; 0.0.0.0 = everybody in the network may look (nobody may change anything)",
    )
    port: int = Field(default=8765, ge=0, le=65535, description="TCP port; 0 = any free one, `status` says which")
    names: tuple[str, ...] = Field(
        default=(),
        description="names by which browsers may ask for it, beside addresses, localhost, this machine's own name and"
        " *.local: a foreign page cannot pass for this one",
    )
    history_on_disk: bool = Field(
        default=False,
        description="keep what the plots show over a restart: 16 kB an hour for one battery, kept for 30 days",
    )

    @field_validator("listen")
    @classmethod
    def _an_address(cls, listen: str) -> str:
        try:
            return str(ip_address(listen))
        except ValueError:
            raise ValueError(f"{listen!r} is no address, expected one as 127.0.0.1, 0.0.0.0 or ::1") from None

    @field_validator("names")
    @classmethod
    def _plain_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or set(name) & set("/:@ *"):
                raise ValueError(f"{name!r} is no name of a host, expected one as battery.example.org")
        return tuple(name.lower() for name in names)
