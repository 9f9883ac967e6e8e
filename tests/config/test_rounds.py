"""Whether the batteries on one port can be polled as often as the configuration says."""

from typing import Any

import pytest

from bms_drivers.kit import registry
from gateway.config import rounds
from gateway.config.doubts import doubts
from gateway.config.load import parse
from gateway.config.schema import Settings, battery_class
from gateway.model import ConfigError


def house(driver: str, count: int, interval: float, more: str = "") -> Settings:
    lines = [
        f"  - {{name: b{n}, driver: {driver}, port: /dev/ttyUSB0, address: {n}, poll_interval: {interval:g}{more}}}"
        for n in range(1, count + 1)
    ]
    return parse("\n".join(["batteries:", *lines, "outputs: {venus_dbus: {}}", ""]))


def said(settings: Settings) -> list[str]:
    return [doubt for doubt in doubts(settings) if doubt.startswith("poll_interval")]


@pytest.mark.parametrize(
    ("driver", "count", "interval", "expected"),
    [
        ("daly", 1, 1, None),
        ("daly", 2, 1, "takes about 1.9 s and poll_interval is 1 s: use poll_interval 2 or a second adapter"),
        ("daly", 2, 2, None),
        ("daly", 16, 1, "about 14.8 s and poll_interval is 1 s: readings would be stale at 10 s; use poll_interval 17"),
        ("daly", 16, 4, "stale at 12 s; use poll_interval 17"),
        ("daly", 16, 17, None),
        ("daly", 30, 20, "s and poll_interval is 20 s: use a second adapter"),
        ("jk_pb", 5, 1, None),
        ("jk_pb", 8, 1, "takes about 1.2 s"),
        ("seplos", 15, 1, "takes about 6.7 s and poll_interval is 1 s: use poll_interval 8"),
        ("jbd_up16s", 1, 1, None),  # alone it is asked as fast as it answers
        ("jbd_up16s", 1, 0.5, "(b1) takes about 1.3 s"),
    ],
)
def test_a_round_that_takes_longer_than_the_interval_is_said(
    driver: str, count: int, interval: float, expected: str | None
) -> None:
    found = said(house(driver, count, interval))
    assert len(found) == (expected is not None), found
    assert expected is None or expected in found[0]


def test_who_is_only_listened_to_takes_no_time() -> None:
    assert said(house("seplos", 15, 1, ", listen: true")) == []


def test_ports_are_counted_each_for_itself() -> None:
    one = house("daly", 1, 1).batteries[0]
    two = [one.changed(name=f"b{n}", port=f"/dev/ttyUSB{n}") for n in range(16)]
    assert list(rounds.doubts(two)) == []


def test_more_than_can_be_read_before_each_is_lost_is_a_mistake() -> None:
    lines = [f"  - {{name: b{n}, driver: daly, port: /dev/ttyUSB0, address: {n}}}" for n in range(1, 33)]
    lines += [f"  - {{name: b{n}, driver: renogy, port: /dev/ttyUSB0, address: {n}}}" for n in range(33, 100)]
    expected = r"batteries\[98\]\.port: a round of 99 batteries on /dev/ttyUSB0 takes about [67]"
    with pytest.raises(ConfigError, match=expected):
        parse("\n".join(["batteries:", *lines, "outputs: {venus_dbus: {}}", ""]))


@pytest.mark.parametrize("name", registry.simulated())
def test_every_setting_that_a_driver_can_have_has_a_time(name: str) -> None:
    driver = registry.load(name)
    kind = battery_class(name, driver.options)
    tried: list[dict[str, Any]] = [{}]
    for option in driver.options:
        values = option.choices or ([True, False] if option.kind is bool else [option.least, option.most])
        tried += [{option.name: value} for value in values if value is not None]
    for setup in tried:
        battery = kind(name="a", driver=name, port="/dev/x", **setup)
        assert 0.0 <= rounds.seconds(battery) < 10.0, setup
    usual = rounds.seconds(kind(name="a", driver=name, port="/dev/x"))
    assert usual == 0.0 if driver.transports == ("can",) else 0.1 < usual < 2.0
