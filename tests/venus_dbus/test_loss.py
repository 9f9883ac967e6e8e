"""A lost BMS: limits of 0 A and the alarm come first, for long enough to arrive; then what the user wants."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Health, Snapshot
from outputs.venus_dbus.loss import Loss, Stand
from outputs.venus_dbus.settings import SAFE_FIRST, Settings
from tests import make


def snapshot(since: float | None, health: Health = Health.LOST) -> Snapshot:
    return make.snapshot(bank=make.bank(make.battery(health=health)), decision=make.decision(blocked_since=since))


def test_without_a_wish_it_stays_for_ever() -> None:
    loss = Loss(Settings())
    assert not loss.watches
    assert {loss.stand(snapshot(0.0), now) for now in (0.0, 100.0, 1e6)} == {Stand.BMS}


def test_first_no_bms_then_gone_and_back_at_once() -> None:
    loss = Loss(Settings(no_bms_after=60, leave_after=300))
    stands = [(now, loss.stand(snapshot(10.0), now)) for now in (60.0, 69.9, 70.0, 309.0, 310.0)]
    assert [stand for _, stand in stands] == [Stand.BMS, Stand.BMS, Stand.MONITOR, Stand.MONITOR, Stand.GONE]
    assert loss.stand(snapshot(None, Health.ONLINE), 311.0) is Stand.BMS
    assert loss.stand(snapshot(311.0), 312.0) is Stand.BMS, "it begins anew"


def test_limits_of_0_without_the_alarm_withdraw_nothing() -> None:
    loss = Loss(Settings(leave_after=10))
    assert loss.stand(snapshot(0.0, Health.STALE), 59.0) is Stand.BMS
    assert loss.stand(snapshot(0.0), 60.0) is Stand.BMS, "the alarm is raised just now"
    assert loss.stand(snapshot(0.0), 60.0 + SAFE_FIRST) is Stand.GONE


@given(
    st.lists(st.tuples(st.floats(0.1, 30.0), st.sampled_from(Health), st.booleans()), max_size=60),
    st.none() | st.floats(SAFE_FIRST, 100), st.none() | st.floats(SAFE_FIRST, 100),
)  # fmt: skip
def test_it_gives_up_only_after_both_were_told_for_long_enough(
    steps: list[tuple[float, Health, bool]], no_bms: float | None, leave: float | None
) -> None:
    loss, now = Loss(Settings(no_bms_after=no_bms, leave_after=leave)), 0.0
    blocked = told = None
    for step, health, block in steps:
        now += step
        blocked = (now if blocked is None else blocked) if block else None
        told = (now if told is None else told) if block and health is Health.LOST else None
        if loss.stand(snapshot(blocked, health), now) is not Stand.BMS:
            assert blocked is not None and told is not None
            assert now - told >= SAFE_FIRST and now - blocked >= min(no_bms or 1e9, leave or 1e9)
