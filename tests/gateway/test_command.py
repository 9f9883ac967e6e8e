"""What may be commanded is checked where a Command is made, whatever the door."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Command, CommandError
from gateway.model.command import ACTIONS

RIGHT = {
    "charge": (0, 1), "discharge": (0.0, 1.0), "balance": (1, 0), "soc": (0, 0.5, 100.0),
    "clear_history": (1, 2, 3, 4, 5, 6, 7),
}  # fmt: skip
WRONG: dict[str, tuple[Any, ...]] = {
    "charge": (-1, 2, 0.5), "discharge": (0.999, 1e300), "balance": (7,), "soc": (-0.1, 100.1, -5),
    "clear_history": (0, 8, 1.5),
}  # fmt: skip
NONSENSE = (math.nan, math.inf, -math.inf, 10**400, "1", None, True, [1], {})


@pytest.mark.parametrize("action", ACTIONS)
def test_values_of_an_action_are_taken_and_all_others_refused_with_what_would_be_right(action: Any) -> None:
    for value in RIGHT[action]:
        assert Command(action, value).value == value
    for value in (*WRONG[action], *NONSENSE):
        with pytest.raises(CommandError, match=f"^{action} .* cannot be commanded, expected [01]"):
            Command(action, value)


@pytest.mark.parametrize("action", ["heat", "", None, 1, ["charge"], {}])
def test_an_action_that_there_is_not_is_refused_with_those_that_are(action: Any) -> None:
    with pytest.raises(CommandError, match=r"^no command is called .*, expected one of charge, discharge, balance"):
        Command(action, 1.0)


@given(st.sampled_from(sorted(ACTIONS)), st.floats() | st.integers())
def test_a_command_that_was_made_holds_a_plain_finite_number(action: Any, value: float) -> None:
    try:
        command = Command(action, value)
    except CommandError:
        return
    assert type(command.value) is float
    assert 0.0 <= command.value <= 100.0
