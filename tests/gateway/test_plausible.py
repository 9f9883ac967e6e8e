"""What cannot be is refused; what is broken becomes unknown, never 0."""

import math

import pytest

from gateway.model import Implausible
from gateway.plausible import plausible
from tests.make import reading


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("voltage", 101.0),
        ("voltage", -1.0),
        ("current", 1001.0),
        ("soc", 101.0),
        ("capacity", 6000.0),
        ("soc", math.nan),
    ],
)
def test_an_impossible_value_refuses_the_reading(field: str, value: float) -> None:
    with pytest.raises(Implausible, match=field):
        plausible(reading(**{field: value}))


def test_a_cell_of_53_volts_refuses_the_reading_and_names_the_cell() -> None:
    cells = (3.3,) * 6 + (53.1,) + (3.3,) * 9
    with pytest.raises(Implausible, match=r"cell_voltages\[7\] 53.1 outside"):
        plausible(reading(cell_voltages=cells))


def test_a_dead_cell_wire_becomes_unknown() -> None:
    assert plausible(reading(cell_voltages=(3.3, 0.0, 3.3))).cell_voltages == (3.3, None, 3.3)


def test_a_broken_sensor_becomes_unknown() -> None:
    checked = plausible(reading(temperatures=(25.0, -200.0), mosfet_temperature=150.0))
    assert checked.temperatures == (25.0, None)
    assert checked.mosfet_temperature is None


def test_a_sound_reading_is_passed_on_as_it_is() -> None:
    sound = reading()
    assert plausible(sound) is sound
