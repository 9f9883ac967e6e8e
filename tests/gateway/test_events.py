"""What happened: each change of a Snapshot that somebody would ask about later is a line, and nothing else is."""

from collections.abc import Iterator

from gateway.events import KEPT, Event, Events, changes
from gateway.model import Cap, Health, Snapshot
from tests import make


def said(before: Snapshot, after: Snapshot) -> list[tuple[str, str, str, int]]:
    return [(event.kind, event.about, event.text, event.level) for event in changes(before, after)]


def test_nothing_is_said_while_only_values_move() -> None:
    assert said(make.snapshot(), make.snapshot(1.0, decision=make.decision(ccl=30.0, cvl=55.0))) == []


def test_a_battery_that_falls_silent_and_comes_back() -> None:
    silent = make.snapshot(bank=make.bank(make.battery(health=Health.LOST, remark="no answer for 60 s")))
    assert said(make.snapshot(), silent) == [("battery", "rack-1", "lost: no answer for 60 s", 2)]
    assert said(silent, make.snapshot()) == [("battery", "rack-1", "online", 0)]


def test_a_battery_that_is_kept_out() -> None:
    out = make.snapshot(bank=make.bank(make.battery(joined=False, remark="2 V apart")))
    assert said(make.snapshot(), out) == [("battery", "rack-1", "online, kept out of the bank: 2 V apart", 1)]


def test_alarms_that_rise_and_end() -> None:
    raised = make.snapshot(decision=make.decision(alarms={"low_soc": 1, "bms_cable": 2}))
    assert said(make.snapshot(), raised) == [
        ("alarm", "low_soc", "low soc: warning", 1), ("alarm", "bms_cable", "bms cable: ALARM", 2),
    ]  # fmt: skip
    assert said(raised, make.snapshot(decision=make.decision(alarms={}))) == [
        ("alarm", "low_soc", "low soc: over", 0), ("alarm", "bms_cable", "bms cable: over", 0),
    ]  # fmt: skip


def test_modes_and_the_guard_and_notes() -> None:
    after = make.snapshot(
        decision=make.decision(charge_mode="float_transition", notes=("learnt",)), guard="CCL too high"
    )
    assert said(make.snapshot(), after) == [
        ("mode", "charge mode", "bulk -> float transition", 0), ("guard", "guard", "CCL too high", 2),
        ("note", "bank", "learnt", 0),
    ]  # fmt: skip


def test_a_direction_that_is_closed_says_why() -> None:
    cap = Cap(0.0, "cell_voltage", "highest cell 3.600 V")
    closed = make.snapshot(decision=make.decision(ccl=0.0, ccl_caps=(Cap(5.0, "soc", "full"), cap)))
    assert said(make.snapshot(), closed) == [("limits", "charge", "charge current 0.0 A: highest cell 3.600 V", 1)]
    assert said(closed, make.snapshot()) == [("limits", "charge", "charge current 50.0 A", 0)]


def test_the_newest_are_kept_and_all_are_counted() -> None:
    events = Events()
    for number in range(KEPT + 3):
        events.add(Event(float(number), "note", "bank", ""))
    kept: Iterator[Event] = iter(events)
    assert (next(kept).wall, len(list(events)), events.count) == (3.0, KEPT, KEPT + 3)


def test_the_first_snapshot_is_no_event() -> None:
    events = Events()
    events.look(make.snapshot(bank=make.bank(make.battery(health=Health.LOST))))
    assert events.count == 0
    events.look(make.snapshot())
    assert events.count == 1
