"""Current and state of charge.  Sheet: limits.md chapter 5."""

from dataclasses import replace

import pytest

from gateway.limits.correct import true_current
from gateway.limits.memory import DAY
from gateway.limits.settings import CurrentMap
from gateway.model import External
from tests.limits.play import WIDE, Play, cells, settings
from tests.make import reading

COUNTER = {"soc": {"source": "counter"}}


def counting(**more: object) -> Play:
    play = Play(settings(**WIDE, soc={"source": "counter", **more}))
    return play.set(current=0.0, soc=50.0)


# ---- 5.1


@pytest.mark.parametrize(("raw", "real"), [(0.4, 0.0), (50.0, 49.583), (-0.5, 0.0), (400.0, 300.0), (-50.0, -49.583)])
def test_chapter_5_1_correction_map(raw: float, real: float) -> None:
    table = CurrentMap(reported=(-300, -0.5, 0.5, 300), measured=(-300, 0, 0, 300))
    assert true_current(reading(current=raw), table) == pytest.approx(real, abs=0.001)


def test_chapter_5_1_no_flow_through_an_open_switch() -> None:
    plain = CurrentMap()
    assert true_current(reading(current=-0.3, discharge_allowed=False), plain) == 0.0
    assert true_current(reading(current=0.3, charge_allowed=False), plain) == 0.0
    assert true_current(reading(current=0.3, discharge_allowed=False), plain) == 0.3
    assert true_current(reading(current=None), plain) is None


def test_equal_lists_change_nothing_not_even_above_their_ends() -> None:
    assert true_current(reading(current=350.0), CurrentMap()) == 350.0


@pytest.mark.parametrize("source", ["bms", "counter"])
def test_the_corrected_current_is_what_is_counted_and_published(source: str) -> None:
    table = {"reported": [-100, 100], "measured": [-50, 50]}
    play = Play(settings(soc={"source": source, "current_map": table})).set(current=40.0)
    play.run(60)
    assert play.bank().current == 20.0
    assert play.bank().power == pytest.approx(20.0 * 53.2)
    assert play.memory.current_average == 20.0


def test_sensors_are_adjusted_once_for_each_reading_and_for_everything() -> None:
    play = Play(settings(temperature_adjust={"sensor_2": [-2.0, 1.0], "mosfet": [5.0, 1.1]}))
    play.set(temperatures=(25.0, 48.0), mosfet_temperature=60.0).run(5)
    bank = play.bank()
    assert bank.max_temperature is not None
    assert bank.max_temperature.value == 46.0
    assert bank.mosfet_temperature == 71.0
    assert play.decision is not None
    assert any("hottest sensor 46.0 °C" in cap.why for cap in play.decision.ccl_caps)
    assert any("MOSFET 71.0 °C" in cap.why for cap in play.decision.ccl_caps)


def test_chapter_5_4_a_capacity_that_the_bms_does_not_tell_comes_from_the_settings() -> None:
    play = Play(settings(soc={"source": "counter", "capacity": 140.0})).set(capacity=None, soc=50.0, current=14.0)
    assert play.run(3600, dt=5).soc == pytest.approx(60.0, abs=0.05)
    assert play.bank().capacity == 140.0
    assert play.set(capacity=280.0).bank().capacity == 280.0, "the BMS knows better"


# ---- 3.10


def test_chapter_3_10_a_charge_from_the_grid_is_asked_for_between_two_thresholds() -> None:
    play = Play(settings(force_charge={"enabled": True, "below": 10, "until": 15}))
    asked = [play.set(soc=soc).run(1).force_charge for soc in (20.0, 10.0, 9.9, 12.0, None, 14.9, 15.0, 12.0)]
    assert asked == [False, False, True, True, True, True, False, False]
    assert not Play().set(soc=1.0).look().force_charge, "off by default"


def test_the_request_survives_a_restart_and_ends_where_it_is_switched_off() -> None:
    play = Play(settings(force_charge={"enabled": True})).set(soc=9.0)
    assert play.look().force_charge
    assert play.set(soc=12.0).restart(60).look().force_charge
    play.site = replace(play.site, limits=settings())
    assert not play.run(1).force_charge


def test_a_full_charge_is_asked_for_when_there_was_none_for_long_and_until_the_soc_is_there() -> None:
    play = Play(settings(full_charge_request={"after_days": 30, "soc": 97})).set(soc=96.9)
    assert not play.run(29.9 * DAY, dt=DAY / 10).full_charge, "the days count from the first start"
    assert play.run(0.2 * DAY, dt=DAY / 10).full_charge
    assert play.restart(60).look().full_charge
    assert play.set(soc=None).run(1).full_charge, "an SoC that is not known is no full charge"
    assert not play.set(soc=97.0).run(1).full_charge
    assert not play.set(soc=50.0).run(29.9 * DAY, dt=DAY / 10).full_charge
    assert play.run(0.2 * DAY, dt=DAY / 10).full_charge


def test_no_full_charge_is_asked_for_by_default_nor_by_a_clock_that_jumps() -> None:
    assert not Play().set(soc=50.0).run(400 * DAY, dt=DAY).full_charge
    play = Play(settings(full_charge_request={"after_days": 30})).set(soc=50.0)
    play.run(10)
    play.wall += 400 * DAY
    assert not play.run(2 * 3600, dt=10).full_charge


# ---- 5.5


def test_chapter_5_5_an_external_sensor_measures_the_bank_while_it_speaks() -> None:
    play = Play().set(current=20.0, soc=60.0, charge_allowed=False)
    play.external = External(current=-7.0, soc=55.0)
    found = play.run(5)
    assert (found.soc, found.soc_source, found.remaining_capacity) == (55.0, "external", pytest.approx(154.0))
    assert (play.bank().current, play.memory.current_average) == (-7.0, -7.0)
    assert play.bank().power == pytest.approx(-7.0 * 53.2)
    assert play.bank().soc == 60.0, "the BMS's own is kept beside it"
    play.external = External(fault="gone")
    found = play.run(1)
    assert (found.soc, found.soc_source) == (60.0, "bms")
    assert play.bank().current == 0.0, "the BMS again, without a flow through its open switch"


def test_chapter_5_5_rules_and_alarm_follow_the_external_soc() -> None:
    play = Play(settings(by_soc={"discharge": {"enabled": True}})).set(soc=60.0)
    play.external = External(soc=9.0)
    found = play.run(1)
    assert found.alarms["low_soc"] == 2
    assert found.dcl == pytest.approx(60 * 0.18, abs=0.01)


def test_a_sensor_of_the_bank_feeds_the_counter_of_a_single_battery_only() -> None:
    alone = counting()
    alone.external = External(current=28.0)
    assert alone.run(3600, dt=5).soc == pytest.approx(60.0, abs=0.05)
    both = Play(
        settings(**WIDE, soc={"source": "counter"}),
        {"a": reading(soc=50.0, current=0.0), "b": reading(soc=50.0, current=0.0)},
    )
    both.external = External(current=28.0)
    assert both.run(3600, dt=5).soc == pytest.approx(50.0)
    assert both.memory.current_average == 28.0


# ---- 5.2, 5.3


def test_chapter_5_3_worked_example() -> None:
    play = counting()
    play.look()
    play.set(current=56.0)
    assert play.run(3600, dt=5).soc == pytest.approx(70.0, abs=0.01)
    assert play.set(current=-28.0).run(1800, dt=5).soc == pytest.approx(65.0, abs=0.01)


def test_the_counter_starts_with_what_was_stored_else_the_bms_else_full() -> None:
    play = counting()
    play.look()
    play.set(current=56.0).run(360)
    stored = play.decision.soc  # type: ignore[union-attr]
    assert play.restart(down=600).look().soc == pytest.approx(stored)
    assert counting().look().soc == 50.0
    assert counting().set(soc=None).look().soc == 100.0


def test_the_counter_never_leaves_0_to_100() -> None:
    play = counting()
    assert play.set(current=280.0).run(7200, dt=10).soc == 100.0
    assert play.set(current=-280.0).run(7200, dt=10).soc == 0.0


def test_charge_efficiency_is_an_option() -> None:
    play = counting(efficiency=0.98)
    play.look()
    assert play.set(current=56.0).run(3600, dt=5).soc == pytest.approx(69.6, abs=0.01)
    assert play.set(current=-56.0).run(3600, dt=5).soc == pytest.approx(49.6, abs=0.01)


def test_q7_a_gap_is_not_filled_with_the_new_current() -> None:
    play = counting()
    play.look()
    play.set(current=56.0).run(10)
    before = play.decision.soc  # type: ignore[union-attr]
    play.silence().run(3600)
    play.answer().set(current=200.0)
    assert play.run(1).soc == pytest.approx(before, abs=0.06), "a BMS without news keeps the counter"


def test_q7_the_bms_own_difference_over_the_gap_counts() -> None:
    play = counting()
    play.look()
    play.silence().run(3600)
    play.answer().set(soc=42.0)
    assert play.run(1).soc == pytest.approx(42.0, abs=0.01)


def test_100_percent_only_at_the_full_event() -> None:
    play = counting()
    play.set(cell_voltages=cells(3.452)).look()
    assert play.run(900).soc == 50.0
    found = play.run(1)
    assert (found.soc, found.charge_mode) == (100.0, "float_transition")


def test_0_percent_after_more_than_60_s_at_the_minimum() -> None:
    play = counting()
    play.look()
    play.set(cell_voltages=cells(3.0, 2.9), current=-5.0).run(61)
    assert play.decision is not None and play.decision.soc is not None and play.decision.soc > 49
    assert play.run(1).soc == 0.0


@pytest.mark.parametrize("relief", [{"current": 0.0}, {"cell_voltages": cells(3.0, 2.95)}])
def test_q6_an_interruption_begins_the_60_s_anew(relief: dict[str, object]) -> None:
    play = counting()
    play.look()
    low = {"cell_voltages": cells(3.0, 2.9), "current": -5.0}
    play.set(**low).run(50)
    play.set(**relief).run(1)
    play.set(**low).run(61)
    assert play.decision is not None and play.decision.soc is not None and play.decision.soc > 49
    assert play.run(1).soc == 0.0


def test_a_gap_begins_the_60_s_anew() -> None:
    play = counting()
    play.set(cell_voltages=cells(3.0, 2.9), current=-5.0).look()
    play.run(5)
    play.silence().run(500)
    play.answer().run(30)
    assert play.decision is not None and play.decision.soc is not None and play.decision.soc > 49


def test_the_soc_may_be_capped_until_full() -> None:
    play = Play(settings(**WIDE, soc={"cap_until_full": True})).set(soc=100.0, cell_voltages=cells(3.452))
    assert play.look().soc == 99.0
    play.until(lambda d: d.charge_mode == "float_transition")
    assert play.run(1).soc == 100.0
    assert play.restart().look().soc == 100.0


def test_the_published_soc_is_the_one_that_rules_use() -> None:
    found = Play(settings(**COUNTER, by_soc={"discharge": {"enabled": True}})).set(soc=15.0).look()
    assert (found.soc, found.dcl) == (15.0, 30.0)


def test_a_counter_without_a_capacity_knows_nothing() -> None:
    found = Play(settings(**COUNTER), {"a": reading(capacity=None)}).look()
    assert (found.soc, found.charge_mode, found.cvl) == (None, "error", 54.0)


def test_soc_of_a_bank_is_weighted_by_capacity() -> None:
    packs = {"a": reading(soc=80.0, capacity=300.0), "b": reading(soc=40.0, capacity=100.0)}
    assert Play(batteries=packs).look().soc == 70.0
    packs = {"a": reading(soc=80.0, capacity=None), "b": reading(soc=40.0)}
    assert Play(batteries=packs).look().soc == 60.0
