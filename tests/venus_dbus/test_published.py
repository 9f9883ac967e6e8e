"""Rows are worked out only when what they are made of is another, and nobody can tell."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Cap, Extreme, Life
from outputs.venus_dbus.lifetime import HISTORY, OWN
from outputs.venus_dbus.paths import LIMITS, TABLE
from outputs.venus_dbus.published import Published
from outputs.venus_dbus.tree import Tree
from outputs.view import About, Limits, Own, Single, View

numbers = st.none() | st.sampled_from([0.0, -0.0, 1.0, 3.4004, 52.129, float("nan"), float("inf")])
flags = st.sampled_from([None, True, False])
places = st.none() | st.builds(Extreme, st.sampled_from([3.3, 3.4]), st.sampled_from(["C1", "C2", ""]))
views = st.builds(
    View,
    about=st.builds(About, connection=st.sampled_from(["serial", ""]), serial=st.sampled_from([None, "7", "\0"])),
    limits=st.builds(Limits, cvl=st.sampled_from([None, 55.2, 54.0]), ccl=st.sampled_from([0.0, 50.0]),
                     dcl=st.sampled_from([0.0, 60.0]), low_voltage=st.sampled_from([None, 46.4]),
                     allow_charge=flags, allow_discharge=flags),
    voltage=numbers, current=numbers, power=numbers, soc=numbers, capacity=st.sampled_from([None, 100.0, 280.0]),
    remaining_capacity=st.sampled_from([None, 50.0]), min_cell=places, max_cell=places,
    single=st.builds(Single, cell_voltages=st.lists(st.sampled_from([None, 3.3, 3.31]), max_size=5).map(tuple),
                     cell_balancing=st.lists(flags, max_size=3).map(tuple)),
    alarms=st.dictionaries(st.sampled_from(["low_soc", "short_circuit", "internal_failure"]), st.integers(0, 2)),
    online=st.integers(0, 2), offline=st.integers(0, 1), blocking_charge=st.integers(0, 1), balancing=flags,
    life=st.none() | st.builds(Life, full_discharges=st.integers(0, 2)),
    time_to_soc=st.sampled_from([{}, {50.0: 1200, 100.0: None}, {50.0: None, 100.0: 60}, {50.0: 7, 80.0: 8}]),
    ccl_caps=st.sampled_from([(), (Cap(5.0, "config", "so"),)]), dcl_caps=st.just(()),
    bms=st.none() | st.builds(Own, soc=numbers, remaining_capacity=numbers), error=st.sampled_from([None, 8]),
)  # fmt: skip


def shown(tree: Tree) -> dict[str, Any]:
    return {path: tree[path].shown for path in tree}


@given(st.lists(views, min_size=1, max_size=6))
def test_after_any_story_the_tree_says_of_the_last_view_what_a_new_one_says(story: list[View]) -> None:
    tree = Tree()
    published = Published(tree, "both", midpoint=True)
    for view in story:
        published.update(view, slow=True)
    anew = Tree()
    Published(anew, "both", midpoint=True).update(story[-1], slow=True)
    assert {path: text for path, text in shown(tree).items() if path in anew} == shown(anew)
    gone = [path for path in tree if path not in anew]
    assert all(tree[path].value is None for path in gone if not path.startswith("/History"))


def test_a_row_that_failed_is_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree()
    published = Published(tree)
    published.update(View(voltage=50.0, alarms={"low_soc": 0}), slow=True)
    with pytest.raises(AttributeError):
        published.update(View(voltage=51.0, alarms=None), slow=True)  # type: ignore[arg-type]
    published.update(View(voltage=51.0, alarms={"low_soc": 2}), slow=True)
    assert (tree["/Dc/0/Voltage"].value, tree["/Alarms/LowSoc"].value) == (51.0, 2)


@pytest.mark.parametrize("entry", [*TABLE, *LIMITS, *HISTORY, *OWN], ids=lambda entry: entry.path)
def test_a_row_names_fields_that_a_view_has(entry: Any) -> None:
    assert entry.of.split()
    for name in entry.of.split():
        part: Any = View(bms=Own(None, None), life=Life())
        for step in name.split("."):
            part = getattr(part, step)


def test_a_field_that_stays_costs_nothing() -> None:
    calls = []

    class Alarms(dict[str, int]):
        def get(self, *key: Any) -> Any:  # type: ignore[override]
            calls.append(key)
            return super().get(*key)

    published = Published(Tree())
    view = View(alarms=Alarms(low_soc=0))
    published.update(view, slow=True)
    assert calls
    calls.clear()
    published.update(view._replace(voltage=50.0, limits=view.limits._replace(ccl=1.0)), slow=True)
    assert {key[0] for key in calls} <= {"cell_imbalance", "high_temperature", "high_charge_temperature",
                                        "internal_failure", "low_voltage"}  # fmt: skip
