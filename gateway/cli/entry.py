"""Where `bms-gateway` begins.  The service itself begins here, too: one Python, and no click in its memory for good.

A call of `run` that is as plain as a unit file has it is understood here; whatever else is said, wrongly or rarely,
goes the way of all commands, which know how to explain themselves.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from gateway.running import LEVELS, LONGEST_WATCH, NONE, SHORTEST_WATCH, USUAL
from gateway.running import main as run

NAMED: Final = {"-c": "config", "--config": "config", "--socket": "socket", "--log": "level", "--watchdog": "watchdog"}
Words = tuple[str, str, str, str]
"""As gateway.running.main takes them."""


def main() -> None:
    """Entry point."""
    words = plain(sys.argv[1:])
    if words is None:
        import_module("gateway.cli.main").main()
    else:
        run(*words)


def plain(words: Sequence[str]) -> Words | None:
    """What a plain call of `run` says; None for any other."""
    if words[:1] != ["run"]:
        return None
    given: dict[str, str] = {}
    left = iter(words[1:])
    for word in left:
        name = NAMED.get(word, "config")
        value = next(left, "-") if word in NAMED else word
        if name in given or value.startswith("-") or not value:
            return None
        given[name] = value
    level, watchdog = given.get("level", "info"), given.get("watchdog", NONE)
    if level not in LEVELS or not (watchdog == NONE or _is_watch(watchdog)):
        return None
    return given.get("config", str(USUAL)), level, given.get("socket", NONE), watchdog


def _is_watch(seconds: str) -> bool:
    return seconds.isdecimal() and SHORTEST_WATCH <= int(seconds) <= LONGEST_WATCH
