"""Records made and changed in one step are what dataclasses makes of them."""

from dataclasses import replace as changed

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Extreme
from gateway.model.records import made, replace

values = st.floats(allow_nan=False) | st.integers()


@given(values, st.text(), values)
def test_they_are_as_dataclasses_makes_them(value: float, where: str, other: float) -> None:
    found = made(Extreme, where=where, value=value)
    assert found == Extreme(value, where) and repr(found) == repr(Extreme(value, where))
    assert repr(replace(found, value=other)) == repr(changed(found, value=other))


def test_a_field_too_few_or_too_many_is_refused() -> None:
    with pytest.raises(TypeError, match="where"):
        made(Extreme, value=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="volts"):
        made(Extreme, value=1.0, where="a:1", volts=2.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="volts"):
        replace(Extreme(1.0, "a:1"), volts=2.0)  # type: ignore[call-arg]
