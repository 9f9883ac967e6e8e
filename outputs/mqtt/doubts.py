"""What of the MQTT settings is perhaps not meant."""

from collections.abc import Iterator

from outputs.mqtt.settings import Settings

HERE = ("localhost", "127.0.0.1", "::1")


def doubts(settings: Settings) -> Iterator[str]:
    """ "key: sentence", below the output."""
    if settings.username is not None and settings.tls is None and settings.host not in HERE:
        yield "tls: not set, so the password crosses the network in plain text"
    if settings.remote_limits and settings.username is None:
        yield "remote_limits: whoever reaches the broker may tighten the limits; expected a broker with a password"
    if settings.commands and settings.username is None:
        yield "commands: whoever reaches the broker may switch the BMSs; expected a broker with a password"
    if settings.heartbeat < settings.interval:
        yield f"heartbeat: {settings.heartbeat:g} s is less than interval, so each state is sent, changed or not"
