"""What a doctor finds: one thing that was looked at, how it is, and what to do.  Stands on the ground floor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["fault", "doubt", "fine"]
SIGNS: Final = {"fault": "FAULT", "doubt": "doubt", "fine": "   ok"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    do: str = ""


def sound(findings: Iterable[Finding]) -> bool:
    """No fault among them."""
    return all(finding.level != "fault" for finding in findings)


def in_lines(findings: Sequence[Finding]) -> str:
    """All that was found, then all that is to be done, for people."""
    lines = [f"{SIGNS[finding.level]}  {finding.what}" for finding in findings]
    todo = [f"  * {do}" for do in dict.fromkeys(f.do for f in findings if f.do and f.level != "fine")]
    return "\n".join((*lines, "", *(("What to do:", *todo) if todo else ("Nothing to do.",))))
