"""What happened: each change of a Snapshot that somebody would ask about later is a line, and nothing else is."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.events import KEPT, Event, Events, changes, story
from gateway.evidence import _alarming
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


snapshots = st.builds(
    lambda members, complete, guard, decision: make.snapshot(
        bank=make.bank(*members, complete=complete), guard=guard, decision=make.decision(**decision)
    ),
    st.lists(st.builds(make.battery, st.sampled_from("ab"), health=st.sampled_from(Health), joined=st.booleans()),
             min_size=1, max_size=2, unique_by=lambda battery: battery.name),
    st.booleans(), st.sampled_from(["", "broken"]),
    st.fixed_dictionaries({
        "alarms": st.sampled_from([{}, {"low_soc": 0}, {"low_soc": 2}, {"low_soc": 1, "high_voltage": 1}]),
        "ccl": st.sampled_from([0.0, 5.0, 6.0]), "dcl": st.sampled_from([0.0, 5.0]),
        "charge_mode": st.sampled_from(["bulk", "float"]), "notes": st.sampled_from([(), (), ("learnt",)]),
    }),
)  # fmt: skip


@given(snapshots, snapshots)
def test_while_the_story_is_the_same_there_is_nothing_to_tell(before: Snapshot, after: Snapshot) -> None:
    for one, other in ((before, after), (before, before), (after, after)):
        if story(one) == story(other):
            assert [*changes(one, other), *_alarming(one, other)] == []


def test_a_note_is_a_new_story_each_time() -> None:
    noted = make.snapshot(decision=make.decision(notes=("learnt",)))
    assert story(noted) != story(noted)
