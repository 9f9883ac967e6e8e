"""What the user may say about the MQTT output; imports no MQTT."""

import re
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.config.beside import FilePath

PLAIN_PORT, TLS_PORT = 1883, 8883


class TlsSettings(BaseModel):
    """Encrypted, and the broker's certificate is verified; `tls: {}` takes the system's authorities."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca_file: FilePath | None = Field(default=None, description="authorities that are trusted instead of the system's")
    certificate_file: FilePath | None = Field(
        default=None, description="our own certificate, where the broker wants one"
    )
    key_file: FilePath | None = Field(default=None, description="its key")


class HomeAssistantSettings(BaseModel):
    """Discovery messages, one a device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="false = states only, nothing below the prefix")
    prefix: str = Field(default="homeassistant", description="as set in Home Assistant's MQTT options")
    birth_topic: str = Field(default="homeassistant/status", description="where it says that it is there (again)")
    birth_payload: str = Field(default="online", description="and what it says")
    name: str = Field(default="Battery bank", max_length=60, description="of the device that stands for all batteries")


class Settings(BaseModel):
    """`outputs: mqtt:` in gateway.yaml.  `mqtt: {host: 192.168.1.5}` is enough for a broker without password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(description="the broker's name or address")
    port: int | None = Field(default=None, ge=1, le=65535, description="default 1883, with tls 8883")
    tls: TlsSettings | None = Field(default=None, description="a section, empty too = encrypted; none = plain text")
    username: str | None = Field(default=None, max_length=200, description="where the broker wants one")
    password_file: FilePath | None = Field(default=None, description="a file whose first line is the password")
    password_environment: str | None = Field(
        default=None, description="name of an environment variable that holds the password"
    )
    id: str | None = Field(
        default=None, description="12 hex digits that tell this gateway from others; default: made once, in state_dir"
    )
    topic: str = Field(default="bms-gateway", description="first part of all topics: <topic>/<id>/bank ...")
    interval: float = Field(
        default=5.0, ge=1, le=300, json_schema_extra={"unit": "s"},
        description="between two states; limits that fall, alarms and losses do not wait",
    )  # fmt: skip
    heartbeat: float = Field(
        default=30.0, ge=5, le=3600, json_schema_extra={"unit": "s"}, description="between two states that are the same"
    )
    keepalive: int = Field(
        default=15, ge=5, le=300, json_schema_extra={"unit": "s"},
        description="after so long without a word from the broker the connection is given up and made anew",
    )  # fmt: skip
    remote_limits: bool = Field(
        default=False, description="true = <topic>/<id>/limits/set may tighten CCL, DCL and the SoC window for a while"
    )
    commands: bool = Field(
        default=False,
        description="true = <topic>/<id>/command/<action> may switch the BMSs: charge, discharge, balance, soc",
    )
    remote_limits_last: float = Field(
        default=900.0, ge=10, le=86400, json_schema_extra={"unit": "s"},
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

    @field_validator("topic")
    @classmethod
    def _plain_topic(cls, topic: str) -> str:
        if not TOPIC.fullmatch(topic):
            raise ValueError(f"{topic!r} cannot begin a topic, expected letters, digits, - and _, / between parts")
        return topic

    @field_validator("id")
    @classmethod
    def _plain_id(cls, given: str | None) -> str | None:
        if given is not None and not re.fullmatch(r"[0-9a-f]{12}", given):
            raise ValueError(f"{given!r} is no id of a gateway, expected 12 hex digits as 0123456789ab")
        return given

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_file is not None and self.password_environment is not None:
            raise ValueError("password_file and password_environment: one of them, expected one password")
        if (self.password_file or self.password_environment) and self.username is None:
            raise ValueError("a password without a username, expected username: as well")
        return self


TOPIC: Final = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
