"""What leaves the house in a report: secrets do not, what relates stays."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.config.load import parse
from gateway.redact import MASK, Redactor


def redacted(text: str, *others: str) -> list[str]:
    redactor = Redactor()
    redactor.learn(text)
    return [redactor.text(each) for each in (text, *others)]


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2", "  password: 'hunter2'  # the good one", '  password: "hunter2"', "# password: hunter2",
        "# its password = hunter2", "mqtt: {host: h, password: hunter2}", "mqtt: {password: hunter2, host: h}",
        "wifi_ssid: hunter2", "api_key: hunter2", "apikey: hunter2", "token: hunter2", "portal-id: hunter2",
        "password: gr8#hunter2", "password: gr8, hunter2}", "# its password: gr8, hunter2",
        '  password: "gr8\\" hunter2"', "  - password: 'it''s hunter2'", "mqtt: {password: gr8#hunter2}",
        "# mqtt: {token: hunter2, host: h}",
        "USERNAME: hunter2", "url: mqtt://me:hunter2@broker/x", "passphrase:\thunter2",
    ],
)  # fmt: skip
def test_secrets_are_masked_and_the_rest_of_the_line_stays(line: str) -> None:
    (found,) = redacted(line)
    assert "hunter2" not in found and MASK in found
    assert found.startswith(re.split("hunter2|it''s|gr8", line)[0].rstrip("'\"").removesuffix("me:"))
    assert ("# the good one" in found) is ("# the good one" in line)


def test_what_is_no_secret_stays_as_it_is() -> None:
    text = """# two racks; the left one is old
batteries:
  - {name: rack-1, driver: jbd, port: /dev/ttyUSB0}
outputs:
  mqtt: {host: 192.168.1.5, password_file: /etc/bms-gateway/secret, password_environment: MQTT_SECRET}   # mine
  can_bms: {channel: can0, manufacturer: ACME}
"""
    (found,) = redacted(text)
    assert found == text


def test_a_secret_is_masked_wherever_it_turns_up() -> None:
    config, log, state = redacted(
        "username: solar-admin\npassword: 'gr8 pass'\n",
        "mqtt refused solar-admin with gr8 pass",
        json.dumps({"problem": "no: gr8 pass"}),
    )
    assert "gr8" not in config + log + state and "solar-admin" not in config + log + state
    json.loads(state)


def test_a_word_of_the_configuration_is_masked_beside_its_key_alone() -> None:
    text = (
        "batteries:\n  - {name: solar-1, driver: jbd}\nmqtt:\n  username: mqtt\n  password: pass\n# login: solar, 12\n"
    )
    redactor = Redactor()
    redactor.learn(text, ["solar-1", "jbd"])
    assert redactor.text(text) == (
        "batteries:\n  - {name: solar-1, driver: jbd}\nmqtt:\n  username: MASKED\n  password: MASKED\n# login: MASKED\n"
    )


def test_what_a_battery_runs_with_is_masked_whatever_the_file_says_by_now() -> None:
    setup = {"password": "hunter2", "wifi_ssid": "home", "map": "mine.yaml", "token": None}
    assert Redactor().data(setup) == {"password": MASK, "wifi_ssid": MASK, "map": "mine.yaml", "token": None}


def test_macs_keep_their_makers_half_and_stay_apart_and_parse() -> None:
    text = """batteries:
  - {name: a, driver: jk_ble, port: "ble:C8:47:8C:E1:22:33"}
  - {name: b, driver: jk_ble, port: "ble:C8:47:8C:E1:22:44"}
"""
    config, log = redacted(text, "c8:47:8c:e1:22:33 is heard, me@example.org")
    ports = [battery.port for battery in parse(config).batteries]
    assert len(set(ports)) == 2 and all(port.startswith("ble:C8:47:8C:00:00:0") for port in ports)
    assert log.startswith("c8:47:8c:00:00:01 is heard, MASKED-1")


def test_serial_numbers_become_numbers_that_agree() -> None:
    redactor = Redactor()
    found = redactor.data({"a": {"serial_number": "S1"}, "b": [{"serial_number": "S2"}, {"serial_number": "S1"}]})
    assert found == {"a": {"serial_number": "MASKED-1"}, "b": [{"serial_number": "MASKED-2"},
                     {"serial_number": "MASKED-1"}]}  # fmt: skip
    assert list(redactor.lines()) == ["2 different serial_numbers"]


SECRETS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789!$%&/()=?+*~@.-_", min_size=6, max_size=30)


FORMS = st.sampled_from(["{}: {}", "  {}: '{}'", '{}: "{}"', "# {}: {}"])


@given(SECRETS, FORMS, st.sampled_from(["password", "token"]))
@examples(max_examples=150, deadline=None)
def test_no_secret_survives_however_it_is_written(secret: str, form: str, key: str) -> None:
    found = redacted("host: h\n" + form.format(key, secret) + "\nport: 1883\n", f"log: {secret}!")
    assert all(secret not in text for text in found) or secret in ("password", "passwor")
    assert "port: 1883" in found[0]
