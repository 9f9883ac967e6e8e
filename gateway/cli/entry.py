"""Where `bms-gateway` begins.  The service itself begins here, too: one Python, and no click in its memory for good.

A call of `run` that is as plain as a unit file has it is understood here; whatever else is said, wrongly or rarely,
goes the way of all commands, which know how to explain themselves.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gateway.running import LEVELS, LONGEST_WATCH, SHORTEST_WATCH, USUAL, run

NAMED: Final = {"-c": "config", "--config": "config", "--socket": "socket", "--log": "level", "--watchdog": "watchdog"}


def main() -> None:
    """Entry point."""
    said = plain(sys.argv[1:])
    if said is None:
        import_module("gateway.cli.main").main()
    else:
        run(**said)


def plain(words: Sequence[str]) -> dict[str, Any] | None:
    """What a plain call of `run` says, as gateway.running.run takes it; None for any other."""
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
    level, socket, watchdog = given.get("level", "info"), given.get("socket"), given.get("watchdog")
    if level not in LEVELS or not (watchdog is None or _is_watch(watchdog)):
        return None
    return {
        "config": Path(given.get("config", USUAL)),
        "socket": None if socket is None else Path(socket),
        "level": level,
        "watchdog": None if watchdog is None else float(watchdog),
    }


def _is_watch(seconds: str) -> bool:
    return seconds.isdecimal() and SHORTEST_WATCH <= int(seconds) <= LONGEST_WATCH
