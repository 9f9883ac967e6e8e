"""command: what may be said, and what is refused before anybody is asked."""

import pytest

from gateway.cli.command import _understood
from tests.cli.program import called


@pytest.mark.parametrize(
    ("words", "battery", "wanted"),
    [
        (("charge", "off"), "", [("charge", 0.0)]),
        (("soc", "80"), "", [("soc", 80.0)]),
        (("rack-1", "charge=off", "discharge=on", "soc=55.5"), "rack-1",
         [("charge", 0.0), ("discharge", 1.0), ("soc", 55.5)]),
        (("balance=on",), "", [("balance", 1.0)]),
        (("rack-1", "clear-history=energy"), "rack-1", [("clear-history", 7)]),
    ],
)  # fmt: skip
def test_both_forms_are_understood(words: tuple[str, ...], battery: str, wanted: list[tuple[str, float]]) -> None:
    assert _understood(words) == (battery, wanted)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rack-1",), "nothing is commanded, expected [BATTERY] ACTION=VALUE"),
        (("rack-1", "charg=off"), "'charg=off': expected [BATTERY] ACTION=VALUE"),
        (("rack-1", "charge=maybe"), "charge takes on or off, not 'maybe'"),
        (("soc", "-5"), "soc -5.0 cannot be commanded, expected"),
        (("rack-1", "soc=nan"), "soc nan cannot be commanded, expected"),
    ],
)
def test_nonsense_is_refused_in_one_line_before_anybody_is_asked(words: tuple[str, ...], said: str) -> None:
    done = called("command", *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
