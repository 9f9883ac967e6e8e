"""What may be said about the MQTT output, and what is refused with its line."""

from pathlib import Path

import pytest

from gateway.config.doubts import doubts
from gateway.config.load import parse
from gateway.model import ConfigError
from outputs.mqtt.credentials import password
from outputs.mqtt.settings import Settings

HEAD = "batteries:\n  - {name: a, driver: jbd, port: simulated}\n"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{}", "gateway.yaml:3: outputs.mqtt.host: missing"),
        ("{host: h, port: 70000}", "outputs.mqtt.port: 70000 is out of range"),
        ("{host: h, password: x}", "outputs.mqtt.password: unknown key"),
        (
            "{host: h, password_file: /nowhere/secret, username: u}",
            "mqtt.password_file: /nowhere/secret: cannot be read",
        ),
        ("{host: h, password_environment: NO_SUCH_ONE, username: u}", "password_environment: NO_SUCH_ONE is not set"),
        ("{host: h, password_file: /etc/hostname}", "a password without a username"),
        ("{host: h, tls: {ca_file: /nowhere/ca.pem}}", "outputs.mqtt.tls.ca_file: /nowhere/ca.pem: cannot be used"),
        ("{host: h, id: house}", "'house' is no id of a gateway, expected 12 hex digits"),
        ("{host: h, topic: 'a/#'}", "'a/#' cannot begin a topic"),
        ("{host: h, interval: 0}", "outputs.mqtt.interval: 0 is out of range"),
    ],
)
def test_mistakes_are_named(section: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"{HEAD}outputs: {{mqtt: {section}}}\n")
    assert says in str(refused.value)


def test_two_batteries_of_one_topic_are_refused() -> None:
    text = HEAD + "  - {name: A., driver: jbd, port: simulated}\noutputs: {mqtt: {host: h}}\n"
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert str(refused.value) == (
        "gateway.yaml:3: batteries[1].name: 'A.' and 'a' are both 'a' as part of an MQTT topic, expected two names"
    )
    parse(text.replace("outputs: {mqtt: {host: h}}\n", ""))


def test_doubts() -> None:
    text = HEAD + "outputs: {mqtt: {host: broker, username: u, remote_limits: true, interval: 60}}\n"
    said = [doubt for doubt in doubts(parse(text)) if "mqtt" in doubt]
    assert said == [
        "outputs.mqtt.tls: not set, so the password crosses the network in plain text",
        "outputs.mqtt.heartbeat: 30 s is less than interval, so each state is sent, changed or not",
    ]
    said = doubts(parse(HEAD + "outputs: {mqtt: {host: broker, remote_limits: true}}\n"))
    assert any("whoever reaches the broker may tighten the limits" in doubt for doubt in said)


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s e cret\r\nmore\n")
    assert password(Settings(host="h", username="u", password_file=tmp_path / "secret")) == "s e cret"
    assert password(Settings(host="h", username="u", password_environment="P"), {"P": "x"}) == "x"
    assert password(Settings(host="h")) is None
