"""What the user may say about the MQTT output; imports no MQTT."""

import re
from typing import Annotated, Final

from gateway.config.beside import FilePath
from gateway.model.section import Checked, Section, declared

PLAIN_PORT, TLS_PORT = 1883, 8883
TOPIC: Final = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


class TlsSettings(Section):
    """Encrypted, and the broker's certificate is verified; `tls: {}` takes the system's authorities."""

    ca_file: FilePath | None = declared(None, description="authorities that are trusted instead of the system's")
    certificate_file: FilePath | None = declared(None, description="our own certificate, where the broker wants one")
    key_file: FilePath | None = declared(None, description="its key")


class HomeAssistantSettings(Section):
    """Discovery messages, one a device."""

    enabled: bool = declared(True, description="false = states only, nothing below the prefix")
    prefix: str = declared("homeassistant", description="as set in Home Assistant's MQTT options")
    birth_topic: str = declared("homeassistant/status", description="where it says that it is there (again)")
    birth_payload: str = declared("online", description="and what it says")
    name: str = declared("Battery bank", max_length=60, description="of the device that stands for all batteries")


def plain_topic(topic: str) -> str:
    """Raises ValueError for what cannot begin a topic."""
    if not TOPIC.fullmatch(topic):
        raise ValueError(f"{topic!r} cannot begin a topic, expected letters, digits, - and _, / between parts")
    return topic


def plain_id(given: str) -> str:
    """Raises ValueError for what is no id."""
    if not re.fullmatch(r"[0-9a-f]{12}", given):
        raise ValueError(f"{given!r} is no id of a gateway, expected 12 hex digits as 0123456789ab")
    return given


class Settings(Section):
    """`outputs: mqtt:` in gateway.yaml.  `mqtt: {host: 192.168.1.5}` is enough for a broker without password."""

    host: str = declared(description="the broker's name or address")
    port: int | None = declared(None, ge=1, le=65535, description="default 1883, with tls 8883")
    tls: TlsSettings | None = declared(None, description="a section, empty too = encrypted; none = plain text")
    username: str | None = declared(None, max_length=200, description="where the broker wants one")
    password_file: FilePath | None = declared(None, description="a file whose first line is the password")
    password_environment: str | None = declared(
        None, description="name of an environment variable that holds the password"
    )
    id: Annotated[str, Checked(plain_id)] | None = declared(
        None, description="12 hex digits that tell this gateway from others; default: made once, in state_dir"
    )
    topic: Annotated[str, Checked(plain_topic)] = declared(
        "bms-gateway", description="first part of all topics: <topic>/<id>/bank ..."
    )
    interval: float = declared(
        5.0, ge=1, le=300, unit="s",
        description="between two states; limits that fall, alarms and losses do not wait",
    )  # fmt: skip
    heartbeat: float = declared(30.0, ge=5, le=3600, unit="s", description="between two states that are the same")
    keepalive: int = declared(
        15, ge=5, le=300, unit="s",
        description="after so long without a word from the broker the connection is given up and made anew",
    )  # fmt: skip
    remote_limits: bool = declared(
        False, description="true = <topic>/<id>/limits/set may tighten CCL, DCL and the SoC window for a while"
    )
    commands: bool = declared(
        False,
        description="true = <topic>/<id>/command/<action> may switch the BMSs: charge, discharge, balance, soc",
    )
    remote_limits_last: float = declared(
        900.0, ge=10, le=86400, unit="s",
        description="how long one lasts that is set by hand in Home Assistant; other senders say so themselves",
    )  # fmt: skip
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()

    @property
    def broker_port(self) -> int:
        """Where the broker listens."""
        return self.port or (PLAIN_PORT if self.tls is None else TLS_PORT)

    @property
    def expires(self) -> int:
        """s after which Home Assistant takes a value that is not repeated for gone."""
        return round(3 * max(self.heartbeat, self.interval))

    def __post_init__(self) -> None:
        if self.password_file is not None and self.password_environment is not None:
            raise ValueError("password_file and password_environment: one of them, expected one password")
        if (self.password_file or self.password_environment) and self.username is None:
            raise ValueError("a password without a username, expected username: as well")
