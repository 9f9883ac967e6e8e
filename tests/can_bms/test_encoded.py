"""Frames are encoded once while nothing changes, and are the dialect's own in every case."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dbc
from gateway.model import GatewayError
from outputs.can_bms.dbc_file import load
from outputs.can_bms.encoded import Encoded

DIALECT = load("pylontech")
VALUES: dict[str, Any] = {"soc": 60, "voltage": 53.2, "current": 20.0, "charge_voltage_limit": 55.2,
                          "charge_current_limit": 50.0, "discharge_current_limit": 60.0}  # fmt: skip


def test_equal_values_are_encoded_once() -> None:
    encoded = Encoded(DIALECT)
    first = encoded.encode(VALUES)
    assert encoded.encode(dict(VALUES), beat=7) == first == DIALECT.encode(VALUES)
    assert encoded.encoded == 1


def test_a_frame_that_says_the_same_again_is_the_same_object_and_another_one_is_not() -> None:
    encoded = Encoded(DIALECT)
    before, after = (encoded.encode({**VALUES, "current": amps}) for amps in (20.0, 21.0))
    assert [frame.id for frame, other in zip(before, after, strict=True) if frame is not other] == [0x356]
    assert after == DIALECT.encode({**VALUES, "current": 21.0})


@pytest.mark.parametrize("change", [{"soc": 61}, {"current": None}, {"p_system_error": 1}, {"manufacturer": "X"}])
def test_whatever_changes_is_encoded(change: dict[str, Any]) -> None:
    encoded = Encoded(DIALECT)
    encoded.encode(VALUES)
    changed = {key: value for key, value in {**VALUES, **change}.items() if value is not None}
    assert encoded.encode(changed) == DIALECT.encode(changed)
    assert encoded.encoded == 2


def test_what_was_given_may_be_changed_afterwards() -> None:
    encoded, values = Encoded(load("pylontech_v13")), dict(VALUES, flags_35a={"alarm": [], "warning": []})
    before = encoded.encode(values)
    values["flags_35a"]["alarm"].append("general")
    after = encoded.encode(values)
    assert after != before and after == load("pylontech_v13").encode(values)
    after.clear()
    assert encoded.encode(values) != []


def test_the_length_of_frames_and_what_is_clamped_are_kept_apart() -> None:
    encoded, values = Encoded(DIALECT), {**VALUES, "charge_current_limit": 1e9}
    for _ in range(2):
        for dlc in ("8", "native"):
            clamped: list[str] = []
            own: list[str] = []
            assert encoded.encode(values, dlc, clamped=clamped) == DIALECT.encode(values, dlc, clamped=own)  # type: ignore[arg-type]
            assert clamped == own == ["charge_current_limit"]
    assert encoded.encoded == 2


def test_frames_with_other_cycle_times_come_when_they_are_due(tmp_path: Path) -> None:
    file = tmp_path / "slow.dbc"
    text = dbc.path("pylontech").read_text()
    assert '"GenMsgCycleTime" BO_ 862 1000;' in text
    file.write_text(text.replace('"GenMsgCycleTime" BO_ 862 1000;', '"GenMsgCycleTime" BO_ 862 3000;'))
    dialect = load("", file)
    encoded = Encoded(dialect)
    for beat in range(12):
        assert encoded.encode(VALUES, beat=beat) == dialect.encode(VALUES, beat=beat)
    assert encoded.encoded == 3


def test_what_is_no_number_is_refused_every_time() -> None:
    encoded = Encoded(DIALECT)
    for _ in range(2):
        with pytest.raises(GatewayError):
            encoded.encode({**VALUES, "soc": float("nan")})


@given(st.lists(st.tuples(st.sampled_from(sorted(VALUES)), st.integers(0, 3), st.integers(0, 5)), max_size=30))
def test_any_history_gives_what_the_dialect_gives(changes: list[tuple[str, int, int]]) -> None:
    encoded, values = Encoded(DIALECT), dict(VALUES)
    for key, value, beat in changes:
        values[key] = value
        assert encoded.encode(values, beat=beat) == DIALECT.encode(values, beat=beat)
